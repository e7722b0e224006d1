//! The embedded store of tickets: a table in a file of the embedded engine, for one server on one machine.
//!
//! Knows tickets and their table. The [engine](crate::engine::sqlite) executes the statements, batches them and
//! makes them durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::{
    BatchCount, BatchPlace, Created, Cursor, MAX_PAGE, Operation, Page, StoreError, StoreFuture,
    StoreObserver, TicketStore, Version, Versioned, WriteOutcome,
};
use crate::engine::IfMissing;
pub use crate::engine::sqlite::Settings;
use crate::engine::sqlite::{self, Engine, WriteError};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Name, Ticket};
use schema::SCHEMA;

mod reads;
mod row;
mod schema;
mod writes;

/// The store. A drop lets queued jobs finish, and closes the file.
pub struct SqliteStore(Engine);

impl SqliteStore {
    /// Opens the file, creates it if told to, and migrates its schema.
    pub fn open(
        path: &Path,
        if_missing: IfMissing,
        settings: Settings,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<Self, StoreError> {
        Engine::open(path, if_missing, &SCHEMA, settings, observer).map(Self)
    }
}

/// Reads the whole file and reports damage.
pub fn check_integrity(path: &Path) -> Result<(), StoreError> {
    sqlite::check_integrity(path)
}

/// Takes the write lock and releases it.
pub fn check_writable(path: &Path) -> Result<(), StoreError> {
    sqlite::check_writable(path, &SCHEMA)
}

/// The files, of this one and those beside it, that other users may read or write, with their modes.
#[must_use]
pub fn open_to_others(path: &Path) -> Vec<(PathBuf, u32)> {
    sqlite::open_to_others(path)
}

impl TicketStore for SqliteStore {
    fn get(&self, id: TicketId) -> StoreFuture<Result<Option<Versioned<Ticket>>, StoreError>> {
        Box::pin(self.0.read(move |connection| reads::get(connection, id)))
    }

    fn put_if(&self, id: TicketId, version: Version, ticket: Ticket) -> StoreFuture<WriteOutcome> {
        let written = self.0.write_one(move |connection| writes::put(connection, &id, version, &ticket));
        Box::pin(async {
            match written.await {
                Ok(Some(version)) => WriteOutcome::Written(version),
                Ok(None) => WriteOutcome::Conflict,
                Err(WriteError::Unavailable(error)) => WriteOutcome::Unavailable(error),
                Err(WriteError::Unknown(why)) => WriteOutcome::Unknown(why),
            }
        })
    }

    /// There is only one copy, and reads see only committed data, so another read is a confirmation.
    fn confirm(&self, id: TicketId, version: Option<Version>) -> StoreFuture<Result<bool, StoreError>> {
        let found = self.get(id);
        Box::pin(async move { Ok(found.await?.map(|found| found.version) == version) })
    }

    fn create(&self, tickets: Vec<(TicketId, Ticket)>) -> StoreFuture<Result<Vec<Created>, StoreError>> {
        let count = tickets.len();
        let created = self
            .0
            .write_all(Operation::Create, count, move |connection| writes::create(connection, &tickets));
        Box::pin(async move {
            match created.await {
                Ok(created) => Ok(created),
                Err(WriteError::Unavailable(error)) => Err(error),
                Err(WriteError::Unknown(why)) => Ok(vec![Created::Unknown(Arc::from(why)); count]),
            }
        })
    }

    fn page(
        &self,
        batch: Option<Name>,
        from: Option<Cursor>,
        limit: usize,
    ) -> StoreFuture<Result<Page, StoreError>> {
        let Ok(after) = from.map(|Cursor(id)| TicketId::parse(&id).ok_or(())).transpose() else {
            let error = StoreError::Unavailable("the list cannot go on: begin anew".to_owned());
            return Box::pin(async { Err(error) });
        };
        let limit = limit.min(MAX_PAGE);
        let page = move |connection: &Connection| reads::page(connection, batch.as_ref(), after, limit);
        Box::pin(self.0.scan(page, |page| page.tickets.len()))
    }

    fn stats(
        &self,
        batch: Option<Name>,
        after: Option<BatchPlace>,
        limit: usize,
    ) -> StoreFuture<Result<Vec<BatchCount>, StoreError>> {
        let limit = limit.min(MAX_PAGE);
        let counts =
            move |connection: &Connection| reads::stats(connection, batch.as_ref(), after.as_ref(), limit);
        Box::pin(self.0.scan(counts, |_| 1))
    }

    fn ping(&self) -> StoreFuture<Result<(), StoreError>> {
        Box::pin(self.0.ping())
    }
}

#[cfg(test)]
mod tests;
