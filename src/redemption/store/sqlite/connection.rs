//! Opening the file, and noticing when it is no longer there.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::super::StoreError;
use super::super::location::IfMissing;
use super::{error::explain, schema};

/// How often a connection looks whether another process has ended its transaction.
const BUSY_PAUSE: Duration = Duration::from_millis(1);
/// After how many looks it gives up: some 5 s. The tools keep their transactions far shorter.
const BUSY_TRIES: i32 = 4500;
/// The size that the write-ahead log is cut back to once it has been folded into the file, in bytes.
const MAX_IDLE_LOG_BYTES: i64 = 64 * 1024 * 1024;
/// A file that is empty for longer than another process needs to begin it has lost its content.
const BEGINNING: Duration = Duration::from_secs(2);
/// Page cache of a connection, in KiB: small, since the system caches the file as well.
const CACHE_KIB: i32 = 8192;
/// Bytes of a page of a new file. A redemption changes one row in a page of its own, and the whole page goes into the log
/// and later into the file, so small pages are less to write.
const PAGE_BYTES: i32 = 1024;

/// A connection that may write, on a file whose schema is this version's.
pub(super) fn open_writer(path: &Path, if_missing: IfMissing) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match if_missing {
        IfMissing::Create => {
            make_folder(path)?;
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        IfMissing::Fail if !path.exists() => {
            return Err(StoreError::Unavailable(format!(
                "there is no store at {}: check --store, or make one with `tickey serve`, `mint` or `load`",
                path.display()
            )));
        }
        IfMissing::Fail => {}
    }
    refuse_empty(path)?;
    let failed = |error: rusqlite::Error| explain(path, &error);
    let mut connection = open(path, flags).map_err(failed)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES).map_err(failed)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!(
            "{} cannot use a write-ahead log (mode {mode}): put it on a local disk",
            path.display()
        )));
    }
    schema::migrate(&mut connection, path)?;
    Ok(connection)
}

/// SQLite takes a file of no bytes for a new database; but one that was there before has lost its tickets.
fn refuse_empty(path: &Path) -> Result<(), StoreError> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    let is_old = metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > BEGINNING));
    if metadata.len() == 0 && is_old {
        return Err(StoreError::Corrupt(format!(
            "{} is empty: restore it from a backup, or remove it to begin with no tickets",
            path.display()
        )));
    }
    Ok(())
}

/// A connection that only reads, on a file that a writer has opened before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = open(path, flags).and_then(|connection| {
        connection.pragma_update(None, "query_only", true)?;
        // Reads, which opens the log.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    opened.map_err(|error| explain(path, &error))
}

/// Reads the whole file and says what is wrong with it: damage, or nothing.
pub fn check_integrity(path: &Path) -> Result<(), StoreError> {
    let connection = open_reader(path)?;
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| explain(path, &error))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(StoreError::Corrupt(format!(
            "{} is damaged ({verdict}): stop everything that uses it and restore it from a backup, or try \
             `sqlite3 {} .recover`",
            path.display(),
            path.display()
        )))
    }
}

/// Takes the lock for writing, and gives it back.
pub fn check_writable(path: &Path) -> Result<(), StoreError> {
    let connection = open_writer(path, IfMissing::Fail)?;
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(|error| explain(path, &error))
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_with_flags(path, flags)?;
    // Instead of SQLite's own waits, which grow to 100 ms and lose against a process that writes again at once.
    connection.busy_handler(Some(|tries| {
        std::thread::sleep(BUSY_PAUSE);
        tries < BUSY_TRIES
    }))?;
    connection.pragma_update(None, "journal_size_limit", MAX_IDLE_LOG_BYTES)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

/// The folder that the file lies in, for its owner alone: the keys that sign links lie beside it.
fn make_folder(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        StoreError::Unavailable(format!("the folder {} cannot be made: {error}", folder.display()))
    })
}

/// The file and its write-ahead log as they were when they were opened, to notice that somebody moved or replaced
/// them: what is written to a file without a name is lost when the program ends.
pub(super) struct WatchedFile {
    path: PathBuf,
    log: PathBuf,
    identity: Identity,
    log_identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

impl WatchedFile {
    /// To be called while a connection is open that has read, so that there is a log.
    pub(super) fn new(path: &Path) -> Result<Self, StoreError> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        let looked_at = |path: &Path| {
            identity(path).map_err(|error| {
                StoreError::Unavailable(format!("{} cannot be looked at: {error}", path.display()))
            })
        };
        Ok(Self { identity: looked_at(path)?, log_identity: looked_at(&log)?, path: path.to_path_buf(), log })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (path, before) in [(&self.path, self.identity), (&self.log, self.log_identity)] {
            if !identity(path).is_ok_and(|now| now == before) {
                return Err(StoreError::Unavailable(format!(
                    "{} was removed or replaced while it was in use: put it back and restart",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

fn identity(path: &Path) -> std::io::Result<Identity> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
