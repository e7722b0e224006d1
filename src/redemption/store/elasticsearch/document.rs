//! Converts a ticket to a document of the index and back, and defines the mapping for it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::engine::elasticsearch::document::{Document, append_json};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{
    Change, Name, Redemption, RedemptionId, Reinstatement, State, Status, Ticket,
};

/// The document as it is written.
#[derive(Serialize)]
struct Written<'a> {
    album: &'a Name,
    batch: &'a Name,
    status: Status,
    issued_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redemption: Option<RedemptionPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<WrittenChange<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reinstated: Option<WrittenReinstatement<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended: Option<WrittenChange<'a>>,
}

#[derive(Serialize)]
struct WrittenReinstatement<'a> {
    times: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<u32>,
    at: Timestamp,
    because: &'a str,
}

#[derive(Serialize)]
struct WrittenChange<'a> {
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'a str>,
}

impl<'a> WrittenChange<'a> {
    fn new(change: &'a Change) -> Self {
        Self { at: change.at, because: change.because.as_deref() }
    }
}

/// The document as it is read, from the index or from a file for its `_bulk`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    album: Name,
    batch: Name,
    status: Status,
    issued_at: Timestamp,
    valid_from: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    redemption: Option<RedemptionPart>,
    revoked: Option<ReadChange>,
    reinstated: Option<ReadReinstatement>,
    extended: Option<ReadChange>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedemptionPart {
    id: RedemptionId,
    at: Timestamp,
    renewals: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadReinstatement {
    times: u32,
    #[serde(default)]
    restored: u32,
    at: Timestamp,
    because: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadChange {
    at: Timestamp,
    because: Option<String>,
}

impl ReadChange {
    fn change(self) -> Result<Change, String> {
        Ok(Change { at: whole_seconds(self.at)?, because: self.because })
    }
}

/// The fields of a document. Strict, so that no field is stored that another version would drop.
fn mappings() -> Value {
    // Other forms, such as a date without a time, are excluded: programs differ in how they read them.
    let time = json!({"type": "date", "format": "strict_date_time_no_millis||strict_date_time"});
    let keyword = json!({"type": "keyword"});
    let number = json!({"type": "integer"});
    let because = json!({"type": "keyword", "index": false, "doc_values": false});
    let change = json!({"properties": {"at": time, "because": because}});
    json!({
        "dynamic": "strict",
        "properties": {
            "album": keyword,
            "batch": keyword,
            "status": keyword,
            "issued_at": time,
            "valid_from": time,
            "expires_at": time,
            "redemption": {"properties": {"id": keyword, "at": time, "renewals": number, "renewed_at": time}},
            "revoked": change,
            "reinstated": {"properties": {"times": number, "restored": number, "at": time, "because": because}},
            "extended": change,
        },
    })
}

impl Document for Ticket {
    type Id = TicketId;

    const NOBODY: TicketId = TicketId::from_bytes([0; TicketId::BYTES]);

    const ADDED_FIELDS: &'static [&'static str] =
        &["/properties/revoked", "/properties/extended", "/properties/reinstated/properties/restored"];

    fn parse_id(text: &str) -> Option<TicketId> {
        TicketId::parse(text)
    }

    fn mappings() -> Value {
        mappings()
    }

    fn write(&self, body: &mut Vec<u8>) {
        write(self, body);
    }

    fn read(json: &[u8]) -> Result<Self, String> {
        read(json)
    }
}

/// Appends the ticket as JSON on one line, without the line's end.
fn write(ticket: &Ticket, body: &mut Vec<u8>) {
    let redemption = ticket.last_redemption().map(|redemption| RedemptionPart {
        id: redemption.id,
        at: redemption.at,
        renewals: redemption.renewals,
        renewed_at: redemption.renewed_at,
    });
    let reinstated = ticket.reinstated.as_ref().map(|reinstated| WrittenReinstatement {
        times: reinstated.times,
        restored: Some(reinstated.restored).filter(|restored| *restored > 0),
        at: reinstated.at,
        because: &reinstated.because,
    });
    let document = Written {
        album: &ticket.album,
        batch: &ticket.batch,
        status: ticket.status(),
        issued_at: ticket.issued_at,
        valid_from: ticket.valid_from,
        expires_at: ticket.expires_at,
        redemption,
        revoked: ticket.revoked.as_ref().map(WrittenChange::new),
        reinstated,
        extended: ticket.extended.as_ref().map(WrittenChange::new),
    };
    append_json(body, &document);
}

/// Reads a ticket. The error says what is wrong with it.
pub(crate) fn read(json: &[u8]) -> Result<Ticket, String> {
    let document: Read = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let redemption = match document.redemption {
        None => None,
        Some(part) => Some(Redemption {
            id: part.id,
            at: whole_seconds(part.at)?,
            renewals: part.renewals,
            renewed_at: part.renewed_at.map(whole_seconds).transpose()?,
        }),
    };
    let state = match (document.status, redemption) {
        (Status::Issued, None) => State::Issued,
        (Status::Redeemed, Some(redemption)) => State::Redeemed(redemption),
        (Status::Revoked, redemption) => State::Revoked(redemption),
        (Status::Issued, Some(_)) => return Err("it is issued, and yet has a redemption".to_owned()),
        (Status::Redeemed, None) => return Err("it is redeemed without a redemption".to_owned()),
    };
    let reinstated = match document.reinstated {
        None => None,
        Some(part) => Some(Reinstatement {
            times: part.times,
            restored: part.restored,
            at: whole_seconds(part.at)?,
            because: part.because,
        }),
    };
    Ok(Ticket {
        album: document.album,
        batch: document.batch,
        issued_at: whole_seconds(document.issued_at)?,
        valid_from: document.valid_from.map(whole_seconds).transpose()?,
        expires_at: document.expires_at.map(whole_seconds).transpose()?,
        revoked: document.revoked.map(ReadChange::change).transpose()?,
        reinstated,
        extended: document.extended.map(ReadChange::change).transpose()?,
        state,
    })
}

/// Finer time is neither stored nor shown anywhere, but documents written by hand may have it.
fn whole_seconds(time: Timestamp) -> Result<Timestamp, String> {
    Timestamp::from_second(time.as_second()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str =
        r#"{"album": "a", "batch": "b", "status": "issued", "issued_at": "2026-11-21T10:00:00Z"}"#;

    #[test]
    fn a_document_written_by_hand_is_read() {
        let ticket = read(MINIMAL.as_bytes()).unwrap();
        let issued_at = "2026-11-21T10:00:00Z".parse().unwrap();
        assert_eq!(ticket, Ticket::issue("a".parse().unwrap(), "b".parse().unwrap(), issued_at));
        let finer = MINIMAL.replace("10:00:00Z", "11:00:00.987+01:00");
        assert_eq!(read(finer.as_bytes()).unwrap(), ticket);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let redemption = r#""redemption": {"id": "00000000-0000-8000-8000-000000000001", "at": "2026-11-21T10:00:01Z",
            "renewals": 2, "renewed_at": "2026-11-21T10:00:02Z"}"#;
        let json = MINIMAL.replace("\"issued\"", "\"revoked\"").replace(
            '}',
            &format!(
                r#", "valid_from": "2026-11-20T10:00:00Z", "expires_at": "2027-11-20T10:00:00Z", {redemption},
            "revoked": {{"at": "2026-11-21T10:00:04Z", "because": "a leak"}},
            "reinstated": {{"times": 3, "restored": 1, "at": "2026-11-21T10:00:03Z", "because": "“lost” \n it"}},
            "extended": {{"at": "2026-11-21T10:00:05Z"}}}}"#
            ),
        );
        let ticket = read(json.as_bytes()).unwrap();
        let mut written = Vec::new();
        write(&ticket, &mut written);
        assert!(!written.contains(&b'\n'), "a document is one line");
        assert_eq!(read(&written).unwrap(), ticket);
    }

    #[test]
    fn what_is_no_ticket_is_said_to_be_none() {
        for (from, to) in [
            ("\"issued\"", "\"redeemed\""),
            ("\"issued\"", "\"sold\""),
            ("\"a\"", "\"\""),
            ("2026-11-21T10:00:00Z", "yesterday"),
            ("\"batch\"", "\"bunch\""),
            (
                "\"b\"",
                "\"b\", \"redemption\": {\"id\": \"00000000-0000-8000-8000-000000000001\", \"at\": \
                 \"2026-11-21T10:00:00Z\", \"renewals\": 0}",
            ),
        ] {
            assert!(read(MINIMAL.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }
}
