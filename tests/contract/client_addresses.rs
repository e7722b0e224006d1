//! Section 3: "a client address is the peer's, or the last untrusted one in `X-Forwarded-For` when the peer is in
//! `--trusted-proxies`". What an address is good for is to count guesses, so that is how it is seen here.

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::shop::Shop;

/// One guess a network, and no other while a test runs.
const ONE_GUESS: [&str; 4] = ["--unknown-burst", "1", "--unknown-per-minute", "1"];

/// A server behind proxies on this machine and in 10.0.0.0/8.
#[track_caller]
fn behind_proxies(shop: &Shop) -> Server {
    shop.serve_with(&[&ONE_GUESS[..], &["--trusted-proxies", "127.0.0.0/8,10.0.0.0/8,fd00::/8"]].concat())
}

/// A guess that came with this header; gives whether it was still heard.
fn is_heard(shop: &Shop, server: &Server, forwarded_for: &str) -> bool {
    let answer = server.send(&Request::redeem(&shop.key().dashed()).forwarded_for(forwarded_for));
    match answer.status {
        404 => true,
        429 => false,
        _ => panic!("neither unknown nor too many: {answer}"),
    }
}

#[test]
fn guesses_of_one_network_do_not_shut_out_another() {
    let shop = Shop::new();
    let server = behind_proxies(&shop);
    assert!(is_heard(&shop, &server, "203.0.113.9"));
    assert!(!is_heard(&shop, &server, "203.0.113.9"));
    let good = |address| server.send(&Request::redeem(&shop.ticket().dashed()).forwarded_for(address));
    good("203.0.113.9").problem(429, "too_many_attempts");
    good("198.51.100.7").expect(201);
    good("2001:db8::7").expect(201);
}

/// "For a /24": the neighbours in an IPv4 network of 256 share their guesses.
#[test]
fn ipv4_clients_are_counted_by_their_24() {
    let shop = Shop::new();
    let server = behind_proxies(&shop);
    assert!(is_heard(&shop, &server, "203.0.113.0"));
    assert!(!is_heard(&shop, &server, "203.0.113.1"));
    assert!(!is_heard(&shop, &server, "203.0.113.255"));
    assert!(is_heard(&shop, &server, "203.0.112.255"));
    assert!(is_heard(&shop, &server, "203.0.114.0"));
}

/// "Or /56": what a provider hands to one household.
#[test]
fn ipv6_clients_are_counted_by_their_56() {
    let shop = Shop::new();
    let server = behind_proxies(&shop);
    assert!(is_heard(&shop, &server, "2001:db8:0:100::1"));
    assert!(!is_heard(&shop, &server, "2001:db8:0:100::2"));
    assert!(!is_heard(&shop, &server, "2001:db8:0:1ff:ffff:ffff:ffff:ffff"));
    assert!(is_heard(&shop, &server, "2001:db8:0:200::1"));
    assert!(is_heard(&shop, &server, "2001:db8:0:ff::1"));
    assert!(is_heard(&shop, &server, "2001:db8:1:100::1"));
}

/// An IPv4 address in IPv6 notation is that address: neither a second bucket, nor one for the whole of IPv4.
#[test]
fn an_ipv4_address_written_as_ipv6_is_the_same_client() {
    let shop = Shop::new();
    let server = behind_proxies(&shop);
    assert!(is_heard(&shop, &server, "203.0.113.9"));
    assert!(!is_heard(&shop, &server, "::ffff:203.0.113.9"));
    assert!(is_heard(&shop, &server, "::ffff:198.51.100.7"));
}

/// Anyone can send the header; only a proxy of ours is believed.
#[test]
fn a_header_from_an_untrusted_peer_is_ignored() {
    let shop = Shop::new();
    for flags in [&ONE_GUESS[..], &[&ONE_GUESS[..], &["--trusted-proxies", "10.0.0.0/8"]].concat()] {
        let server = shop.serve_with(flags);
        assert!(is_heard(&shop, &server, "203.0.113.1"));
        assert!(!is_heard(&shop, &server, "198.51.100.1"));
        server.redeem(&shop.ticket()).problem(429, "too_many_attempts");
    }
}

/// What stands before the last untrusted address was written by the client itself.
#[test]
fn the_last_untrusted_address_counts_whatever_a_client_writes_before_it() {
    let shop = Shop::new();
    let server = behind_proxies(&shop);
    assert!(is_heard(&shop, &server, "198.51.100.1, 203.0.113.9"));
    assert!(!is_heard(&shop, &server, "198.51.100.2, 203.0.113.9"));
    assert!(!is_heard(&shop, &server, "203.0.113.9"));
    assert!(!is_heard(&shop, &server, "192.0.2.1,203.0.113.9, 10.1.2.3"));
    assert!(!is_heard(&shop, &server, "192.0.2.2 , 203.0.113.9,fd00::1,  10.1.2.3,127.0.0.1"));
    assert!(!is_heard(&shop, &server, "nonsense, 203.0.113.9"));
    assert!(is_heard(&shop, &server, "203.0.113.9, 198.51.100.3"));
}

/// A list may be spread over several header lines, which are one list.
#[test]
fn several_header_lines_are_one_list() {
    let shop = Shop::new();
    let server = behind_proxies(&shop);
    assert!(is_heard(&shop, &server, "203.0.113.9"));
    let guess = |lines: [&str; 2]| {
        let request = Request::redeem(&shop.key().dashed());
        server.send(&request.forwarded_for(lines[0]).forwarded_for(lines[1]))
    };
    guess(["198.51.100.1", "203.0.113.9"]).problem(429, "too_many_attempts");
    guess(["198.51.100.2, 203.0.113.9", "10.1.2.3"]).problem(429, "too_many_attempts");
    guess(["203.0.113.9", "192.0.2.1"]).problem(404, "unknown");
}

/// Without an untrusted address in the list there is still a client to count: it is no way round.
#[test]
fn an_empty_or_senseless_header_is_no_way_round_the_limit() {
    let shop = Shop::new();
    let server = behind_proxies(&shop);
    let heard = (0..20).filter(|number| is_heard(&shop, &server, &format!("nonsense-{number}"))).count();
    assert!(heard <= 1, "{heard} guesses were heard by writing other nonsense each time");
    for header in ["", ",", ", ,", "10.0.0.1", "127.0.0.1, 10.2.3.4"] {
        // Heard or not, it is answered; what counts is that it cannot go on.
        is_heard(&shop, &server, header);
        assert!(!is_heard(&shop, &server, header), "X-Forwarded-For: {header:?}");
    }
}
