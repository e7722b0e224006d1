//! Finds the lines about a request or a ticket in a server's log.
//!
//! Reads the JSON lines that a server writes when its stderr is not a terminal, also with a prefix, as `kubectl logs
//! --prefix` and journals add one. Knows neither the store nor a key.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::outcome::Outcome;
use crate::redemption::key::TicketId;

/// The longest line that is read, in bytes; the rest of it is skipped.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// The most lines that are kept; the last ones.
const MAX_ENTRIES: usize = 1000;

/// A line of the log.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Entry {
    timestamp: String,
    level: String,
    fields: Map<String, Value>,
}

/// The subject of the wanted lines.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// The lines of the request, or about the redemption, with this id.
    Request(&'a str),
    /// The lines that name a ticket.
    Ticket(&'a TicketId),
}

/// The lines about a subject, in the order of the log. `-` is standard input.
pub(super) fn find(path: &Path, subject: Subject<'_>) -> Outcome<Vec<Entry>> {
    let input: Box<dyn BufRead> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file =
            File::open(path).map_err(|error| format!("{} cannot be opened: {error}", path.display()))?;
        Box::new(BufReader::new(file))
    };
    let found = search(input, subject)?;
    if found.is_empty() {
        let what = match subject {
            Subject::Request(id) => format!("the request or redemption `{id}`"),
            Subject::Ticket(id) => format!("the ticket {id}"),
        };
        return Err(format!(
            "the log has no line about {what}: look in the logs of all servers, also of those that have ended, for the \
             time of the request. They must be the JSON lines that a server writes"
        )
        .into());
    }
    Ok(found)
}

fn search(mut input: impl BufRead, subject: Subject<'_>) -> io::Result<Vec<Entry>> {
    let (fields, wanted): (&[&str], String) = match subject {
        Subject::Request(id) => (&["request_id", "redemption"], id.to_owned()),
        Subject::Ticket(id) => (&["ticket"], id.to_string()),
    };
    let mut found = std::collections::VecDeque::new();
    let mut line = Vec::new();
    while read_line(&mut input, &mut line)? {
        let text = String::from_utf8_lossy(&line);
        if !text.contains(&wanted) {
            continue;
        }
        let Some(entry) = text.find('{').and_then(|start| serde_json::from_str::<Entry>(&text[start..]).ok())
        else {
            continue;
        };
        let names = |field: &&str| entry.fields.get(*field).and_then(Value::as_str) == Some(&wanted);
        if fields.iter().any(names) {
            if found.len() == MAX_ENTRIES {
                found.pop_front();
            }
            found.push_back(entry);
        }
    }
    Ok(found.into())
}

/// Reads a line, or the beginning of a line that is too long. `false` at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    if input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.ends_with(b"\n") {
        return Ok(true);
    }
    input.skip_until(b'\n')?;
    Ok(true)
}

impl Entry {
    /// The entry on one line: time, message, and fields. Not escaped, so only for [`crate::cli::output::say`].
    pub(super) fn line(&self) -> String {
        let message = self.fields.get("message").and_then(Value::as_str).unwrap_or_default();
        let mut line = format!("{} {} {message}", self.timestamp, self.level);
        for (name, value) in self.fields.iter().filter(|(name, _)| *name != "message") {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // Writing to a string cannot fail.
            let _ = write!(line, " {name}={value}");
        }
        line
    }
}

/// The tickets that lines name.
pub(super) fn tickets(entries: &[Entry]) -> BTreeSet<TicketId> {
    let named = entries.iter().filter_map(|entry| entry.fields.get("ticket").and_then(Value::as_str));
    named.filter_map(TicketId::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "FW8esbCt8xG32a8tomvn89yOy4rIihM6OSS4kRFRWOA";

    fn log() -> String {
        let line = |request: &str, more: &str| {
            let fields = format!(r#"{{"message":"request","request_id":"{request}"{more}}}"#);
            format!(r#"{{"timestamp":"2026-11-21T10:00:00Z","level":"INFO","fields":{fields},"target":"t"}}"#)
        };
        let long = format!("{}\n", "x".repeat(200_000));
        [
            line("a-1", ""),
            "not JSON a-2".to_owned(),
            long,
            format!("[pod/redeemer-1 tickey] {}", line("a-2", &format!(r#","ticket":"{ID}","status":409"#))),
            format!("{}\r", line("a-2", r#","cause":"\u001b[31m""#)),
            line("a-22", ""),
            "{\"cut off".to_owned(),
        ]
        .join("\n")
    }

    #[test]
    fn the_lines_of_a_request_are_found_among_others_and_behind_prefixes() {
        let found = search(log().as_bytes(), Subject::Request("a-2")).unwrap();
        let lines: Vec<String> = found.iter().map(Entry::line).collect();
        assert_eq!(
            lines,
            [
                format!("2026-11-21T10:00:00Z INFO request request_id=a-2 status=409 ticket={ID}"),
                "2026-11-21T10:00:00Z INFO request cause=\u{1b}[31m request_id=a-2".to_owned(),
            ]
        );
        assert_eq!(tickets(&found), BTreeSet::from([TicketId::parse(ID).unwrap()]));
        assert!(search(log().as_bytes(), Subject::Request("a-3")).unwrap().is_empty());
    }

    #[test]
    fn the_lines_that_name_a_ticket_are_found() {
        let found = search(log().as_bytes(), Subject::Ticket(&TicketId::parse(ID).unwrap())).unwrap();
        assert_eq!(found.len(), 1);
    }
}
