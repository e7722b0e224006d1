//! The address of a client, and the network that stands for it in limits and logs.
//!
//! Pure. A full address never leaves this module.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The header in which proxies pass on the client's address.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The header in which a proxy passes on the client's scheme.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The network of a client's address: /24 for IPv4, /56 for IPv6, the usual size of one household or office.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientPrefix(IpNet);

impl ClientPrefix {
    /// The network of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Ipv4Net::new_assert(address, 24).trunc().into(),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, 56).trunc().into(),
        })
    }
}

impl fmt::Display for ClientPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The proxies whose forwarding headers are trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Proxies in these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether this is the address of a trusted proxy.
    #[must_use]
    pub fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's network: that of the peer, or, when the peer is a trusted proxy, that of the last address in
    /// `X-Forwarded-For` that is not a trusted proxy. The list is read from the right: each trusted proxy vouches for
    /// the next address. An entry that cannot be parsed ends the chain.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientPrefix {
        let mut client = peer;
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut hops = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        while self.trust(client) {
            match hops.next().and_then(|hop| parse_hop(hop.trim())) {
                Some(hop) => client = hop,
                None => break,
            }
        }
        ClientPrefix::of(client)
    }

    /// Whether the client used TLS to the outermost proxy, according to the header of a trusted proxy. Each proxy
    /// appends the scheme that it was asked with, so the first entry is the client's scheme. (A client can forge that
    /// entry. Then only the links in its own answers are unusable.)
    #[must_use]
    pub fn is_https(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let values = headers.get_all(FORWARDED_PROTO).iter().filter_map(|value| value.to_str().ok());
        let mut schemes = values.flat_map(|value| value.split(',')).map(str::trim);
        self.trust(peer)
            && schemes
                .find(|scheme| !scheme.is_empty())
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    }
}

/// An address, with or without a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    hop.parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted = TrustedProxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        trusted.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        assert_eq!(client(&[], "203.0.113.9", &["198.51.100.1"]), "203.0.113.0/24");
        assert_eq!(client(&["10.0.0.0/8"], "203.0.113.9", &["198.51.100.1"]), "203.0.113.0/24");
        assert_eq!(client(&[], "::ffff:203.0.113.9", &[]), "203.0.113.0/24");
        assert_eq!(client(&[], "2001:db8:1:2ff::1", &[]), "2001:db8:1:200::/56");
    }

    #[test]
    fn a_trusted_peer_speaks_for_the_last_untrusted_address() {
        let trusted = ["10.0.0.0/8", "::1/128"];
        assert_eq!(client(&trusted, "10.1.1.1", &["1.1.1.1, 198.51.100.7"]), "198.51.100.0/24");
        assert_eq!(client(&trusted, "10.1.1.1", &["1.1.1.1, 198.51.100.7, 10.2.2.2"]), "198.51.100.0/24");
        assert_eq!(client(&trusted, "10.1.1.1", &["1.1.1.1", "198.51.100.7"]), "198.51.100.0/24");
        assert_eq!(client(&trusted, "::1", &["[2001:db8::1]:443"]), "2001:db8::/56");
        assert_eq!(client(&trusted, "10.1.1.1", &["198.51.100.7:1234"]), "198.51.100.0/24");
    }

    #[test]
    fn what_cannot_be_read_ends_the_chain() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(client(&trusted, "10.1.1.1", &[]), "10.1.1.0/24");
        assert_eq!(client(&trusted, "10.1.1.1", &["198.51.100.7, unknown"]), "10.1.1.0/24");
        assert_eq!(client(&trusted, "10.1.1.1", &["198.51.100.7, 10.3.3.3, ?"]), "10.1.1.0/24");
        assert_eq!(client(&trusted, "10.1.1.1", &["10.3.3.3"]), "10.3.3.0/24");
    }

    #[test]
    fn the_scheme_is_what_the_client_spoke_to_the_first_proxy() {
        let is_https = |peer: &str, values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED_PROTO, value.parse().unwrap());
            }
            let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
            trusted.is_https(peer.parse().unwrap(), &headers)
        };
        for values in
            [&["https"][..], &["HTTPS"], &["https, https"], &["https,http"], &["https", "http"], &[", https"]]
        {
            assert!(is_https("10.1.1.1", values), "{values:?}");
            assert!(!is_https("203.0.113.9", values), "believed of anybody: {values:?}");
        }
        for values in [&[][..], &[""], &["http"], &["http, https"], &["httpsx"], &["http", "https"]] {
            assert!(!is_https("10.1.1.1", values), "{values:?}");
        }
    }
}
