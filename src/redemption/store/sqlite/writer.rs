//! The thread that writes: everything that has arrived goes into one transaction, with one sync of the disk.

use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc;

use super::super::{Created, Operation, RequestOutcome, StoreError, StoreObserver, Version, WriteOutcome};
use super::connection::WatchedFile;
use super::error::{explain, failed_commit};
use super::{Reply, all_unknown, row, schema};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::Ticket;

/// After new tickets, which come by the thousand, so that another process that waits for its turn to write gets it: it looks
/// every millisecond.
const BULK_PAUSE: Duration = Duration::from_millis(3);

/// A write that somebody waits for.
pub(super) enum Job {
    Put(Box<Put>),
    Create {
        tickets: Vec<(TicketId, Ticket)>,
        reply: Reply<Result<Vec<Created>, StoreError>>,
    },
    /// Whether writes would succeed.
    Ping(Reply<Result<(), StoreError>>),
}

/// A conditional write.
pub(super) struct Put {
    pub(super) id: TicketId,
    pub(super) version: Version,
    pub(super) ticket: Ticket,
    pub(super) reply: Reply<WriteOutcome>,
}

/// A job that was carried out inside the transaction, and is told of only once that is durable.
enum Pending {
    Put(Reply<WriteOutcome>, WriteOutcome),
    Create(Reply<Result<Vec<Created>, StoreError>>, Result<Vec<Created>, StoreError>),
    Ping(Reply<Result<(), StoreError>>, Result<(), StoreError>),
}

/// Carries out jobs until nobody can ask any more.
pub(super) fn run(
    connection: &mut Connection,
    file: &WatchedFile,
    mut queue: mpsc::Receiver<Job>,
    max_batch: usize,
    observer: &dyn StoreObserver,
) {
    let mut batch = Vec::with_capacity(max_batch);
    let mut pending = Vec::with_capacity(max_batch);
    let mut healthy = true;
    while queue.blocking_recv_many(&mut batch, max_batch) > 0 {
        if healthy {
            // A ping alone costs a look at the file, and no sync of the disk. After a failure it tries a write.
            answer_pings(&mut batch, file);
            if batch.is_empty() {
                continue;
            }
        }
        let (operation, items) = describe(&batch);
        let failure = transact(connection, file, &mut batch, &mut pending).err();
        healthy = failure.is_none();
        let outcome = match &failure {
            None => RequestOutcome::Done,
            Some(WriteOutcome::Unknown(_)) => RequestOutcome::Unknown,
            Some(_) => RequestOutcome::Failed,
        };
        observer.request(operation, outcome, items);
        for done in pending.drain(..) {
            done.tell(failure.as_ref());
        }
        for job in batch.drain(..) {
            Pending::from(job, Err(StoreError::Overloaded)).tell(failure.as_ref());
        }
        if operation == Operation::Create {
            std::thread::sleep(BULK_PAUSE);
        }
    }
}

fn answer_pings(batch: &mut Vec<Job>, file: &WatchedFile) {
    for job in batch.extract_if(.., |job| matches!(job, Job::Ping(_))) {
        Pending::from(job, file.check()).tell(None);
    }
}

/// What a batch is counted as: new tickets if it holds any, and otherwise writes.
fn describe(batch: &[Job]) -> (Operation, usize) {
    let new = |job: &Job| if let Job::Create { tickets, .. } = job { tickets.len() } else { 0 };
    match batch.iter().map(new).sum() {
        0 => (Operation::Put, batch.len()),
        new => (Operation::Create, new),
    }
}

/// Carries out the batch in one transaction. On failure none of it is done, unless the outcome is
/// [`WriteOutcome::Unknown`].
fn transact(
    connection: &mut Connection,
    file: &WatchedFile,
    batch: &mut Vec<Job>,
    pending: &mut Vec<Pending>,
) -> Result<(), WriteOutcome> {
    let refused = |error: rusqlite::Error| WriteOutcome::Unavailable(explain(file.path(), &error));
    file.check().map_err(WriteOutcome::Unavailable)?;
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
    let mut jobs = batch.drain(..);
    while let Some(job) = jobs.next() {
        let (done, error) = job.carry_out(&transaction, file);
        pending.push(done);
        // A full disk and the like make SQLite roll everything back by itself; other errors concern one job.
        if let Some(error) = error.filter(|_| transaction.is_autocommit()) {
            pending.extend(jobs.map(|job| Pending::from(job, Err(error.clone()))));
            return Err(WriteOutcome::Unavailable(error));
        }
    }
    drop(jobs);
    transaction.commit().map_err(|error| failed_commit(file.path(), &error))
}

impl Job {
    fn carry_out(self, connection: &Connection, file: &WatchedFile) -> (Pending, Option<StoreError>) {
        let explain = |error: rusqlite::Error| explain(file.path(), &error);
        match self {
            Self::Put(put) => {
                let (outcome, error) = match execute_put(connection, &put) {
                    Ok(outcome) => (outcome, None),
                    Err(error) => {
                        let error = explain(error);
                        (WriteOutcome::Unavailable(error.clone()), Some(error))
                    }
                };
                (Pending::Put(put.reply, outcome), error)
            }
            Self::Create { tickets, reply } => {
                let created = execute_create(connection, &tickets).map_err(explain);
                let error = created.as_ref().err().cloned();
                (Pending::Create(reply, created), error)
            }
            Self::Ping(reply) => {
                let written = schema::touch(connection).map_err(explain);
                let error = written.as_ref().err().cloned();
                (Pending::Ping(reply, written), error)
            }
        }
    }
}

impl Pending {
    /// A job of which nothing was done, with what is told to whoever waits unless the whole batch has failed.
    fn from(job: Job, verdict: Result<(), StoreError>) -> Self {
        match job {
            Job::Put(put) => {
                let error = verdict.err().unwrap_or(StoreError::Overloaded);
                Self::Put(put.reply, WriteOutcome::Unavailable(error))
            }
            Job::Create { reply, .. } => Self::Create(reply, verdict.map(|()| Vec::new())),
            Job::Ping(reply) => Self::Ping(reply, verdict),
        }
    }

    /// Tells whoever waits, if anybody still does; `failure` is what became of the transaction as a whole.
    fn tell(self, failure: Option<&WriteOutcome>) {
        let error = failure.map(|failure| match failure {
            WriteOutcome::Unavailable(error) => error.clone(),
            WriteOutcome::Unknown(why) => StoreError::Unavailable(why.clone()),
            WriteOutcome::Written(_) | WriteOutcome::Conflict => StoreError::Overloaded,
        });
        let unknown = if let Some(WriteOutcome::Unknown(why)) = failure { Some(why) } else { None };
        match self {
            Self::Put(reply, outcome) => {
                let _ = reply.send(failure.cloned().unwrap_or(outcome));
            }
            Self::Create(reply, created) => {
                let _ = reply.send(match (unknown, error, created) {
                    (Some(why), _, Ok(created)) => Ok(all_unknown(created.len(), why)),
                    (_, Some(error), _) => Err(error),
                    (_, None, created) => created,
                });
            }
            Self::Ping(reply, pong) => {
                let _ = reply.send(error.map_or(pong, Err));
            }
        }
    }
}

fn execute_put(connection: &Connection, put: &Put) -> rusqlite::Result<WriteOutcome> {
    const SQL: &str = "
        UPDATE tickets SET version = ?2 + 1, status = ?3, album = ?4, batch = ?5, issued_at = ?6, valid_from = ?7,
            expires_at = ?8, redemption_id = ?9, redeemed_at = ?10, renewals = ?11, renewed_at = ?12,
            reinstatements = ?13, reinstated_at = ?14, reinstated_because = ?15,
            restorations = ?16, revoked_at = ?17, revoked_because = ?18, extended_at = ?19, extended_because = ?20
        WHERE id = ?1 AND version = ?2";
    let mut statement = connection.prepare_cached(SQL)?;
    let sequence = put.version.sequence;
    let changed = row::with_values(&put.id, sequence, &put.ticket, |values| statement.execute(values))?;
    Ok(if changed == 1 {
        WriteOutcome::Written(Version { sequence: sequence + 1, term: 0 })
    } else {
        WriteOutcome::Conflict
    })
}

/// Adds the tickets in the order of their ids, so that neighbours in the file are written together.
fn execute_create(connection: &Connection, tickets: &[(TicketId, Ticket)]) -> rusqlite::Result<Vec<Created>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let places: Vec<String> = (1..=row::COLUMN_COUNT + 1).map(|place| format!("?{place}")).collect();
        format!(
            "INSERT INTO tickets (id, {}) VALUES ({}) ON CONFLICT (id) DO NOTHING",
            row::COLUMNS,
            places.join(", ")
        )
    });
    let mut statement = connection.prepare_cached(&SQL)?;
    let mut order: Vec<usize> = (0..tickets.len()).collect();
    order.sort_unstable_by_key(|index| tickets[*index].0);
    let mut created = vec![Created::Present; tickets.len()];
    for index in order {
        let (id, ticket) = &tickets[index];
        if row::with_values(id, 1, ticket, |values| statement.execute(values))? == 1 {
            created[index] = Created::New;
        }
    }
    Ok(created)
}
