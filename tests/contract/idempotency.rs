//! Section 3: 201, "and again 201 (with `Idempotency-Replayed: true`) when the same key comes with the same
//! `Idempotency-Key`", and what happens to everyone else.

use crate::support::http::{Answer, BROWSER, Request, target_of};
use crate::support::page::Page;
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::{Shop, Ticket};
use crate::support::time::{eventually, instant, now, seconds_from_now};

/// A public URL that stays the same when a restarted server gets another port.
const PUBLIC_URL: [&str; 2] = ["--public-url", "https://tickets.example"];

/// "the same bytes for as long as the links in it live".
#[test]
fn the_same_request_again_gets_the_same_bytes() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let first = first_answer(&server.redeem_as(&key, "mine"));
    for _ in 0..3 {
        same_again(&server.redeem_as(&key, "mine"), &first);
    }
}

/// "Another `Idempotency-Key`, or none, is another person."
#[test]
fn another_idempotency_key_or_none_is_another_person() {
    let shop = Shop::new();
    let server = shop.serve();
    let with_key = shop.ticket();
    let with_none = shop.ticket();
    let first = Redeemed::read(&server.redeem_as(&with_key, "mine"), 201);
    let second = server.redeemed(&with_none);
    let others = [
        (server.redeem(&with_key), &first),
        (server.redeem_as(&with_key, "Mine"), &first),
        (server.redeem_as(&with_key, "min"), &first),
        (server.redeem_as(&with_key, "mine2"), &first),
        (server.redeem(&with_none), &second),
        (server.redeem_as(&with_none, "mine"), &second),
    ];
    for (answer, redeemed) in others {
        let problem = answer.problem(409, "already_redeemed");
        let redeemed_at = problem["redeemed_at"].as_str().expect("the time of the redemption");
        assert_eq!(instant(redeemed_at), redeemed.redeemed_at);
        assert!(answer.header("idempotency-replayed").is_none(), "{answer}");
    }
    same_again(&server.redeem_as(&with_key, "mine"), &first.body);
}

/// An `Idempotency-Key` says who asks, not what for: two tickets of one person are two redemptions.
#[test]
fn one_idempotency_key_may_redeem_many_tickets() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed: Vec<Redeemed> =
        shop.tickets(3).iter().map(|key| Redeemed::read(&server.redeem_as(key, "mine"), 201)).collect();
    assert_ne!(redeemed[0].id, redeemed[1].id);
    assert_ne!(redeemed[1].id, redeemed[2].id);
}

/// "(1–255 visible ASCII)", from end to end of what is allowed.
#[test]
fn every_visible_ascii_idempotency_key_of_1_to_255_characters_is_taken() {
    let shop = Shop::new();
    let server = shop.serve();
    let visible: String = (b'!'..=b'~').map(char::from).collect();
    for idempotency_key in ["x".to_owned(), "x".repeat(255), visible, "\"quoted\"".to_owned()] {
        let key = shop.ticket();
        let first = first_answer(&server.redeem_as(&key, &idempotency_key));
        same_again(&server.redeem_as(&key, &idempotency_key), &first);
    }
    // The last character counts as much as the first.
    let key = shop.ticket();
    first_answer(&server.redeem_as(&key, &format!("{}a", "x".repeat(254))));
    server.redeem_as(&key, &format!("{}b", "x".repeat(254))).problem(409, "already_redeemed");
}

/// Anything else is no redemption, and leaves the ticket as it was.
#[test]
fn any_other_idempotency_key_is_a_bad_request_and_uses_nothing_up() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let too_long = "x".repeat(256);
    let bad: [&[u8]; 7] = [
        b"",
        too_long.as_bytes(),
        b"two words",
        b"tab\tin it",
        "sch\u{f6}n".as_bytes(),
        b"\xff\xfe",
        b"caf\xe9",
    ];
    for idempotency_key in bad {
        let answer = server.send(&Request::redeem(&key.dashed()).idempotency_key(idempotency_key));
        answer.problem(400, "bad_request");
    }
    // Control characters are no HTTP; whoever notices first, it is a 400 and nothing was used up.
    for idempotency_key in [&b"a\x01b"[..], b"a\x7fb", b"a\x00b"] {
        server.send(&Request::redeem(&key.dashed()).idempotency_key(idempotency_key)).expect(400);
    }
    first_answer(&server.redeem(&key));
}

/// Two values say nothing about which of them is meant.
#[test]
fn two_idempotency_keys_at_once_are_a_bad_request() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let request = Request::redeem(&key.dashed()).idempotency_key("one").idempotency_key("two");
    server.send(&request).problem(400, "bad_request");
    first_answer(&server.redeem(&key));
}

/// The ticket's document is the whole truth of a redemption, and it is on the disk before the answer is given.
#[test]
fn a_retry_gets_the_same_bytes_from_a_server_that_was_restarted_or_killed() {
    let shop = Shop::new();
    let keys = shop.tickets(20);
    let server = shop.serve_with(&PUBLIC_URL);
    let firsts: Vec<Vec<u8>> = keys.iter().map(|key| first_answer(&server.redeem_as(key, "mine"))).collect();
    let retry_all = |server: &Server| {
        for (key, first) in keys.iter().zip(&firsts) {
            same_again(&server.redeem_as(key, "mine"), first);
            server.redeem_as(key, "not-mine").problem(409, "already_redeemed");
        }
    };
    server.kill();
    let server = shop.serve_with(&PUBLIC_URL);
    retry_all(&server);
    assert!(server.stop().success());
    retry_all(&shop.serve_with(&PUBLIC_URL));
}

/// "… after that the same redemption with fresh links."
#[test]
fn a_retry_after_the_links_have_died_gets_fresh_links_of_the_same_redemption() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--link-min-seconds", "1", "--link-max-seconds", "2"]);
    let key = shop.ticket();
    let first = Redeemed::read(&server.redeem_as(&key, "mine"), 201);
    let link = &first.files[0].url;
    eventually("the link dies", || (server.follow(link).status == 410).then_some(()));
    let answer = server.redeem_as(&key, "mine");
    let fresh = Redeemed::read(&answer, 201);
    assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    assert_eq!((&fresh.id, fresh.redeemed_at), (&first.id, first.redeemed_at));
    for file in &fresh.files {
        assert!(file.expires_at >= now(), "{file:?}");
        server.follow(&file.url).expect(200);
    }
}

/// What has been given stays given: the ticket's own end concerns only tickets that were not redeemed.
#[test]
fn a_redemption_outlives_the_end_of_its_ticket() {
    let shop = Shop::new();
    let server = shop.serve();
    let end = seconds_from_now(3);
    let mine = shop.ticket_with(|key| Ticket::new(key).expiring(end));
    let late = shop.ticket_with(|key| Ticket::new(key).expiring(end));
    let first = first_answer(&server.redeem_as(&mine, "mine"));
    eventually("the tickets expire", || (now() > end).then_some(()));
    server.redeem(&late).problem(410, "expired");
    same_again(&server.redeem_as(&mine, "mine"), &first);
}

/// A form carries its `Idempotency-Key` as a hidden field: pressing the button twice, or going back and pressing it
/// again, is one redemption, and a form opened anew is another person.
#[test]
fn a_form_that_is_sent_twice_redeems_once() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let form = hidden_fields(&server);
    let first = submit(&server, &form, &key.dashed());
    let again = submit(&server, &form, &key.dashed());
    let location = first.expect(303).required_header("location");
    assert_eq!(again.expect(303).header("location"), Some(location));

    let new_form = hidden_fields(&server);
    assert_ne!(form, new_form, "every form must be a person of its own");
    submit(&server, &new_form, &key.dashed()).expect(409);
}

/// The form that comes with an explanation is as good as a new one, and typing the key right in it is one redemption.
#[test]
fn the_form_that_explains_a_slip_can_be_sent_again() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let refused = submit(&server, &hidden_fields(&server), &key.dashed()[..20]);
    let form = refused.expect(422).page().hidden_fields();
    let first = submit(&server, &form, &key.dashed());
    let again = submit(&server, &form, &key.dashed());
    let location = first.expect(303).required_header("location");
    assert_eq!(again.expect(303).header("location"), Some(location));
    assert!(target_of(location).starts_with("/redemptions/"), "{first}");
}

fn hidden_fields(server: &Server) -> Vec<(String, String)> {
    let page: Page = server.send(&Request::get("/").accept(BROWSER)).expect(200).page();
    assert!(page.has_redemption_form());
    page.hidden_fields()
}

fn submit(server: &Server, hidden: &[(String, String)], key: &str) -> Answer {
    let mut fields = vec![("key", key)];
    fields.extend(hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    server.send(&Request::redeem_by_form(&fields).accept(BROWSER))
}

/// The body of a 201 that is no replay.
#[track_caller]
fn first_answer(answer: &Answer) -> Vec<u8> {
    assert!(answer.header("idempotency-replayed").is_none(), "{answer}");
    Redeemed::read(answer, 201).body
}

/// Fails unless the answer is a replay of these bytes.
#[track_caller]
fn same_again(answer: &Answer, first: &[u8]) {
    answer.expect(201);
    assert_eq!(answer.header("idempotency-replayed"), Some("true"), "{answer}");
    assert!(answer.body == first, "not the same bytes:\n{answer}\n{}", String::from_utf8_lossy(first));
}
