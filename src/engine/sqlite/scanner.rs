//! The thread for scans: pages and counts, one after the other. A scan that no caller waits for any
//! more is interrupted.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::super::{Operation, RequestOutcome, StoreError, StoreObserver};
use super::connection::path;
use super::error::explain;
use super::job::{Reply, RowResult};

/// Instructions of SQLite's virtual machine between two checks whether a caller still waits: about one
/// millisecond of work.
const INSTRUCTIONS_A_LOOK: i32 = 50_000;

/// A scan as the thread sees it.
pub(super) trait ScanJob: Send {
    /// Scans while a caller waits for it, and sends the answer to the caller.
    fn answer(self: Box<Self>, connection: &mut Connection, observer: &dyn StoreObserver);
}

/// A scan that a caller waits for.
pub(super) struct Scan<T, Work> {
    pub(super) work: Work,
    pub(super) items: fn(&T) -> usize,
    pub(super) reply: Reply<Result<T, StoreError>>,
}

impl<T, Work> ScanJob for Scan<T, Work>
where
    T: Send + 'static,
    Work: FnOnce(&Connection) -> RowResult<T> + Send,
{
    fn answer(self: Box<Self>, connection: &mut Connection, observer: &dyn StoreObserver) {
        let Self { work, items, reply } = *self;
        if reply.is_closed() {
            return;
        }
        let reply = Arc::new(reply);
        let watched = Arc::clone(&reply);
        let watching = connection.progress_handler(INSTRUCTIONS_A_LOOK, Some(move || watched.is_closed()));
        let found = watching.and_then(|()| work(connection));
        let nothing: Option<fn() -> bool> = None;
        if let Err(error) = connection.progress_handler(0, nothing) {
            tracing::warn!(%error, "the interrupt check of a finished scan stays in place");
        }
        let Some(reply) = Arc::into_inner(reply).filter(|reply| !reply.is_closed()) else { return };
        let (outcome, items) = match &found {
            Ok(found) => (RequestOutcome::Done, items(found)),
            Err(_) => (RequestOutcome::Failed, 0),
        };
        observer.request(Operation::Scan, outcome, items);
        let _ = reply.send(found.map_err(|error| explain(path(connection), &error)));
    }
}

/// Answers scans until the queue is closed.
pub(super) fn run(
    connection: &mut Connection,
    mut queue: mpsc::Receiver<Box<dyn ScanJob>>,
    observer: &dyn StoreObserver,
) {
    while let Some(scan) = queue.blocking_recv() {
        scan.answer(connection, observer);
    }
}
