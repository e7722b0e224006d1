//! The origin under which people reach the server.

use std::str::FromStr;
use std::sync::Arc;

use super::host::is_authority;

/// `scheme://host[:port]` as browsers write an origin: in lower case, without a path, a slash at the end, or the
/// scheme's default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Arc<str>);

impl PublicUrl {
    /// The origin as text.
    pub(crate) fn origin(&self) -> &Arc<str> {
        &self.0
    }

    /// Whether people reach the server by TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "give the address that people type, such as https://music.example: \
             a host name of the server's own, without a path";
        let lower = text.to_ascii_lowercase();
        let (scheme, authority) = lower.split_once("://").ok_or(WRONG)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let said_anyway = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return Err(WRONG),
        };
        if !is_authority(authority) {
            return Err(WRONG);
        }
        let authority = authority.strip_suffix(said_anyway).unwrap_or(authority);
        Ok(Self(format!("{scheme}://{authority}").into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin() {
        for (text, origin) in [
            ("https://music.example", "https://music.example"),
            ("https://music.example/", "https://music.example"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("HTTPS://Music.Example:443/", "https://music.example"),
            ("http://music.example:80", "http://music.example"),
            ("https://music.example:80", "https://music.example:80"),
        ] {
            assert_eq!(text.parse(), Ok(PublicUrl(origin.into())), "{text}");
        }
        for text in [
            "",
            "music.example",
            "ftp://music.example",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://a/#b",
            "https://u:p@a",
            "https://a:99999",
            "https://a b",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
