//! The use cases of whoever issued tickets: to look at one, to declare one or a batch void, to give one back.
//!
//! Safe in the way of [`super::redeem`]: every change is a conditional write, and what became of it is read again
//! whenever that is in doubt. Knows the store by its trait, and no HTTP.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::key::TicketId;
use super::redeem::{ConditionalWrite, RedeemError};
use super::ticket::{Name, Ticket};
use crate::redemption::store::{StoreError, TicketStore, Versioned};

/// Tickets of a batch that are looked at together.
const PAGE_TICKETS: usize = 1000;

/// What became of a ticket that was to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The ticket as it is now.
    pub ticket: Ticket,
    /// Whether it was changed; it was in that state before otherwise.
    pub changed: bool,
}

/// What revoking a batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevokedBatch {
    /// Tickets that are void now and were not before.
    pub revoked: u64,
    /// Tickets that were void before.
    pub unchanged: u64,
}

impl RevokedBatch {
    /// All of its tickets.
    #[must_use]
    pub fn tickets(self) -> u64 {
        self.revoked + self.unchanged
    }
}

/// A batch was not revoked to its end. Doing it again goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}; {} tickets of the batch are void by now: do it again to go on", done.tickets())]
pub struct BatchError {
    /// What was done.
    pub done: RevokedBatch,
    /// Why not all.
    pub why: RedeemError,
}

/// The ticket as it is. Ends by `deadline`. That there is none is only said when it is certain.
pub async fn look(store: &dyn TicketStore, id: TicketId, deadline: Instant) -> Result<Ticket, RedeemError> {
    let mut reading = ConditionalWrite::new(store, id, deadline);
    loop {
        match reading.read().await? {
            Some(found) => return Ok(found.value),
            None if reading.confirm(None).await? => return Err(RedeemError::Unknown),
            None => {}
        }
    }
}

/// Changes the ticket by `transition`, which gives `None` when there is nothing to change. Ends by `deadline`.
///
/// A change of which nothing was heard is not made again when somebody has given the ticket back meanwhile: that would take
/// it away from whoever has it by now. If the giving back is the change itself, it is done; otherwise nobody can say.
pub async fn change(
    store: &dyn TicketStore,
    id: TicketId,
    deadline: Instant,
    transition: impl Fn(Ticket) -> Option<Ticket>,
) -> Result<Changed, RedeemError> {
    let mut write = ConditionalWrite::new(store, id, deadline);
    let mut attempted: Option<Ticket> = None;
    loop {
        let Some(Versioned { version, value: ticket }) = write.read().await? else {
            if write.confirm(None).await? {
                return Err(RedeemError::Unknown);
            }
            continue;
        };
        if let Some(made) =
            attempted.take_if(|made| write.is_overtaken(&ticket) && made.reinstated == ticket.reinstated)
        {
            if write.confirm(Some(version)).await? {
                return Ok(Changed { ticket: made, changed: true });
            }
            attempted = Some(made);
            continue;
        }
        write.check_not_overtaken(&ticket)?;
        let round = ticket.reinstatements();
        match transition(ticket.clone()) {
            Some(changed) => {
                attempted = Some(changed.clone());
                if write.put(version, changed.clone(), round).await? {
                    return Ok(Changed { ticket: changed, changed: true });
                }
            }
            // After a conflict or a lost reply this may be the change that was asked for.
            None if write.confirm(Some(version)).await? => {
                return Ok(Changed { ticket, changed: attempted.is_some() });
            }
            None => {}
        }
    }
}

/// Declares every ticket of a batch void. The change of a ticket has `patience`; all of it ends by `deadline`, if there is
/// one.
pub async fn revoke_batch(
    store: &dyn TicketStore,
    batch: &Name,
    patience: Duration,
    deadline: Option<Instant>,
) -> Result<RevokedBatch, BatchError> {
    let mut done = RevokedBatch::default();
    let mut from = None;
    loop {
        let page = store.page(Some(batch.clone()), from, PAGE_TICKETS);
        let page = match deadline {
            Some(deadline) => timeout_at(deadline, page).await.unwrap_or_else(|_| Err(StoreError::silent())),
            None => page.await,
        };
        let page = page.map_err(|error| BatchError { done, why: RedeemError::StoreUnavailable(error) })?;
        let patient = Instant::now() + patience;
        let deadline_each = deadline.map_or(patient, |deadline| deadline.min(patient));
        // All at once, so that they share the store's requests.
        let changes = page.tickets.iter().map(|(id, _)| change(store, *id, deadline_each, Ticket::revoke));
        let mut failed = None;
        for changed in join_all(changes).await {
            match changed {
                Ok(Changed { changed: true, .. }) => done.revoked += 1,
                Ok(Changed { changed: false, .. }) => done.unchanged += 1,
                // Of several reasons the one that leaves more in doubt.
                Err(why) if failed.is_none() || matches!(why, RedeemError::OutcomeUnknown(_)) => {
                    failed = Some(why);
                }
                Err(_) => {}
            }
        }
        if let Some(why) = failed {
            return Err(BatchError { done, why });
        }
        from = page.next;
        if from.is_none() {
            return Ok(done);
        }
    }
}
