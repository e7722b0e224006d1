//! The demonstration's tickets and their keys, which are compiled into the program and public.
//!
//! The tickets are in the format of Elasticsearch's `_bulk`, so that the same file serves both stores.

use serde::Deserialize;

use super::keys_csv::KeysCsv;
use super::outcome::Outcome;
use crate::redemption::key::TicketId;
use crate::redemption::store::elasticsearch::document;
use crate::redemption::ticket::Ticket;

const TICKETS: &str = include_str!("../../seed/ticket-data.json");
const KEYS: &str = include_str!("../../seed/demo-keys.csv");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    create: Create,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    #[serde(rename = "_id")]
    id: String,
}

/// The tickets.
pub(super) fn tickets() -> Outcome<Vec<(TicketId, Ticket)>> {
    let mut lines = TICKETS.lines();
    let mut tickets = Vec::new();
    while let (Some(action), Some(document)) = (lines.next(), lines.next()) {
        let action: Action = serde_json::from_str(action)?;
        let id = TicketId::parse(&action.create.id).ok_or("an _id of the seed is not a ticket's id")?;
        tickets.push((id, document::read(document.as_bytes())?));
    }
    Ok(tickets)
}

/// The keys in printed form, with their ids, in the order of the file.
pub(super) fn keys() -> Outcome<Vec<(String, TicketId)>> {
    let mut csv = KeysCsv::new(KEYS.as_bytes())?;
    let printed = KEYS.lines().skip(1).filter_map(|line| line.split(',').next());
    let mut keys = Vec::new();
    for printed in printed {
        match csv.next()? {
            Some(Ok(line)) => keys.push((printed.to_owned(), line.id)),
            Some(Err(bad)) => return Err(format!("line {} of the demo keys: {}", bad.line, bad.why).into()),
            None => break,
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::redemption::ticket::State;

    #[test]
    fn every_key_has_its_ticket_and_there_is_one_of_each_kind() {
        let tickets = tickets().unwrap();
        let keys = keys().unwrap();
        assert_eq!(tickets.len(), keys.len());
        for (_, id) in &keys {
            assert!(tickets.iter().any(|(ticket, _)| ticket == id));
        }
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let count = |wanted: fn(&Ticket, Timestamp) -> bool| {
            tickets.iter().filter(|(_, ticket)| wanted(ticket, now)).count()
        };
        assert!(count(|ticket, _| matches!(ticket.state, State::Redeemed(_))) > 0);
        assert!(count(|ticket, _| matches!(ticket.state, State::Revoked(_))) > 0);
        assert!(count(|ticket, now| ticket.expires_at.is_some_and(|end| end < now)) > 0);
        assert!(count(|ticket, now| ticket.valid_from.is_some_and(|from| from > now)) > 0);
        assert!(
            count(|ticket, _| *ticket
                == Ticket::issue(ticket.album.clone(), ticket.batch.clone(), ticket.issued_at))
                > 3
        );
    }
}
