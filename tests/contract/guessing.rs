//! Section 3, `too_many_attempts`: "only `unknown` counts against a client …: by default 30 at once, then 10 a minute
//! for a /24 or /56; past that every attempt from there is refused until it has refilled".

use std::thread;
use std::time::Duration;

use crate::support::http::{BROWSER, Request};
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::{Shop, Ticket};
use crate::support::time::eventually;

/// Few guesses, and none come back while a test runs.
const THREE_GUESSES: [&str; 4] = ["--unknown-burst", "3", "--unknown-per-minute", "1"];

#[track_caller]
fn guess(shop: &Shop, server: &Server, times: usize) {
    for _ in 0..times {
        server.redeem(&shop.key()).problem(404, "unknown");
    }
}

#[test]
fn thirty_guesses_are_free_and_the_next_attempt_is_refused() {
    let shop = Shop::new();
    let server = shop.serve();
    guess(&shop, &server, 30);
    let refused = server.redeem(&shop.key());
    refused.problem(429, "too_many_attempts");
    // Ten a minute is one in six seconds.
    assert!(refused.retry_after() <= 6, "{refused}");
}

/// "Past that every attempt from there is refused", or else the answer would say which guess was right.
#[test]
fn after_too_many_guesses_every_attempt_is_refused_even_with_a_good_key() {
    let shop = Shop::new();
    let server = shop.serve_with(&THREE_GUESSES);
    let mine = shop.ticket();
    let good = shop.ticket();
    server.redeem_as(&mine, "mine").expect(201);
    guess(&shop, &server, 3);
    let attempts = [
        Request::redeem(&shop.key().dashed()),
        Request::redeem(&good.dashed()),
        Request::redeem(&mine.dashed()).idempotency_key("mine"),
        Request::redeem(&mine.dashed()),
        Request::redeem("SSZ5AW8H8VHTPRE95B9EE0ZA3"),
        Request::redeem("too short"),
    ];
    for attempt in attempts {
        server.send(&attempt).problem(429, "too_many_attempts");
    }
}

/// The refusal comes in the form that was asked for, as any other.
#[test]
fn too_many_attempts_are_explained_to_people_too() {
    let shop = Shop::new();
    let server = shop.serve_with(&THREE_GUESSES);
    guess(&shop, &server, 3);
    let attempt = Request::redeem(&shop.ticket().dashed());
    let page = server.send(&attempt.clone().accept(BROWSER));
    assert!(page.expect(429).page().has_redemption_form(), "{page}");
    page.retry_after();
    let sentence = server.send(&attempt.accept("text/plain"));
    assert_eq!((sentence.status, sentence.media_type()), (429, "text/plain"), "{sentence}");
    assert_eq!(sentence.text().trim_end().lines().count(), 1, "{sentence}");
    sentence.retry_after();
}

/// "Only `unknown` counts": no number of slips, of used or of void tickets shuts anybody out.
#[test]
fn nothing_but_a_guess_counts() {
    let shop = Shop::new();
    let server = shop.serve_with(&THREE_GUESSES);
    let redeemed = shop.ticket();
    server.redeemed(&redeemed);
    let revoked = shop.ticket();
    shop.tool_reading(&["revoke", "-"], &revoked.dashed()).expect(0);
    let early = shop.ticket_with(|key| Ticket::new(key).valid_from("2099-01-01T00:00:00Z".parse().unwrap()));
    let late = shop.ticket_with(|key| Ticket::new(key).expiring("2020-01-01T00:00:00Z".parse().unwrap()));
    for _ in 0..40 {
        server.send(&Request::redeem("too short")).problem(422, "malformed");
        server.send(&Request::redeem("SSZ5AW8H8VHTPRE95B9EE0ZA3")).problem(422, "mistyped");
        server.redeem(&redeemed).problem(409, "already_redeemed");
        server.redeem(&revoked).problem(410, "revoked");
        server.redeem(&early).problem(403, "not_yet_valid");
        server.redeem(&late).problem(410, "expired");
        server.get("/redemptions/no-such-receipt").expect(404);
    }
    guess(&shop, &server, 3);
    server.redeem(&shop.ticket()).problem(429, "too_many_attempts");
}

/// A hall full of people behind one address may redeem as many tickets as they have.
#[test]
fn good_keys_are_not_counted() {
    let shop = Shop::new();
    let server = shop.serve_with(&THREE_GUESSES);
    for key in shop.tickets(50) {
        Redeemed::read(&server.redeem(&key), 201);
    }
}

/// "Every attempt" is one to redeem: who has redeemed keeps the download, whoever else guesses from that address.
#[test]
fn receipts_and_links_work_while_attempts_are_refused() {
    let shop = Shop::new();
    let server = shop.serve_with(&THREE_GUESSES);
    let redeemed = server.redeemed(&shop.ticket());
    guess(&shop, &server, 3);
    server.redeem(&shop.ticket()).problem(429, "too_many_attempts");
    Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
    server.follow(&redeemed.files[0].url).expect(200);
    server.get("/").expect(200);
}

/// "… until it has refilled", and `Retry-After` does not send anyone back too early.
#[test]
fn who_waits_as_long_as_told_may_try_again() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--unknown-burst", "3", "--unknown-per-minute", "30"]);
    let key = shop.ticket();
    let refused = eventually("the guesses are used up", || {
        let answer = server.redeem(&shop.key());
        (answer.status == 429).then_some(answer)
    });
    // This is the waiting that is tested, not a wait for something to happen.
    thread::sleep(Duration::from_secs(refused.retry_after()));
    Redeemed::read(&server.redeem(&key), 201);
}

/// Attempts that are refused are not counted on top: knocking does not keep the door shut.
#[test]
fn trying_all_the_time_does_not_put_off_the_refill() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--unknown-burst", "3", "--unknown-per-minute", "60"]);
    let key = shop.ticket();
    eventually("the guesses are used up", || (server.redeem(&shop.key()).status == 429).then_some(()));
    let answer = eventually("it is refilled", || {
        let answer = server.redeem(&key);
        (answer.status != 429).then_some(answer)
    });
    answer.expect(201);
}
