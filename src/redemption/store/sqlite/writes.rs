//! The statements that write tickets.
//!
//! Each uses `OR ROLLBACK`: a value that the schema forbids, which would be a bug in this program, rolls back the whole
//! transaction. With the default, `ABORT`, SQLite would prepare to roll back the statement alone, with the effects of
//! its triggers: it would allocate and free 64 KiB for each ticket, a third of the writer's time.

use std::sync::LazyLock;

use rusqlite::Connection;

use super::super::{Created, Version};
use super::row;
use crate::redemption::key::TicketId;
use crate::redemption::ticket::Ticket;

/// Leaves out the columns that a ticket usually keeps: then SQLite does not touch the index of batches, which saves one
/// or two writes of random pages.
pub(super) const CHANGED: &str = "
    UPDATE OR ROLLBACK tickets SET version = ?2 + 1, status = ?3, valid_from = ?7, expires_at = ?8, redemption_id = ?9,
        redeemed_at = ?10, renewals = ?11, renewed_at = ?12, reinstatements = ?13, reinstated_at = ?14,
        reinstated_because = ?15,
        restorations = ?16, revoked_at = ?17, revoked_because = ?18, extended_at = ?19, extended_because = ?20
    WHERE id = ?1 AND version = ?2 AND album = ?4 AND batch = ?5 AND issued_at = ?6";
/// Sets all columns.
pub(super) const REPLACED: &str = "
    UPDATE OR ROLLBACK tickets SET version = ?2 + 1, status = ?3, album = ?4, batch = ?5, issued_at = ?6,
        valid_from = ?7, expires_at = ?8, redemption_id = ?9, redeemed_at = ?10, renewals = ?11, renewed_at = ?12,
        reinstatements = ?13, reinstated_at = ?14, reinstated_because = ?15,
        restorations = ?16, revoked_at = ?17, revoked_because = ?18, extended_at = ?19, extended_because = ?20
    WHERE id = ?1 AND version = ?2";

/// Replaces a ticket that has this version. `None` if there is no such ticket.
pub(super) fn put(
    connection: &Connection,
    id: &TicketId,
    version: Version,
    ticket: &Ticket,
) -> rusqlite::Result<Option<Version>> {
    let written = Version { sequence: version.sequence + 1, term: 0 };
    for sql in [CHANGED, REPLACED] {
        let mut statement = connection.prepare_cached(sql)?;
        if row::with_values(id, version.sequence, ticket, |values| statement.execute(values))? == 1 {
            return Ok(Some(written));
        }
    }
    Ok(None)
}

/// Adds the tickets in the order of their ids, so that neighbours in the file are written together.
pub(super) fn create(
    connection: &Connection,
    tickets: &[(TicketId, Ticket)],
) -> rusqlite::Result<Vec<Created>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let places: Vec<String> = (1..=row::COLUMN_COUNT + 1).map(|place| format!("?{place}")).collect();
        format!(
            "INSERT OR ROLLBACK INTO tickets (id, {}) VALUES ({}) ON CONFLICT (id) DO NOTHING",
            row::COLUMNS,
            places.join(", ")
        )
    });
    let mut statement = connection.prepare_cached(&SQL)?;
    let mut order: Vec<usize> = (0..tickets.len()).collect();
    order.sort_unstable_by_key(|index| tickets[*index].0);
    let mut created = vec![Created::Present; tickets.len()];
    for index in order {
        let (id, ticket) = &tickets[index];
        if row::with_values(id, 1, ticket, |values| statement.execute(values))? == 1 {
            created[index] = Created::New;
        }
    }
    Ok(created)
}
