//! The state machine, transition by transition.

use super::*;
use crate::redemption::key::DownloadKey;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ticket() -> Ticket {
    Ticket::issue("album".parse().unwrap(), "batch".parse().unwrap(), at(0))
}

fn id(number: u128) -> RedemptionId {
    RedemptionId(Uuid::from_u128(number))
}

fn redeemed(by: u128, now: i64) -> Ticket {
    match ticket().redeem(id(by), at(now)) {
        Ok(Redeem::Now(ticket, _)) => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_redemption_wins_and_stays() {
    let used = redeemed(1, 100);
    let Ok(Redeem::Already(redemption)) = used.clone().redeem(id(1), at(999)) else { panic!() };
    assert_eq!((redemption.at, redemption.renewals), (at(100), 0));
    assert_eq!(used.redeem(id(2), at(101)), Err(Refusal::AlreadyRedeemed { redeemed_at: at(100) }));
}

#[test]
fn the_span_of_validity_includes_its_start_and_not_its_end() {
    let ticket = Ticket { valid_from: Some(at(10)), expires_at: Some(at(20)), ..ticket() };
    let redeem = |now| ticket.clone().redeem(id(1), at(now)).map(drop);
    assert_eq!(redeem(9), Err(Refusal::NotYetValid { valid_from: at(10) }));
    assert_eq!(redeem(10), Ok(()));
    assert_eq!(redeem(19), Ok(()));
    assert_eq!(redeem(20), Err(Refusal::Expired { expired_at: at(20) }));
}

#[test]
fn an_answer_once_given_outlives_the_span() {
    let mut used = redeemed(1, 10);
    used.expires_at = Some(at(20));
    assert!(matches!(used.redeem(id(1), at(1000)), Ok(Redeem::Already(_))));
}

#[test]
fn revoking_ends_everything_until_it_is_taken_back() {
    let void = redeemed(1, 10).revoke(None, at(11)).unwrap();
    assert_eq!(void.redemption(), None);
    assert_eq!(void.clone().redeem(id(1), at(11)), Err(Refusal::Revoked));
    assert_eq!(void.clone().revoke(None, at(12)), None);
    assert_eq!(void.clone().renew(at(11)), None);
    let back = void.reinstate("lost the card".parse().unwrap(), at(12)).unwrap();
    assert_eq!((back.status(), back.reinstatements()), (Status::Issued, 1));
    assert_eq!(back.clone().reinstate("again".parse().unwrap(), at(13)), None);
    assert!(matches!(back.redeem(id(2), at(14)), Ok(Redeem::Now(..))));
}

#[test]
fn undoing_a_revocation_brings_the_state_before_back_and_nobody_redeems_twice() {
    let because = || "the wrong batch".parse().unwrap();
    let fresh = ticket().revoke(None, at(10)).unwrap().restore(None, because(), at(11)).unwrap();
    assert!(matches!(fresh.clone().redeem(id(2), at(12)), Ok(Redeem::Now(..))));
    let used = redeemed(1, 10);
    let back = used.clone().revoke(None, at(11)).unwrap().restore(None, because(), at(12)).unwrap();
    assert_eq!(back.state, used.state);
    assert_eq!((back.reinstatements(), back.generation()), (1, 0), "the receipt of before is good");
    assert_eq!(back.clone().redeem(id(2), at(13)), Err(Refusal::AlreadyRedeemed { redeemed_at: at(10) }));
    assert_eq!(back.clone().restore(None, because(), at(13)), None);
    assert_eq!(used.restore(None, because(), at(13)), None, "nothing that is not revoked is given back");
    let again = back.reinstate(because(), at(14)).unwrap();
    assert_eq!((again.reinstatements(), again.generation()), (2, 1), "now the receipt is void for good");
}

#[test]
fn a_revocation_is_on_record_also_after_it_was_undone() {
    let void = ticket().revoke(Some(" a leak ".parse().unwrap()), at(10)).unwrap();
    let record = Change { at: at(10), because: Some("a leak".to_owned()) };
    assert_eq!(void.revoked, Some(record.clone()));
    assert_eq!(void.restore(None, "none".parse().unwrap(), at(11)).unwrap().revoked, Some(record));
}

#[test]
fn the_end_is_put_off_and_never_brought_forward() {
    let end = |second| NewExpiry::new(at(second), at(0)).unwrap();
    let expired = Ticket { expires_at: Some(at(20)), ..ticket() };
    let longer = expired.clone().extend(end(30), Some("late parcels".parse().unwrap()), at(25)).unwrap();
    assert_eq!(longer.expires_at, Some(at(30)));
    assert_eq!(longer.extended, Some(Change { at: at(25), because: Some("late parcels".to_owned()) }));
    assert!(matches!(longer.clone().redeem(id(1), at(29)), Ok(Redeem::Now(..))));
    assert_eq!(longer.clone().extend(end(30), None, at(26)), None);
    assert_eq!(longer.extend(end(29), None, at(26)), None);
    assert_eq!(ticket().extend(end(30), None, at(26)), None, "a ticket without an end gets none");
    let void = expired.revoke(None, at(21)).unwrap().extend(end(30), None, at(22)).unwrap();
    assert_eq!(void.status(), Status::Revoked, "a revoked ticket stays revoked");
}

#[test]
fn a_new_end_lies_in_the_future() {
    assert_eq!(NewExpiry::new(at(10), at(10)), Err(PastExpiry { expires_at: at(10), now: at(10) }));
    assert_eq!(Timestamp::from(NewExpiry::new(at(11), at(10)).unwrap()), at(11));
}

#[test]
fn renewals_are_counted_and_start_the_life_of_links_anew() {
    let (ticket, redemption) = redeemed(1, 10).renew(at(700)).unwrap();
    assert_eq!((redemption.renewals, redemption.links_issued_at(), redemption.at), (1, at(700), at(10)));
    assert_eq!(ticket.redemption(), Some(&redemption));
    assert_eq!(super::tests::ticket().renew(at(1)), None);
}

#[test]
fn ids_depend_on_everything_that_makes_a_redemption() {
    let key = |text: &str| IdempotencyKey::parse(text.as_bytes()).unwrap();
    let ticket = DownloadKey::from_random(&[1; 23]).id();
    let other = DownloadKey::from_random(&[2; 23]).id();
    let id = RedemptionId::derive(&ticket, 0, &key("a"));
    assert_eq!(id, RedemptionId::derive(&ticket, 0, &key("a")));
    assert_ne!(id, RedemptionId::derive(&ticket, 0, &key("b")));
    assert_ne!(
        id,
        RedemptionId::derive(&ticket, 1, &key("a")),
        "a reinstated ticket honours its old receipt"
    );
    assert_ne!(id, RedemptionId::derive(&other, 0, &key("a")));
    assert_eq!(id.0.get_version_num(), 8);
}

#[test]
fn idempotency_keys_are_visible_ascii_of_bounded_length() {
    assert!(IdempotencyKey::parse(b"!~aZ09").is_some());
    assert!(IdempotencyKey::parse(&[b'x'; 255]).is_some());
    for wrong in [&b""[..], &[b'x'; 256], b"a b", b"a\tb", b"\x7f", "é".as_bytes()] {
        assert_eq!(IdempotencyKey::parse(wrong), None);
    }
    assert_eq!(format!("{:?}", IdempotencyKey::parse(b"secret").unwrap()), "IdempotencyKey(redacted)");
}

#[test]
fn names_are_plain() {
    for right in ["a", "Rough Trade 2026 / vinyl", "ünï"] {
        assert_eq!(right.parse::<Name>().unwrap().as_str(), right);
    }
    for wrong in ["", " a", "a ", "a\nb", "\u{0}", &"x".repeat(129)] {
        assert_eq!(wrong.parse::<Name>(), Err(NameError));
    }
}

/// What can be done to a ticket.
#[derive(Clone, Copy, Debug)]
enum Step {
    Redeem(u128),
    Renew,
    Revoke,
    Reinstate,
    Restore,
    Extend,
}

proptest! {
    /// Whatever happens to a ticket, between two reinstatements at most one id ever redeems it.
    #[test]
    fn one_redemption_between_reinstatements(steps in prop::collection::vec(prop_oneof![
        4 => (0_u128..4).prop_map(Step::Redeem),
        2 => Just(Step::Renew),
        1 => Just(Step::Revoke),
        1 => Just(Step::Reinstate),
        1 => Just(Step::Restore),
        1 => Just(Step::Extend),
    ], 0..60)) {
        let mut current = ticket();
        let mut winner = None;
        for (now, step) in (0..).zip(steps) {
            let before = current.clone();
            let after = match step {
                Step::Redeem(by) => match current.clone().redeem(id(by), at(now)) {
                    Ok(Redeem::Now(ticket, _)) => {
                        prop_assert_eq!(winner.replace(by), None);
                        Some(ticket)
                    }
                    Ok(Redeem::Already(_)) => {
                        prop_assert_eq!(winner, Some(by));
                        None
                    }
                    Err(_) => None,
                },
                Step::Renew => current.clone().renew(at(now)).map(|(ticket, _)| ticket),
                Step::Revoke => current.clone().revoke(None, at(now)),
                Step::Restore => current.clone().restore(None, "a mistake".parse().unwrap(), at(now)),
                Step::Extend => current.clone().extend(NewExpiry::new(at(now + 1), at(now)).unwrap(), None, at(now)),
                Step::Reinstate => {
                    let back = current.clone().reinstate("why not".parse().unwrap(), at(now));
                    if back.is_some() {
                        winner = None;
                    }
                    back
                }
            };
            current = after.unwrap_or(before);
        }
    }
}
