//! Opening the file, and noticing when it is no longer there.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::super::StoreError;
use super::super::location::IfMissing;
use super::{error::explain, schema};

/// How long a connection waits for another process to end its transaction. The tools keep theirs far shorter.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Page cache of a connection, in KiB: small, since the system caches the file as well.
const CACHE_KIB: i32 = 8192;
/// Pages in the write-ahead log after which it is folded into the file: 16 MiB of them. SQLite's own 4 MiB fold the same
/// pages more often than a busy server needs; more would only lengthen the start after a crash.
const CHECKPOINT_PAGES: i32 = 4096;

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
    let failed = |error: rusqlite::Error| explain(path, &error);
    let mut connection = open(path, flags).map_err(failed)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!(
            "{} cannot use a write-ahead log (mode {mode}): put it on a local disk",
            path.display()
        )));
    }
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(failed)?;
    schema::migrate(&mut connection, path)?;
    Ok(connection)
}

/// A connection that only reads, on a file that a writer has opened before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = open(path, flags).and_then(|connection| {
        connection.pragma_update(None, "query_only", true)?;
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
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
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

/// The file as it was when it was opened, to notice that somebody moved or replaced it: what is written to a
/// file without a name is lost when the program ends.
pub(super) struct WatchedFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl WatchedFile {
    pub(super) fn new(path: &Path) -> Result<Self, StoreError> {
        let device_and_inode = identity(path).map_err(|error| {
            StoreError::Unavailable(format!("{} cannot be looked at: {error}", path.display()))
        })?;
        Ok(Self { path: path.to_path_buf(), device_and_inode })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        match identity(&self.path) {
            Ok(now) if now == self.device_and_inode => Ok(()),
            Ok(_) | Err(_) => Err(StoreError::Unavailable(format!(
                "{} was removed or replaced while it was in use: put the file back and restart",
                self.path.display()
            ))),
        }
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
