//! The use case: a ticket is read, decided about, and written on the condition that nobody was faster.
//!
//! Knows the store by its trait, and of albums only why there may be none. Knows no HTTP, no files, no links. What
//! makes it safe is in two sentences: the write carries the version that the decision was made on; and the id of the
//! redemption, which is written with it, is a function of the request, so whoever reads the ticket later can tell whose
//! it is. So a conflict, a lost reply or a retry are all settled the same way: read again and compare ids.

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
    /// The album that the ticket is for, as `find_album` gave it.
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
    /// The ticket does not give its album.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The album cannot be downloaded at present.
    #[error("the album cannot be downloaded at present: {why}")]
    AlbumUnavailable {
        /// Why, for an operator.
        why: LibraryError,
        /// Whether the ticket is the caller's nevertheless. If not, it was left alone.
        redeemed: bool,
    },
    /// As in every use case: of the store.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Redeems the ticket with this id for whoever sends this idempotency key.
///
/// `find_album` is asked before anything is written, so that no ticket is used up for an album that cannot be
/// downloaded; what it gave is what the caller answers with. Ends by `deadline`, whatever the store does.
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
        // Only an answer that rests on a write of its own needs no confirmation of what was read.
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
