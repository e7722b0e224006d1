//! What the headers of answers say to browsers and caches, whatever the answer is.

use crate::support::http::{Answer, BROWSER, Request};
use crate::support::server::Server;
use crate::support::shop::{PLAIN_FILE, Shop};

/// Headers that every answer has.
const HARDENING: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("content-security-policy", "default-src 'none'"),
];

#[track_caller]
fn is_hardened(answer: &Answer) {
    for (name, value) in HARDENING {
        assert!(answer.required_header(name).starts_with(value), "{name}: {answer}");
    }
    answer.required_header("x-request-id");
}

#[test]
fn every_answer_of_both_listeners_tells_browsers_to_be_careful() {
    let shop = Shop::new();
    let server = shop.serve();
    for target in ["/", "/healthz", "/readyz", "/openapi.json", "/nowhere", "/static/nothing"] {
        is_hardened(&server.get(target));
        is_hardened(&server.send(&Request::get(target).accept(BROWSER)));
    }
    is_hardened(&server.redeem(&shop.key()));
    is_hardened(&server.redeem(&shop.ticket()));
    for target in ["/metrics", "/healthz", "/readyz", "/nowhere"] {
        is_hardened(&server.send_to_ops(&Request::get(target)));
    }
    server.send_to_ops(&Request::get("/nowhere")).problem(404, "not_found");
    server.send_to_ops(&Request::new("POST", "/metrics")).problem(405, "method_not_allowed");
}

#[test]
fn browsers_are_told_to_stay_with_tls_where_the_public_address_has_it() {
    let shop = Shop::new();
    let hsts = |server: &Server| {
        let answer = server.get("/");
        answer.header("strict-transport-security").map(str::to_owned)
    };
    let with = shop.serve_with(&["--public-url", "https://music.example"]);
    assert!(hsts(&with).is_some_and(|hsts| hsts.starts_with("max-age=")));
    for flags in [&[][..], &["--public-url", "http://music.example"]] {
        assert_eq!(hsts(&shop.serve_with(flags)), None, "{flags:?}");
    }
}

/// A cache keeps an answer for each `Accept` that it was asked with, which is only good where it matters.
#[test]
fn only_answers_that_depend_on_accept_say_so() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeem(&shop.ticket());
    let receipt = crate::support::redeemed::Redeemed::read(&redeemed, 201);
    let file = receipt.file(PLAIN_FILE).url.clone();
    let varies = |answer: &Answer| answer.header("vary") == Some("accept");
    for answer in [
        server.get("/"),
        redeemed,
        server.redeem(&shop.key()),
        server.follow(&receipt.receipt_url),
        server.get("/nowhere"),
        server.send(&Request::get("/").accept(BROWSER)),
    ] {
        assert!(varies(&answer), "{answer}");
    }
    let style = server.send(&Request::get("/").accept(BROWSER)).page();
    let style = style.tags("link").iter().find_map(|link| link.get("href").cloned()).expect("a style");
    for answer in
        [server.follow(&file), server.get("/healthz"), server.get("/openapi.json"), server.get(&style)]
    {
        assert_eq!(answer.expect(200).header("vary"), None, "{answer}");
    }
}

#[test]
fn nothing_is_kept_on_the_way_that_does_not_say_so() {
    let shop = Shop::new();
    let server = shop.serve();
    for answer in [
        server.get("/"),
        server.get("/healthz"),
        server.get("/nowhere"),
        server.redeem(&shop.ticket()),
        server.redeem(&shop.key()),
        server.send_to_ops(&Request::get("/metrics")),
    ] {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
    }
}

/// They are refusals like all others: explained, and kept by no cache.
#[test]
fn a_part_or_a_version_that_a_file_does_not_have_is_a_problem_like_any_other() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    let target = crate::support::http::target_of(&redeemed.file(PLAIN_FILE).url).to_owned();
    let beyond = server.send(&Request::get(&target).header("Range", "bytes=999999999-"));
    beyond.problem(416, "range_not_satisfiable");
    let changed = server.send(&Request::get(&target).header("If-Match", "\"another\""));
    changed.problem(412, "precondition_failed");
    for answer in [beyond, changed] {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
        is_hardened(&answer);
    }
}

/// "Try again in five seconds" would be said for ever.
#[test]
fn an_album_that_is_missing_is_told_as_missing() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket_with(|key| crate::support::shop::Ticket::new(key).of_album("no-such-album"));
    let refused = server.redeem(&key);
    let detail = refused.problem(503, "album_unavailable")["detail"].as_str().expect("a text").to_owned();
    assert!(detail.contains("missing") && detail.contains("nothing was used up"), "{detail}");
    assert!(detail.contains("whoever sold"), "nobody to ask: {detail}");
    assert!(refused.retry_after() >= 600, "{refused}");
    shop.add_album("no-such-album", "Late", "The Lates", &[("late.flac", b"late".to_vec())]);
    let answer = crate::support::time::eventually("the album is found", || {
        let answer = server.redeem(&key);
        (answer.status == 201).then_some(answer)
    });
    crate::support::redeemed::Redeemed::read(&answer, 201);
}
