//! A store that misbehaves as real ones do under stress: replies get lost, writes that were made are reported as
//! conflicts, answers are late, the store is away.
//!
//! Wraps any store. For tests: nothing in the program uses it. Each fault is set for the next operations of a kind, so
//! that a test reads like a story.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{
    BatchCount, BatchPlace, Created, Cursor, Page, SharedStore, StoreError, StoreFuture, TicketStore,
    Version, Versioned, WriteOutcome,
};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Name, Ticket};

/// What happens to one conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// It is made, and its reply is lost.
    LostReply,
    /// It is lost before it is made, and nobody can tell.
    LostRequest,
    /// It is made, and reported as a conflict (as Elasticsearch does when a retry of its own meets its own write).
    FalseConflict,
    /// It is made, by two requests: the second, a conflict, is the one that is heard of.
    Duplicate,
    /// It is refused; nothing is made.
    Unavailable,
    /// It is made after a while, long after it was given up.
    Late(Duration),
}

/// What happens to one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// The store is away.
    Unavailable,
    /// The answer takes so long.
    Slow(Duration),
    /// A copy that was left behind answers: with this, or that there is no such ticket.
    Stale(Option<Box<Versioned<Ticket>>>),
}

/// A store with faults to come.
pub struct FaultyStore {
    inner: SharedStore,
    writes: Arc<Mutex<VecDeque<WriteFault>>>,
    reads: Arc<Mutex<VecDeque<ReadFault>>>,
}

impl FaultyStore {
    /// A store that behaves until it is told otherwise.
    #[must_use]
    pub fn new(inner: SharedStore) -> Self {
        Self { inner, writes: Arc::default(), reads: Arc::default() }
    }

    /// Faults of the next conditional writes, in this order.
    pub fn fail_writes(&self, faults: impl IntoIterator<Item = WriteFault>) {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Faults of the next reads of a ticket, in this order.
    pub fn fail_reads(&self, faults: impl IntoIterator<Item = ReadFault>) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// How many of the faults are still to come.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).len()
            + self.reads.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl TicketStore for FaultyStore {
    fn get(&self, id: TicketId) -> StoreFuture<Result<Option<Versioned<Ticket>>, StoreError>> {
        let fault = self.reads.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            match fault {
                None => {}
                Some(ReadFault::Unavailable) => return Err(away()),
                Some(ReadFault::Slow(pause)) => tokio::time::sleep(pause).await,
                Some(ReadFault::Stale(found)) => return Ok(found.map(|found| *found)),
            }
            inner.get(id).await
        })
    }

    fn put_if(&self, id: TicketId, version: Version, ticket: Ticket) -> StoreFuture<WriteOutcome> {
        let fault = self.writes.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let lost = || WriteOutcome::Unknown("the reply was lost".to_owned());
            match fault {
                None => inner.put_if(id, version, ticket).await,
                Some(WriteFault::LostReply) => {
                    inner.put_if(id, version, ticket).await;
                    lost()
                }
                Some(WriteFault::LostRequest) => lost(),
                Some(WriteFault::FalseConflict) => {
                    inner.put_if(id, version, ticket).await;
                    WriteOutcome::Conflict
                }
                Some(WriteFault::Duplicate) => {
                    inner.put_if(id, version, ticket.clone()).await;
                    inner.put_if(id, version, ticket).await
                }
                Some(WriteFault::Unavailable) => WriteOutcome::Unavailable(away()),
                Some(WriteFault::Late(pause)) => {
                    tokio::spawn(async move {
                        tokio::time::sleep(pause).await;
                        inner.put_if(id, version, ticket).await
                    });
                    lost()
                }
            }
        })
    }

    fn confirm(&self, id: TicketId, version: Option<Version>) -> StoreFuture<Result<bool, StoreError>> {
        self.inner.confirm(id, version)
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

fn away() -> StoreError {
    StoreError::Unavailable("the store is away (a fault made by a test)".to_owned())
}
