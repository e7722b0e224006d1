//! The statements that read tickets.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _, Params};

use super::super::{BatchCount, BatchPlace, Cursor, Page, Versioned};
use super::row;
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Name, Ticket};

pub(super) fn get(connection: &Connection, id: TicketId) -> rusqlite::Result<Option<Versioned<Ticket>>> {
    static SQL: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {} FROM tickets WHERE id = ?1", row::COLUMNS));
    connection.prepare_cached(&SQL)?.query_row([id.as_bytes()], row::read).optional()
}

/// Tickets in the order of their ids, which is the order of the table, and within a batch the order of its index.
pub(super) fn page(
    connection: &Connection,
    batch: Option<&Name>,
    after: Option<TicketId>,
    limit: usize,
) -> rusqlite::Result<Page> {
    let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
    let sql_limit = sql_number(limit);
    let tickets = match batch {
        None => tickets(connection, "id > ?1 ORDER BY id LIMIT ?2", (after, sql_limit)),
        Some(batch) => {
            let rest = "batch = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
            tickets(connection, rest, (batch.as_str(), after, sql_limit))
        }
    }?;
    let next = tickets.last().filter(|_| tickets.len() == limit).map(|(id, _)| Cursor(id.to_string()));
    Ok(Page { tickets, next })
}

fn tickets(
    connection: &Connection,
    rest: &str,
    parameters: impl Params,
) -> rusqlite::Result<Vec<(TicketId, Versioned<Ticket>)>> {
    let sql = format!("SELECT {}, id FROM tickets WHERE {rest}", row::COLUMNS);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement
        .query_map(parameters, |found| Ok((row::id(found, row::COLUMN_COUNT)?, row::read(found)?)))?;
    rows.collect()
}

/// Counts, in the order of albums and names. Reads no ticket.
pub(super) fn stats(
    connection: &Connection,
    batch: Option<&Name>,
    after: Option<&BatchPlace>,
    limit: usize,
) -> rusqlite::Result<Vec<BatchCount>> {
    let (album, name) = after.map_or(("", ""), |after| (after.album.as_str(), after.batch.as_str()));
    let sql_limit = sql_number(limit);
    match batch {
        None => {
            let rest = "(album, batch) > (?1, ?2) ORDER BY album, batch LIMIT ?3";
            counts(connection, rest, (album, name, sql_limit))
        }
        Some(batch) => {
            let rest = "batch = ?1 AND (album, batch) > (?2, ?3) ORDER BY album LIMIT ?4";
            counts(connection, rest, (batch.as_str(), album, name, sql_limit))
        }
    }
}

fn counts(connection: &Connection, rest: &str, parameters: impl Params) -> rusqlite::Result<Vec<BatchCount>> {
    // Skips a batch whose tickets were removed by hand.
    let sql = format!(
        "SELECT album, batch, issued, redeemed, revoked FROM batches WHERE issued + redeemed + revoked > 0 AND {rest}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(parameters, |found| {
        let count = |column: usize| found.get::<_, i64>(column).map(i64::cast_unsigned);
        Ok(BatchCount {
            place: BatchPlace { album: row::name(found, 0)?, batch: row::name(found, 1)? },
            issued: count(2)?,
            redeemed: count(3)?,
            revoked: count(4)?,
        })
    })?;
    rows.collect()
}

fn sql_number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
