//! The thread for writes: all waiting writes go into one transaction, with one sync of the disk.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc;

use super::super::{Operation, RequestOutcome, StoreError, StoreObserver};
use super::connection::path;
use super::error::{WriteError, explain, failed_commit};
use super::file::WatchedFile;
use super::job::{Reply, RowResult};
use super::migrations;

/// The pause after new rows, which come by the thousand. It lets another process that waits for the write lock get it:
/// such a process checks every millisecond.
const BULK_PAUSE: Duration = Duration::from_millis(3);

/// An item in the thread's queue.
pub(super) enum Queued {
    /// A write.
    Job(Job),
    /// A check whether writes would succeed.
    Ping(Reply<Result<(), StoreError>>),
}

/// A write, with the data that the thread needs to run it.
pub(super) struct Job {
    pub(super) work: Box<dyn WriteJob>,
    pub(super) statements: Statements,
    pub(super) operation: Operation,
    /// The number of rows that it writes.
    pub(super) items: usize,
}

/// How many row-changing statements a job executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statements {
    /// At most one: if it fails, SQLite undoes it.
    One,
    /// Any number: if one fails, a savepoint undoes the ones before it.
    Many,
}

/// A write as the thread sees it.
pub(super) trait WriteJob: Send {
    /// Whether a caller still waits for it.
    fn is_wanted(&self) -> bool;

    /// Executes the write inside the transaction of its batch, and keeps the result until it is durable.
    fn carry_out(&mut self, connection: &Connection) -> Result<(), StoreError>;

    /// Sends the result to the caller, or `failure` if the whole batch failed.
    fn tell(self: Box<Self>, failure: Option<&WriteError>);
}

/// A write that a caller waits for.
pub(super) struct Write<T, Work> {
    /// `Some` until it begins.
    work: Option<Work>,
    /// `Some` once it is done.
    done: Option<Result<T, StoreError>>,
    reply: Reply<Result<T, WriteError>>,
}

impl<T, Work> Write<T, Work> {
    pub(super) fn new(work: Work, reply: Reply<Result<T, WriteError>>) -> Self {
        Self { work: Some(work), done: None, reply }
    }
}

impl<T, Work> WriteJob for Write<T, Work>
where
    T: Send,
    Work: FnOnce(&Connection) -> RowResult<T> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn carry_out(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else { return Ok(()) };
        let done = work(connection).map_err(|error| explain(path(connection), &error));
        let failed = done.as_ref().err().cloned();
        self.done = Some(done);
        failed.map_or(Ok(()), Err)
    }

    fn tell(self: Box<Self>, failure: Option<&WriteError>) {
        let outcome = match (failure, self.done) {
            (Some(failure), _) => Err(failure.clone()),
            (None, Some(done)) => done.map_err(WriteError::Unavailable),
            // It was skipped, since no caller waited for it.
            (None, None) => return,
        };
        // The caller is gone when its request has timed out or its client has disconnected.
        let _ = self.reply.send(outcome);
    }
}

/// Executes jobs until the queue is closed.
pub(super) fn run(
    connection: &mut Connection,
    file: &WatchedFile,
    mut queue: mpsc::Receiver<Queued>,
    max_batch: usize,
    observer: &dyn StoreObserver,
) {
    let mut batch = Vec::with_capacity(max_batch);
    let mut jobs = Vec::with_capacity(max_batch);
    let mut healthy = true;
    while queue.blocking_recv_many(&mut batch, max_batch) > 0 {
        for queued in batch.drain(..) {
            match queued {
                Queued::Job(job) if job.work.is_wanted() => jobs.push(job),
                Queued::Job(_) => {}
                Queued::Ping(reply) => {
                    // Checks the file, without a sync of the disk. After a failure it tries a write.
                    let pong = if healthy { file.check() } else { try_to_write(connection, file) };
                    healthy |= pong.is_ok();
                    let _ = reply.send(pong);
                }
            }
        }
        if jobs.is_empty() {
            continue;
        }
        let (operation, items) = describe(&jobs);
        let failure = transact(connection, file, &mut jobs).err();
        healthy = failure.is_none();
        let outcome = match &failure {
            None => RequestOutcome::Done,
            Some(WriteError::Unknown(_)) => RequestOutcome::Unknown,
            Some(WriteError::Unavailable(_)) => RequestOutcome::Failed,
        };
        observer.request(operation, outcome, items);
        for job in jobs.drain(..) {
            job.work.tell(failure.as_ref());
        }
        if operation == Operation::Create {
            std::thread::sleep(BULK_PAUSE);
        }
    }
}

/// The operation that a batch is counted as: new rows if it holds any, otherwise writes.
fn describe(jobs: &[Job]) -> (Operation, usize) {
    let new = jobs.iter().filter(|job| job.operation == Operation::Create).map(|job| job.items).sum();
    if new == 0 { (Operation::Put, jobs.len()) } else { (Operation::Create, new) }
}

/// Executes the jobs in one transaction, except those that no caller waits for. On failure none of them is done, unless
/// the error is [`WriteError::Unknown`].
fn transact(connection: &mut Connection, file: &WatchedFile, jobs: &mut [Job]) -> Result<(), WriteError> {
    file.check().map_err(WriteError::Unavailable)?;
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| WriteError::Unavailable(explain(file.path(), &error)))?;
    for job in jobs {
        // Checked again, since waiting for the lock may have taken a while.
        if !job.work.is_wanted() {
            continue;
        }
        if let Err(error) = carry_out(job, &transaction) {
            // Errors such as a full disk make SQLite roll back the whole transaction; other errors concern one job.
            if transaction.is_autocommit() {
                return Err(WriteError::Unavailable(error));
            }
        }
    }
    transaction.commit().map_err(|error| failed_commit(file.path(), &error))
}

/// Executes one job atomically.
fn carry_out(job: &mut Job, transaction: &Connection) -> Result<(), StoreError> {
    if job.statements == Statements::One {
        return job.work.carry_out(transaction);
    }
    let execute = |sql| transaction.execute_batch(sql).map_err(|error| explain(path(transaction), &error));
    execute("SAVEPOINT job")?;
    let done = job.work.carry_out(transaction);
    // A transaction that SQLite has rolled back has no savepoint left.
    if !transaction.is_autocommit() {
        execute(if done.is_ok() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" })?;
    }
    done
}

/// A write that changes nothing, to see whether writes succeed.
fn try_to_write(connection: &mut Connection, file: &WatchedFile) -> Result<(), StoreError> {
    file.check()?;
    let explain = |error: rusqlite::Error| explain(file.path(), &error);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
    migrations::touch(&transaction).map_err(explain)?;
    transaction.commit().map_err(explain)
}
