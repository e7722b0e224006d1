//! The host name by which a client addresses the server. It becomes part of links, so it is parsed strictly. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::HOST;
use axum::http::{HeaderMap, Uri, Version};

/// The longest name of a host, in bytes (RFC 1035, section 2.3.4), and the longest part of it.
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Why the host that a request names is invalid. Says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    #[error("Send the path alone in the request line, and the host in the header Host.")]
    AbsoluteForm,
    #[error("Send one header Host.")]
    NotOne,
    #[error(
        "The header Host must be a host, and perhaps a port: music.example, 192.0.2.1:8080 or [2001:db8::1]."
    )]
    NotAHost,
}

/// The host that a request names, with its port; `None` when an HTTP/1.0 client names none.
pub(crate) fn named<'a>(
    uri: &Uri,
    version: Version,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, HostError> {
    if uri.authority().is_some() {
        return Err(HostError::AbsoluteForm);
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let host = host.to_str().ok().filter(|host| is_authority(host));
            host.map(Some).ok_or(HostError::NotAHost)
        }
        (None, _) if version < Version::HTTP_11 => Ok(None),
        (None, _) | (Some(_), Some(_)) => Err(HostError::NotOne),
    }
}

/// Whether a text is `host` or `host:port`.
pub(crate) fn is_authority(text: &str) -> bool {
    let after_address = text.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match text[after_address..].rfind(':') {
        Some(colon) => (&text[..after_address + colon], Some(&text[after_address + colon + 1..])),
        None => (text, None),
    };
    is_host(host) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    // Browsers treat a name that ends in a number as an address.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<Ipv4Addr>().is_ok();
    }
    name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label)
}

/// Letters, digits and hyphens, and also underscores, which names in container networks have.
fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_what_is_none() {
        for host in [
            "localhost",
            "localhost:8080",
            "music.example",
            "MUSIC.Example.:443",
            "xn--bcher-kva.example",
            "my_service:80",
            "redeemer.tickey-lickey.svc.cluster.local:8080",
            "192.0.2.1",
            "192.0.2.1:65535",
            "[::1]",
            "[2001:db8::1]:8080",
            "a",
            "1a",
        ] {
            assert!(is_authority(host), "{host}");
        }
        let long = format!("{}.example", "a".repeat(64));
        let longer = "a.".repeat(127) + "example";
        for host in [
            "",
            ":",
            ":80",
            "evil:99999",
            "evil:0",
            "evil:",
            "evil:+80",
            "evil:8 0",
            "a b",
            "$(id)",
            "user@music.example",
            "user:secret@music.example",
            "music.example/path",
            "music.example?query",
            "music.example#part",
            "music..example",
            ".music.example",
            "bücher.example",
            "%6dusic.example",
            "\"music.example\"",
            "music.example,other.example",
            "999.0.2.1",
            "127.1",
            "0x7f.1",
            "1",
            "::1",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:",
            "[]",
            "[music.example]",
            "[fe80::1%eth0]",
            "a]b:80",
            &long,
            &longer,
        ] {
            assert!(!is_authority(host), "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        let named = |uri: &str, version, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().unwrap());
            }
            named(&uri.parse().unwrap(), version, &headers).map(|host| host.map(str::to_owned))
        };
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        assert_eq!(named("/", new, &["a:80"]), Ok(Some("a:80".to_owned())));
        assert_eq!(named("/", old, &["a"]), Ok(Some("a".to_owned())));
        assert_eq!(named("/", old, &[]), Ok(None));
        assert_eq!(named("/", new, &[]), Err(HostError::NotOne));
        assert_eq!(named("/", new, &["a", "a"]), Err(HostError::NotOne));
        assert_eq!(named("/", old, &["a", "b"]), Err(HostError::NotOne));
        assert_eq!(named("/", new, &["$(id)"]), Err(HostError::NotAHost));
        assert_eq!(named("http://a/", new, &["a"]), Err(HostError::AbsoluteForm));
        assert_eq!(named("a:443", new, &["a"]), Err(HostError::AbsoluteForm));
    }
}
