//! The record that a ticket keeps of the issuer's changes.
//!
//! Values only: knows neither the ticket nor how it changes.

use std::fmt;

use jiff::Timestamp;

/// The longest reason for a change, in bytes.
pub const MAX_BECAUSE_BYTES: usize = 1000;

/// The record of the last reinstatement of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reinstatement {
    /// The number of reinstatements, including this one.
    pub times: u32,
    /// How many of those only undid a revocation, see [`super::Ticket::restore`]; at most `times`.
    pub restored: u32,
    /// The time of the last one.
    pub at: Timestamp,
    /// The reason, in the words of the person who did it.
    pub because: String,
}

/// The record of the last change of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The time of the change.
    pub at: Timestamp,
    /// The reason, in the words of the person who did it, if given.
    pub because: Option<String>,
}

impl Change {
    pub(super) fn new(because: Option<Because>, now: Timestamp) -> Self {
        Self { at: now, because: because.map(|because| because.0) }
    }
}

/// The reason for a change: 1–1000 bytes that are not all white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because(String);

impl From<Because> for String {
    fn from(because: Because) -> Self {
        because.0
    }
}

impl std::str::FromStr for Because {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if (1..=MAX_BECAUSE_BYTES).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a reason has 1 to 1000 bytes")
        }
    }
}

/// A new end for tickets, which is in the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewExpiry(Timestamp);

/// The given end is in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{expires_at} is not in the future (it is {now}): give a later time")]
pub struct PastExpiry {
    /// The given end.
    pub expires_at: Timestamp,
    /// The current time.
    pub now: Timestamp,
}

impl NewExpiry {
    /// The first moment at which tickets can no longer be redeemed. Must be later than `now`.
    pub fn new(expires_at: Timestamp, now: Timestamp) -> Result<Self, PastExpiry> {
        if expires_at > now { Ok(Self(expires_at)) } else { Err(PastExpiry { expires_at, now }) }
    }
}

impl fmt::Display for NewExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<NewExpiry> for Timestamp {
    fn from(expiry: NewExpiry) -> Self {
        expiry.0
    }
}
