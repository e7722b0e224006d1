//! The use case of whoever holds a receipt: to see the redemption, with links that live.
//!
//! Links are computed from the ticket. When one of them has expired, their life starts anew, which the ticket counts;
//! that is the only thing ever written here. A receipt never ends by itself: after some renewals it is slowed to one in
//! [`RENEWAL_PAUSE`], so that one that was passed on to everybody is of little use to them. Knows the store by its
//! trait, and no HTTP.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::key::TicketId;
use super::ticket::{Name, Redemption, RedemptionId, State};
use super::write::{ConditionalWrite, WriteError};
use crate::library::LibraryError;
use crate::redemption::store::{TicketStore, Versioned};

/// What a holder sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding<Album> {
    /// The album that the ticket is for, as `find_album` gave it.
    pub album: Album,
    /// The redemption as it is stored.
    pub redemption: Redemption,
}

/// How long the links of an album live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLives {
    /// Until the first of them ends.
    pub shortest: SignedDuration,
    /// Until all of them have ended.
    pub longest: SignedDuration,
}

/// Why a holder gets no links.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HolderError {
    /// The ticket does not exist, or another redemption holds it: it was given back in between.
    #[error("the ticket has no such redemption")]
    NoSuchRedemption,
    /// The ticket was declared void.
    #[error("the ticket was revoked")]
    Revoked,
    /// The links have expired, and were renewed so often that the next renewal has to wait.
    #[error("the links can be renewed again from {renewable_at} on")]
    RenewalsUsedUp {
        /// From when on they can be renewed again.
        renewable_at: Timestamp,
        /// How long that is from now.
        wait: SignedDuration,
    },
    /// The album cannot be downloaded at present. Says why, for an operator.
    #[error("the album cannot be downloaded at present: {0}")]
    AlbumUnavailable(LibraryError),
    /// As in every use case: of the store.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What the links are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The receipt is looked at, which can be a browser that loads a page in advance, or a chat that shows a preview:
    /// nothing is renewed.
    Look,
    /// Links are asked for by somebody who means it. Links that live are given as they are read, which costs no write:
    /// were they those of a renewal that comes to nothing, they would work all the same.
    Links,
    /// The answer to a redemption, which says only what is certain.
    Redemption,
}

/// The time from one renewal to the next once a receipt has used up those that may follow each other at once.
pub const RENEWAL_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// The redemption, renewed when one of its links has expired.
///
/// After `at_once` renewals there is one more in each [`RENEWAL_PAUSE`]; until then it is given as it is for as long as
/// some link lives.
/// `find_album` gives the album and the lives of its links; it is asked before anything is written. Two requests at
/// once renew once. Ends by `deadline`.
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
        // Nobody is sent away on account of what may not be so.
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
            // A renewal of which nothing was heard, this request's own perhaps, may be read and never come to be.
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

/// From when on links that have expired can be renewed.
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
