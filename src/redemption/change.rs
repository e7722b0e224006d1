//! The use cases of an issuer: to look up a ticket, and to revoke, reinstate or extend one or a whole batch.
//!
//! Safe in the same way as [`super::redeem`]: every change is a conditional write, and an uncertain outcome is settled
//! by reading again. Knows the store by its trait, and no HTTP.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::key::TicketId;
use super::ticket::{Because, Name, NewExpiry, State, Status, Ticket};
use super::write::{ConditionalWrite, WriteError};
use crate::redemption::store::{StoreError, TicketStore, Versioned};

/// The number of tickets of a batch that are processed together.
const PAGE_TICKETS: usize = 1000;

/// The result of a requested change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The ticket as it is now.
    pub ticket: Ticket,
    /// Whether it was changed; otherwise it was in that state before.
    pub changed: bool,
}

/// The result of changing a batch so far: its tickets, by whether they were changed and by their current state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangedBatch {
    /// Tickets that were changed.
    pub changed: ByStatus,
    /// Tickets that needed no change.
    pub unchanged: ByStatus,
}

/// The number of tickets in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByStatus {
    /// Not used.
    pub issued: u64,
    /// Used up.
    pub redeemed: u64,
    /// Revoked.
    pub revoked: u64,
}

impl ByStatus {
    /// The total.
    #[must_use]
    pub fn tickets(self) -> u64 {
        self.issued + self.redeemed + self.revoked
    }

    fn count(&mut self, status: Status) {
        match status {
            Status::Issued => self.issued += 1,
            Status::Redeemed => self.redeemed += 1,
            Status::Revoked => self.revoked += 1,
        }
    }
}

impl ChangedBatch {
    /// The total number of its tickets.
    #[must_use]
    pub fn tickets(self) -> u64 {
        self.changed.tickets() + self.unchanged.tickets()
    }

    fn count(&mut self, Changed { ticket, changed }: &Changed) {
        let part = if *changed { &mut self.changed } else { &mut self.unchanged };
        part.count(ticket.status());
    }
}

/// A batch was changed only in part. Repeating the change continues it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}; {} of the batch's tickets were done before that: do it again to go on", done.tickets())]
pub struct BatchError {
    /// The result so far.
    pub done: ChangedBatch,
    /// Why the change stopped.
    pub why: ChangeError,
}

/// Why a ticket was not looked up or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    Unknown,
    /// The store gave no certain answer.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The change of each ticket of a batch; `None` where there is nothing to change.
pub type Transition<'a> = dyn Fn(Ticket) -> Option<Ticket> + Send + Sync + 'a;

/// The current ticket. Ends by `deadline`. Reports a ticket as missing only when that is certain.
pub async fn look(store: &dyn TicketStore, id: TicketId, deadline: Instant) -> Result<Ticket, ChangeError> {
    let mut reading = ConditionalWrite::new(store, id, deadline);
    loop {
        match reading.read().await? {
            Some(found) => return Ok(found.value),
            None if reading.confirm(None).await? => return Err(ChangeError::Unknown),
            None => {}
        }
    }
}

/// Changes the ticket by `transition`, which returns `None` when there is nothing to change. Ends by `deadline`.
///
/// A change with an unknown outcome is not repeated if the ticket was reinstated meanwhile: the repetition would
/// take it away from its new holder. If the reinstatement is the change itself, it is done; otherwise the
/// outcome stays unknown.
pub async fn change(
    store: &dyn TicketStore,
    id: TicketId,
    deadline: Instant,
    transition: impl Fn(Ticket) -> Option<Ticket>,
) -> Result<Changed, ChangeError> {
    let mut write = ConditionalWrite::new(store, id, deadline);
    let mut attempted: Option<Ticket> = None;
    loop {
        let Some(Versioned { version, value: ticket }) = write.read().await? else {
            if write.confirm(None).await? {
                return Err(ChangeError::Unknown);
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
            // After a conflict or a lost reply, the ticket may already hold the requested change.
            None if write.confirm(Some(version)).await? => {
                return Ok(Changed { ticket, changed: attempted.is_some() });
            }
            None => {}
        }
    }
}

/// Extends an unused ticket, and leaves a redeemed or revoked one as it is, since it cannot be redeemed anyway. For
/// batches; [`Ticket::extend`] accepts a ticket in any state.
#[must_use]
pub fn extend_unused(
    ticket: Ticket,
    expires_at: NewExpiry,
    because: Option<Because>,
    now: Timestamp,
) -> Option<Ticket> {
    match ticket.state {
        State::Issued => ticket.extend(expires_at, because, now),
        State::Redeemed(_) | State::Revoked(_) => None,
    }
}

/// Changes every ticket of a batch by `transition`. Each ticket's change may take `patience`; the whole ends by
/// `deadline`, if there is one. `progress` gets the result so far, some thousand tickets at a time.
pub async fn change_batch(
    store: &dyn TicketStore,
    batch: &Name,
    transition: &Transition<'_>,
    patience: Duration,
    deadline: Option<Instant>,
    progress: &(dyn Fn(ChangedBatch) + Send + Sync),
) -> Result<ChangedBatch, BatchError> {
    let mut done = ChangedBatch::default();
    let mut from = None;
    loop {
        let page = store.page(Some(batch.clone()), from, PAGE_TICKETS);
        let page = match deadline {
            Some(deadline) => timeout_at(deadline, page).await.unwrap_or_else(|_| Err(StoreError::silent())),
            None => page.await,
        };
        let page =
            page.map_err(|error| BatchError { done, why: WriteError::StoreUnavailable(error).into() })?;
        let patient = Instant::now() + patience;
        let deadline_each = deadline.map_or(patient, |deadline| deadline.min(patient));
        // In parallel, so that they share the store's requests.
        let changes = page.tickets.iter().map(|(id, _)| change(store, *id, deadline_each, transition));
        let mut failed = None;
        for outcome in join_all(changes).await {
            match outcome {
                Ok(outcome) => done.count(&outcome),
                // Of several reasons, the one that leaves more uncertain.
                Err(why)
                    if failed.is_none()
                        || matches!(why, ChangeError::Write(WriteError::OutcomeUnknown(_))) =>
                {
                    failed = Some(why);
                }
                Err(_) => {}
            }
        }
        progress(done);
        if let Some(why) = failed {
            return Err(BatchError { done, why });
        }
        from = page.next;
        if from.is_none() {
            return Ok(done);
        }
    }
}
