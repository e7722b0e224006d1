//! What the disk and SQLite can do by themselves, to stand beside what the server does.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::keys::{PrintedKey, id, read_keys};
use super::super::support::report::{Row, Section, Series};
use super::bulk::PRAGMAS;

/// Updates that share a transaction, as many as there are requests in flight elsewhere.
const BATCH: usize = 256;
/// A page of the store, which is the least that a commit writes.
const PAGE_BYTES: usize = 4096;
/// The file that is synced is written over after so many pages, since the log of a store does not grow either.
const FILE_PAGES: u64 = 4096;

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let seconds = Duration::from_secs(bench.options.seconds);
    let data = bench.scratch.join("limits.db");
    bench.dataset.copy_store(&data)?;
    let mut connection = Connection::open(&data)?;
    connection.execute_batch(PRAGMAS)?;
    let keys = read_keys(&bench.dataset.keys, 0..bench.dataset.tickets)?;
    let mut keys = keys.iter();
    let mut log = File::create(bench.scratch.join("limits.log"))?;
    log.write_all(&vec![0; PAGE_BYTES * usize::try_from(FILE_PAGES)?])?;
    log.sync_all()?;
    let [mut syncs, mut single, mut batched] = [(); 3].map(|()| Series::default());
    bench.rounds("limits", || {
        let mut place = 0;
        syncs.push(rate(seconds, || {
            log.seek(SeekFrom::Start(place % FILE_PAGES * u64::try_from(PAGE_BYTES)?))?;
            place += 1;
            log.write_all(&[1; PAGE_BYTES])?;
            log.sync_data()?;
            Ok(1)
        })?);
        single.push(rate(seconds, || update(&mut connection, keys.by_ref().take(1)))?);
        batched.push(rate(seconds, || update(&mut connection, keys.by_ref().take(BATCH)))?);
        Ok(())
    })?;
    Ok(Section {
        title: "Limits",
        about: format!(
            "What there is to reach on this disk: a page of {PAGE_BYTES} bytes written over and synced; and SQLite by itself, which updates \
             tickets (of {}, in random order) that it has not read, in transactions of 1 and of {BATCH}, with the settings of the store.",
            bench.dataset.tickets
        ),
        rows: vec![
            Row::plain("fdatasync", syncs.show(0, " /s")),
            Row::plain("updates, 1 a transaction", single.show(0, " /s")),
            Row::plain(format!("updates, {BATCH} a transaction"), batched.show(0, " /s")),
        ],
    })
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
fn update<'a>(connection: &mut Connection, keys: impl Iterator<Item = &'a PrintedKey>) -> Outcome<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut statement = transaction.prepare_cached(
        "UPDATE tickets SET version = 2, status = 'redeemed', redemption_id = randomblob(16), redeemed_at = 1795000000,
            renewals = 0
         WHERE id = ?1 AND version = 1",
    )?;
    let mut changed = 0;
    for key in keys {
        changed += statement.execute([id(key)?.as_bytes()])?;
    }
    drop(statement);
    transaction.commit()?;
    Ok(changed)
}
