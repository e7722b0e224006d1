//! A store that misbehaves as real ones do under stress, in every operation: replies get lost, writes that were made
//! are reported as conflicts, answers are late or never come, the store is away.
//!
//! Wraps any store. Each fault is set for the next operations of a kind, so that a test reads like a story.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tickey::redemption::key::TicketId;
use tickey::redemption::store::{
    BatchCount, BatchPlace, Created, Cursor, Page, SharedStore, StoreError, StoreFuture, TicketStore,
    Version, Versioned, WriteOutcome,
};
use tickey::redemption::ticket::{Name, Ticket};
use tokio::sync::Semaphore;

/// What happens to one conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteFault {
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

/// What happens to one call that adds tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CreateFault {
    /// All are added, and the reply is lost.
    LostReply,
    /// The call is lost before anything is added, and nobody can tell.
    LostRequest,
    /// So many are added; the others, and the reply, are lost.
    LostInPart(usize),
    /// All are added, by two requests: the second, which finds them there, is the one that is heard of.
    Duplicate,
    /// Likewise, and those are told as present before, as a cluster does that repeats a request when it loses a node.
    FindsItsOwn,
    /// It is refused; nothing is added.
    Unavailable,
    /// All are added after a while, long after it was given up.
    Late(Duration),
    /// All are added, and no answer ever comes.
    Silent,
}

/// What happens to one read of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadFault {
    /// The store is away.
    Unavailable,
    /// The answer takes so long.
    Slow(Duration),
    /// It is held until [`FaultyStore::let_go`].
    Held,
    /// A copy that was left behind answers: with this, or that there is no such ticket.
    Stale(Option<Box<Versioned<Ticket>>>),
}

/// What happens to one question of another kind: a confirmation, a page, a count, a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskFault {
    /// The store is away.
    Unavailable,
    /// The answer takes so long.
    Slow(Duration),
    /// It is answered, and the answer is lost on its way: none ever comes.
    Silent,
    /// Of a confirmation: it is denied though it is so (as after another's confirmation). Otherwise the store is away.
    Denied,
}

/// Faults of one kind of operation that are still to come.
struct Faults<Fault>(Arc<Mutex<VecDeque<Fault>>>);

impl<Fault> Faults<Fault> {
    fn none() -> Self {
        Self(Arc::default())
    }

    fn add(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    fn next(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A store with faults to come.
pub(crate) struct FaultyStore {
    inner: SharedStore,
    writes: Faults<WriteFault>,
    creates: Faults<CreateFault>,
    reads: Faults<ReadFault>,
    confirmations: Faults<AskFault>,
    pages: Faults<AskFault>,
    stats: Faults<AskFault>,
    pings: Faults<AskFault>,
    events: Arc<Events>,
}

/// What a test waits for: permits that are added when it happens.
struct Events {
    /// A late write was made.
    landed: Semaphore,
    /// A read is held.
    held: Semaphore,
    /// A read that is held may go on.
    let_go: Semaphore,
}

async fn happened(event: &Semaphore) {
    event.acquire().await.expect("it is never closed").forget();
}

impl FaultyStore {
    /// A store that behaves until it is told otherwise.
    pub(crate) fn new(inner: SharedStore) -> Self {
        Self {
            inner,
            writes: Faults::none(),
            creates: Faults::none(),
            reads: Faults::none(),
            confirmations: Faults::none(),
            pages: Faults::none(),
            stats: Faults::none(),
            pings: Faults::none(),
            events: Arc::new(Events {
                landed: Semaphore::new(0),
                held: Semaphore::new(0),
                let_go: Semaphore::new(0),
            }),
        }
    }

    /// Waits until a late write was made.
    pub(crate) async fn late_write(&self) {
        happened(&self.events.landed).await;
    }

    /// Waits until a read is held.
    pub(crate) async fn held(&self) {
        happened(&self.events.held).await;
    }

    /// Lets a read go on that is held.
    pub(crate) fn let_go(&self) {
        self.events.let_go.add_permits(1);
    }

    /// Faults of the next conditional writes, in this order.
    pub(crate) fn fail_writes(&self, faults: impl IntoIterator<Item = WriteFault>) {
        self.writes.add(faults);
    }

    /// Faults of the next calls that add tickets, in this order.
    pub(crate) fn fail_creates(&self, faults: impl IntoIterator<Item = CreateFault>) {
        self.creates.add(faults);
    }

    /// Faults of the next reads of a ticket, in this order.
    pub(crate) fn fail_reads(&self, faults: impl IntoIterator<Item = ReadFault>) {
        self.reads.add(faults);
    }

    /// Faults of the next confirmations, in this order.
    pub(crate) fn fail_confirmations(&self, faults: impl IntoIterator<Item = AskFault>) {
        self.confirmations.add(faults);
    }

    /// Faults of the next pages, in this order.
    pub(crate) fn fail_pages(&self, faults: impl IntoIterator<Item = AskFault>) {
        self.pages.add(faults);
    }

    /// Faults of the next counts, in this order.
    pub(crate) fn fail_stats(&self, faults: impl IntoIterator<Item = AskFault>) {
        self.stats.add(faults);
    }

    /// Faults of the next pings, in this order.
    pub(crate) fn fail_pings(&self, faults: impl IntoIterator<Item = AskFault>) {
        self.pings.add(faults);
    }

    /// How many of the faults are still to come.
    pub(crate) fn faults_left(&self) -> usize {
        let asked = [&self.confirmations, &self.pages, &self.stats, &self.pings];
        self.writes.left()
            + self.creates.left()
            + self.reads.left()
            + asked.map(Faults::left).into_iter().sum::<usize>()
    }
}

/// The answer to a question to which this happens.
async fn ask<T>(
    fault: Option<AskFault>,
    answer: StoreFuture<Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match fault {
        None => answer.await,
        Some(AskFault::Unavailable | AskFault::Denied) => Err(away()),
        Some(AskFault::Slow(pause)) => {
            tokio::time::sleep(pause).await;
            answer.await
        }
        Some(AskFault::Silent) => {
            let _ = answer.await;
            std::future::pending().await
        }
    }
}

impl TicketStore for FaultyStore {
    fn get(&self, id: TicketId) -> StoreFuture<Result<Option<Versioned<Ticket>>, StoreError>> {
        let fault = self.reads.next();
        let (inner, events) = (Arc::clone(&self.inner), Arc::clone(&self.events));
        Box::pin(async move {
            match fault {
                None => {}
                Some(ReadFault::Held) => {
                    events.held.add_permits(1);
                    happened(&events.let_go).await;
                }
                Some(ReadFault::Unavailable) => return Err(away()),
                Some(ReadFault::Slow(pause)) => tokio::time::sleep(pause).await,
                Some(ReadFault::Stale(found)) => return Ok(found.map(|found| *found)),
            }
            inner.get(id).await
        })
    }

    fn put_if(&self, id: TicketId, version: Version, ticket: Ticket) -> StoreFuture<WriteOutcome> {
        let fault = self.writes.next();
        let (inner, events) = (Arc::clone(&self.inner), Arc::clone(&self.events));
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
                        inner.put_if(id, version, ticket).await;
                        events.landed.add_permits(1);
                    });
                    lost()
                }
            }
        })
    }

    fn confirm(&self, id: TicketId, version: Option<Version>) -> StoreFuture<Result<bool, StoreError>> {
        match self.confirmations.next() {
            Some(AskFault::Denied) => Box::pin(async { Ok(false) }),
            fault => Box::pin(ask(fault, self.inner.confirm(id, version))),
        }
    }

    fn create(&self, tickets: Vec<(TicketId, Ticket)>) -> StoreFuture<Result<Vec<Created>, StoreError>> {
        let fault = self.creates.next();
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let unknown = |why: &str| vec![Created::Unknown(Arc::from(why)); tickets.len()];
            let lost = unknown("the reply was lost");
            match fault {
                None => inner.create(tickets).await,
                Some(CreateFault::LostReply) => inner.create(tickets).await.map(|_| lost),
                Some(CreateFault::LostRequest) => Ok(lost),
                Some(CreateFault::LostInPart(added)) => {
                    let part = tickets.into_iter().take(added).collect();
                    inner.create(part).await.map(|_| lost)
                }
                Some(CreateFault::Duplicate) => {
                    inner.create(tickets.clone()).await?;
                    let told = unknown("it is there, perhaps by this call");
                    let second = inner.create(tickets).await?.into_iter().zip(told);
                    Ok(second
                        .map(|(second, doubt)| if second == Created::New { second } else { doubt })
                        .collect())
                }
                Some(CreateFault::FindsItsOwn) => {
                    inner.create(tickets.clone()).await?;
                    inner.create(tickets).await
                }
                Some(CreateFault::Unavailable) => Err(away()),
                Some(CreateFault::Late(pause)) => {
                    tokio::spawn(async move {
                        tokio::time::sleep(pause).await;
                        inner.create(tickets).await
                    });
                    Ok(lost)
                }
                Some(CreateFault::Silent) => {
                    let _ = inner.create(tickets).await;
                    std::future::pending().await
                }
            }
        })
    }

    fn page(
        &self,
        batch: Option<Name>,
        from: Option<Cursor>,
        limit: usize,
    ) -> StoreFuture<Result<Page, StoreError>> {
        Box::pin(ask(self.pages.next(), self.inner.page(batch, from, limit)))
    }

    fn stats(
        &self,
        batch: Option<Name>,
        after: Option<BatchPlace>,
        limit: usize,
    ) -> StoreFuture<Result<Vec<BatchCount>, StoreError>> {
        Box::pin(ask(self.stats.next(), self.inner.stats(batch, after, limit)))
    }

    fn ping(&self) -> StoreFuture<Result<(), StoreError>> {
        Box::pin(ask(self.pings.next(), self.inner.ping()))
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("the store is away (a fault made by a test)".to_owned())
}
