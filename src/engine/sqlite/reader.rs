//! The thread for short reads: all waiting reads share one read transaction.

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::super::{Operation, RequestOutcome, StoreError, StoreObserver};
use super::connection::path;
use super::error::explain;
use super::job::{Reply, RowResult};

/// A read as the thread sees it.
pub(super) trait ReadJob: Send {
    /// Whether a caller still waits for it.
    fn is_wanted(&self) -> bool;

    /// Reads, or fails if no transaction could be begun, and sends the answer to the caller. Returns whether
    /// all went well.
    fn answer(self: Box<Self>, connection: Result<&Connection, &StoreError>) -> bool;
}

/// A read that a caller waits for.
pub(super) struct Read<T, Work> {
    pub(super) work: Work,
    pub(super) reply: Reply<Result<T, StoreError>>,
}

impl<T, Work> ReadJob for Read<T, Work>
where
    T: Send,
    Work: FnOnce(&Connection) -> RowResult<T> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn answer(self: Box<Self>, connection: Result<&Connection, &StoreError>) -> bool {
        let Self { work, reply } = *self;
        let found = match connection {
            Ok(connection) => work(connection).map_err(|error| explain(path(connection), &error)),
            Err(error) => Err(error.clone()),
        };
        let done = found.is_ok();
        // The caller is gone when its request has timed out or its client has disconnected.
        let _ = reply.send(found);
        done
    }
}

/// Answers reads until the queue is closed.
pub(super) fn run(
    connection: &Connection,
    mut queue: mpsc::Receiver<Box<dyn ReadJob>>,
    max_batch: usize,
    observer: &dyn StoreObserver,
) {
    let mut batch = Vec::with_capacity(max_batch);
    while queue.blocking_recv_many(&mut batch, max_batch) > 0 {
        batch.retain(|job| job.is_wanted());
        if batch.is_empty() {
            continue;
        }
        let items = batch.len();
        let transaction = connection.unchecked_transaction();
        let begun = transaction.as_ref().map(|_| connection);
        let begun = begun.map_err(|error| explain(path(connection), error));
        let mut outcome = RequestOutcome::Done;
        for job in batch.drain(..) {
            if !job.answer(begun.as_ref().copied()) {
                outcome = RequestOutcome::Failed;
            }
        }
        observer.request(Operation::Get, outcome, items);
    }
}
