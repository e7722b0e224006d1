//! What the disk and SQLite can do by themselves, to stand beside what the servers do.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use super::Outcome;
use super::dataset::Dataset;
use super::keys::{PrintedKey, id, read_keys};

/// Updates that share a transaction, as many as there are requests in flight elsewhere.
pub(crate) const BATCH: usize = 256;
/// A page of the store, which is the least that a commit writes.
pub(crate) const PAGE_BYTES: usize = 4096;
/// The file that is synced is written over after so many pages, since the log of a store does not grow either.
const FILE_PAGES: u64 = 4096;

/// The settings of the store's own writer.
pub(crate) const PRAGMAS: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;
    PRAGMA wal_autocheckpoint = 4096;";

/// A file to sync, and a store of SQLite whose tickets are used up one after the other.
pub(crate) struct Limits {
    connection: Connection,
    keys: std::vec::IntoIter<PrintedKey>,
    log: File,
    /// The next page of the log to write.
    page: u64,
}

impl Limits {
    /// Makes both in a folder.
    pub(crate) fn new(folder: &Path, dataset: &Dataset) -> Outcome<Self> {
        let data = folder.join("limits.db");
        dataset.copy_store(&data)?;
        let connection = Connection::open(&data)?;
        connection.execute_batch(PRAGMAS)?;
        let keys = read_keys(&dataset.keys, 0..dataset.tickets)?.into_iter();
        let mut log = File::create(folder.join("limits.log"))?;
        log.write_all(&vec![0; PAGE_BYTES * usize::try_from(FILE_PAGES)?])?;
        log.sync_all()?;
        Ok(Self { connection, keys, log, page: 0 })
    }

    /// Pages a second that are written over and synced, one after the other.
    pub(crate) fn syncs(&mut self, time: Duration) -> Outcome<f64> {
        rate(time, || {
            self.log.seek(SeekFrom::Start(self.page % FILE_PAGES * u64::try_from(PAGE_BYTES)?))?;
            self.page += 1;
            self.log.write_all(&[1; PAGE_BYTES])?;
            self.log.sync_data()?;
            Ok(1)
        })
    }

    /// Tickets a second that are redeemed, so many in a transaction.
    pub(crate) fn updates(&mut self, time: Duration, batch: usize) -> Outcome<f64> {
        rate(time, || update(&mut self.connection, self.keys.by_ref().take(batch)))
    }
}

/// Does something over and over, and gives how much of it was done a second.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn rate(time: Duration, mut work: impl FnMut() -> Outcome<usize>) -> Outcome<f64> {
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < time {
        match work()? {
            0 => return Err("all keys are used: measure shorter, or make more tickets".into()),
            more => done += more,
        }
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// Redeems tickets in one transaction.
fn update(connection: &mut Connection, keys: impl Iterator<Item = PrintedKey>) -> Outcome<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut statement = transaction.prepare_cached(
        "UPDATE tickets SET version = 2, status = 'redeemed', redemption_id = randomblob(16), redeemed_at = 1795000000,
            renewals = 0
         WHERE id = ?1 AND version = 1",
    )?;
    let mut changed = 0;
    for key in keys {
        changed += statement.execute([id(&key)?.as_bytes()])?;
    }
    drop(statement);
    transaction.commit()?;
    Ok(changed)
}
