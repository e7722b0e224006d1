//! What whoever issued a ticket does to it, and the record of it that the ticket keeps: revoke, reinstate, restore, extend.
//!
//! Part of the state machine of [`super::Ticket`]: no I/O and no clock. A transition gives `None` when there is nothing to
//! change. Knows neither who asks nor how many tickets are changed together.

use std::fmt;

use jiff::Timestamp;

use super::{State, Ticket};

/// The longest reason for a change, in bytes.
pub const MAX_BECAUSE_BYTES: usize = 1000;

/// The record of the last time that a ticket was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reinstatement {
    /// How often it was given back, this time included.
    pub times: u32,
    /// How many of those only undid a revocation, see [`Ticket::restore`]; at most `times`.
    pub restored: u32,
    /// When the last one was.
    pub at: Timestamp,
    /// Why, in the words of whoever did it.
    pub because: String,
}

/// The record of the last change of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Why, in the words of whoever did it, if they said so.
    pub because: Option<String>,
}

impl Change {
    fn new(because: Option<Because>, now: Timestamp) -> Self {
        Self { at: now, because: because.map(|because| because.0) }
    }
}

/// The reason for a change: 1–1000 bytes that are not all white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because(String);

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

/// A later end for tickets, which lies in the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewExpiry(Timestamp);

/// The end that was given is past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{expires_at} is not in the future (it is {now}): give a later time")]
pub struct PastExpiry {
    /// What was given.
    pub expires_at: Timestamp,
    /// The time now.
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

impl Ticket {
    /// Declares the ticket void, and with it the receipt of its redemption. `None` when it is so already.
    #[must_use]
    pub fn revoke(self, because: Option<Because>, now: Timestamp) -> Option<Self> {
        let redemption = match self.state {
            State::Issued => None,
            State::Redeemed(redemption) => Some(redemption),
            State::Revoked(_) => return None,
        };
        let revoked = Some(Change::new(because, now));
        Some(Self { state: State::Revoked(redemption), revoked, ..self })
    }

    /// Makes a redeemed or revoked ticket usable again; its old receipt stays void for good. `None` when nobody has
    /// used it.
    #[must_use]
    pub fn reinstate(self, because: Because, now: Timestamp) -> Option<Self> {
        if self.state == State::Issued {
            return None;
        }
        let reinstated = self.given_back(because, now, 0);
        Some(Self { state: State::Issued, reinstated: Some(reinstated), ..self })
    }

    /// Undoes a revocation: the ticket has the state that it had before. If it was redeemed by then it is so again, its
    /// receipt is good, and it cannot be redeemed a second time. `None` when it is not revoked.
    #[must_use]
    pub fn restore(self, because: Because, now: Timestamp) -> Option<Self> {
        let reinstated = self.given_back(because, now, 1);
        let state = match self.state {
            State::Revoked(None) => State::Issued,
            State::Revoked(Some(redemption)) => State::Redeemed(redemption),
            State::Issued | State::Redeemed(_) => return None,
        };
        Some(Self { state, reinstated: Some(reinstated), ..self })
    }

    fn given_back(&self, because: Because, now: Timestamp, restored: u32) -> Reinstatement {
        let before = self.reinstated.as_ref().map_or(0, |last| last.restored);
        Reinstatement {
            times: self.reinstatements().saturating_add(1),
            restored: before.saturating_add(restored),
            at: now,
            because: because.0,
        }
    }

    /// Puts the end of the ticket off. Never brings it forward: `None` when the ticket ends then, later, or never. Its
    /// state stays as it is: a revoked ticket stays revoked.
    #[must_use]
    pub fn extend(self, expires_at: NewExpiry, because: Option<Because>, now: Timestamp) -> Option<Self> {
        if self.expires_at.is_none_or(|end| end >= expires_at.0) {
            return None;
        }
        Some(Self { expires_at: Some(expires_at.0), extended: Some(Change::new(because, now)), ..self })
    }

    /// How often the ticket was given back, by [`Ticket::reinstate`] or by [`Ticket::restore`].
    #[must_use]
    pub fn reinstatements(&self) -> u32 {
        self.reinstated.as_ref().map_or(0, |last| last.times)
    }

    /// How often the ticket's receipts were made void for good. Goes into the id of a redemption, so it only grows when a
    /// receipt is to end: not when a revocation is undone.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.reinstated.as_ref().map_or(0, |last| last.times.saturating_sub(last.restored))
    }
}
