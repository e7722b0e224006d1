//! Section 3, the table of refusals: for each its status, its reason and what else it holds, in each form of answer.
//!
//! `too_many_attempts` is in `guessing.rs`, `store_unavailable` and `outcome_unknown` are in `faults.rs`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use crate::support::http::{Answer, BROWSER, Request};
use crate::support::server::Server;
use crate::support::shop::{Shop, Ticket};
use crate::support::time::{eventually, instant, now, seconds_from_now};

/// A request that is refused, and how.
struct Refused {
    request: Request,
    status: u16,
    reason: &'static str,
}

const LONG_AGO: &str = "2020-01-01T00:00:00Z";
const FAR_OFF: &str = "2099-01-01T00:00:00Z";

/// One of each refusal that a client can cause by itself.
fn one_of_each(shop: &Shop, server: &Server) -> Vec<Refused> {
    let redeemed = shop.ticket();
    server.redeemed(&redeemed);
    let revoked = shop.ticket();
    shop.tool_reading(&["revoke", "-"], &revoked.dashed()).expect(0);
    let early = shop.ticket_with(|key| Ticket::new(key).valid_from(at(FAR_OFF)));
    let late = shop.ticket_with(|key| Ticket::new(key).expiring(at(LONG_AGO)));
    let refused = |status, reason, typed: &str| Refused { request: Request::redeem(typed), status, reason };
    vec![
        refused(422, "malformed", "M9S34-6Q3D2-5VT4F-5V37E-3S3N!"),
        refused(422, "mistyped", "SSZ5AW8H8VHTPRE95B9EE0ZA3"),
        refused(404, "unknown", &shop.key().dashed()),
        refused(409, "already_redeemed", &redeemed.dashed()),
        refused(403, "not_yet_valid", &early.dashed()),
        refused(410, "expired", &late.dashed()),
        refused(410, "revoked", &revoked.dashed()),
    ]
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// Status, media type and the members that every problem has.
#[test]
fn every_refusal_is_a_problem_document_with_its_status_and_reason() {
    let shop = Shop::new();
    let server = shop.serve();
    let mut titles = BTreeSet::new();
    for Refused { request, status, reason } in one_of_each(&shop, &server) {
        let problem = server.send(&request).problem(status, reason);
        let json_asked_for = server.send(&request.accept("application/json")).problem(status, reason);
        assert_eq!(problem["type"], json_asked_for["type"], "the type of a problem names its kind");
        titles.insert(problem["title"].to_string());
    }
    assert_eq!(titles.len(), 7, "a title belongs to one kind of problem: {titles:?}");
}

/// "Also holds": the instants, as they are in the ticket.
#[test]
fn a_refusal_says_since_when_or_until_when() {
    let shop = Shop::new();
    let server = shop.serve();
    for Refused { request, status, reason } in one_of_each(&shop, &server) {
        let problem = server.send(&request).problem(status, reason);
        match reason {
            "not_yet_valid" => assert_eq!(instant_in(&problem, "valid_from"), at(FAR_OFF)),
            "expired" => assert_eq!(instant_in(&problem, "expired_at"), at(LONG_AGO)),
            "already_redeemed" => {
                let age = now().duration_since(instant_in(&problem, "redeemed_at")).as_secs();
                assert!((0..30).contains(&age), "{problem}");
            }
            _ => {}
        }
    }
}

#[track_caller]
fn instant_in(problem: &Value, member: &str) -> Timestamp {
    instant(problem[member].as_str().unwrap_or_else(|| panic!("no {member}: {problem}")))
}

/// "… or the form again with the explanation beside the field", with the status of the refusal.
#[test]
fn a_browser_gets_the_form_again_with_an_explanation() {
    let shop = Shop::new();
    let server = shop.serve();
    let blank = server.send(&Request::get("/").accept(BROWSER)).page().visible_text();
    let mut pages = BTreeSet::from([blank]);
    for Refused { request, status, reason } in one_of_each(&shop, &server) {
        let answer = server.send(&request.accept(BROWSER));
        let page = answer.expect(status).page();
        assert!(page.has_redemption_form(), "{reason}: {answer}");
        assert!(pages.insert(page.visible_text()), "{reason} is not explained: {answer}");
    }
}

/// "… or one sentence": one line, and for each refusal another.
#[test]
fn plain_text_explains_in_one_sentence() {
    let shop = Shop::new();
    let server = shop.serve();
    let mut sentences = BTreeSet::new();
    for Refused { request, status, reason } in one_of_each(&shop, &server) {
        let answer = server.send(&request.accept("text/plain"));
        assert_eq!((answer.status, answer.media_type()), (status, "text/plain"), "{reason}: {answer}");
        let text = answer.text();
        let sentence = text.trim_end();
        assert!(sentence.ends_with('.') && sentence.lines().count() == 1, "{reason}: {sentence:?}");
        assert!(sentences.insert(sentence.to_owned()), "{reason} is not explained: {sentence:?}");
    }
}

/// What is typed in comes back in no way that a browser would run.
#[test]
fn a_page_never_runs_what_was_typed_in() {
    let shop = Shop::new();
    let server = shop.serve();
    for typed in ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'-alert(1)-'"] {
        let answer = server.send(&Request::redeem_by_form(&[("key", typed)]).accept(BROWSER));
        let page = answer.expect(422).page();
        let injected = page.tags("img").iter().any(|image| image.contains_key("onerror"));
        assert!(!injected && !answer.text().contains("<script>alert"), "{answer}");
    }
}

/// A refusal changes nothing: the ticket that was too early is good later.
#[test]
fn a_ticket_that_was_too_early_is_good_once_its_time_has_come() {
    let shop = Shop::new();
    let server = shop.serve();
    let start = seconds_from_now(3);
    let key = shop.ticket_with(|key| Ticket::new(key).valid_from(start));
    let problem = server.redeem_as(&key, "mine").problem(403, "not_yet_valid");
    assert_eq!(instant_in(&problem, "valid_from"), start);
    let answer = eventually("its time comes", || {
        let answer = server.redeem_as(&key, "mine");
        (answer.status != 403).then_some(answer)
    });
    assert!(now() >= start, "it was good before its time");
    answer.expect(201);
}

/// A ticket for an album that is not in the library cannot be given; it must not be used up either.
#[test]
fn a_ticket_for_an_album_that_is_not_there_is_not_used_up() {
    let shop = Shop::new();
    let key = shop.ticket_with(|key| Ticket::new(key).of_album("not-there-yet"));
    let answer = shop.serve().redeem_as(&key, "mine");
    assert!(answer.status >= 500, "{answer}");
    answer.problem_of_any_reason(answer.status);
    shop.add_album("not-there-yet", "Now it is", "Late", &[("song.flac", vec![1, 2, 3])]);
    let given: Answer = shop.serve().redeem_as(&key, "somebody-else");
    given.expect(201);
}
