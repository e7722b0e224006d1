//! The thread that checkpoints: it moves the write-ahead log into the file while the writer goes on.
//!
//! A checkpoint of some thousand pages takes a tenth of a second, most of it a sync of the file. So it runs beside the
//! writer, in passes: each pass moves the pages that were written during the pass before, until few are left. The
//! writer moves the rest between two of its transactions, when the log does not grow: then all of the log is in the
//! file, and the next transaction restarts the log. Knows the log, and nothing of its content.

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

/// The log's size, in pages, that starts a checkpoint: 16 MiB. More would only lengthen the start after a crash.
pub(super) const MAX_PAGES: i32 = 16 * 1024;
/// The divisor of that size for the rest that the writer may have to move: one or two milliseconds of work.
const FEW: i32 = 64;
/// The most passes. After them the writer moves the rest, however large: each pass leaves a fraction of the one before.
const MAX_PASSES: usize = 8;

/// The thread, for one writer.
pub(super) struct Checkpointer(JoinHandle<()>);

/// How the writer and the thread take turns.
struct Turns {
    wake: SyncSender<()>,
    max_pages: i32,
    /// The log's pages when the thread was woken last; 0 once the log has restarted.
    woken_at: i32,
    /// Set by the thread when the writer should move the rest.
    rest: Arc<AtomicBool>,
}

impl Checkpointer {
    /// Starts the thread. `writer` is the writer's connection; the thread replaces SQLite's own checkpoints,
    /// which delay commits.
    pub(super) fn start(writer: &mut Connection, path: &Path, max_pages: i32) -> Result<Self, StoreError> {
        let connection = open_reader(path)?;
        // Never closed: closing any descriptor of a file releases all locks that the process holds on the file
        // (fcntl(2)), including SQLite's.
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

    /// Ends the thread. Called before the writer's connection is closed: the last connection to close checkpoints the
    /// rest of the log, which a read-only connection would not do.
    pub(super) fn end(self, writer: &mut Connection) {
        let nothing: Option<fn(&mut Wal, i32) -> rusqlite::Result<()>> = None;
        match writer.wal_hook(nothing) {
            Ok(()) => join(self.0),
            Err(error) => tracing::warn!(%error, "the next start will checkpoint the log"),
        }
    }
}

impl Turns {
    /// Called after each transaction, with the number of pages in the log.
    fn committed(&mut self, log: &mut Wal, pages: i32) {
        if pages < self.woken_at {
            self.woken_at = 0;
        }
        if self.rest.swap(false, Ordering::Acquire) {
            // A reader, or another process's checkpoint, may block this one. It is retried after as many new pages.
            if let Err(error) = log.checkpoint_v2(CheckpointMode::PASSIVE) {
                tracing::debug!(%error, "the log is not in the file yet");
            }
        } else if pages - self.woken_at >= self.max_pages {
            // A thread that has not yet handled the last signal handles both at once.
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
                    // For example, another process is checkpointing.
                    tracing::debug!(%error, "the log is not in the file yet");
                    break;
                }
            };
            // The last pass moved the pages written during the pass before. If it moved none, a reader blocks it.
            if moved - before <= few_pages {
                break;
            }
        }
        rest.store(true, Ordering::Release);
    }
}

/// One pass. Returns how many of the log's pages are in the file.
fn checkpoint(connection: &Connection, file: &File) -> rusqlite::Result<i32> {
    let (_, moved) = connection.wal_checkpoint_v2(Some("main"), CheckpointMode::PASSIVE)?;
    // SQLite syncs the file only when the whole log is moved. That would be in the writer's turn, while all writes
    // wait. After a failure here, the writer's own sync fails as well, and SQLite keeps the log.
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
