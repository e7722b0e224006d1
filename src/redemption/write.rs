//! Common parts of all use cases that change a ticket: reads and conditional writes until a deadline, and the handling
//! of a write whose reply was lost.
//!
//! Knows the store by its trait, and neither the content nor the purpose of a write.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::key::TicketId;
use super::ticket::Ticket;
use crate::redemption::store::{StoreError, TicketStore, Version, Versioned, WriteOutcome};

/// The pause before the store is asked again about a write of unknown outcome; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Conflicts in a row after which a request gives up. Each is another writer's success on the same ticket, which
/// happens only when an operator revokes and reinstates it repeatedly.
const MAX_CONFLICTS: u32 = 16;

/// Why the store gave no certain answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The store cannot be used; nothing was changed.
    #[error("the store cannot be used: {0}")]
    StoreUnavailable(StoreError),
    /// The store did not report whether the ticket was changed.
    #[error("the store did not say whether it took the write: {0}")]
    OutcomeUnknown(String),
}

/// Reads and conditional writes of one ticket on behalf of one request, until its deadline.
///
/// Remembers between two tries whether a write may have been made.
pub(super) struct ConditionalWrite<'a> {
    store: &'a dyn TicketStore,
    id: TicketId,
    deadline: Instant,
    conflicts: u32,
    /// Why an unacknowledged write of this request may have been made. Once set, it stays: a write that is not visible
    /// yet may still be on its way.
    doubt: Option<String>,
    /// How often the ticket had been reinstated when a write of unknown outcome was sent.
    doubtful_round: Option<u32>,
    pause: Duration,
    lost_a_reply: bool,
}

impl<'a> ConditionalWrite<'a> {
    pub(super) fn new(store: &'a dyn TicketStore, id: TicketId, deadline: Instant) -> Self {
        Self {
            store,
            id,
            deadline,
            conflicts: 0,
            doubt: None,
            doubtful_round: None,
            pause: FIRST_PAUSE,
            lost_a_reply: false,
        }
    }

    /// Whether this request has sent a write without getting a reply, so that a found redemption may be its own.
    pub(super) fn lost_a_reply(&self) -> bool {
        self.lost_a_reply
    }

    /// Whether an unacknowledged write of this request may have been made.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// The current ticket. While a write's outcome is unknown, a failed read is retried until the deadline.
    pub(super) async fn read(&mut self) -> Result<Option<Versioned<Ticket>>, WriteError> {
        loop {
            match timeout_at(self.deadline, self.store.get(self.id)).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(error)) if self.doubt.is_none() => return Err(WriteError::StoreUnavailable(error)),
                Ok(Err(_)) => self.wait().await?,
                Err(_) => return Err(self.out_of_time()),
            }
        }
    }

    /// Whether the read version is confirmed. `false` means: read again.
    pub(super) async fn confirm(&mut self, version: Option<Version>) -> Result<bool, WriteError> {
        match timeout_at(self.deadline, self.store.confirm(self.id, version)).await {
            Ok(Ok(true)) => Ok(true),
            // A copy that gave a stale answer would give it again: after a pause, another copy may answer.
            Ok(Ok(false)) => self.wait().await.map(|()| false),
            Ok(Err(error)) if self.doubt.is_none() => Err(WriteError::StoreUnavailable(error)),
            Ok(Err(_)) => self.wait().await.map(|()| false),
            Err(_) => Err(self.out_of_time()),
        }
    }

    /// Whether the ticket was reinstated since a write of unknown outcome was sent. The effect of that write, if any,
    /// can then no longer be seen in the ticket.
    pub(super) fn is_overtaken(&self, ticket: &Ticket) -> bool {
        self.doubtful_round.is_some_and(|round| ticket.reinstatements() > round)
    }

    /// Ends the request when its write may have been made and undone by another caller: a repetition would
    /// make it twice.
    pub(super) fn check_not_overtaken(&self, ticket: &Ticket) -> Result<(), WriteError> {
        if self.is_overtaken(ticket) {
            return Err(WriteError::OutcomeUnknown("the ticket was given back meanwhile".to_owned()));
        }
        Ok(())
    }

    /// Writes the ticket if its version is still `version`, in which it had been reinstated `round` times. `false`
    /// means: read again and check whose redemption it holds.
    pub(super) async fn put(
        &mut self,
        version: Version,
        ticket: Ticket,
        round: u32,
    ) -> Result<bool, WriteError> {
        // A write past the deadline is not sent, since no caller would wait for it.
        if Instant::now() >= self.deadline {
            return Err(self.out_of_time());
        }
        let outcome = timeout_at(self.deadline, self.store.put_if(self.id, version, ticket)).await;
        let outcome = outcome.unwrap_or_else(|_| WriteOutcome::Unknown("no answer in time".to_owned()));
        if matches!(outcome, WriteOutcome::Conflict | WriteOutcome::Unknown(_)) {
            self.doubtful_round.get_or_insert(round);
        }
        match outcome {
            WriteOutcome::Written(_) => Ok(true),
            WriteOutcome::Conflict => {
                // A conflict may be reported of a write that was made, so nothing is certain until the ticket is read.
                self.doubt = Some("the store reported a conflict".to_owned());
                self.conflicts += 1;
                if self.conflicts >= MAX_CONFLICTS {
                    let why = "the ticket is being changed over and over".to_owned();
                    return Err(WriteError::OutcomeUnknown(why));
                }
                // The first conflict is usually a lost race; further ones can also mean that stale versions are read.
                if self.conflicts > 1 {
                    self.wait().await?;
                }
                Ok(false)
            }
            WriteOutcome::Unavailable(error) if self.doubt.is_none() => {
                Err(WriteError::StoreUnavailable(error))
            }
            WriteOutcome::Unavailable(error) => {
                self.doubt = Some(error.to_string());
                self.wait().await.map(|()| false)
            }
            WriteOutcome::Unknown(why) => {
                self.lost_a_reply = true;
                self.doubt = Some(why);
                self.wait().await.map(|()| false)
            }
        }
    }

    async fn wait(&mut self) -> Result<(), WriteError> {
        let until = Instant::now() + self.pause;
        if until >= self.deadline {
            return Err(self.out_of_time());
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        sleep_until(until).await;
        Ok(())
    }

    fn out_of_time(&self) -> WriteError {
        match &self.doubt {
            Some(why) => WriteError::OutcomeUnknown(why.clone()),
            None => WriteError::StoreUnavailable(StoreError::silent()),
        }
    }
}
