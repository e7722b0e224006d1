//! The use case of whoever holds a receipt: to see the redemption, with links that live.
//!
//! Links are computed from the ticket. When one of them has expired, their life starts anew, which the ticket counts;
//! that is the only thing ever written here. Knows the store by its trait, and no HTTP.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::key::TicketId;
use super::redeem::{ConditionalWrite, RedeemError};
use super::ticket::{Name, Redemption, RedemptionId, State};
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
    /// The links have expired as often as they may be renewed.
    #[error("the links were renewed {limit} times, which is the limit")]
    RenewalsUsedUp {
        /// How often they may be.
        limit: u32,
    },
    /// As in redeeming: album, store or outcome.
    #[error(transparent)]
    Failed(#[from] RedeemError),
}

/// What the links are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Somebody looks at the receipt without opening it: nothing is renewed.
    Look,
    /// The receipt is opened. Links that live are shown as they are read, which costs no write: were they those of a
    /// renewal that comes to nothing, they would work all the same.
    Receipt,
    /// The answer to a redemption, which says only what is certain.
    Redemption,
}

/// The redemption, renewed when one of its links has expired.
///
/// When they have been renewed as often as is allowed (`limit`), it is given as it is for as long as some link lives.
/// `find_album` gives the album and the lives of its links; it is asked before anything is written. Two requests at
/// once renew once. Ends by `deadline`.
pub async fn hold<Album, Find, Answer>(
    store: &dyn TicketStore,
    (id, redemption_id): (TicketId, RedemptionId),
    (occasion, limit): (Occasion, u32),
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
        let (album, lives) = find_album(ticket.album.clone())
            .await
            .map_err(|why| RedeemError::AlbumUnavailable { why, redeemed: true })?;
        let used_up = redemption.renewals >= limit;
        let life = if used_up { lives.longest } else { lives.shortest };
        if !links_expired(&redemption, life, now) || occasion == Occasion::Look {
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
                return Err(HolderError::RenewalsUsedUp { limit });
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

/// Whether links that live for `life` have expired.
#[must_use]
pub fn links_expired(redemption: &Redemption, life: SignedDuration, now: Timestamp) -> bool {
    now.duration_since(redemption.links_issued_at()) >= life
}
