//! The changes that an issuer can make to a ticket: revoke, reinstate, restore, extend.
//!
//! Part of the state machine of [`Ticket`]: no I/O and no clock. A transition returns `None` when there is nothing to
//! change. Knows neither the caller nor how many tickets are changed together.

use jiff::Timestamp;

use super::record::{Because, Change, NewExpiry, Reinstatement};
use super::{State, Ticket};

impl Ticket {
    /// Revokes the ticket, and with it the receipt of its redemption. `None` when it is already revoked.
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

    /// Makes a redeemed or revoked ticket usable again; its old receipt stays void for ever. `None` when it is unused.
    #[must_use]
    pub fn reinstate(self, because: Because, now: Timestamp) -> Option<Self> {
        if self.state == State::Issued {
            return None;
        }
        let reinstated = self.given_back(because, now, 0);
        Some(Self { state: State::Issued, reinstated: Some(reinstated), ..self })
    }

    /// Undoes a revocation: the ticket has the state that it had before. If it was redeemed by then, it is redeemed
    /// again, its receipt is valid, and it cannot be redeemed a second time. `None` when it is not revoked, or was
    /// revoked before `revoked_since`. A ticket that was revoked by a version that kept no record of it counts as
    /// revoked long before.
    #[must_use]
    pub fn restore(self, revoked_since: Option<Timestamp>, because: Because, now: Timestamp) -> Option<Self> {
        let revoked_at = self.revoked.as_ref().map(|record| record.at);
        if revoked_since.is_some_and(|since| revoked_at.is_none_or(|at| at < since)) {
            return None;
        }
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
            because: because.into(),
        }
    }

    /// Moves the end of the ticket to a later time, never to an earlier one: `None` when the ticket already ends then,
    /// later, or never. Its state does not change: a revoked ticket stays revoked.
    #[must_use]
    pub fn extend(self, expires_at: NewExpiry, because: Option<Because>, now: Timestamp) -> Option<Self> {
        let expires_at = Timestamp::from(expires_at);
        if self.expires_at.is_none_or(|end| end >= expires_at) {
            return None;
        }
        Some(Self { expires_at: Some(expires_at), extended: Some(Change::new(because, now)), ..self })
    }

    /// The number of reinstatements of the ticket, by [`Ticket::reinstate`] or by [`Ticket::restore`].
    #[must_use]
    pub fn reinstatements(&self) -> u32 {
        self.reinstated.as_ref().map_or(0, |last| last.times)
    }

    /// How often the ticket's receipts were made void for ever. It is an input of a redemption's id, so it grows only
    /// when a receipt must end: not when a revocation is undone.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.reinstated.as_ref().map_or(0, |last| last.times.saturating_sub(last.restored))
    }
}
