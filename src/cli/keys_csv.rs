//! The file that keys travel in: `key,album,batch,valid_from,expires_at`.
//!
//! Read as a stream, a line at a time. What is said about a line never holds its key.

use std::io::Read;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::key_argument;
use super::options::parse_time;
use crate::redemption::key::{DownloadKey, TicketId};
use crate::redemption::mint::BatchTerms;

/// The columns. The last two may be empty, or missing.
pub(super) const COLUMNS: [&str; 5] = ["key", "album", "batch", "valid_from", "expires_at"];
const REQUIRED_COLUMNS: usize = 3;

/// A line of the file, understood.
pub(super) struct Line {
    pub(super) id: TicketId,
    pub(super) terms: BatchTerms,
}

/// A line that is not a ticket.
pub(super) struct BadLine {
    /// 1-based, the header included.
    pub(super) line: u64,
    pub(super) why: String,
}

/// Reads lines one after the other.
pub(super) struct KeysCsv<R> {
    reader: csv::Reader<R>,
    /// Where each of [`COLUMNS`] stands.
    places: [Option<usize>; COLUMNS.len()],
    record: StringRecord,
}

impl<R: Read> KeysCsv<R> {
    /// Reads the header.
    pub(super) fn new(input: R) -> Result<Self, String> {
        let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(input);
        let header = reader.headers().map_err(|error| format!("the header cannot be read: {error}"))?;
        let places = COLUMNS
            .map(|column| header.iter().position(|found| found.trim_start_matches('\u{FEFF}') == column));
        if let Some(missing) = places.iter().take(REQUIRED_COLUMNS).position(Option::is_none) {
            return Err(format!(
                "the first line has no column `{}`: it should read {}",
                COLUMNS[missing],
                COLUMNS.join(",")
            ));
        }
        Ok(Self { reader, places, record: StringRecord::new() })
    }

    /// The next line, or `None` at the end. The outer error is one of reading, after which there is no next line.
    pub(super) fn next(&mut self) -> Result<Option<Result<Line, BadLine>>, std::io::Error> {
        let line_before = self.reader.position().line();
        match self.reader.read_record(&mut self.record) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let line = self.record.position().map_or(line_before, csv::Position::line);
                Ok(Some(self.understand().map_err(|why| BadLine { line, why })))
            }
            Err(error) => {
                let line = error.position().map_or(line_before, csv::Position::line);
                match error.into_kind() {
                    csv::ErrorKind::Io(error) => Err(error),
                    csv::ErrorKind::Utf8 { .. } => {
                        Ok(Some(Err(BadLine { line, why: "it is not UTF-8".to_owned() })))
                    }
                    _ => Ok(Some(Err(BadLine { line, why: "it cannot be read".to_owned() }))),
                }
            }
        }
    }

    fn understand(&self) -> Result<Line, String> {
        let [key, album, batch, valid_from, expires_at] =
            self.places.map(|place| place.and_then(|place| self.record.get(place)).unwrap_or_default());
        let key = DownloadKey::parse(key).map_err(|error| key_argument::explain(&error))?;
        let name = |column: &str, text: &str| text.parse().map_err(|error| format!("{column}: {error}"));
        let time = |column: &str, text: &str| match text {
            "" => Ok(None),
            text => parse_time(text).map(Some).map_err(|error| format!("{column}: {error}")),
        };
        let terms = BatchTerms {
            album: name("album", album)?,
            batch: name("batch", batch)?,
            valid_from: time("valid_from", valid_from)?,
            expires_at: time("expires_at", expires_at)?,
        };
        Ok(Line { id: key.id(), terms: terms.check().map_err(|error| error.to_string())? })
    }
}
