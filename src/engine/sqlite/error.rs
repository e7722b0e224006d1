//! SQLite's errors as messages that say what to do.

use std::path::Path;

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_GETTEMPPATH, SQLITE_IOERR_WRITE};

use super::super::StoreError;

/// Why a write was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// The write was not made and will not be.
    Unavailable(StoreError),
    /// Whether the write was made is not known. Holds the reason.
    Unknown(String),
}

/// The meaning of an SQLite error for the operator of the store.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.display();
    let Some(code) = error.sqlite_error_code() else {
        return StoreError::Corrupt(format!("{path} holds something that does not belong there: {error}"));
    };
    let extended = error.sqlite_error().map(|error| error.extended_code);
    let advice = match code {
        _ if extended == Some(SQLITE_IOERR_GETTEMPPATH) => {
            "needs a folder for temporary files: set SQLITE_TMPDIR to one on a disk with room (nothing was lost)"
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            "is locked by another process: wait until that is done, or stop it"
        }
        ErrorCode::DiskFull => "cannot grow: the disk is full; make room on it (nothing was lost)",
        ErrorCode::ReadOnly => {
            "cannot be written: make the file and its folder writable for this user (nothing was lost)"
        }
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            "cannot be opened: check that its folder exists and that this user may read and write both"
        }
        ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => {
            return StoreError::Corrupt(format!(
                "{path} is not an intact SQLite database ({error}): stop everything that uses it and restore it \
                 from a backup, or try `sqlite3 {path} .recover`"
            ));
        }
        ErrorCode::SystemIoFailure => {
            "cannot be read or written: check the disk, and limits on the size of files; restart the program"
        }
        _ => "cannot be used",
    };
    StoreError::Unavailable(format!("{path} {advice} ({error})"))
}

/// The outcome of the writes of a transaction whose commit failed.
///
/// A refused commit is rolled back. So is a commit whose last record could not be written to the log: without that
/// whole record, recovery ignores the others. But if the log was written and could not be synced, recovery after a
/// crash may or may not find the commit there.
pub(super) fn failed_commit(path: &Path, error: &rusqlite::Error) -> WriteError {
    let explained = explain(path, error);
    if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_WRITE) {
        return WriteError::Unavailable(explained);
    }
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied,
        ) => WriteError::Unavailable(explained),
        _ => WriteError::Unknown(explained.to_string()),
    }
}
