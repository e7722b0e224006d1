//! Converts a ticket to a row and back.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Row, ToSql};
use uuid::Uuid;

use super::super::{Version, Versioned};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{
    Change, Name, Redemption, RedemptionId, Reinstatement, State, Status, Ticket,
};

/// The columns in the order in which [`read`] expects them.
pub(super) const COLUMNS: &str = "version, status, album, batch, issued_at, valid_from, expires_at, \
     redemption_id, redeemed_at, renewals, renewed_at, reinstatements, reinstated_at, reinstated_because, \
     restorations, revoked_at, revoked_because, extended_at, extended_because";

/// The number of columns in [`COLUMNS`]: a query can put further columns after them.
pub(super) const COLUMN_COUNT: usize = 19;

/// Reads [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Versioned<Ticket>> {
    let redemption = match row.get::<_, Option<[u8; 16]>>(7)? {
        None => None,
        Some(id) => Some(Redemption {
            id: RedemptionId(Uuid::from_bytes(id)),
            at: time(row, 8)?,
            renewals: row.get(9)?,
            renewed_at: optional_time(row, 10)?,
        }),
    };
    let state = match (status(row, 1)?, redemption) {
        (Status::Issued, _) => State::Issued,
        (Status::Redeemed, Some(redemption)) => State::Redeemed(redemption),
        (Status::Redeemed, None) => return Err(wrong(7, Type::Null, "redeemed without a redemption")),
        (Status::Revoked, redemption) => State::Revoked(redemption),
    };
    let reinstated = match row.get::<_, Option<u32>>(11)? {
        None => None,
        Some(times) => Some(Reinstatement {
            times,
            restored: row.get::<_, Option<u32>>(14)?.unwrap_or(0),
            at: time(row, 12)?,
            because: row.get(13)?,
        }),
    };
    let revoked = change(row, 15)?;
    let extended = change(row, 17)?;
    let ticket = Ticket {
        album: name(row, 2)?,
        batch: name(row, 3)?,
        issued_at: time(row, 4)?,
        valid_from: optional_time(row, 5)?,
        expires_at: optional_time(row, 6)?,
        revoked,
        reinstated,
        extended,
        state,
    };
    Ok(Versioned {
        version: Version { sequence: row.get::<_, i64>(0)?.cast_unsigned(), term: 0 },
        value: ticket,
    })
}

/// Calls `execute` with the ticket's id, then its values in the order of [`COLUMNS`].
pub(super) fn with_values<T>(
    id: &TicketId,
    version: u64,
    ticket: &Ticket,
    execute: impl FnOnce(&[&dyn ToSql]) -> T,
) -> T {
    let redemption = ticket.last_redemption();
    let reinstated = ticket.reinstated.as_ref();
    let revoked = ticket.revoked.as_ref();
    let extended = ticket.extended.as_ref();
    execute(&[
        id.as_bytes(),
        &version.cast_signed(),
        &ticket.status().as_str(),
        &ticket.album.as_str(),
        &ticket.batch.as_str(),
        &ticket.issued_at.as_second(),
        &ticket.valid_from.map(Timestamp::as_second),
        &ticket.expires_at.map(Timestamp::as_second),
        &redemption.map(|r| *r.id.0.as_bytes()),
        &redemption.map(|r| r.at.as_second()),
        &redemption.map(|r| r.renewals),
        &redemption.and_then(|r| r.renewed_at).map(Timestamp::as_second),
        &reinstated.map(|r| r.times),
        &reinstated.map(|r| r.at.as_second()),
        &reinstated.map(|r| r.because.as_str()),
        &reinstated.map(|r| r.restored).filter(|restored| *restored > 0),
        &revoked.map(|r| r.at.as_second()),
        &revoked.and_then(|r| r.because.as_deref()),
        &extended.map(|e| e.at.as_second()),
        &extended.and_then(|e| e.because.as_deref()),
    ])
}

/// Reads a ticket's id.
pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<TicketId> {
    row.get(column).map(TicketId::from_bytes)
}

/// Reads the name of an album or a batch.
pub(super) fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<Name> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|_| wrong(column, Type::Text, "not a name"))
}

/// Reads a status.
pub(super) fn status(row: &Row<'_>, column: usize) -> rusqlite::Result<Status> {
    match row.get_ref(column)?.as_str()? {
        "issued" => Ok(Status::Issued),
        "redeemed" => Ok(Status::Redeemed),
        "revoked" => Ok(Status::Revoked),
        _ => Err(wrong(column, Type::Text, "not a status")),
    }
}

/// Reads the time of a change, and its reason from the column after that.
fn change(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Change>> {
    match optional_time(row, column)? {
        None => Ok(None),
        Some(at) => Ok(Some(Change { at, because: row.get(column + 1)? })),
    }
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_second(row.get(column)?).map_err(|_| wrong(column, Type::Integer, "not a time"))
}

fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(_) => time(row, column).map(Some),
    }
}

fn wrong(column: usize, found: Type, why: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, found, why.into())
}
