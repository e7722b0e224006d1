//! The schema, its versions, and the way from one to the next.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::super::StoreError;
use super::error::explain;

/// Says in the file's header whose it is: `tkly` in ASCII (SQLite's `application_id`).
const APPLICATION_ID: i32 = 0x746B_6C79;

/// What takes the schema from the version that is its index to the next one. Never edited once released: added to.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE tickets (
        id                 BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 32), -- SHA-256 of the key
        version            INTEGER NOT NULL,   -- counts the changes
        status             TEXT    NOT NULL CHECK (status IN ('issued', 'redeemed', 'revoked')),
        album              TEXT    NOT NULL,
        batch              TEXT    NOT NULL,
        issued_at          INTEGER NOT NULL,   -- this and all times: seconds since 1970, UTC
        valid_from         INTEGER,
        expires_at         INTEGER,
        redemption_id      BLOB CHECK (length(redemption_id) = 16),
        redeemed_at        INTEGER,
        renewals           INTEGER,
        renewed_at         INTEGER,
        reinstatements     INTEGER,
        reinstated_at      INTEGER,
        reinstated_because TEXT,
        CHECK (status <> 'redeemed' OR redemption_id IS NOT NULL),
        CHECK ((redemption_id IS NULL) = (redeemed_at IS NULL)),
        CHECK ((redemption_id IS NULL) = (renewals IS NULL))
    ) STRICT, WITHOUT ROWID;
    ",
    // The last change of each kind, for the record. Columns that are added cost nothing until a row is written again.
    "
    ALTER TABLE tickets ADD COLUMN restorations     INTEGER; -- how many of the reinstatements undid a revocation
    ALTER TABLE tickets ADD COLUMN revoked_at       INTEGER;
    ALTER TABLE tickets ADD COLUMN revoked_because  TEXT;
    ALTER TABLE tickets ADD COLUMN extended_at      INTEGER;
    ALTER TABLE tickets ADD COLUMN extended_because TEXT;
    ",
];

/// Brings the schema of an open file up to this version. A file of a newer version, or of another program, is left
/// alone and refused.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| explain(path, &error);
    if version(connection).map_err(failed)? == MIGRATIONS.len() {
        return check_owner(connection, path);
    }
    // Two processes may open a new file at once: the version is looked at again under the lock.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if found == 0 && tables == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    } else {
        check_owner(&transaction, path)?;
    }
    let Some(missing) = MIGRATIONS.get(found..) else {
        return Err(StoreError::Unavailable(format!(
            "{} was made by a newer version of tickey (schema {found}, this one knows {}): upgrade tickey",
            path.display(),
            MIGRATIONS.len()
        )));
    };
    for migration in missing {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    transaction.pragma_update(None, "user_version", newest).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// A write that changes nothing, to see whether writes succeed.
pub(super) fn touch(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

fn check_owner(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let owner: i32 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(|error| explain(path, &error))?;
    if owner == APPLICATION_ID {
        Ok(())
    } else {
        Err(StoreError::Unavailable(format!(
            "{} is a database of another program: give the path of another file",
            path.display()
        )))
    }
}
