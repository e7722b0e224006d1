//! The base of every store: versions and outcomes of conditional writes, batching, and the engines,
//! embedded and Elasticsearch.
//!
//! Knows no ticket, no key and no HTTP.

use std::pin::Pin;

pub(crate) mod batch;
pub(crate) mod elasticsearch;
pub mod sqlite;

/// The result of a store's method: a future that borrows nothing from its caller.
pub type StoreFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Observes every request of a store to its engine: one transaction, one bulk. Many operations may share one request.
pub trait StoreObserver: Send + Sync + 'static {
    /// A request ended.
    fn request(&self, operation: Operation, outcome: RequestOutcome, items: usize);
}

/// Observes nothing.
impl StoreObserver for () {
    fn request(&self, _: Operation, _: RequestOutcome, _: usize) {}
}

/// The kind of a store's request to its engine.
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
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// The outcome is unknown.
    Unknown,
}

/// A record with the version that it had when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// For the conditional write that follows.
    pub version: Version,
    /// The record.
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
    /// The term of the primary that counts the changes; 0 in a store without terms.
    pub term: u64,
}

/// The outcome of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is made and durable; the record has this version now.
    Written(Version),
    /// The record has another version, or does not exist. (Or the write was made after all: see the contract.)
    Conflict,
    /// It was not made and will not be.
    Unavailable(StoreError),
    /// Whether it was made is not known yet. Holds the reason.
    Unknown(String),
}

/// Why a store could not carry out an operation. Nothing was changed, unless the method says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The queue is full.
    #[error("the store has more to do than it can: try again shortly")]
    Overloaded,
    /// It does not answer, or answers with an error. Says what to do.
    #[error("{0}")]
    Unavailable(String),
    /// It holds data that does not belong there. Says where.
    #[error("{0}")]
    Corrupt(String),
}

impl StoreError {
    /// There was no answer before the caller's timeout.
    #[must_use]
    pub fn silent() -> Self {
        Self::Unavailable("no answer in time".to_owned())
    }

    /// The part of the program that would have answered has ended.
    pub(crate) fn stopped() -> Self {
        Self::Unavailable("the store has stopped: restart the program".to_owned())
    }
}

/// Whether a missing store is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// Create it.
    Create,
    /// Fail and say that it is missing.
    Fail,
}
