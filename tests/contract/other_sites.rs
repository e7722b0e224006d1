//! What another website sends through a visitor's browser is refused: it could spend the visitor's attempts, or redeem
//! in their name. Browsers say where a form comes from by `Sec-Fetch-Site` and `Origin`; programs send neither.

use crate::support::http::{BROWSER, Request};
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::Shop;

/// A key's form, as a browser sends it with these headers.
fn form(key: &str, headers: &[(&str, &str)]) -> Request {
    let form = Request::redeem_by_form(&[("key", key)]);
    headers.iter().fold(form, |form, (name, value)| form.header(name, value))
}

#[test]
fn a_form_of_another_site_is_refused_in_words_and_uses_nothing_up() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--public-url", "https://music.example"]);
    let key = shop.ticket();
    let elsewhere: [&[(&str, &str)]; 7] = [
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", "null")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "http://music.example")],
        &[("Origin", "null")],
        &[("Origin", "https://music.example.evil.example")],
    ];
    for headers in elsewhere {
        let refused = server.send(&form(&key.dashed(), headers));
        refused.problem(403, "cross_site");
        let page = server.send(&form(&key.dashed(), headers).accept(BROWSER));
        assert!(page.expect(403).page().visible_text().contains("another website"), "{headers:?}: {page}");
    }
    Redeemed::read(&server.redeem(&key), 201);
}

#[test]
fn another_site_cannot_spend_a_visitors_attempts() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--unknown-burst", "1", "--unknown-per-minute", "1"]);
    for _ in 0..3 {
        let guess = form(&shop.key().dashed(), &[("Sec-Fetch-Site", "cross-site")]);
        server.send(&guess).problem(403, "cross_site");
    }
    Redeemed::read(&server.redeem(&shop.ticket()), 201);
}

#[test]
fn our_own_forms_and_programs_are_heard() {
    let shop = Shop::new();
    let heard = |server: &Server, headers: &[(&str, &str)]| {
        let answer = server.send(&form(&shop.ticket().dashed(), headers));
        Redeemed::read(&answer, 201);
    };
    let named = shop.serve_with(&["--public-url", "https://Music.Example:443/"]);
    heard(&named, &[]);
    heard(&named, &[("Sec-Fetch-Site", "same-origin"), ("Origin", "https://music.example")]);
    heard(&named, &[("Sec-Fetch-Site", "none")]);
    heard(&named, &[("Origin", "https://music.example")]);
    // Without TLS browsers send `Origin` alone, and the host in it is the one that they ask.
    let unnamed = shop.serve();
    heard(&unnamed, &[("Origin", &format!("http://{}", unnamed.address))]);
    heard(&unnamed, &[("Sec-Fetch-Site", "same-origin")]);
}

/// Links from other sites to ours are links: only what changes something is refused.
#[test]
fn pages_can_be_opened_from_anywhere() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    for target in ["/", &*redeemed.receipt_url, &redeemed.file(crate::support::shop::PLAIN_FILE).url] {
        let target = crate::support::http::target_of(target);
        let answer = server.send(&Request::get(target).header("Sec-Fetch-Site", "cross-site"));
        answer.expect(200);
    }
}
