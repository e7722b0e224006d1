//! The use cases of whoever issued tickets: to look at one; to declare void, give back or prolong one, or a whole
//! batch.
//!
//! Safe in the way of [`super::redeem`]: every change is a conditional write, and what became of it is read again
//! whenever that is in doubt. Knows the store by its trait, and no HTTP.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::key::TicketId;
use super::ticket::{Because, Name, NewExpiry, State, Status, Ticket};
use super::write::{ConditionalWrite, WriteError};
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

/// What changing a batch came to so far: its tickets, by whether they were changed and by the state that they have now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangedBatch {
    /// Tickets that were changed.
    pub changed: ByStatus,
    /// Tickets in which there was nothing to change.
    pub unchanged: ByStatus,
}

/// How many tickets have each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByStatus {
    /// Nobody has used them.
    pub issued: u64,
    /// Used up.
    pub redeemed: u64,
    /// Void.
    pub revoked: u64,
}

impl ByStatus {
    /// All of them.
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
    /// All of its tickets.
    #[must_use]
    pub fn tickets(self) -> u64 {
        self.changed.tickets() + self.unchanged.tickets()
    }

    fn count(&mut self, Changed { ticket, changed }: &Changed) {
        let part = if *changed { &mut self.changed } else { &mut self.unchanged };
        part.count(ticket.status());
    }
}

/// A batch was not changed to its end. Doing it again goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}; {} of the batch's tickets were done before that: do it again to go on", done.tickets())]
pub struct BatchError {
    /// What was done.
    pub done: ChangedBatch,
    /// Why not all.
    pub why: ChangeError,
}

/// Why a ticket was not looked at or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such ticket.
    #[error("there is no such ticket")]
    Unknown,
    /// As in every use case: of the store.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What is done to each ticket of a batch; `None` where there is nothing to change.
pub type Transition<'a> = dyn Fn(Ticket) -> Option<Ticket> + Send + Sync + 'a;

/// The ticket as it is. Ends by `deadline`. That there is none is only said when it is certain.
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

/// Changes the ticket by `transition`, which gives `None` when there is nothing to change. Ends by `deadline`.
///
/// A change of which nothing was heard is not made again when somebody has given the ticket back meanwhile: that would
/// take it away from whoever has it by now. If the giving back is the change itself, it is done; otherwise nobody can
/// say.
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
            // After a conflict or a lost reply this may be the change that was asked for.
            None if write.confirm(Some(version)).await? => {
                return Ok(Changed { ticket, changed: attempted.is_some() });
            }
            None => {}
        }
    }
}

/// Puts off the end of an unused ticket, and leaves one that is redeemed or revoked as it is: it has nothing to be
/// prolonged for. For batches; [`Ticket::extend`] takes a ticket in any state.
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

/// Changes every ticket of a batch by `transition`. The change of a ticket has `patience`; all of it ends by
/// `deadline`, if there is one. `progress` is told what was done so far, some thousand tickets at a time.
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
        // All at once, so that they share the store's requests.
        let changes = page.tickets.iter().map(|(id, _)| change(store, *id, deadline_each, transition));
        let mut failed = None;
        for outcome in join_all(changes).await {
            match outcome {
                Ok(outcome) => done.count(&outcome),
                // Of several reasons the one that leaves more in doubt.
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
