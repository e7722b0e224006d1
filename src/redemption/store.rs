//! Where tickets live: the contract that every store keeps, in words.
//!
//! # The contract
//!
//! - **A ticket is one record.** Reads and writes concern whole tickets; there is nothing else to keep in step.
//! - **Every change is a compare-and-set.** [`TicketStore::put_if`] replaces a ticket only while its [`Version`] is
//!   the one that the caller has read. Of any number of writers with the same version at most one is told
//!   [`WriteOutcome::Written`].
//! - **Versions never come back.** A ticket that was changed and changed back has a version that it never had before.
//! - **Reads see acknowledged writes, as a rule.** A [`TicketStore::get`] that starts after a write was acknowledged,
//!   to whomever, sees it or a later one while the store is whole. While a part of it is cut off, a read may give what
//!   is no longer so, or what never comes to be acknowledged. [`TicketStore::confirm`] tells: nobody is sent away on
//!   account of a read that it has not confirmed. A conditional write needs no confirmation, since it is its own.
//! - **Confirmed is certain.** What [`TicketStore::confirm`] confirms was so at a moment during the call, and is
//!   durable.
//! - **Lists may lag.** [`TicketStore::page`] and [`TicketStore::stats`] may lag behind by some seconds.
//! - **Acknowledged is durable.** Neither a crash of the program nor of the machine takes back what was told as
//!   written.
//! - **Doubt is told as doubt.** [`WriteOutcome::Unavailable`] promises that the write was not made and never will be;
//!   whenever that is not certain the outcome is [`WriteOutcome::Unknown`]. [`WriteOutcome::Conflict`] promises less
//!   than one might think: a store behind a network may report it of a write that it made, on a retry of its own. The
//!   caller reads again and compares ids.
//! - **Creating never overwrites.** [`TicketStore::create`] leaves tickets that exist as they are, so it can be
//!   repeated. A ticket of which nobody can say whether this call added it is [`Created::Unknown`]; an error promises
//!   that the call added nothing and never will. [`super::create::create`] settles doubt by reading the tickets.
//! - **Everything is bounded.** Queues are; a full one answers [`StoreError::Overloaded`] at once.
//!
//! `tests/support/store/conformance.rs` holds a store to this. `tests/support/store/faulty.rs` wraps a store and makes
//! it lose replies, lag and report conflicts, to hold the callers to it. Nothing here knows HTTP.

use std::sync::Arc;

pub use crate::engine::{
    Operation, RequestOutcome, StoreError, StoreFuture, StoreObserver, Version, Versioned, WriteOutcome,
};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Name, Ticket};

pub mod elasticsearch;
pub mod location;
pub mod sqlite;

/// Some of the tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In an order of the store's own.
    pub tickets: Vec<(TicketId, Versioned<Ticket>)>,
    /// Where the next page begins; `None` when this is the last one.
    pub next: Option<Cursor>,
}

/// Where a page begins. Only the store that made it can read it, and only for some minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub(in crate::redemption::store) String);

/// A store that several parts of the program use.
pub type SharedStore = Arc<dyn TicketStore>;

/// A store of tickets. See the [module](self) for the contract.
pub trait TicketStore: Send + Sync + 'static {
    /// The ticket as it is now, or `None` when there is none.
    fn get(&self, id: TicketId) -> StoreFuture<Result<Option<Versioned<Ticket>>, StoreError>>;

    /// Replaces the ticket, if `version` is still the one it has.
    fn put_if(&self, id: TicketId, version: Version, ticket: Ticket) -> StoreFuture<WriteOutcome>;

    /// Whether the ticket has this version now, or with `None` whether it does not exist: answered by whoever decides
    /// about writes, not by a copy that may have been left behind. Changes nothing that a reader sees, though the
    /// version may be another one afterwards. `false` means: read again.
    fn confirm(&self, id: TicketId, version: Option<Version>) -> StoreFuture<Result<bool, StoreError>>;

    /// Adds those of the tickets that do not exist yet; one [`Created`] for each, in order. Callers give some thousands
    /// at once, not all that they have. An error means that none was added and none will be. Calling again is safe.
    fn create(&self, tickets: Vec<(TicketId, Ticket)>) -> StoreFuture<Result<Vec<Created>, StoreError>>;

    /// Up to `limit` tickets (at most [`MAX_PAGE`]), from `from` on or the first ones; of one batch or of all. From
    /// page to page each ticket that was there all the time comes once.
    fn page(
        &self,
        batch: Option<Name>,
        from: Option<Cursor>,
        limit: usize,
    ) -> StoreFuture<Result<Page, StoreError>>;

    /// Counts of up to `limit` batches (at most [`MAX_PAGE`]), sorted by album and name: those after the place `after`,
    /// or the first ones; of the batches of one name or of all.
    fn stats(
        &self,
        batch: Option<Name>,
        after: Option<BatchPlace>,
        limit: usize,
    ) -> StoreFuture<Result<Vec<BatchCount>, StoreError>>;

    /// Whether the store would take writes now, as far as it can tell.
    fn ping(&self) -> StoreFuture<Result<(), StoreError>>;
}

/// The most tickets that one [`TicketStore::page`] gives, and the most batches of one [`TicketStore::stats`].
pub const MAX_PAGE: usize = 10_000;

/// What became of one ticket of a [`TicketStore::create`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// This call added it, and it is durable.
    New,
    /// One with its id existed before, and stays as it is.
    Present,
    /// Nobody can say yet whether this call added it. Holds why.
    Unknown(Arc<str>),
}

/// The place of a batch in the order of albums and names. The tickets of one name that give different albums count as
/// different batches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchPlace {
    /// The album that its tickets give.
    pub album: Name,
    /// Its name.
    pub batch: Name,
}

/// How many tickets a batch has, by status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchCount {
    /// Which batch.
    pub place: BatchPlace,
    /// Tickets that nobody has used.
    pub issued: u64,
    /// Tickets that are used up.
    pub redeemed: u64,
    /// Tickets that are void.
    pub revoked: u64,
}
