//! The ticket: the right to one redemption of an album, and the record of its use.
//!
//! A state machine without I/O: every transition takes the ticket by value and returns the changed ticket or the reason
//! for a refusal. The caller stores the result by compare-and-set.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::key::TicketId;

mod changes;
mod record;

pub use record::{Because, Change, MAX_BECAUSE_BYTES, NewExpiry, PastExpiry, Reinstatement};

/// A ticket: its album, when it can be used, and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The album that can be downloaded with it.
    pub album: Name,
    /// The batch that it was minted in.
    pub batch: Name,
    /// When it was minted.
    pub issued_at: Timestamp,
    /// The first moment at which it can be redeemed, if bounded.
    pub valid_from: Option<Timestamp>,
    /// The first moment at which it can no longer be redeemed, if bounded.
    pub expires_at: Option<Timestamp>,
    /// The last revocation, if recorded; stays when the ticket is reinstated afterwards.
    pub revoked: Option<Change>,
    /// The last reinstatement, if any.
    pub reinstated: Option<Reinstatement>,
    /// The last extension, if any.
    pub extended: Option<Change>,
    /// The state.
    pub state: State,
}

/// The state of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not used.
    Issued,
    /// Used up, by the redemption inside.
    Redeemed(Redemption),
    /// Revoked; keeps the redemption that it had, for the record.
    Revoked(Option<Redemption>),
}

/// The use of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redemption {
    /// Identifies the winning request: see [`RedemptionId::derive`].
    pub id: RedemptionId,
    /// The time of the redemption.
    pub at: Timestamp,
    /// The number of renewals of its links.
    pub renewals: u32,
    /// The time of the last renewal, if any.
    pub renewed_at: Option<Timestamp>,
}

/// Why a ticket refuses a redemption. Each reason is shown to the person, with what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another redemption was first.
    #[error("the ticket was redeemed at {redeemed_at}")]
    AlreadyRedeemed {
        /// When that was.
        redeemed_at: Timestamp,
    },
    /// Too early.
    #[error("the ticket is not valid before {valid_from}")]
    NotYetValid {
        /// The time from which it can be redeemed.
        valid_from: Timestamp,
    },
    /// Too late.
    #[error("the ticket expired at {expired_at}")]
    Expired {
        /// The time from which it cannot be redeemed.
        expired_at: Timestamp,
    },
    /// Revoked by the issuer.
    #[error("the ticket was revoked")]
    Revoked,
}

/// The result of redeeming a ticket.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "lives for one expression, on the path of every redemption")]
pub enum Redeem {
    /// The same redemption already holds it: nothing needs to be stored.
    Already(Redemption),
    /// The redeemed ticket, to be stored.
    Now(Ticket, Redemption),
}

impl Ticket {
    /// A new, unused ticket.
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

    /// Whether both were issued by the same call: the fields that no change alters are equal. (The id, known only to
    /// the issuer, is compared by the caller.)
    #[must_use]
    pub fn is_of_the_same_issue(&self, other: &Self) -> bool {
        let kept = |ticket: &Self| (ticket.issued_at, ticket.valid_from);
        kept(self) == kept(other) && self.album == other.album && self.batch == other.batch
    }

    /// Redeems the ticket for `id`. A repetition with the same id returns the same redemption at any later time: an
    /// answer stays valid once it is given.
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

    /// Renews the holder's links. `None` when there is no redemption to renew.
    #[must_use]
    pub fn renew(mut self, now: Timestamp) -> Option<(Self, Redemption)> {
        let State::Redeemed(redemption) = &mut self.state else { return None };
        redemption.renewals = redemption.renewals.saturating_add(1);
        redemption.renewed_at = Some(now);
        let renewed = redemption.clone();
        Some((self, renewed))
    }

    /// The redemption that holds the ticket now, if any.
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

    /// The status: the stored name of the state.
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
    /// When the lifetime of the current links began.
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

/// Identifies the redemption that holds a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedemptionId(pub Uuid);

impl RedemptionId {
    /// The id of a request's redemption, if it wins: a function of the ticket and of the [`IdempotencyKey`], so that a
    /// repeated request recognises its own redemption in the ticket.
    ///
    /// The ticket's [`Ticket::generation`] is an input, so that a reinstated ticket never accepts a receipt from
    /// before. The result is a version 8 UUID (RFC 9562, section 5.8).
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

/// The value by which a client is recognised when it repeats a request: 1–255 visible ASCII characters, chosen
/// by the client.
///
/// Partly secret: together with the key, it opens the same redemption. Debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Box<[u8]>);

impl IdempotencyKey {
    /// The longest, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Parses a key that a client sent.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let fits = (1..=Self::MAX_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        fits.then(|| Self(bytes.into()))
    }

    /// A unique key, for a client that sent none.
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(random).simple().to_string().into_bytes().into())
    }

    /// The client's text.
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
