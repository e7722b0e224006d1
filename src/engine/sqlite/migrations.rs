//! Migrations: from the schema of a file to the schema of this version of the program.
//!
//! A file belongs to one context, whose id is in the file's header (`application_id`), as is the number of its
//! migrations (`user_version`). Each context has a file of its own: no transaction spans two contexts.
//!
//! `rusqlite_migration` counts in the same way and is not used. It reads the version before it takes the lock, so two
//! processes that open a new file at once both migrate it, and it reports no progress.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use super::super::StoreError;
use super::error::explain;

/// The interval of log messages while a migration runs.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// Instructions of SQLite's virtual machine between two looks at the time: about one millisecond of work.
const INSTRUCTIONS_A_LOOK: i32 = 50_000;

/// The schema of a context's file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    /// Identifies the context that owns the file: four ASCII letters (SQLite's `application_id`).
    pub(crate) application_id: i32,
    /// The migration at index N takes the schema from version N to N + 1. A released migration is never edited; new
    /// ones are appended.
    pub(crate) migrations: &'static [&'static str],
}

impl Schema {
    /// Migrates an open file to this schema. A file of a newer version, or of another program, is refused
    /// and left unchanged.
    pub(super) fn apply(&self, connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| explain(path, &error);
        if version(connection).map_err(failed)? == self.migrations.len() {
            return self.check_owner(connection, path);
        }
        let begun = Instant::now();
        let stated = say_while_it_lasts(connection, path, begun);
        stated.map_err(failed)?;
        let migrated = self.migrate(connection, path);
        let nothing: Option<fn() -> bool> = None;
        connection.progress_handler(0, nothing).map_err(failed)?;
        let (from, to) = (migrated?, self.migrations.len());
        // Another process may have migrated the file while this one waited for the lock.
        if (1..to).contains(&from) {
            let took = begun.elapsed().as_secs();
            tracing::info!(file = %path.display(), from, to, seconds = took, "the file was migrated to the schema of \
                this version");
        }
        Ok(())
    }

    /// Returns the version that the file had.
    fn migrate(&self, connection: &mut Connection, path: &Path) -> Result<usize, StoreError> {
        let failed = |error: rusqlite::Error| explain(path, &error);
        // Two processes may open a new file at once: the version is read again under the lock.
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let found = version(&transaction).map_err(failed)?;
        let tables: i64 = transaction
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(failed)?;
        if found == 0 && tables == 0 {
            transaction.pragma_update(None, "application_id", self.application_id).map_err(failed)?;
        } else {
            self.check_owner(&transaction, path)?;
        }
        let newest = self.migrations.len();
        let Some(missing) = self.migrations.get(found..) else {
            return Err(StoreError::Unavailable(format!(
                "{} was made by a newer version of tickey (schema {found}, this one knows {newest}): upgrade tickey",
                path.display()
            )));
        };
        if found > 0 && found < newest {
            tracing::info!(
                file = %path.display(), from = found, to = newest,
                "migrating the file to the schema of this version: some minutes when it holds millions of tickets. \
                 Nothing is served until it is done. If it is interrupted, the file stays as it was"
            );
        }
        for migration in missing {
            transaction.execute_batch(migration).map_err(failed)?;
        }
        let counted = i64::try_from(newest).unwrap_or(i64::MAX);
        transaction.pragma_update(None, "user_version", counted).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(found)
    }

    fn check_owner(&self, connection: &Connection, path: &Path) -> Result<(), StoreError> {
        let owner: i32 = connection
            .query_row("PRAGMA application_id", [], |row| row.get(0))
            .map_err(|error| explain(path, &error))?;
        if owner == self.application_id {
            Ok(())
        } else {
            Err(StoreError::Unavailable(format!(
                "{} is a database of another program: give the path of another file",
                path.display()
            )))
        }
    }
}

/// Logs progress at warning level, since the tools log only warnings and their users must see why a tool waits.
fn say_while_it_lasts(connection: &mut Connection, path: &Path, begun: Instant) -> rusqlite::Result<()> {
    let file = path.display().to_string();
    let mut said = begun;
    let say = move || {
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            tracing::warn!(file, seconds = begun.elapsed().as_secs(), "the file is still being migrated");
        }
        false
    };
    connection.progress_handler(INSTRUCTIONS_A_LOOK, Some(say))
}

/// A write that changes nothing.
pub(super) fn touch(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}
