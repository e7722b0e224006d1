//! The embedded engine: one SQLite file, for one server on one machine. A context provides its schema
//! and its statements.
//!
//! Four threads own a connection each: one writes, one moves the write-ahead log into the file (the checkpointer), one
//! answers short reads, one scans. Writer and reader take all jobs that arrived while they were busy as one batch: one
//! read transaction for all the reads, one write transaction and one `fdatasync` for all the writes. There is no timer:
//! an idle engine answers at once, and a busy one shares the cost of a sync among hundreds.
//!
//! The file is in WAL mode with `synchronous=FULL`, so what a commit acknowledges survives a crash of the machine, and
//! other processes (the command-line tools) can use the file at the same time.
//!
//! A job is a closure over a connection. If its caller has gone, a job is dropped before it begins, and a
//! scan is interrupted.
//!
//! Knows SQLite. Knows no ticket, no table and no HTTP.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{IfMissing, Operation, StoreError, StoreObserver};
use checkpointer::Checkpointer;
use job::{Reply, RowResult};
use reader::{Read, ReadJob};
use scanner::{Scan, ScanJob};
use threads::{join, spawn, stopped};
use writer::{Job, Queued, Statements, Write};

mod checkpointer;
mod connection;
mod error;
mod file;
mod job;
mod migrations;
mod reader;
mod scanner;
mod threads;
mod writer;

pub(crate) use connection::{check_integrity, check_writable};
pub(crate) use error::WriteError;
pub(crate) use file::open_to_others;
pub(crate) use migrations::Schema;

/// The settings of an engine. The defaults are right for every use except measurements.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The most jobs that may wait in each queue; one more is refused at once.
    pub max_queue: usize,
    /// The most jobs in one transaction.
    pub max_batch: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_queue: 8192, max_batch: 1024 }
    }
}

/// An open file. A drop lets queued jobs finish, and closes the file.
pub(crate) struct Engine {
    /// `None` only while dropping.
    queues: Option<Queues>,
    threads: Vec<JoinHandle<()>>,
}

struct Queues {
    writes: mpsc::Sender<Queued>,
    reads: mpsc::Sender<Box<dyn ReadJob>>,
    scans: mpsc::Sender<Box<dyn ScanJob>>,
}

impl Engine {
    /// Opens the file, creates it if told to, and migrates it to this schema.
    pub(crate) fn open(
        path: &Path,
        if_missing: IfMissing,
        schema: &Schema,
        settings: Settings,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<Self, StoreError> {
        let mut writing = connection::open_writer(path, if_missing, schema)?;
        let reading = connection::open_reader(path)?;
        let mut scanning = connection::open_reader(path)?;
        let (writes, write_queue) = mpsc::channel(settings.max_queue);
        let (reads, read_queue) = mpsc::channel(settings.max_queue);
        let (scans, scan_queue) = mpsc::channel(settings.max_queue);
        let watched = file::WatchedFile::new(path)?;
        let max_batch = settings.max_batch;
        let [read_observer, scan_observer] = [(); 2].map(|()| Arc::clone(&observer));
        let checkpointer = Checkpointer::start(&mut writing, path, checkpointer::MAX_PAGES)?;
        let threads = vec![
            spawn("store-read", move || reader::run(&reading, read_queue, max_batch, &*read_observer))?,
            spawn("store-scan", move || scanner::run(&mut scanning, scan_queue, &*scan_observer))?,
            spawn("store-write", move || {
                writer::run(&mut writing, &watched, write_queue, max_batch, &*observer);
                checkpointer.end(&mut writing);
            })?,
        ];
        Ok(Self { queues: Some(Queues { writes, reads, scans }), threads })
    }

    /// A read of few rows. All waiting reads share a transaction.
    pub(crate) fn read<T, Work>(
        &self,
        work: Work,
    ) -> impl Future<Output = Result<T, StoreError>> + use<T, Work>
    where
        T: Send + 'static,
        Work: FnOnce(&Connection) -> RowResult<T> + Send + 'static,
    {
        let answer = self.submit(|queues| &queues.reads, |reply| Box::new(Read { work, reply }));
        async { answer?.await.unwrap_or_else(|_| Err(stopped())) }
    }

    /// A read of many rows, on the thread for scans. `items` counts the rows that were read.
    pub(crate) fn scan<T, Work>(
        &self,
        work: Work,
        items: fn(&T) -> usize,
    ) -> impl Future<Output = Result<T, StoreError>> + use<T, Work>
    where
        T: Send + 'static,
        Work: FnOnce(&Connection) -> RowResult<T> + Send + 'static,
    {
        let answer = self.submit(|queues| &queues.scans, |reply| Box::new(Scan { work, items, reply }));
        async { answer?.await.unwrap_or_else(|_| Err(stopped())) }
    }

    /// A write that executes at most one statement that changes rows; SQLite makes such a statement atomic.
    pub(crate) fn write_one<T, Work>(
        &self,
        work: Work,
    ) -> impl Future<Output = Result<T, WriteError>> + use<T, Work>
    where
        T: Send + 'static,
        Work: FnOnce(&Connection) -> RowResult<T> + Send + 'static,
    {
        self.write(Statements::One, Operation::Put, 1, work)
    }

    /// A write that executes any number of statements: all take effect or none. It is counted as `operation` on `items`
    /// rows; after [`Operation::Create`] other processes get a turn.
    pub(crate) fn write_all<T, Work>(
        &self,
        operation: Operation,
        items: usize,
        work: Work,
    ) -> impl Future<Output = Result<T, WriteError>> + use<T, Work>
    where
        T: Send + 'static,
        Work: FnOnce(&Connection) -> RowResult<T> + Send + 'static,
    {
        self.write(Statements::Many, operation, items, work)
    }

    /// The answer comes once the transaction is durable.
    fn write<T, Work>(
        &self,
        statements: Statements,
        operation: Operation,
        items: usize,
        work: Work,
    ) -> impl Future<Output = Result<T, WriteError>> + use<T, Work>
    where
        T: Send + 'static,
        Work: FnOnce(&Connection) -> RowResult<T> + Send + 'static,
    {
        let queued = |reply| {
            let work = Box::new(Write::new(work, reply));
            Queued::Job(Job { work, statements, operation, items })
        };
        let answer = self.submit(|queues| &queues.writes, queued);
        async {
            match answer {
                Err(error) => Err(WriteError::Unavailable(error)),
                // The writer ended without an answer: it may have died between the commit and the reply.
                Ok(answer) => {
                    answer.await.unwrap_or_else(|_| Err(WriteError::Unknown(stopped().to_string())))
                }
            }
        }
    }

    /// Whether reads and writes would succeed now, as far as the engine can tell.
    pub(crate) fn ping(&self) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let writer = self.submit(|queues| &queues.writes, Queued::Ping);
        let reader =
            self.read(|connection| connection.query_row("SELECT 1 FROM sqlite_schema", [], |_| Ok(())));
        async {
            let writer = async { writer?.await.unwrap_or_else(|_| Err(stopped())) };
            tokio::try_join!(writer, reader).map(|_| ())
        }
    }

    /// Queues a job, or fails at once if the queue is full.
    fn submit<Job, T>(
        &self,
        queue: impl FnOnce(&Queues) -> &mpsc::Sender<Job>,
        job: impl FnOnce(Reply<T>) -> Job,
    ) -> Result<oneshot::Receiver<T>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queues = self.queues.as_ref().ok_or_else(stopped)?;
        match queue(queues).try_send(job(reply)) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => Err(StoreError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(stopped()),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some(Queues { writes, reads, scans }) = self.queues.take() else { return };
        drop((reads, scans));
        // The writer is the last in the list and ends last: closing the last connection checkpoints the log, which a
        // read-only connection would not do.
        let writer = self.threads.pop();
        for thread in self.threads.drain(..) {
            join(thread);
        }
        drop(writes);
        if let Some(writer) = writer {
            join(writer);
        }
    }
}

#[cfg(test)]
mod tests;
