//! Reads the file of keys: `key,album,batch,valid_from,expires_at`.
//!
//! Columns may be separated by any separator that spreadsheets use: the header shows which. Read as a stream, one line
//! at a time. A message about a line never quotes its key.

use std::io::{BufRead, Read as _};

use csv_core::ReadRecordResult;

use super::key_argument;
use crate::redemption::csv;
use crate::redemption::key::{DownloadKey, TicketId};
use crate::redemption::mint::{BatchTerms, COLUMNS, parse_time};

/// The number of required columns: the first ones.
const REQUIRED_COLUMNS: usize = 3;
/// The most columns that are read, including unknown ones.
const MAX_COLUMNS: usize = 100;
/// The longest line that is read, in bytes.
const MAX_LINE_BYTES: u64 = 4096;
/// The possible separators of columns. `tickey mint` writes the first one.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
/// The bytes that spreadsheets write before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A parsed line of the file.
pub(super) struct Line {
    /// The number of the line, 1-based, including the header.
    pub(super) number: u64,
    pub(super) id: TicketId,
    pub(super) terms: BatchTerms,
}

/// A line that is not a ticket.
pub(super) struct BadLine {
    /// The number of the line, 1-based, including the header.
    pub(super) line: u64,
    pub(super) why: String,
}

/// Reads lines one after the other. Each line is a record: a quote that is never closed affects no other line.
pub(super) struct KeysCsv<R> {
    input: R,
    /// The 1-based number of the last line that was read.
    line: u64,
    buffer: Vec<u8>,
    /// The position of each of [`COLUMNS`].
    places: [Option<usize>; COLUMNS.len()],
    /// Created once: creating one takes longer than reading a line.
    parser: csv_core::Reader,
    record: Record,
}

/// The fields of a line.
struct Record {
    text: Vec<u8>,
    /// The end of each field in `text`.
    ends: [usize; MAX_COLUMNS],
    fields: usize,
}

impl Record {
    /// A field without surrounding white space; empty if the line is shorter.
    fn field(&self, index: usize) -> &str {
        let ends = &self.ends[..self.fields];
        let Some(end) = ends.get(index) else { return "" };
        let start = if index == 0 { 0 } else { ends[index - 1] };
        // The line is UTF-8, and is split at ASCII characters only.
        str::from_utf8(&self.text[start..*end]).unwrap_or_default().trim()
    }

    /// Whether it is empty except for separators.
    fn is_empty(&self) -> bool {
        (0..self.fields).all(|index| self.field(index).is_empty())
    }
}

/// Refuses a file that is not UTF-8 text with lines, by its first line.
fn check_encoding(line: &[u8]) -> Result<(), String> {
    const ADVICE: &str = "save it as \"CSV UTF-8\", or as CSV with the character set UTF-8";
    if line.starts_with(b"PK\x03\x04") {
        return Err(format!("the file is a spreadsheet itself: {ADVICE}"));
    }
    if line.starts_with(b"\xFF\xFE") || line.starts_with(b"\xFE\xFF") || line.contains(&0) {
        return Err(format!("the file is in UTF-16 (\"Unicode text\") or is no text: {ADVICE}"));
    }
    if line.trim_ascii_end().contains(&b'\r') {
        return Err(format!("the lines end with CR alone, as old Macintosh programs write them: {ADVICE}"));
    }
    Ok(())
}

/// The separator that a first line `sep=;` announces, as spreadsheets write and read it.
fn announced_separator(line: &[u8]) -> Option<u8> {
    let text = str::from_utf8(line).ok()?;
    // The line may have been saved again as a cell, with quotes around it and empty cells behind it.
    let text = text.trim_end_matches(['\r', '\n']).trim_start_matches('"');
    let separator =
        text.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).and(text.as_bytes().get(4))?;
    SEPARATORS.contains(separator).then_some(*separator)
}

/// Whether a header's cell names a column: in any case, with spaces or dashes in place of underscores.
fn is_named(cell: &str, column: &str) -> bool {
    cell.to_lowercase().replace([' ', '-', '\u{A0}'], "_") == column
}

impl<R: BufRead> KeysCsv<R> {
    /// Reads the header.
    pub(super) fn new(input: R) -> Result<Self, String> {
        let places = [None; COLUMNS.len()];
        let record = Record { text: Vec::new(), ends: [0; MAX_COLUMNS], fields: 0 };
        let parser = csv_core::Reader::new();
        let mut csv = Self { input, line: 0, buffer: Vec::new(), places, parser, record };
        csv.read_header().map_err(|why| format!("the header cannot be read: {why}"))?;
        match csv.places.iter().take(REQUIRED_COLUMNS).position(Option::is_none) {
            None => Ok(csv),
            Some(missing) => Err(format!(
                "line {} should be the header and has no column `{}`: it should read {}, with commas, \
                 semicolons or tabs between the columns",
                csv.line.max(1),
                COLUMNS[missing],
                COLUMNS.join(",")
            )),
        }
    }

    /// Determines the separator, and the position of each of [`COLUMNS`].
    fn read_header(&mut self) -> Result<(), String> {
        let read = self.read_line().map_err(|error| error.to_string())?;
        check_encoding(&self.buffer)?;
        read.unwrap_or(Ok(()))?;
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
        }
        let mut separators = SEPARATORS.to_vec();
        if let Some(separator) = announced_separator(&self.buffer) {
            separators = vec![separator];
            self.read_line().map_err(|error| error.to_string())?.unwrap_or(Ok(()))?;
        }
        let mut most = 0;
        for separator in separators {
            let mut parser = csv_core::ReaderBuilder::new().delimiter(separator).build();
            std::mem::swap(&mut self.parser, &mut parser);
            self.split()?;
            let places = COLUMNS.map(|column| {
                (0..self.record.fields).find(|index| is_named(self.record.field(*index), column))
            });
            let found = places.iter().flatten().count();
            if found > most {
                (most, self.places) = (found, places);
            } else {
                self.parser = parser;
            }
        }
        Ok(())
    }

    /// The next line, or `None` at the end. The outer error is an I/O error, after which there is no next line.
    pub(super) fn next(&mut self) -> Result<Option<Result<Line, BadLine>>, std::io::Error> {
        let read = loop {
            match self.read_line()? {
                Some(Ok(())) => match self.split() {
                    // A spreadsheet keeps the separators of emptied rows.
                    Ok(()) if self.record.is_empty() => {}
                    split => break Some(split),
                },
                read => break read,
            }
        };
        let line = self.line;
        Ok(read.map(|read| read.and_then(|()| self.understand()).map_err(|why| BadLine { line, why })))
    }

    /// Reads the next line that is not blank into `buffer`.
    fn read_line(&mut self) -> Result<Option<Result<(), String>>, std::io::Error> {
        loop {
            self.buffer.clear();
            let mut bounded = (&mut self.input).take(MAX_LINE_BYTES + 1);
            if bounded.read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if self.buffer.len() as u64 > MAX_LINE_BYTES && self.buffer.last() != Some(&b'\n') {
                self.input.skip_until(b'\n')?;
                return Ok(Some(Err(format!("it is longer than {MAX_LINE_BYTES} bytes"))));
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(Ok(())));
            }
        }
    }

    /// Splits `buffer` into the fields of `record`.
    fn split(&mut self) -> Result<(), String> {
        if str::from_utf8(&self.buffer).is_err() {
            return Err("it is not UTF-8".to_owned());
        }
        let Record { text, ends, fields } = &mut self.record;
        // The fields are never longer than the line that they come from.
        text.resize(self.buffer.len(), 0);
        self.parser.reset();
        let (mut written, mut rest) = (0, self.buffer.as_slice());
        *fields = 0;
        loop {
            let (result, read, bytes, ended) =
                self.parser.read_record(rest, &mut text[written..], &mut ends[*fields..]);
            (rest, written, *fields) = (&rest[read..], written + bytes, *fields + ended);
            match result {
                ReadRecordResult::Record => return Ok(()),
                // A line without a line end: the parser is told that nothing follows.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputEndsFull => {
                    return Err(format!("it has more than {MAX_COLUMNS} columns"));
                }
                ReadRecordResult::OutputFull | ReadRecordResult::End => {
                    return Err("it cannot be read".to_owned());
                }
            }
        }
    }

    fn understand(&self) -> Result<Line, String> {
        let [key, album, batch, valid_from, expires_at] =
            self.places.map(|place| place.map_or("", |place| self.record.field(place)));
        let key = DownloadKey::parse(key).map_err(|error| key_argument::explain(&error))?;
        let name =
            |column: &str, cell: &str| csv::text(cell).parse().map_err(|error| format!("{column}: {error}"));
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
        Ok(Line { number: self.line, id: key.id(), terms: terms.check().map_err(|error| error.to_string())? })
    }
}

#[cfg(test)]
mod tests;
