//! The ticket: the right to one redemption of an album, and the whole truth of what became of it.
//!
//! A state machine without I/O: every transition takes the ticket by value and gives the changed one or the reason why
//! not. Storing the result (and only if nobody was faster) is the caller's business.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::key::TicketId;

mod changes;
mod record;

pub use record::{Because, Change, MAX_BECAUSE_BYTES, NewExpiry, PastExpiry, Reinstatement};

/// A ticket: what it is for, when it can be used, and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The album that it gives.
    pub album: Name,
    /// The batch that it was minted in.
    pub batch: Name,
    /// When it was minted.
    pub issued_at: Timestamp,
    /// The first moment at which it can be redeemed, if bounded.
    pub valid_from: Option<Timestamp>,
    /// The first moment at which it can no longer be redeemed, if bounded.
    pub expires_at: Option<Timestamp>,
    /// The last time that it was declared void, if that is known; stays when the ticket is given back afterwards.
    pub revoked: Option<Change>,
    /// The last time that it was given back to its holder, if ever.
    pub reinstated: Option<Reinstatement>,
    /// The last time that its end was put off, if ever.
    pub extended: Option<Change>,
    /// What became of it.
    pub state: State,
}

/// What became of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has used it.
    Issued,
    /// Used up, by the redemption inside.
    Redeemed(Redemption),
    /// Void; keeps the redemption that it had, for the record.
    Revoked(Option<Redemption>),
}

/// The use of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redemption {
    /// Who has won: see [`RedemptionId::derive`].
    pub id: RedemptionId,
    /// When.
    pub at: Timestamp,
    /// How often its links were renewed.
    pub renewals: u32,
    /// When its links were renewed last, if ever.
    pub renewed_at: Option<Timestamp>,
}

/// Why a ticket does not give its album. Each of these is told to the person, with what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another redemption was first.
    #[error("the ticket was redeemed at {redeemed_at}")]
    AlreadyRedeemed {
        /// When it was.
        redeemed_at: Timestamp,
    },
    /// Too early.
    #[error("the ticket is not valid before {valid_from}")]
    NotYetValid {
        /// From when on it can be redeemed.
        valid_from: Timestamp,
    },
    /// Too late.
    #[error("the ticket expired at {expired_at}")]
    Expired {
        /// Since when it cannot be redeemed.
        expired_at: Timestamp,
    },
    /// Declared void by whoever issued it.
    #[error("the ticket was revoked")]
    Revoked,
}

/// What redeeming makes of a ticket.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "lives for one expression, on the path of every redemption")]
pub enum Redeem {
    /// The same redemption had it already: nothing needs to be stored.
    Already(Redemption),
    /// The redeemed ticket, to be stored.
    Now(Ticket, Redemption),
}

impl Ticket {
    /// A new ticket that nobody has used.
    #[must_use]
    pub fn issue(album: Name, batch: Name, issued_at: Timestamp) -> Self {
        Self {
            album,
            batch,
            issued_at,
            valid_from: None,
            expires_at: None,
            revoked: None,
            reinstated: None,
            extended: None,
            state: State::Issued,
        }
    }

    /// Whether both were issued by the same act: what a ticket keeps through all of its changes is the same. (Its id,
    /// which only whoever issued it knew, is compared by whoever has found it.)
    #[must_use]
    pub fn is_of_the_same_issue(&self, other: &Self) -> bool {
        let kept = |ticket: &Self| (ticket.issued_at, ticket.valid_from);
        kept(self) == kept(other) && self.album == other.album && self.batch == other.batch
    }

    /// Uses the ticket up in favour of `id`. Asking again with the same id gives the same redemption, whatever the
    /// time is by then: an answer once given stays given.
    pub fn redeem(self, id: RedemptionId, now: Timestamp) -> Result<Redeem, Refusal> {
        match &self.state {
            State::Revoked(_) => Err(Refusal::Revoked),
            State::Redeemed(redemption) if redemption.id == id => Ok(Redeem::Already(redemption.clone())),
            State::Redeemed(redemption) => Err(Refusal::AlreadyRedeemed { redeemed_at: redemption.at }),
            State::Issued => {
                if let Some(valid_from) = self.valid_from.filter(|from| now < *from) {
                    return Err(Refusal::NotYetValid { valid_from });
                }
                if let Some(expired_at) = self.expires_at.filter(|end| now >= *end) {
                    return Err(Refusal::Expired { expired_at });
                }
                let redemption = Redemption { id, at: now, renewals: 0, renewed_at: None };
                let ticket = Self { state: State::Redeemed(redemption.clone()), ..self };
                Ok(Redeem::Now(ticket, redemption))
            }
        }
    }

    /// Starts the life of the holder's links anew. `None` when there is no redemption to renew.
    #[must_use]
    pub fn renew(mut self, now: Timestamp) -> Option<(Self, Redemption)> {
        let State::Redeemed(redemption) = &mut self.state else { return None };
        redemption.renewals = redemption.renewals.saturating_add(1);
        redemption.renewed_at = Some(now);
        let renewed = redemption.clone();
        Some((self, renewed))
    }

    /// The redemption that holds the ticket now, if one does.
    #[must_use]
    pub fn redemption(&self) -> Option<&Redemption> {
        match &self.state {
            State::Redeemed(redemption) => Some(redemption),
            State::Issued | State::Revoked(_) => None,
        }
    }

    /// The redemption that holds the ticket, or that it had when it was revoked.
    #[must_use]
    pub fn last_redemption(&self) -> Option<&Redemption> {
        match &self.state {
            State::Issued => None,
            State::Redeemed(redemption) => Some(redemption),
            State::Revoked(redemption) => redemption.as_ref(),
        }
    }

    /// The state by its stored name.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.state {
            State::Issued => Status::Issued,
            State::Redeemed(_) => Status::Redeemed,
            State::Revoked(_) => Status::Revoked,
        }
    }
}

impl Redemption {
    /// When the links that are valid now began to live.
    #[must_use]
    pub fn links_issued_at(&self) -> Timestamp {
        self.renewed_at.unwrap_or(self.at)
    }
}

/// The name of a [`State`] in stores and lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// [`State::Issued`].
    Issued,
    /// [`State::Redeemed`].
    Redeemed,
    /// [`State::Revoked`].
    Revoked,
}

impl Status {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Redeemed => "redeemed",
            Self::Revoked => "revoked",
        }
    }
}

/// Names the winner of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedemptionId(pub Uuid);

impl RedemptionId {
    /// The id that a request's redemption has, if it wins: a function of the ticket and of the
    /// [`IdempotencyKey`], so that the same request finds itself in the ticket when it asks again.
    ///
    /// The ticket's [`Ticket::generation`] goes in, so that a ticket that was given back never comes to honour a
    /// receipt from before. The result is a version 8 UUID (RFC 9562, section 5.8).
    #[must_use]
    pub fn derive(ticket: &TicketId, generation: u32, idempotency_key: &IdempotencyKey) -> Self {
        let digest = Sha256::new()
            .chain_update(b"tickey redemption v1\0")
            .chain_update(ticket.as_bytes())
            .chain_update(generation.to_be_bytes())
            .chain_update(idempotency_key.as_bytes())
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl fmt::Display for RedemptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// What a client sends to be recognised when it asks again: 1–255 visible ASCII characters, of its own choice.
///
/// A secret of sorts: with the key, it opens the same redemption. It prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Box<[u8]>);

impl IdempotencyKey {
    /// The longest, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Reads one as a client sent it.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let fits = (1..=Self::MAX_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        fits.then(|| Self(bytes.into()))
    }

    /// One that nobody else has, for a client that sent none.
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(random).simple().to_string().into_bytes().into())
    }

    /// What the client sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(redacted)")
    }
}

pub use crate::name::{Name, NameError};

#[cfg(test)]
mod tests;
