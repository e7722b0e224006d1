//! The thread that checkpoints: it moves the write-ahead log into the file while the writer goes on.
//!
//! A checkpoint of some thousand pages takes a tenth of a second, most of it a sync of the file. So it is done beside
//! the writer, pass after pass, each of which finds what was written during the one before, until only little is left.
//! That is done by the writer between two of its transactions, when the log stands still: then all of it is in the
//! file, and the next transaction begins the log anew. Knows the log, and nothing of what is written.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;

use super::super::StoreError;
use super::connection::open_reader;
use super::threads::{join, spawn};

/// Pages in the log from which on there is a checkpoint: 16 MiB of them. More would only lengthen the start after a
/// crash.
pub(super) const MAX_PAGES: i32 = 16 * 1024;
/// A part of that which the writer may be left with: a millisecond's work or two.
const FEW: i32 = 64;
/// Passes after which the writer does what is left, however much it is: each leaves a fraction of the one before.
const MAX_PASSES: usize = 8;

/// The thread, for one writer.
pub(super) struct Checkpointer(JoinHandle<()>);

/// How the writer and the thread take turns.
struct Turns {
    wake: SyncSender<()>,
    max_pages: i32,
    /// Pages that were in the log when the thread was woken last; none since the log was begun anew.
    woken_at: i32,
    /// Set by the thread when the rest is the writer's.
    rest: Arc<AtomicBool>,
}

impl Checkpointer {
    /// Starts it. The connection is the writer's; this replaces SQLite's own checkpoints, for which commits wait.
    pub(super) fn start(writer: &mut Connection, path: &Path, max_pages: i32) -> Result<Self, StoreError> {
        let connection = open_reader(path)?;
        // Never closed: whoever closes a file lets go of all locks that the process has on it (fcntl(2)), SQLite's as
        // well.
        let file = ManuallyDrop::new(File::open(path).map_err(|error| {
            StoreError::Unavailable(format!("{} cannot be opened: {error}", path.display()))
        })?);
        let (wake, woken) = sync_channel(1);
        let rest = Arc::new(AtomicBool::new(false));
        let mut turns = Turns { wake, max_pages, woken_at: 0, rest: Arc::clone(&rest) };
        let hooked = writer.wal_hook(Some(move |log: &mut Wal, pages| {
            turns.committed(log, pages);
            Ok(())
        }));
        hooked.map_err(|error| super::error::explain(path, &error))?;
        spawn("store-checkpoint", move || run(&connection, &file, max_pages / FEW, &woken, &rest)).map(Self)
    }

    /// Ends it. Before the writer's connection is closed: the last one that is closed checkpoints what is left, which
    /// one that only reads would not do.
    pub(super) fn end(self, writer: &mut Connection) {
        let nothing: Option<fn(&mut Wal, i32) -> rusqlite::Result<()>> = None;
        match writer.wal_hook(nothing) {
            Ok(()) => join(self.0),
            Err(error) => tracing::warn!(%error, "the next start will checkpoint the log"),
        }
    }
}

impl Turns {
    /// After each transaction, with the pages that are in the log.
    fn committed(&mut self, log: &mut Wal, pages: i32) {
        if pages < self.woken_at {
            self.woken_at = 0;
        }
        if self.rest.swap(false, Ordering::Acquire) {
            // A reader, or another process's checkpoint, may hold it up: then it is tried again when as much has come
            // in again.
            if let Err(error) = log.checkpoint_v2(CheckpointMode::PASSIVE) {
                tracing::debug!(%error, "the log is not in the file yet");
            }
        } else if pages - self.woken_at >= self.max_pages {
            // A thread that has not come to the last time yet does both at once.
            let _ = self.wake.try_send(());
            self.woken_at = pages;
        }
    }
}

fn run(connection: &Connection, file: &File, few_pages: i32, woken: &Receiver<()>, rest: &AtomicBool) {
    while woken.recv().is_ok() {
        let mut moved = 0;
        for _ in 0..MAX_PASSES {
            let before = moved;
            moved = match checkpoint(connection, file) {
                Ok(moved) => moved,
                Err(error) => {
                    // Another process's checkpoint, for one.
                    tracing::debug!(%error, "the log is not in the file yet");
                    break;
                }
            };
            // What the last pass found was written during the one before. Nothing at all: a reader holds it up.
            if moved - before <= few_pages {
                break;
            }
        }
        rest.store(true, Ordering::Release);
    }
}

/// One pass. Gives how many of the log's pages are in the file.
fn checkpoint(connection: &Connection, file: &File) -> rusqlite::Result<i32> {
    let (_, moved) = connection.wal_checkpoint_v2(Some("main"), CheckpointMode::PASSIVE)?;
    // SQLite syncs the file only when the whole log is moved, which is when the writer does the rest and all wait for
    // it. Then it also finds out about what fails here, and keeps the log.
    if let Err(error) = file.sync_data() {
        tracing::warn!(%error, "the file cannot be synced");
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::super::IfMissing;
    use super::super::Schema;
    use super::super::connection::open_writer;
    use super::*;

    #[test]
    fn the_log_stays_short_however_much_is_written_and_is_gone_in_the_end() {
        const WRITES: u32 = 1500;
        let folder = tempfile::tempdir().unwrap();
        let (path, log) = (folder.path().join("tickets.db"), folder.path().join("tickets.db-wal"));
        let schema = Schema { application_id: 1, migrations: &["CREATE TABLE filling (bytes BLOB)"] };
        let mut writer = open_writer(&path, IfMissing::Create, &schema).unwrap();
        let checkpointer = Checkpointer::start(&mut writer, &path, 128).unwrap();
        for _ in 0..WRITES {
            writer.execute("INSERT INTO filling VALUES (zeroblob(900))", []).unwrap();
        }
        let bytes = fs::metadata(&log).unwrap().len();
        assert!(
            bytes < u64::from(WRITES) * 1024 / 2,
            "each write is a page at least, and {bytes} bytes are in the log"
        );
        checkpointer.end(&mut writer);
        let written: u32 = writer.query_row("SELECT count(*) FROM filling", [], |row| row.get(0)).unwrap();
        assert_eq!(written, WRITES);
        drop(writer);
        assert!(!log.exists(), "the writer closes last, and checkpoints what is left");
    }
}
