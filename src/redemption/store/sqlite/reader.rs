//! The threads that read: one for tickets by their ids, one for pages and counts, which take long.

use std::path::Path;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::mpsc;

use super::super::{
    BatchCount, BatchPlace, Cursor, MAX_PAGE, Operation, Page, RequestOutcome, StoreError, StoreObserver,
    Versioned,
};
use super::{Reply, error::explain, row};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Name, Ticket};

/// A ticket that somebody waits for.
pub(super) struct Get {
    pub(super) id: TicketId,
    pub(super) reply: Reply<Result<Option<Versioned<Ticket>>, StoreError>>,
}

/// A longer read that somebody waits for.
pub(super) enum Scan {
    Page {
        batch: Option<Name>,
        after: Option<TicketId>,
        limit: usize,
        reply: Reply<Result<Page, StoreError>>,
    },
    Stats {
        batch: Option<Name>,
        after: Option<BatchPlace>,
        limit: usize,
        reply: Reply<Result<Vec<BatchCount>, StoreError>>,
    },
}

/// Answers gets until nobody can ask any more: all that have arrived in one read transaction.
pub(super) fn run_gets(
    connection: &Connection,
    mut queue: mpsc::Receiver<Get>,
    max_batch: usize,
    observer: &dyn StoreObserver,
) {
    let mut batch = Vec::with_capacity(max_batch);
    while queue.blocking_recv_many(&mut batch, max_batch) > 0 {
        let items = batch.len();
        let transaction = connection.unchecked_transaction();
        let mut outcome = RequestOutcome::Done;
        for Get { id, reply } in batch.drain(..) {
            let found = match &transaction {
                Ok(_) => get(connection, id).map_err(|error| explain(path(connection), &error)),
                Err(error) => Err(explain(path(connection), error)),
            };
            if found.is_err() {
                outcome = RequestOutcome::Failed;
            }
            // Nobody waits any more when the request has timed out or its client is gone.
            let _ = reply.send(found);
        }
        observer.request(Operation::Get, outcome, items);
    }
}

/// Answers scans, one after the other, until nobody can ask any more.
pub(super) fn run_scans(
    connection: &Connection,
    mut queue: mpsc::Receiver<Scan>,
    observer: &dyn StoreObserver,
) {
    while let Some(scan) = queue.blocking_recv() {
        match scan {
            Scan::Page { batch, after, limit, reply } => {
                let page = page(connection, batch.as_ref(), after, limit.min(MAX_PAGE));
                answer(connection, observer, page, |page| page.tickets.len(), reply);
            }
            Scan::Stats { batch, after, limit, reply } => {
                let counts = stats(connection, batch.as_ref(), after.as_ref(), limit.min(MAX_PAGE));
                answer(connection, observer, counts, |_| 1, reply);
            }
        }
    }
}

fn answer<T>(
    connection: &Connection,
    observer: &dyn StoreObserver,
    result: rusqlite::Result<T>,
    items: impl Fn(&T) -> usize,
    reply: Reply<Result<T, StoreError>>,
) {
    let (outcome, items) = match &result {
        Ok(found) => (RequestOutcome::Done, items(found)),
        Err(_) => (RequestOutcome::Failed, 0),
    };
    observer.request(Operation::Scan, outcome, items);
    // Nobody waits any more when the request has timed out or its client is gone.
    let _ = reply.send(result.map_err(|error| explain(path(connection), &error)));
}

/// The file, for messages.
fn path(connection: &Connection) -> &Path {
    Path::new(connection.path().unwrap_or_default())
}

fn get(connection: &Connection, id: TicketId) -> rusqlite::Result<Option<Versioned<Ticket>>> {
    static SQL: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {} FROM tickets WHERE id = ?1", row::COLUMNS));
    connection.prepare_cached(&SQL)?.query_row([id.as_bytes()], row::read).optional()
}

fn page(
    connection: &Connection,
    batch: Option<&Name>,
    after: Option<TicketId>,
    limit: usize,
) -> rusqlite::Result<Page> {
    let sql = format!(
        "SELECT {}, id FROM tickets WHERE id > ?1 AND (?2 IS NULL OR batch = ?2) ORDER BY id LIMIT ?3",
        row::COLUMNS
    );
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let sql_limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map((after, batch.map(Name::as_str), sql_limit), |found| {
        Ok((row::id(found, row::COLUMN_COUNT)?, row::read(found)?))
    })?;
    let tickets: Vec<(TicketId, Versioned<Ticket>)> = rows.collect::<Result<_, _>>()?;
    let next = tickets.last().filter(|_| tickets.len() == limit).map(|(id, _)| Cursor(id.to_string()));
    Ok(Page { tickets, next })
}

fn stats(
    connection: &Connection,
    batch: Option<&Name>,
    after: Option<&BatchPlace>,
    limit: usize,
) -> rusqlite::Result<Vec<BatchCount>> {
    const SQL: &str = "
        SELECT album, batch, sum(status = 'issued'), sum(status = 'redeemed'), sum(status = 'revoked')
        FROM tickets WHERE (?1 IS NULL OR batch = ?1) AND (album, batch) > (?2, ?3)
        GROUP BY album, batch ORDER BY album, batch LIMIT ?4";
    let (album, name) = after.map_or(("", ""), |after| (after.album.as_str(), after.batch.as_str()));
    let sql_limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(SQL)?;
    let rows = statement.query_map((batch.map(Name::as_str), album, name, sql_limit), |found| {
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
