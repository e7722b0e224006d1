//! The store of tickets: the contract that every store keeps.
//!
//! # The contract
//!
//! - **A ticket is one record.** Reads and writes concern whole tickets; there is nothing else to keep in step.
//! - **Every change is a compare-and-set.** [`TicketStore::put_if`] replaces a ticket only while its
//!   [`Version`] is the one that the caller has read. Of any number of writers with the same version at most
//!   one gets [`WriteOutcome::Written`].
//! - **Versions never come back.** A ticket that was changed and changed back has a version that it never had before.
//! - **Reads normally see acknowledged writes.** A [`TicketStore::get`] that starts after a write was acknowledged to
//!   any caller sees that write or a later one, while no part of the store is cut off. During a partition a read may
//!   return a stale ticket, or a write that is never acknowledged. So no refusal may rest on a read without
//!   [`TicketStore::confirm`]. A conditional write needs no confirmation, since it confirms the version itself.
//! - **Confirmed is certain.** A version that [`TicketStore::confirm`] confirms was current at a moment during the
//!   call, and is durable.
//! - **Lists may lag.** [`TicketStore::page`] and [`TicketStore::stats`] may lag behind by some seconds.
//! - **Acknowledged is durable.** An acknowledged write survives a crash of the program and of the machine.
//! - **Doubt is reported as doubt.** [`WriteOutcome::Unavailable`] promises that the write was not made and never will
//!   be; whenever that is not certain, the outcome is [`WriteOutcome::Unknown`]. [`WriteOutcome::Conflict`] promises
//!   less: a store behind a network may report it of a write that it made, after a retry of its own. The caller reads
//!   again and compares ids.
//! - **Creating never overwrites.** [`TicketStore::create`] leaves tickets that exist as they are, so it can
//!   be repeated. If it is unknown whether this call added a ticket, the outcome is [`Created::Unknown`]; an
//!   error promises that the call added nothing and never will. [`super::create::create`] settles doubt by
//!   reading the tickets.
//! - **Everything is bounded.** A full queue answers [`StoreError::Overloaded`] at once.
//!
//! `tests/support/store/conformance.rs` tests a store against this contract. `tests/support/store/faulty.rs` wraps a
//! store and makes it lose replies, lag and report conflicts, to test the callers. Nothing here knows HTTP.

use std::sync::Arc;

pub use crate::engine::{
    Operation, RequestOutcome, StoreError, StoreFuture, StoreObserver, Version, Versioned, WriteOutcome,
};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Name, Ticket};

pub mod elasticsearch;
pub mod location;
pub mod sqlite;

/// One page of the tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the store's own order.
    pub tickets: Vec<(TicketId, Versioned<Ticket>)>,
    /// Where the next page begins; `None` when this is the last one.
    pub next: Option<Cursor>,
}

/// The place where a page begins. Only the store that made it can read it, and only for some minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub(in crate::redemption::store) String);

/// A store that is shared by several parts of the program.
pub type SharedStore = Arc<dyn TicketStore>;

/// A store of tickets. See the [module](self) for the contract.
pub trait TicketStore: Send + Sync + 'static {
    /// The current ticket, or `None` when there is none.
    fn get(&self, id: TicketId) -> StoreFuture<Result<Option<Versioned<Ticket>>, StoreError>>;

    /// Replaces the ticket, if it still has `version`.
    fn put_if(&self, id: TicketId, version: Version, ticket: Ticket) -> StoreFuture<WriteOutcome>;

    /// Whether the ticket has this version now, or with `None` whether it does not exist: answered by the part of the
    /// store that decides on writes, not by a copy that may be cut off. Changes nothing that a reader sees, though the
    /// version may differ afterwards. `false` means: read again.
    fn confirm(&self, id: TicketId, version: Option<Version>) -> StoreFuture<Result<bool, StoreError>>;

    /// Adds those of the tickets that do not exist yet. Returns one [`Created`] for each, in order. Callers pass some
    /// thousands at once, not all that they have. An error means that none was added and none will be. Repeating the
    /// call is safe.
    fn create(&self, tickets: Vec<(TicketId, Ticket)>) -> StoreFuture<Result<Vec<Created>, StoreError>>;

    /// Up to `limit` tickets (at most [`MAX_PAGE`]), from `from` on or from the first; of one batch or of all. A ticket
    /// that exists during the whole listing appears exactly once.
    fn page(
        &self,
        batch: Option<Name>,
        from: Option<Cursor>,
        limit: usize,
    ) -> StoreFuture<Result<Page, StoreError>>;

    /// Counts of up to `limit` batches (at most [`MAX_PAGE`]), sorted by album and name, after the place `after` or
    /// from the first; of the batches of one name or of all.
    fn stats(
        &self,
        batch: Option<Name>,
        after: Option<BatchPlace>,
        limit: usize,
    ) -> StoreFuture<Result<Vec<BatchCount>, StoreError>>;

    /// Whether the store would accept writes now, as far as it can tell.
    fn ping(&self) -> StoreFuture<Result<(), StoreError>>;
}

/// The most tickets of one [`TicketStore::page`], and the most batches of one [`TicketStore::stats`].
pub const MAX_PAGE: usize = 10_000;

/// The outcome of one ticket of a [`TicketStore::create`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// This call added it, and it is durable.
    New,
    /// A ticket with its id existed before, and stays as it is.
    Present,
    /// Whether this call added it is unknown. Holds the reason.
    Unknown(Arc<str>),
}

/// The place of a batch in the order of albums and names. Tickets with the same batch name and different albums count
/// as different batches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchPlace {
    /// The album of its tickets.
    pub album: Name,
    /// Its name.
    pub batch: Name,
}

/// How many tickets a batch has, by status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchCount {
    /// The batch.
    pub place: BatchPlace,
    /// Tickets that are not used.
    pub issued: u64,
    /// Tickets that are used up.
    pub redeemed: u64,
    /// Tickets that are revoked.
    pub revoked: u64,
}
