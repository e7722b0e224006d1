//! Instants as the contract writes them, and waiting for things to happen.

use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// How long anything that should happen soon may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The time by this machine's clock, to the second, as the program writes it.
#[allow(clippy::disallowed_methods, reason = "a test of the real binary lives in real time")]
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).expect("the present is in range")
}

/// So many seconds from now, or before now when negative.
pub(crate) fn seconds_from_now(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// Reads an instant of the contract's form: RFC 3339 in UTC, with a `Z`.
#[track_caller]
pub(crate) fn instant(text: &str) -> Timestamp {
    assert!(text.ends_with('Z'), "{text:?} is not an instant in UTC written with a Z");
    text.parse().unwrap_or_else(|error| panic!("{text:?} is not an instant: {error}"))
}

/// Asks again and again until there is an answer; fails when [`PATIENCE`] ends first.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, ask).unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}"))
}

/// Asks again and again until there is an answer or the time is over.
pub(crate) fn within<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}
