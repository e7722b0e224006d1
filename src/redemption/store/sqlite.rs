//! The embedded store: one SQLite file, for one server on one machine.
//!
//! Four threads own a connection each: one writes, one folds the log into the file, one reads tickets, one scans. Each takes whatever has arrived
//! while it was busy as one batch: one read transaction for all the gets, one write transaction and one `fdatasync` for all
//! the writes. There is no timer: an idle store answers at once, and a busy one shares the cost of a sync
//! among hundreds.
//!
//! The file is in WAL mode with `synchronous=FULL`, so what a commit acknowledges survives a crash of the machine, and
//! other processes (the command-line tools) can use the file at the same time. Knows SQLite, and nothing of HTTP.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::location::IfMissing;
use super::{
    BatchCount, BatchPlace, Created, Cursor, Page, StoreError, StoreFuture, StoreObserver, TicketStore,
    Version, Versioned, WriteOutcome,
};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Name, Ticket};

mod checkpointer;
mod connection;
mod error;
mod reader;
mod row;
mod schema;
mod writer;

use checkpointer::Checkpointer;
pub use connection::{check_integrity, check_writable};

/// How the store is run. The defaults are right for every use but measuring.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Operations that may wait in each queue; one more is refused at once.
    pub max_queue: usize,
    /// Operations that share a transaction, at most.
    pub max_batch: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_queue: 8192, max_batch: 1024 }
    }
}

/// The store. Dropping it lets what is queued finish, and closes the file.
pub struct SqliteStore {
    /// `None` only while dropping.
    queues: Option<Queues>,
    threads: Vec<JoinHandle<()>>,
}

struct Queues {
    writes: mpsc::Sender<writer::Job>,
    gets: mpsc::Sender<reader::Get>,
    scans: mpsc::Sender<reader::Scan>,
}

type Reply<T> = oneshot::Sender<T>;

impl SqliteStore {
    /// Opens the file, makes it when told to, and migrates its schema.
    pub fn open(
        path: &Path,
        if_missing: IfMissing,
        settings: Settings,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<Self, StoreError> {
        let mut writing = connection::open_writer(path, if_missing)?;
        let reading = connection::open_reader(path)?;
        let scanning = connection::open_reader(path)?;
        let (writes, write_queue) = mpsc::channel(settings.max_queue);
        let (gets, get_queue) = mpsc::channel(settings.max_queue);
        let (scans, scan_queue) = mpsc::channel(settings.max_queue);
        let watched = connection::WatchedFile::new(path)?;
        let (max_batch, scan_observer) = (settings.max_batch, Arc::clone(&observer));
        let get_observer = Arc::clone(&observer);
        let checkpointer = Checkpointer::start(&mut writing, path, checkpointer::MAX_PAGES)?;
        let threads = vec![
            spawn("store-read", move || reader::run_gets(&reading, get_queue, max_batch, &*get_observer))?,
            spawn("store-scan", move || reader::run_scans(&scanning, scan_queue, &*scan_observer))?,
            spawn("store-write", move || {
                writer::run(&mut writing, &watched, write_queue, max_batch, &*observer);
                checkpointer.end(&mut writing);
            })?,
        ];
        Ok(Self { queues: Some(Queues { writes, gets, scans }), threads })
    }

    /// Queues a job, or says at once that there is no room.
    fn submit<Job, T>(
        &self,
        queue: impl Fn(&Queues) -> &mpsc::Sender<Job>,
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

    fn scan<T: Send + 'static>(
        &self,
        job: impl FnOnce(Reply<Result<T, StoreError>>) -> reader::Scan,
    ) -> StoreFuture<Result<T, StoreError>> {
        let submitted = self.submit(|queues| &queues.scans, job);
        Box::pin(async { submitted?.await.unwrap_or_else(|_| Err(stopped())) })
    }
}

impl TicketStore for SqliteStore {
    fn get(&self, id: TicketId) -> StoreFuture<Result<Option<Versioned<Ticket>>, StoreError>> {
        let submitted = self.submit(|queues| &queues.gets, |reply| reader::Get { id, reply });
        Box::pin(async { submitted?.await.unwrap_or_else(|_| Err(stopped())) })
    }

    fn put_if(&self, id: TicketId, version: Version, ticket: Ticket) -> StoreFuture<WriteOutcome> {
        let submitted = self.submit(
            |queues| &queues.writes,
            |reply| writer::Job::Put(Box::new(writer::Put { id, version, ticket, reply })),
        );
        Box::pin(async {
            match submitted {
                Err(error) => WriteOutcome::Unavailable(error),
                // The writer is gone without an answer: it may have died between the commit and the reply.
                Ok(answer) => answer.await.unwrap_or_else(|_| WriteOutcome::Unknown(stopped().to_string())),
            }
        })
    }

    /// There is only one copy, and what is read from it is committed: reading again tells.
    fn confirm(&self, id: TicketId, version: Option<Version>) -> StoreFuture<Result<bool, StoreError>> {
        let found = self.get(id);
        Box::pin(async move { Ok(found.await?.map(|found| found.version) == version) })
    }

    fn create(&self, tickets: Vec<(TicketId, Ticket)>) -> StoreFuture<Result<Vec<Created>, StoreError>> {
        let count = tickets.len();
        let submitted = self.submit(|queues| &queues.writes, |reply| writer::Job::Create { tickets, reply });
        Box::pin(async move {
            // As in `put_if`: the writer may have died between the commit and the reply.
            submitted?.await.unwrap_or_else(|_| Ok(all_unknown(count, &stopped().to_string())))
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
        self.scan(|reply| reader::Scan::Page { batch, after, limit, reply })
    }

    fn stats(
        &self,
        batch: Option<Name>,
        after: Option<BatchPlace>,
        limit: usize,
    ) -> StoreFuture<Result<Vec<BatchCount>, StoreError>> {
        self.scan(|reply| reader::Scan::Stats { batch, after, limit, reply })
    }

    fn ping(&self) -> StoreFuture<Result<(), StoreError>> {
        let submitted = self.submit(|queues| &queues.writes, writer::Job::Ping);
        Box::pin(async { submitted?.await.unwrap_or_else(|_| Err(stopped())) })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        let Some(Queues { writes, gets, scans }) = self.queues.take() else { return };
        drop((gets, scans));
        // The writer is the last in the list and goes last: closing the last connection folds the log into the file, which one
        // that only reads would not do.
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

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| StoreError::Unavailable(format!("no thread can be started for the store: {error}")))
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the store panicked");
    }
}

fn all_unknown(count: usize, why: &str) -> Vec<Created> {
    vec![Created::Unknown(Arc::from(why)); count]
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store has stopped: restart the program".to_owned())
}
