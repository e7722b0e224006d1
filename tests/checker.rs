//! The checker of the proof (`tests/proof.rs`) on histories made by hand: it accepts what can have happened, and
//! nothing else.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

#[path = "proof/checker.rs"]
mod checker;
#[allow(dead_code, reason = "what only a run needs")]
#[path = "proof/history.rs"]
mod history;
#[allow(dead_code, reason = "what only a run needs")]
#[path = "proof/model.rs"]
mod model;

use history::{Flaw, History, Record};
use model::{Claim, Holding, Links, Operation, Outcome, Redemption, Request, Seconds, Ticket, When};

/// The second in which all of these histories begin.
const NOW: Seconds = 1_000_000;

/// A history that is written down step by step. Moments are tenths of a second.
struct Story(History);

impl Story {
    fn new() -> Self {
        Self(History { name: "by hand".to_owned(), scene: "test", minted: true, records: Vec::new() })
    }

    fn before_minting() -> Self {
        let mut story = Self::new();
        story.0.minted = false;
        story
    }

    /// From one moment to another somebody asks for something, and this is what comes of it.
    fn then(mut self, from: u64, to: u64, request: Request, outcome: Outcome) -> Self {
        let second = |tenths: u64| NOW + Seconds::try_from(tenths / 10).unwrap();
        let operation = Operation { request, outcome, began: second(from), ended: second(to) };
        self.0.records.push(Record { server: Some(0), started: from, answered: to, operation, digest: 0 });
        self
    }

    fn with_bytes(mut self, digest: u64) -> Self {
        self.0.records.last_mut().unwrap().digest = digest;
        self
    }

    #[track_caller]
    fn can_be(self) {
        if let Some(flaw) = self.0.flaw() {
            panic!("{}", self.0.explain(&flaw));
        }
    }

    #[track_caller]
    fn cannot_be(self) -> Flaw {
        let flaw = self.0.flaw().expect("a flaw");
        // It can be told.
        assert!(self.0.explain(&flaw).lines().count() > self.0.records.len());
        flaw
    }
}

fn redeem(person: u8) -> Request {
    Request::Redeem { person }
}

fn claim(round: u32, person: u8) -> Claim {
    Claim { round, person }
}

/// Given in this second of the history, with links of that one.
fn given_with_links(round: u32, person: u8, at: Seconds, since: Seconds) -> Outcome {
    let links = Links { since: NOW + since, may_be_found: true };
    Outcome::Given { claim: claim(round, person), at: NOW + at, links }
}

fn given(round: u32, person: u8, at: Seconds) -> Outcome {
    given_with_links(round, person, at, at)
}

fn refused(at: Seconds) -> Outcome {
    Outcome::AlreadyRedeemed { at: NOW + at }
}

fn open() -> Outcome {
    Outcome::Open("no answer".to_owned())
}

fn nothing() -> Outcome {
    Outcome::Nothing("store_unavailable".to_owned())
}

fn held_by(round: u32, person: u8, at: Seconds) -> Redemption {
    Redemption { claim: claim(round, person), at: When::At(NOW + at), renewals: 0, renewed_at: None }
}

fn is(round: u32, holding: Holding, changed: bool) -> Outcome {
    Outcome::Is { ticket: Ticket { round, holding }, changed }
}

#[test]
fn one_of_two_wins() {
    Story::new().then(0, 5, redeem(0), given(0, 0, 0)).then(1, 4, redeem(1), refused(0)).can_be();
}

#[test]
fn two_cannot_win() {
    let flaw =
        Story::new().then(0, 5, redeem(0), given(0, 0, 0)).then(1, 4, redeem(1), given(0, 1, 0)).cannot_be();
    assert!(matches!(flaw, Flaw::GivenTwice { .. }));
}

#[test]
fn nobody_is_refused_before_somebody_asks() {
    Story::new().then(0, 1, redeem(1), refused(0)).then(2, 3, redeem(0), given(0, 0, 0)).cannot_be();
}

#[test]
fn nobody_is_refused_on_account_of_himself() {
    Story::new().then(0, 3, redeem(0), given(0, 0, 0)).then(1, 4, redeem(0), refused(0)).cannot_be();
}

#[test]
fn an_open_request_may_have_won_at_any_later_time() {
    Story::new()
        .then(0, 3, redeem(0), open())
        .then(4, 5, redeem(1), nothing())
        .then(20, 25, redeem(1), refused(0))
        .then(26, 27, redeem(0), given(0, 0, 0))
        .can_be();
}

#[test]
fn an_open_request_may_never_have_won() {
    Story::new().then(0, 3, redeem(0), open()).then(4, 5, redeem(1), given(0, 1, 0)).can_be();
}

#[test]
fn an_open_request_does_not_come_before_its_start() {
    Story::new().then(0, 1, redeem(1), refused(0)).then(2, 3, redeem(0), open()).cannot_be();
}

#[test]
fn an_open_request_wins_once() {
    Story::new()
        .then(0, 3, redeem(0), open())
        .then(4, 5, redeem(1), refused(0))
        .then(6, 7, redeem(2), given(0, 2, 0))
        .cannot_be();
}

#[test]
fn what_was_said_not_to_have_been_done_was_not_done() {
    Story::new().then(0, 3, redeem(0), nothing()).then(4, 5, redeem(1), refused(0)).cannot_be();
}

#[test]
fn everybody_is_told_the_same_time() {
    // A read of what never came to be: somebody else has won, and at another time.
    Story::new()
        .then(0, 30, redeem(0), open())
        .then(5, 9, redeem(1), refused(0))
        .then(20, 29, redeem(2), given(0, 2, 2))
        .cannot_be();
}

#[test]
fn who_redeems_again_gets_the_same() {
    Story::new().then(0, 1, redeem(0), given(0, 0, 0)).then(5, 6, redeem(0), given(0, 0, 0)).can_be();
    Story::new().then(0, 1, redeem(0), given(0, 0, 0)).then(15, 16, redeem(0), given(0, 0, 1)).cannot_be();
}

#[test]
fn the_same_answer_has_the_same_bytes() {
    let flaw = Story::new()
        .then(0, 1, redeem(0), given(0, 0, 0))
        .with_bytes(1)
        .then(5, 6, redeem(0), given(0, 0, 0))
        .with_bytes(2)
        .cannot_be();
    assert!(matches!(flaw, Flaw::OtherBytes { one: 0, other: 1 }));
}

#[test]
fn what_was_given_is_in_the_store_in_the_end() {
    let story = || Story::new().then(0, 1, redeem(0), given(0, 0, 0));
    story().then(20, 21, Request::Read, is(0, Holding::Redeemed(held_by(0, 0, 0)), false)).can_be();
    let flaw = story().then(20, 21, Request::Read, is(0, Holding::Issued, false)).cannot_be();
    assert!(matches!(flaw, Flaw::Lost { .. }));
    let flaw =
        story().then(20, 21, Request::Read, is(0, Holding::Redeemed(held_by(0, 1, 0)), false)).cannot_be();
    assert!(matches!(flaw, Flaw::Lost { .. }));
}

#[test]
fn a_ticket_that_was_given_back_can_be_redeemed_again_under_another_name() {
    let story = || {
        Story::new()
            .then(0, 1, redeem(0), given(0, 0, 0))
            .then(2, 3, Request::Reinstate, is(1, Holding::Issued, true))
            .then(4, 5, Request::Look { claim: claim(0, 0) }, Outcome::ReceiptUnknown)
    };
    story().then(6, 7, redeem(0), given(1, 0, 0)).then(8, 9, redeem(1), refused(0)).can_be();
    story().then(6, 7, redeem(0), given(0, 0, 0)).cannot_be();
}

#[test]
fn a_ticket_is_given_back_once_by_one_request() {
    // Given back, redeemed by somebody, and given back again by the second try of the same request.
    Story::new()
        .then(0, 1, redeem(0), given(0, 0, 0))
        .then(2, 9, Request::Reinstate, is(2, Holding::Issued, true))
        .then(4, 6, redeem(1), given(1, 1, 0))
        .cannot_be();
}

#[test]
fn a_revoked_ticket_gives_nothing() {
    let story = || {
        Story::new().then(0, 1, redeem(0), given(0, 0, 0)).then(
            2,
            3,
            Request::Revoke,
            is(0, Holding::Revoked(Some(held_by(0, 0, 0))), true),
        )
    };
    story()
        .then(4, 5, Request::Look { claim: claim(0, 0) }, Outcome::Revoked)
        .then(4, 5, redeem(1), Outcome::Revoked)
        .can_be();
    story().then(4, 5, redeem(0), given(0, 0, 0)).cannot_be();
    story().then(4, 5, redeem(1), refused(0)).cannot_be();
}

#[test]
fn a_request_does_one_thing() {
    // It has redeemed, was given back, and has redeemed again.
    let story = |outcome| {
        Story::new().then(0, 9, redeem(0), outcome).then(3, 4, redeem(1), refused(0)).then(
            5,
            6,
            Request::Reinstate,
            is(1, Holding::Issued, true),
        )
    };
    story(given(1, 0, 0)).cannot_be();
    // What it should have said.
    story(open()).can_be();
}

#[test]
fn a_request_may_be_refused_after_what_it_did_was_undone() {
    // It has redeemed, and when it looked again, since the reply was lost, the ticket had been revoked.
    let story = |from, to| {
        let revoked = is(0, Holding::Revoked(Some(held_by(0, 0, 0))), true);
        Story::new().then(0, 9, redeem(0), Outcome::Revoked).then(from, to, Request::Revoke, revoked)
    };
    story(5, 6).can_be();
    // Not when it had long been answered.
    story(15, 16).cannot_be();
}

#[test]
fn links_are_renewed_once_they_have_expired() {
    let look = Request::Look { claim: claim(0, 0) };
    let story = || {
        Story::new().then(0, 1, redeem(0), given(0, 0, 0)).then(20, 21, look, given_with_links(0, 0, 0, 2))
    };
    let renewed =
        |renewals, at| Redemption { renewals, renewed_at: Some(When::At(NOW + at)), ..held_by(0, 0, 0) };
    story().then(30, 31, Request::Read, is(0, Holding::Redeemed(renewed(1, 2)), false)).can_be();
    // A renewal that was acknowledged, and is gone.
    story().then(30, 31, Request::Read, is(0, Holding::Redeemed(held_by(0, 0, 0)), false)).cannot_be();
    // More of them than there were requests.
    story().then(30, 31, Request::Read, is(0, Holding::Redeemed(renewed(2, 2)), false)).cannot_be();
}

#[test]
fn two_windows_renew_once_or_twice() {
    let look = Request::Look { claim: claim(0, 0) };
    for renewals in [1, 2] {
        let renewed = Redemption { renewals, renewed_at: Some(When::At(NOW + 2)), ..held_by(0, 0, 0) };
        let story = Story::new()
            .then(0, 1, redeem(0), given(0, 0, 0))
            .then(20, 25, look, given_with_links(0, 0, 0, 2))
            .then(20, 25, look, given_with_links(0, 0, 0, 2))
            .then(30, 31, Request::Read, is(0, Holding::Redeemed(renewed), false));
        if renewals == 1 {
            story.can_be();
        } else {
            // In the same second the links cannot have expired a second time.
            story.cannot_be();
        }
    }
}

#[test]
fn who_has_lost_the_reply_may_find_links_that_another_has_renewed() {
    Story::new()
        .then(0, 50, redeem(0), given_with_links(0, 0, 0, 3))
        .then(30, 31, redeem(0), given_with_links(0, 0, 0, 3))
        .can_be();
    // Nobody else was there: then it has renewed them itself, and that must be seen.
    let alone = |renewals, renewed_at| {
        let held = Redemption { renewals, renewed_at, ..held_by(0, 0, 0) };
        Story::new().then(0, 50, redeem(0), given_with_links(0, 0, 0, 3)).then(
            60,
            61,
            Request::Read,
            is(0, Holding::Redeemed(held), false),
        )
    };
    alone(1, Some(When::At(NOW + 3))).can_be();
    alone(0, None).cannot_be();
}

#[test]
fn renewals_are_not_used_up_too_early() {
    let look = Request::Look { claim: claim(0, 0) };
    let story = |renewals: i64| {
        let begin = Story::new().then(0, 1, redeem(0), given(0, 0, 0));
        let renewed = (1..=renewals).fold(begin, |story, second| {
            let tenths = u64::try_from(second * 10).unwrap();
            story.then(tenths, tenths + 1, look, given_with_links(0, 0, 0, second))
        });
        renewed.then(90, 91, look, Outcome::RenewalsUsedUp)
    };
    story(3).can_be();
    story(2).cannot_be();
}

#[test]
fn a_plain_look_may_be_of_the_past() {
    Story::new()
        .then(0, 1, redeem(0), given(0, 0, 0))
        .then(2, 3, Request::Revoke, is(0, Holding::Revoked(Some(held_by(0, 0, 0))), true))
        .then(4, 5, Request::Look { claim: claim(0, 0) }, given(0, 0, 0))
        .can_be();
}

#[test]
fn a_ticket_is_unknown_until_it_is_minted() {
    let story = || {
        Story::before_minting().then(0, 1, redeem(0), Outcome::Unknown).then(
            2,
            5,
            Request::Create,
            Outcome::Created { new: true },
        )
    };
    story().then(3, 4, redeem(0), Outcome::Unknown).then(6, 7, redeem(0), given(0, 0, 0)).can_be();
    story().then(6, 7, redeem(0), Outcome::Unknown).cannot_be();
    Story::before_minting().then(0, 1, redeem(0), given(0, 0, 0)).cannot_be();
}

#[test]
fn an_answer_that_cannot_be_read_explains_nothing() {
    Story::new().then(0, 1, redeem(0), Outcome::Wrong("500".to_owned())).cannot_be();
}

#[test]
fn many_open_requests_are_no_burden() {
    let story = (0..60).fold(Story::new(), |story, number| {
        story.then(number, number + 1, redeem(u8::try_from(number % 12).unwrap()), open())
    });
    story
        .then(100, 101, redeem(13), given(0, 13, 10))
        .then(110, 111, redeem(14), refused(10))
        .then(120, 121, Request::Read, is(0, Holding::Redeemed(held_by(0, 13, 10)), false))
        .can_be();
    let story = (0..60).fold(Story::new(), |story, number| {
        story.then(number, number + 1, redeem(u8::try_from(number % 12).unwrap()), open())
    });
    story.then(100, 101, redeem(13), refused(3)).then(110, 111, redeem(14), refused(4)).cannot_be();
}

#[test]
fn a_renewal_whose_reply_was_lost_counts_though_its_answer_shows_a_later_one() {
    let look = Request::Look { claim: claim(0, 0) };
    // The second window has renewed at 2, has not heard of it, and comes back with what the third has renewed at 4.
    let story = |renewals| {
        let held = Redemption { renewals, renewed_at: Some(When::At(NOW + 4)), ..held_by(0, 0, 0) };
        Story::new()
            .then(0, 1, redeem(0), given(0, 0, 0))
            .then(20, 90, look, given_with_links(0, 0, 0, 4))
            .then(40, 45, look, given_with_links(0, 0, 0, 4))
            .then(95, 96, Request::Read, is(0, Holding::Redeemed(held), false))
    };
    story(1).can_be();
    story(2).can_be();
    story(3).cannot_be();
}
