//! The name by which a client calls the server becomes part of links, so it must be the name of a host: one, in `Host`.

use crate::support::http::{Answer, FORM, exchange, form};
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::Shop;

/// Sends a redemption with these lines in place of the request line and `Host`.
fn redeem(server: &Server, key: &str, start: &[&str]) -> Answer {
    let body = form(&[("key", key)]);
    let rest = [
        "Connection: close".to_owned(),
        format!("Content-Type: {FORM}"),
        format!("Content-Length: {}", body.len()),
    ];
    let head: Vec<&str> = start.iter().copied().chain(rest.iter().map(String::as_str)).collect();
    let bytes = format!("{}\r\n\r\n{body}", head.join("\r\n"));
    let answer = exchange(server.address, bytes.as_bytes()).expect("an answer");
    // A client of HTTP/1.0 is answered in its own version.
    let answer = String::from_utf8_lossy(&answer).replacen("HTTP/1.0 ", "HTTP/1.1 ", 1);
    Answer::read(answer.as_bytes(), false).expect("a whole answer")
}

const POST: &str = "POST /redemptions HTTP/1.1";

#[test]
fn a_request_that_does_not_name_one_host_is_refused_and_uses_nothing_up() {
    let shop = Shop::new();
    let key = shop.ticket();
    for flags in [&[][..], &["--public-url", "https://music.example"]] {
        let server = shop.serve_with(flags);
        for start in [
            &[POST][..],
            &[POST, "Host: music.example", "Host: music.example"],
            &[POST, "Host: music.example", "Host: evil.example"],
            &[POST, "Host:"],
            &[POST, "Host: $(id)"],
            &[POST, "Host: evil:99999"],
            &[POST, "Host: a b"],
            &[POST, "Host: user:secret@music.example"],
            &[POST, "Host: music.example/path"],
            &["POST http://music.example/redemptions HTTP/1.1", "Host: music.example"],
            &["POST /redemptions HTTP/1.0", "Host: a", "Host: b"],
        ] {
            redeem(&server, &key.dashed(), start).problem(400, "bad_request");
        }
    }
    Redeemed::read(&shop.serve().redeem(&key), 201);
}

#[test]
fn links_begin_with_the_host_that_was_called() {
    let shop = Shop::new();
    let server = shop.serve();
    for host in ["music.example", "music.example:8080", "[2001:db8::1]:8080", "192.0.2.1"] {
        let answer = redeem(&server, &shop.ticket().dashed(), &[POST, &format!("Host: {host}")]);
        let redeemed = Redeemed::read(&answer, 201);
        assert!(redeemed.receipt_url.starts_with(&format!("http://{host}/redemptions/")), "{answer}");
    }
}

/// Such a client names no host, and neither do its links: they lead to where it asked.
#[test]
fn a_client_of_http_1_0_needs_no_host() {
    let shop = Shop::new();
    let server = shop.serve();
    let answer = redeem(&server, &shop.ticket().dashed(), &["POST /redemptions HTTP/1.0"]);
    let receipt = answer.expect(201).json()["redemption"]["receipt_url"].as_str().expect("a text").to_owned();
    assert!(receipt.starts_with("/redemptions/"), "{receipt}");
    server.get(&receipt).expect(200);
}

/// Two proxies, each of which adds how it was spoken to.
#[test]
fn links_are_https_when_the_first_of_several_proxies_was_spoken_to_by_tls() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--trusted-proxies", "127.0.0.1"]);
    for (proto, scheme) in [
        ("https", "https://"),
        ("https, https", "https://"),
        ("https,http", "https://"),
        ("HTTPS , http", "https://"),
        ("http, https", "http://"),
        ("", "http://"),
    ] {
        let lines = [POST, "Host: music.example", &format!("X-Forwarded-Proto: {proto}")];
        let answer = redeem(&server, &shop.ticket().dashed(), &lines);
        let redeemed = Redeemed::read(&answer, 201);
        assert!(redeemed.receipt_url.starts_with(&format!("{scheme}music.example/")), "{proto:?}: {answer}");
    }
}
