//! New tickets and their keys, and writing the file of keys.
//!
//! Pure: random bytes and the time come in, tickets go out one by one, so memory use does not depend on the size
//! of a batch.

use std::borrow::Cow;
use std::io::{self, Write};
use std::iter;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use zeroize::{Zeroize as _, Zeroizing};

use super::csv::cell;
use super::key::{DownloadKey, RANDOM_SYMBOLS};
use super::ticket::{Name, Ticket};
use crate::environment::{Entropy, EntropyError};

/// The terms that the tickets of a batch share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchTerms {
    /// The album of the tickets.
    pub album: Name,
    /// The name of the batch.
    pub batch: Name,
    /// The time from which they can be redeemed.
    pub valid_from: Option<Timestamp>,
    /// The time from which they can no longer be redeemed.
    pub expires_at: Option<Timestamp>,
}

/// The period in which a key can be redeemed is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("valid_from must be before expires_at, or the key can never be redeemed")]
pub struct EmptySpan;

impl BatchTerms {
    /// Refuses terms with an empty period.
    pub fn check(self) -> Result<Self, EmptySpan> {
        match (self.valid_from, self.expires_at) {
            (Some(from), Some(end)) if from >= end => Err(EmptySpan),
            _ => Ok(self),
        }
    }

    /// An unused ticket on these terms.
    #[must_use]
    pub fn ticket(&self, issued_at: Timestamp) -> Ticket {
        Ticket {
            valid_from: self.valid_from,
            expires_at: self.expires_at,
            ..Ticket::issue(self.album.clone(), self.batch.clone(), issued_at)
        }
    }
}

/// The number of keys whose random bytes are fetched at once: a system call costs more than making a key.
const KEYS_A_CALL: usize = 64;

/// An endless sequence of new keys.
pub fn new_keys(entropy: &dyn Entropy) -> impl Iterator<Item = Result<DownloadKey, EntropyError>> {
    let mut random = Zeroizing::new([[0; RANDOM_SYMBOLS]; KEYS_A_CALL]);
    let mut unused = 0;
    iter::from_fn(move || {
        if unused == 0 {
            if let Err(error) = entropy.fill(random.as_flattened_mut()) {
                return Some(Err(error));
            }
            unused = KEYS_A_CALL;
        }
        unused -= 1;
        let key = DownloadKey::from_random(&random[unused]);
        random[unused].zeroize();
        Some(Ok(key))
    })
}

/// The columns of the file of keys. The last two may be empty.
pub const COLUMNS: [&str; 5] = ["key", "album", "batch", "valid_from", "expires_at"];

/// Writes the file of keys: one key on each line. Names are written as [`cell`]s.
pub struct KeysWriter<'a, W: Write> {
    csv: csv::Writer<W>,
    album: Cow<'a, str>,
    batch: Cow<'a, str>,
    valid_from: String,
    expires_at: String,
}

impl<'a, W: Write> KeysWriter<'a, W> {
    /// A writer for keys with these terms.
    pub fn new(out: W, terms: &'a BatchTerms) -> Self {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        Self {
            csv: csv::Writer::from_writer(out),
            album: cell(terms.album.as_str()),
            batch: cell(terms.batch.as_str()),
            valid_from: time(terms.valid_from),
            expires_at: time(terms.expires_at),
        }
    }

    /// Writes the names of the columns.
    pub fn header(&mut self) -> csv::Result<()> {
        self.csv.write_record(COLUMNS)
    }

    /// Writes a line.
    pub fn key(&mut self, key: &DownloadKey) -> csv::Result<()> {
        let Self { album, batch, valid_from, expires_at, .. } = self;
        let key = Zeroizing::new(key.reveal());
        self.csv.write_record([key.as_str(), album, batch, valid_from, expires_at])
    }

    /// Flushes everything to the underlying writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

/// Parses a time: RFC 3339, or a date, which means its first moment in UTC. Fractions of a second are dropped.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    let wrong =
        || format!("`{}` is not a time: give 2026-12-24T18:00:00Z or 2026-12-24", text.escape_debug());
    if let Ok(time) = text.parse::<Timestamp>() {
        return Timestamp::from_second(time.as_second()).map_err(|_| wrong());
    }
    let date: Date = text.parse().map_err(|_| wrong())?;
    // Without this check, a date with a time but no zone would silently be parsed as a date.
    if text.len() != 10 {
        return Err(wrong());
    }
    date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Counts up, a number a key, so that no two keys are alike.
    #[derive(Default)]
    struct Counting(AtomicU64);

    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
            for key in buffer.chunks_exact_mut(RANDOM_SYMBOLS) {
                let mut number = self.0.fetch_add(1, Ordering::Relaxed);
                key.fill_with(|| {
                    let symbol = u8::try_from(number % 32).unwrap();
                    number /= 32;
                    symbol
                });
            }
            Ok(())
        }
    }

    #[test]
    fn no_randomness_makes_two_keys() {
        let entropy = Counting::default();
        let keys: HashSet<String> = new_keys(&entropy).take(1000).map(|key| key.unwrap().reveal()).collect();
        assert_eq!(keys.len(), 1000);
        assert_eq!(
            entropy.0.into_inner(),
            1000_u64.next_multiple_of(KEYS_A_CALL as u64),
            "nor is it asked for too often"
        );
    }

    #[test]
    fn times_are_read() {
        let expected: Timestamp = "2026-12-24T00:00:00Z".parse().unwrap();
        for text in
            ["2026-12-24", "2026-12-24T00:00:00Z", "2026-12-24T01:00:00+01:00", "2026-12-24T00:00:00.9Z"]
        {
            assert_eq!(parse_time(text), Ok(expected), "{text}");
        }
        for text in ["", "tomorrow", "24.12.2026", "2026-12-24T00:00:00", "2026-13-01", "1798070400"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
