//! The use case of redeeming: a ticket is read, decided on, and written by compare-and-set.
//!
//! Knows the store by its trait, and of albums only why one is unavailable. Knows no HTTP, no files, no links. Two
//! facts make it safe. The write carries the version that the decision was based on. And the id of the redemption,
//! which is written with it, is a function of the request, so a later reader of the ticket can tell whose redemption it
//! is. So conflicts, lost replies and retries are all settled in the same way: read again and compare ids.

use jiff::Timestamp;
use tokio::time::Instant;

use super::key::TicketId;
use super::ticket::{IdempotencyKey, Name, Redeem, Redemption, RedemptionId, Refusal};
use super::write::{ConditionalWrite, WriteError};
use crate::library::LibraryError;
use crate::redemption::store::{TicketStore, Versioned};

/// A redemption that is the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed<Album> {
    /// The album of the ticket, as `find_album` returned it.
    pub album: Album,
    /// The redemption as it is stored.
    pub redemption: Redemption,
    /// Whether another request with the same idempotency key had made it.
    pub replayed: bool,
}

/// Why nothing was redeemed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedeemError {
    /// No ticket has this key.
    #[error("no ticket has this key")]
    Unknown,
    /// The ticket refuses the redemption.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The album cannot be downloaded at present.
    #[error("the album cannot be downloaded at present: {why}")]
    AlbumUnavailable {
        /// The reason, for an operator.
        why: LibraryError,
        /// Whether the caller already holds the ticket. If not, the ticket is unchanged.
        redeemed: bool,
    },
    /// The store gave no certain answer.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Redeems the ticket with this id for the sender of this idempotency key.
///
/// `find_album` is called before anything is written, so that no ticket is used up for an album that cannot be
/// downloaded; the caller's answer uses its result. Ends by `deadline`, whatever the store does.
pub async fn redeem<Album, Find, Answer>(
    store: &dyn TicketStore,
    id: TicketId,
    idempotency_key: &IdempotencyKey,
    now: Timestamp,
    deadline: Instant,
    find_album: Find,
) -> Result<Redeemed<Album>, RedeemError>
where
    Find: Fn(Name) -> Answer,
    Answer: Future<Output = Result<Album, LibraryError>>,
{
    let mut write = ConditionalWrite::new(store, id, deadline);
    let mut found_album = None;
    loop {
        let Some(Versioned { version, value: ticket }) = write.read().await? else {
            if write.confirm(None).await? {
                return Err(RedeemError::Unknown);
            }
            continue;
        };
        write.check_not_overtaken(&ticket)?;
        let round = ticket.reinstatements();
        let album_id = ticket.album.clone();
        let redemption_id = RedemptionId::derive(&id, ticket.generation(), idempotency_key);
        let decision = ticket.redeem(redemption_id, now);
        // Every answer needs a confirmed read, except one that is based on a write of its own.
        if !matches!(decision, Ok(Redeem::Now(..))) && !write.confirm(Some(version)).await? {
            continue;
        }
        let decision = decision?;
        let redeemed = matches!(decision, Redeem::Already(_));
        let album = match found_album.take() {
            Some(album) => album,
            None => {
                find_album(album_id).await.map_err(|why| RedeemError::AlbumUnavailable { why, redeemed })?
            }
        };
        match decision {
            Redeem::Already(redemption) => {
                return Ok(Redeemed { album, redemption, replayed: !write.lost_a_reply() });
            }
            Redeem::Now(ticket, redemption) => {
                if write.put(version, ticket, round).await? {
                    return Ok(Redeemed { album, redemption, replayed: false });
                }
                found_album = Some(album);
            }
        }
    }
}
