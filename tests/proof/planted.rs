//! Bugs, planted to see that the proof finds them: a store that deals with its outcomes as a careless one would.
//!
//! Wraps the real store, whose own code is left alone. Each bug is one that such a program might well have; each of
//! them passes every test that has no races and no failures.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tickey::redemption::key::TicketId;
use tickey::redemption::store::{
    BatchCount, BatchPlace, Created, Cursor, Page, SharedStore, StoreError, StoreFuture, TicketStore,
    Version, Versioned, WriteOutcome,
};
use tickey::redemption::ticket::{Name, Redemption, RedemptionId, State, Ticket};

/// How often a careless writer writes again.
const MAX_RETRIES: usize = 20;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Bug {
    /// Writes go through whatever has happened to the ticket since it was read.
    ConditionDropped,
    /// After a conflict the ticket is taken to be somebody else's, without a look at whose it is.
    ConflictIsRefusal,
    /// After a conflict, or no answer, the write is sent again with the version that the ticket has by then.
    BlindRetry,
    /// No answer is taken for an acknowledgement.
    UnknownIsSuccess,
    /// No answer is taken for a promise that nothing was done.
    UnknownIsNothing,
    /// What was read is believed without being confirmed.
    DirtyRead,
}

/// A store with a bug.
pub(crate) struct PlantedStore {
    inner: SharedStore,
    bug: Bug,
    /// Tickets after a conflict, as they will be told at the next read.
    refused: Arc<Mutex<HashMap<TicketId, Versioned<Ticket>>>>,
}

impl PlantedStore {
    pub(crate) fn new(inner: SharedStore, bug: Bug) -> Self {
        Self { inner, bug, refused: Arc::default() }
    }
}

/// A version that no ticket has.
const MADE_UP: Version = Version { sequence: u64::MAX, term: u64::MAX };

/// Writes, on whatever version the ticket has now.
async fn write_anyway(inner: &SharedStore, id: TicketId, ticket: Ticket) -> WriteOutcome {
    let mut outcome = WriteOutcome::Conflict;
    for _ in 0..MAX_RETRIES {
        let version = match inner.get(id).await {
            Ok(Some(found)) => found.version,
            Ok(None) => return WriteOutcome::Conflict,
            Err(error) => return WriteOutcome::Unknown(error.to_string()),
        };
        outcome = inner.put_if(id, version, ticket.clone()).await;
        if !matches!(outcome, WriteOutcome::Conflict) {
            break;
        }
    }
    outcome
}

/// Writes again and again, each time on the version that the ticket has by then.
async fn retry_blindly(inner: &SharedStore, id: TicketId, version: Version, ticket: Ticket) -> WriteOutcome {
    let mut outcome = inner.put_if(id, version, ticket.clone()).await;
    for _ in 0..MAX_RETRIES {
        if !matches!(outcome, WriteOutcome::Conflict | WriteOutcome::Unknown(_)) {
            break;
        }
        outcome = write_anyway(inner, id, ticket.clone()).await;
    }
    outcome
}

/// The ticket as it would be if somebody else had redeemed it.
fn as_if_lost(mut ticket: Ticket) -> Versioned<Ticket> {
    if let State::Redeemed(Redemption { id, .. }) = &mut ticket.state {
        *id = RedemptionId(uuid::Uuid::nil());
    }
    Versioned { version: MADE_UP, value: ticket }
}

impl TicketStore for PlantedStore {
    fn get(&self, id: TicketId) -> StoreFuture<Result<Option<Versioned<Ticket>>, StoreError>> {
        match self.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
            Some(refused) => Box::pin(async move { Ok(Some(refused)) }),
            None => self.inner.get(id),
        }
    }

    fn put_if(&self, id: TicketId, version: Version, ticket: Ticket) -> StoreFuture<WriteOutcome> {
        let inner = Arc::clone(&self.inner);
        let refused = Arc::clone(&self.refused);
        let bug = self.bug;
        Box::pin(async move {
            match bug {
                Bug::ConditionDropped => write_anyway(&inner, id, ticket).await,
                Bug::BlindRetry => retry_blindly(&inner, id, version, ticket).await,
                Bug::ConflictIsRefusal => {
                    let outcome = inner.put_if(id, version, ticket.clone()).await;
                    if outcome == WriteOutcome::Conflict && matches!(ticket.state, State::Redeemed(_)) {
                        let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
                        refused.insert(id, as_if_lost(ticket));
                    }
                    outcome
                }
                Bug::UnknownIsSuccess => match inner.put_if(id, version, ticket).await {
                    WriteOutcome::Unknown(_) => WriteOutcome::Written(MADE_UP),
                    outcome => outcome,
                },
                Bug::UnknownIsNothing => match inner.put_if(id, version, ticket).await {
                    WriteOutcome::Unknown(why) => WriteOutcome::Unavailable(StoreError::Unavailable(why)),
                    outcome => outcome,
                },
                Bug::DirtyRead => inner.put_if(id, version, ticket).await,
            }
        })
    }

    fn confirm(&self, id: TicketId, version: Option<Version>) -> StoreFuture<Result<bool, StoreError>> {
        match self.bug {
            Bug::DirtyRead => Box::pin(async { Ok(true) }),
            Bug::ConflictIsRefusal if version == Some(MADE_UP) => Box::pin(async { Ok(true) }),
            _ => self.inner.confirm(id, version),
        }
    }

    fn create(&self, tickets: Vec<(TicketId, Ticket)>) -> StoreFuture<Result<Vec<Created>, StoreError>> {
        self.inner.create(tickets)
    }

    fn page(
        &self,
        batch: Option<Name>,
        from: Option<Cursor>,
        limit: usize,
    ) -> StoreFuture<Result<Page, StoreError>> {
        self.inner.page(batch, from, limit)
    }

    fn stats(
        &self,
        batch: Option<Name>,
        after: Option<BatchPlace>,
        limit: usize,
    ) -> StoreFuture<Result<Vec<BatchCount>, StoreError>> {
        self.inner.stats(batch, after, limit)
    }

    fn ping(&self) -> StoreFuture<Result<(), StoreError>> {
        self.inner.ping()
    }
}
