//! The use case of the holder of a receipt: to see the redemption, with valid links.
//!
//! Links are computed from the ticket. When one of them has expired, their lifetime starts again, and the ticket
//! counts this renewal; nothing else is ever written here. A receipt never expires: after some renewals it is limited
//! to one in [`RENEWAL_PAUSE`], so that a published receipt is of little use to strangers. Knows the store by its
//! trait, and no HTTP.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::key::TicketId;
use super::ticket::{Name, Redemption, RedemptionId, State};
use super::write::{ConditionalWrite, WriteError};
use crate::library::LibraryError;
use crate::redemption::store::{TicketStore, Versioned};

/// The data that a holder sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding<Album> {
    /// The album of the ticket, as `find_album` returned it.
    pub album: Album,
    /// The redemption as it is stored.
    pub redemption: Redemption,
}

/// The lifetimes of the links of an album.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLives {
    /// The time until the first link expires.
    pub shortest: SignedDuration,
    /// The time until all links have expired.
    pub longest: SignedDuration,
}

/// Why a holder gets no links.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HolderError {
    /// The ticket does not exist, or another redemption holds it since a reinstatement.
    #[error("the ticket has no such redemption")]
    NoSuchRedemption,
    /// The ticket was revoked.
    #[error("the ticket was revoked")]
    Revoked,
    /// The links have expired, and after many renewals the next one must wait.
    #[error("the links can be renewed again from {renewable_at} on")]
    RenewalsUsedUp {
        /// When they can be renewed again.
        renewable_at: Timestamp,
        /// The time from now until then.
        wait: SignedDuration,
    },
    /// The album cannot be downloaded at present. Holds the reason, for an operator.
    #[error("the album cannot be downloaded at present: {0}")]
    AlbumUnavailable(LibraryError),
    /// The store gave no certain answer.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The purpose of a request for links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A look at the receipt, possibly by a browser that loads the page in advance or a chat that shows a preview:
    /// nothing is renewed.
    Look,
    /// An intended request for links. Valid links are returned without confirmation, which costs no write: even if a
    /// read renewal is never acknowledged, its links work.
    Links,
    /// The answer to a redemption, which states only certain facts.
    Redemption,
}

/// The time between two renewals, once a receipt has used up the renewals that need no pause.
pub const RENEWAL_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// The redemption, renewed when one of its links has expired.
///
/// After `at_once` renewals, one more is allowed in each [`RENEWAL_PAUSE`]; until then the redemption is returned
/// unchanged while some link is valid. `find_album` returns the album and the lifetimes of its links; it is called
/// before anything is written. Two simultaneous requests renew once. Ends by `deadline`.
pub async fn hold<Album, Find, Answer>(
    store: &dyn TicketStore,
    (id, redemption_id): (TicketId, RedemptionId),
    (occasion, at_once): (Occasion, u32),
    now: Timestamp,
    deadline: Instant,
    find_album: Find,
) -> Result<Holding<Album>, HolderError>
where
    Find: Fn(Name) -> Answer,
    Answer: Future<Output = Result<(Album, LinkLives), LibraryError>>,
{
    let mut write = ConditionalWrite::new(store, id, deadline);
    loop {
        let Some(Versioned { version, value: ticket }) = write.read().await? else {
            if write.confirm(None).await? {
                return Err(HolderError::NoSuchRedemption);
            }
            continue;
        };
        let redemption = match &ticket.state {
            State::Redeemed(redemption) if redemption.id == redemption_id => Ok(redemption.clone()),
            State::Revoked(Some(redemption)) if redemption.id == redemption_id => Err(HolderError::Revoked),
            State::Issued | State::Redeemed(_) | State::Revoked(_) => Err(HolderError::NoSuchRedemption),
        };
        // A refusal must rest on a confirmed read.
        if redemption.is_err() && !write.confirm(Some(version)).await? {
            continue;
        }
        let redemption = redemption?;
        let (album, lives) = find_album(ticket.album.clone()).await.map_err(HolderError::AlbumUnavailable)?;
        let renewable_at = renewable_at(&redemption, at_once);
        let used_up = renewable_at > now;
        let life = if used_up { lives.longest } else { lives.shortest };
        let expired = links_expired(&redemption, life, now);
        if !expired || (occasion == Occasion::Look && !used_up) {
            // The read may show a renewal of unknown outcome, perhaps of this request, that is never acknowledged.
            if (occasion == Occasion::Redemption || write.is_in_doubt())
                && !write.confirm(Some(version)).await?
            {
                continue;
            }
            return Ok(Holding { album, redemption });
        }
        if used_up {
            if write.confirm(Some(version)).await? {
                return Err(HolderError::RenewalsUsedUp {
                    renewable_at,
                    wait: renewable_at.duration_since(now),
                });
            }
            continue;
        }
        let round = ticket.reinstatements();
        if let Some((ticket, redemption)) = ticket.renew(now)
            && write.put(version, ticket, round).await?
        {
            return Ok(Holding { album, redemption });
        }
    }
}

/// When expired links can be renewed.
fn renewable_at(redemption: &Redemption, at_once: u32) -> Timestamp {
    let last = redemption.links_issued_at();
    if redemption.renewals < at_once {
        return last;
    }
    last.checked_add(RENEWAL_PAUSE).unwrap_or(Timestamp::MAX)
}

/// Whether links that live for `life` have expired.
#[must_use]
pub fn links_expired(redemption: &Redemption, life: SignedDuration, now: Timestamp) -> bool {
    now.duration_since(redemption.links_issued_at()) >= life
}
