//! Decides whether a client may open another connection. Pure.
//!
//! A network may hold at most half of the connections that all others leave, and one host in it at most half of what
//! the rest of its network leaves of that. So one host, or one network, can never take the last connection: of 4096, a
//! host alone gets 1024, a network alone 2048, the second network 1024, and the eleventh one still finds some. Trusted
//! proxies are exempt, since they carry the connections of many clients.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::client::{ClientPrefix, TrustedProxies};

/// The connections of one listener.
pub(super) struct Shares {
    limit: usize,
    exempt: TrustedProxies,
    held: Mutex<Held>,
}

/// The numbers of open connections. The number of entries is bounded by the number of connections.
#[derive(Default)]
struct Held {
    all: usize,
    by_network: HashMap<ClientPrefix, usize>,
    by_host: HashMap<IpNet, usize>,
}

/// A connection that is counted for as long as this lives.
pub(super) struct Place {
    shares: Arc<Shares>,
    /// `None` when the peer is exempt.
    of: Option<(ClientPrefix, IpNet)>,
}

impl Shares {
    pub(super) fn new(limit: usize, exempt: TrustedProxies) -> Arc<Self> {
        Arc::new(Self { limit, exempt, held: Mutex::default() })
    }

    /// A place for a connection from `peer`, unless its network or its host already has its share.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let of = (!self.exempt.trust(peer)).then(|| (ClientPrefix::of(peer), host_of(peer)));
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((network, host)) = of {
            let of_network = held.by_network.get(&network).copied().unwrap_or(0);
            let of_host = held.by_host.get(&host).copied().unwrap_or(0);
            let for_network = half(self.limit.saturating_sub(held.all - of_network));
            let for_host = half(for_network.saturating_sub(of_network - of_host));
            if of_network >= for_network || of_host >= for_host {
                return None;
            }
            *held.by_network.entry(network).or_default() += 1;
            *held.by_host.entry(host).or_default() += 1;
        }
        held.all += 1;
        Some(Place { shares: Arc::clone(self), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= 1;
        if let Some((network, host)) = self.of {
            leave(&mut held.by_network, network);
            leave(&mut held.by_host, host);
        }
    }
}

/// Decrements a count, and removes the entry at zero.
fn leave<K: Eq + Hash>(held: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut entry) = held.entry(key) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

/// Half of the connections, rounded up, so that the last free one is available.
fn half(connections: usize) -> usize {
    connections.div_ceil(2)
}

/// An IPv4 address, or a /64 of IPv6, since one machine can use all addresses of a /64.
fn host_of(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Net::new_assert(address, 32).into(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).trunc().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(limit: usize) -> Arc<Shares> {
        Shares::new(limit, TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]))
    }

    /// As many connections from this address as it gets.
    fn flood(shares: &Arc<Shares>, address: &str) -> Vec<Place> {
        let address = address.parse().unwrap();
        std::iter::from_fn(|| shares.enter(address)).collect()
    }

    #[test]
    fn one_host_leaves_some_to_its_neighbours_and_its_network_leaves_some_to_others() {
        let shares = shares(4096);
        let host = flood(&shares, "203.0.113.9");
        assert_eq!(host.len(), 1024);
        let neighbours: Vec<_> =
            (0..40).map(|number| flood(&shares, &format!("203.0.113.{}", 10 + number))).collect();
        let of_network = host.len() + neighbours.iter().map(Vec::len).sum::<usize>();
        assert!((2000..=2048).contains(&of_network), "{of_network}");
        assert!(flood(&shares, "198.51.100.7").len() >= 512, "another network");
    }

    #[test]
    fn every_further_network_still_finds_some() {
        let shares = shares(4096);
        let mut held = Vec::new();
        for number in 0..10 {
            let mine = flood(&shares, &format!("203.0.{number}.9"));
            assert!(!mine.is_empty(), "network {number}");
            held.extend(mine);
        }
        assert!(held.len() < 4096);
    }

    #[test]
    fn a_machine_has_all_addresses_of_its_network_of_ipv6() {
        let shares = shares(1024);
        let machine = flood(&shares, "2001:db8::1");
        assert_eq!(machine.len(), 256);
        assert_eq!(flood(&shares, "2001:db8::2").len(), 0, "of the same /64");
        let neighbour = flood(&shares, "2001:db8:0:1::1");
        assert_eq!(neighbour.len(), 128, "of the same /56");
        assert_eq!(flood(&shares, "2001:db8:1::1").len(), 160, "of another one");
    }

    #[test]
    fn trusted_proxies_take_what_they_need_and_the_others_share_the_rest() {
        let shares = shares(100);
        let proxied: Vec<_> = (0..90).map(|_| shares.enter([10, 0, 0, 1].into()).unwrap()).collect();
        assert_eq!(flood(&shares, "203.0.113.9").len(), 3);
        drop(proxied);
        assert_eq!(flood(&shares, "203.0.113.9").len(), 25);
    }

    #[test]
    fn a_place_that_is_left_is_free_again_and_nothing_is_remembered() {
        let shares = shares(64);
        for _ in 0..3 {
            assert_eq!(flood(&shares, "203.0.113.9").len(), 16);
        }
        let held = shares.held.lock().unwrap();
        assert_eq!((held.all, held.by_network.len(), held.by_host.len()), (0, 0, 0));
    }

    #[test]
    fn a_single_connection_can_be_had() {
        let shares = shares(1);
        assert_eq!(flood(&shares, "203.0.113.9").len(), 1);
    }
}
