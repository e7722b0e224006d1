//! The file that keys travel in, as it is read: `key,album,batch,valid_from,expires_at`.
//!
//! Read as a stream, a line at a time. What is said about a line never holds its key.

use std::io::{BufRead, Read as _};

use csv_core::ReadRecordResult;

use super::key_argument;
use crate::redemption::key::{DownloadKey, TicketId};
use crate::redemption::mint::{BatchTerms, COLUMNS, parse_time};

/// The columns that may not be missing: the first ones.
const REQUIRED_COLUMNS: usize = 3;
/// The most columns that are read, ours and others.
const MAX_COLUMNS: usize = 100;
/// The longest line that is read, in bytes.
const MAX_LINE_BYTES: u64 = 4096;

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

/// Reads lines one after the other. A line is a record: a quote that is never closed spoils no other line.
pub(super) struct KeysCsv<R> {
    input: R,
    /// 1-based number of the line that was read last.
    line: u64,
    buffer: Vec<u8>,
    /// Where each of [`COLUMNS`] stands.
    places: [Option<usize>; COLUMNS.len()],
    /// Made once: making one takes longer than reading a line.
    parser: csv_core::Reader,
    record: Record,
}

/// The fields of a line.
struct Record {
    text: Vec<u8>,
    /// Where each field ends in `text`.
    ends: [usize; MAX_COLUMNS],
    fields: usize,
}

impl Record {
    /// A field without the white space around it; none at all where the line is shorter.
    fn field(&self, index: usize) -> &str {
        let ends = &self.ends[..self.fields];
        let Some(end) = ends.get(index) else { return "" };
        let start = if index == 0 { 0 } else { ends[index - 1] };
        // The line is UTF-8, and is cut at ASCII characters only.
        str::from_utf8(&self.text[start..*end]).unwrap_or_default().trim()
    }
}

impl<R: BufRead> KeysCsv<R> {
    /// Reads the header.
    pub(super) fn new(input: R) -> Result<Self, String> {
        let places = [None; COLUMNS.len()];
        let record = Record { text: Vec::new(), ends: [0; MAX_COLUMNS], fields: 0 };
        let parser = csv_core::Reader::new();
        let mut csv = Self { input, line: 0, buffer: Vec::new(), places, parser, record };
        let header = csv.read_line().map_err(|error| format!("the header cannot be read: {error}"))?;
        header.unwrap_or(Ok(())).map_err(|why| format!("the header cannot be read: {why}"))?;
        let place = |column| {
            let is_there = |index: &usize| csv.record.field(*index).trim_start_matches('\u{FEFF}') == column;
            (0..csv.record.fields).find(is_there)
        };
        csv.places = COLUMNS.map(place);
        match csv.places.iter().take(REQUIRED_COLUMNS).position(Option::is_none) {
            None => Ok(csv),
            Some(missing) => Err(format!(
                "the first line has no column `{}`: it should read {}",
                COLUMNS[missing],
                COLUMNS.join(",")
            )),
        }
    }

    /// The next line, or `None` at the end. The outer error is one of reading, after which there is no next line.
    pub(super) fn next(&mut self) -> Result<Option<Result<Line, BadLine>>, std::io::Error> {
        let read = self.read_line()?;
        let line = self.line;
        Ok(read.map(|read| read.and_then(|()| self.understand()).map_err(|why| BadLine { line, why })))
    }

    /// Reads the next line that is not blank into `record`.
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
                return Ok(Some(self.split()));
            }
        }
    }

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
                // A line without an end: it is told that nothing follows.
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "M9S34-6Q3D2-5VT4F-5V37E-3S3NJ,album,batch";

    fn read(text: &str) -> Vec<Result<(), (u64, String)>> {
        let mut csv = KeysCsv::new(text.as_bytes()).unwrap();
        let mut lines = Vec::new();
        while let Some(line) = csv.next().unwrap() {
            lines.push(line.map(drop).map_err(|bad| (bad.line, bad.why)));
        }
        lines
    }

    #[test]
    fn a_bad_line_spoils_no_other_and_is_named_by_its_number() {
        let long = "x".repeat(5000);
        let text = format!(
            "key,album,batch,valid_from,expires_at\r\n\r\n{GOOD}\r\n\"{GOOD}\n\n{long}\n\u{FEFF}bad\n{GOOD},\"\",\"2030-01-01\""
        );
        let lines = read(&text);
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert_eq!((&lines[0], &lines[4]), (&Ok(()), &Ok(())));
        let numbers: Vec<u64> =
            lines.iter().filter_map(|line| line.as_ref().err()).map(|(line, _)| *line).collect();
        assert_eq!(numbers, [4, 6, 7]);
    }

    #[test]
    fn fields_are_read_as_spreadsheets_write_them() {
        let quoted = GOOD.replace(",album,", ",\"an \"\"album\"\", so called\",");
        for line in [
            GOOD,
            &quoted,
            &format!(" {} ", GOOD.replace(',', " , ")),
            &format!("\"{}", GOOD.replacen(',', "\",", 1)),
        ] {
            assert_eq!(read(&format!("key,album,batch\n{line}")), [Ok(())], "{line}");
            assert_eq!(read(&format!("key,album,batch\r\n{line}\r\n")), [Ok(())], "{line}");
        }
        let text = format!("key,album,batch\n{quoted}\n");
        let mut csv = KeysCsv::new(text.as_bytes()).unwrap();
        let line = csv.next().unwrap().unwrap().ok().unwrap();
        assert_eq!(line.terms.album.as_str(), "an \"album\", so called");
        let wide = format!("key,album,batch\n{GOOD}{}\n{GOOD}\n", ",x".repeat(MAX_COLUMNS));
        assert_eq!(read(&wide), [Err((2, "it has more than 100 columns".to_owned())), Ok(())]);
        assert!(read("key,album,batch\n\u{FEFF}\n").len() == 1);
    }

    #[test]
    fn the_header_may_be_in_any_order_and_must_be_there() {
        assert!(KeysCsv::new("batch,key,album\n".as_bytes()).is_ok());
        for text in ["", "key,album\n", GOOD] {
            assert!(KeysCsv::new(text.as_bytes()).is_err(), "{text}");
        }
    }
}
