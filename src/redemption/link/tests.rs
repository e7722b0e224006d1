//! Links and receipts: what is signed verifies, and nothing else does.

use super::*;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ring(keys: &[(i64, u8)]) -> KeyRing {
    let lines: String =
        keys.iter().map(|(from, byte)| KeyRing::line(at(*from), &[*byte; 32]).to_string()).collect();
    KeyRing::parse(&lines).unwrap()
}

fn query(text: &str) -> LinkQuery {
    serde_urlencoded::from_str(text).unwrap()
}

#[test]
fn a_link_lives_until_it_expires() {
    let ring = ring(&[(0, 1)]);
    let link = query(&ring.sign_link("album", "a.flac", at(100), at(700)));
    assert_eq!(ring.verify_link("album", "a.flac", &link, at(699)), Ok(()));
    assert_eq!(
        ring.verify_link("album", "a.flac", &link, at(700)),
        Err(LinkError::Expired { expired_at: at(700) })
    );
}

#[test]
fn a_link_is_good_for_nothing_else() {
    let ring = ring(&[(0, 1)]);
    let signed = ring.sign_link("album", "a.flac", at(100), at(700));
    let verify = |album: &str, file: &str, text: &str| ring.verify_link(album, file, &query(text), at(200));
    assert_eq!(verify("album", "a.flac", &signed), Ok(()));
    assert_eq!(verify("album", "b.flac", &signed), Err(LinkError::Invalid));
    assert_eq!(verify("albu", "ma.flac", &signed), Err(LinkError::Invalid));
    assert_eq!(
        verify("album", "a.flac", &signed.replace("expires=700", "expires=701")),
        Err(LinkError::Invalid)
    );
    for place in 0..signed.len() {
        let mut other = signed.clone().into_bytes();
        other[place] = if other[place] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        if let Ok(other) = serde_urlencoded::from_str::<LinkQuery>(&other) {
            assert_eq!(
                ring.verify_link("album", "a.flac", &other, at(200)),
                Err(LinkError::Invalid),
                "{other:?}"
            );
        }
    }
    let foreign = super::tests::ring(&[(0, 2)]);
    assert_eq!(foreign.verify_link("album", "a.flac", &query(&signed), at(200)), Err(LinkError::Invalid));
}

#[test]
fn rotation_changes_what_is_signed_later_and_keeps_what_was_signed_before() {
    let (old, both) = (ring(&[(0, 1)]), ring(&[(1000, 2), (0, 1)]));
    let before = old.sign_link("album", "a", at(999), at(2000));
    assert_eq!(
        both.sign_link("album", "a", at(999), at(2000)),
        before,
        "the same moment gives the same bytes"
    );
    assert_eq!(both.verify_link("album", "a", &query(&before), at(1500)), Ok(()));
    let after = both.sign_link("album", "a", at(1000), at(2000));
    assert_ne!(after, before);
    assert_eq!(both.verify_link("album", "a", &query(&after), at(1500)), Ok(()));
    assert_eq!(old.verify_link("album", "a", &query(&after), at(1500)), Err(LinkError::Invalid));
    // Times before the first key are signed with the first.
    assert_eq!(ring(&[(1000, 1)]).sign_link("album", "a", at(999), at(2000)), before);
}

#[test]
fn rings_are_read_strictly_and_complain_without_showing_anything() {
    let line = KeyRing::line(at(0), &[7; 32]);
    let text = format!("# a comment\n\n{}", *line);
    assert_eq!(KeyRing::parse(&text).unwrap().len(), 1);
    assert_eq!(KeyRing::parse("# nothing\n").err(), Some(KeyRingError::Empty));
    assert_eq!(KeyRing::parse(&line.repeat(33)).err(), Some(KeyRingError::TooMany));
    for wrong in [
        "x",
        "2026-11-21T10:00:00Z",
        "2026-11-21T10:00:00Z c2hvcnQ",
        "now CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg",
    ] {
        assert_eq!(
            KeyRing::parse(&format!("\n{wrong}\n")).err(),
            Some(KeyRingError::Line { line: 2 }),
            "{wrong}"
        );
    }
    assert_eq!(format!("{:?}", KeyRing::parse(&text).unwrap()), "KeyRing(1 keys, redacted)");
}

#[test]
fn lives_follow_size_within_bounds() {
    let lives = LinkLifetimes::default();
    for (bytes, seconds) in [
        (0, 600),
        (51_200 * 600, 600),
        (51_200 * 600 + 1, 601),
        (51_200 * 10_800, 10_800),
        (u64::MAX, 10_800),
    ] {
        assert_eq!(lives.of(bytes), SignedDuration::from_secs(seconds), "{bytes}");
    }
}

proptest! {
    #[test]
    fn a_receipt_says_what_it_was_issued_for_and_cannot_be_changed(
        ticket: [u8; 32], redemption: u128, place in 0..Receipt::BYTES, bit in 0..8_u32,
    ) {
        let ring = ring(&[(0, 1)]);
        let ticket = TicketId::from_bytes(ticket);
        let redemption = RedemptionId(Uuid::from_u128(redemption));
        let receipt = ring.issue_receipt(ticket, redemption, at(5));
        let read = Receipt::parse(&receipt.reveal()).unwrap();
        prop_assert_eq!(ring.verify_receipt(&read), Some((ticket, redemption)));
        let mut changed = receipt;
        changed.0[place] ^= 1 << bit;
        prop_assert_eq!(ring.verify_receipt(&changed), None);
    }

    #[test]
    fn any_text_as_a_receipt_is_refused(text in "[A-Za-z0-9_-]{0,120}") {
        let receipt = Receipt::parse(&text);
        prop_assert!(receipt.and_then(|receipt| ring(&[(0, 1)]).verify_receipt(&receipt)).is_none());
    }
}
