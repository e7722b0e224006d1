//! What every store is built on, whatever it keeps: versions and outcomes of conditional writes, batching while
//! waiting, and the engines, embedded and Elasticsearch.
//!
//! Knows no ticket, no key and no HTTP.

use std::pin::Pin;

pub(crate) mod batch;
pub(crate) mod elasticsearch;
pub mod sqlite;

/// What a store's method gives: a future that needs nothing of its caller.
pub type StoreFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Is told of every request that a store makes of its engine: one transaction, one bulk. Many operations may share one.
pub trait StoreObserver: Send + Sync + 'static {
    /// A request ended.
    fn request(&self, operation: Operation, outcome: RequestOutcome, items: usize);
}

/// Observes nothing.
impl StoreObserver for () {
    fn request(&self, _: Operation, _: RequestOutcome, _: usize) {}
}

/// What a store asked of its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Records by their ids.
    Get,
    /// Conditional writes and confirmations.
    Put,
    /// New records.
    Create,
    /// A page of records, or counts of them.
    Scan,
}

/// How a store's request to its engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestOutcome {
    /// It was done.
    Done,
    /// It was not done.
    Failed,
    /// Nobody can say.
    Unknown,
}

/// A record with the version that it had when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// For the conditional write that follows.
    pub version: Version,
    /// What was read.
    pub value: T,
}

/// A version of one record. Only equality means anything.
///
/// Two numbers, because a replicated store tells two writes with the same sequence number apart by the term of
/// the primary that made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counts the changes.
    pub sequence: u64,
    /// Counts the reigns of whoever counts the changes; 0 in a store that has only one.
    pub term: u64,
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is made and durable; the record has this version now.
    Written(Version),
    /// The record has another version, or does not exist. (Or it is made after all: see the contract.)
    Conflict,
    /// It was not made and will not be.
    Unavailable(StoreError),
    /// Nobody can say yet whether it was made. Holds why.
    Unknown(String),
}

/// Why a store could not do what it was asked. Nothing was changed, unless the method says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting already.
    #[error("the store has more to do than it can: try again shortly")]
    Overloaded,
    /// It does not answer, or answers that it cannot. Says what to do.
    #[error("{0}")]
    Unavailable(String),
    /// It holds something that does not belong there. Says where.
    #[error("{0}")]
    Corrupt(String),
}

impl StoreError {
    /// Nothing was heard of it until the caller's time was up.
    #[must_use]
    pub fn silent() -> Self {
        Self::Unavailable("no answer in time".to_owned())
    }

    /// The part of the program that would have answered has ended.
    pub(crate) fn stopped() -> Self {
        Self::Unavailable("the store has stopped: restart the program".to_owned())
    }
}

/// Whether a store that does not exist yet is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// Make it.
    Create,
    /// Say that it is missing.
    Fail,
}
