//! Connections: opening, settings, and checks that use one.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::{IfMissing, StoreError};
use super::error::explain;
use super::file::{make_file, make_folder, refuse_empty};
use super::migrations::Schema;

/// The pause between two checks whether another process has ended its transaction.
const BUSY_PAUSE: Duration = Duration::from_millis(1);
/// The number of checks before a connection gives up: some 5 s. The tools keep their transactions far shorter.
const BUSY_TRIES: i32 = 4500;
/// The size to which the write-ahead log is truncated after a checkpoint, in bytes.
const MAX_IDLE_LOG_BYTES: i64 = 64 * 1024 * 1024;
/// Page cache of a connection, in KiB: small, since the system caches the file as well.
const CACHE_KIB: i32 = 8192;
/// Bytes of a page of a new file. A write usually changes one row of a page, and the whole page goes into the log and
/// later into the file, so small pages mean fewer bytes to write.
const PAGE_BYTES: i32 = 1024;

/// The number of prepared statements that a connection caches.
const STATEMENTS: usize = 64;

/// A read-write connection to a file that has this schema.
pub(super) fn open_writer(
    path: &Path,
    if_missing: IfMissing,
    schema: &Schema,
) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match if_missing {
        IfMissing::Create => {
            make_folder(path)?;
            make_file(path)?;
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
    let mode = use_write_ahead_log(&connection).map_err(failed)?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!(
            "{} cannot use a write-ahead log (mode {mode}): put it on a local disk",
            path.display()
        )));
    }
    schema.apply(&mut connection, path)?;
    Ok(connection)
}

/// Switches a file to WAL mode, if it is not in it yet, and returns the mode that it has then.
///
/// SQLite does not wait for a lock here, as it does elsewhere: two processes that open a new file at once
/// run into this.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<String> {
    let mut tries = 0;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries < BUSY_TRIES =>
            {
                tries += 1;
                std::thread::sleep(BUSY_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// A read-only connection to a file that a writer has opened before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = open(path, flags).and_then(|connection| {
        connection.pragma_update(None, "query_only", true)?;
        // A first read opens the log.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    opened.map_err(|error| explain(path, &error))
}

/// Reads the whole file and reports damage.
pub(crate) fn check_integrity(path: &Path) -> Result<(), StoreError> {
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

/// Takes the write lock and releases it.
pub(crate) fn check_writable(path: &Path, schema: &Schema) -> Result<(), StoreError> {
    let connection = open_writer(path, IfMissing::Fail, schema)?;
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(|error| explain(path, &error))
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_with_flags(path, flags)?;
    // Replaces SQLite's own waits, which grow to 100 ms and lose to a process that writes again at once.
    connection.busy_handler(Some(|tries| {
        std::thread::sleep(BUSY_PAUSE);
        tries < BUSY_TRIES
    }))?;
    connection.pragma_update(None, "journal_size_limit", MAX_IDLE_LOG_BYTES)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// The file of a connection, for messages.
pub(super) fn path(connection: &Connection) -> &Path {
    Path::new(connection.path().unwrap_or_default())
}
