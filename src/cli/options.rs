//! Options that several subcommands share.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::FalseyValueParser;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Outcome;
use crate::library::{Library, LibraryLocation};
use crate::redemption::ticket::Name;
use crate::store::SharedStore;
use crate::store::location::{IfMissing, StoreLocation};

/// Which store.
#[derive(Clone, Debug, Args)]
pub(super) struct StoreOption {
    /// Where tickets are kept: `sqlite:PATH`
    #[arg(long, env = "TICKEY_STORE", value_name = "STORE", default_value = "sqlite:tickey-data/tickets.db")]
    pub(super) store: StoreLocation,
}

impl StoreOption {
    /// Opens the store, as the tools do: nobody counts their requests.
    pub(super) fn open(&self, if_missing: IfMissing) -> Outcome<SharedStore> {
        Ok(self.store.open(if_missing, Arc::new(()))?)
    }
}

/// Which library.
#[derive(Clone, Debug, Args)]
pub(super) struct LibraryOption {
    /// Where albums are: `demo:` (built in) or `file:DIR`
    #[arg(long, env = "TICKEY_LIBRARY", value_name = "LIBRARY", default_value = "demo:")]
    pub(super) library: LibraryLocation,
}

impl LibraryOption {
    pub(super) async fn open(&self) -> Outcome<Library> {
        Ok(Library::open(&self.library).await?)
    }
}

/// The keys that sign.
#[derive(Clone, Debug, Args)]
pub(super) struct LinkKeysOption {
    /// The keys that sign links and receipts; the server makes the file when it is missing
    #[arg(long, env = "TICKEY_LINK_KEYS_FILE", value_name = "FILE", default_value = "tickey-data/link-keys")]
    pub(super) link_keys_file: PathBuf,
}

/// Which tickets.
#[derive(Clone, Debug, Args)]
pub(super) struct BatchOption {
    /// Only this batch
    #[arg(long, env = "TICKEY_BATCH")]
    pub(super) batch: Option<Name>,
}

/// In which form the answer is printed.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct JsonOption {
    /// Print JSON instead of text
    #[arg(long, env = "TICKEY_JSON", value_parser = FalseyValueParser::new())]
    pub(super) json: bool,
}

/// Reads a time: RFC 3339, or a date, which means its first moment in UTC. Parts of a second are dropped.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let wrong =
        || format!("`{}` is not a time: give 2026-12-24T18:00:00Z or 2026-12-24", text.escape_debug());
    if let Ok(time) = text.parse::<Timestamp>() {
        return Timestamp::from_second(time.as_second()).map_err(|_| wrong());
    }
    let date: Date = text.parse().map_err(|_| wrong())?;
    // A date with a time but no zone would silently be taken for a date.
    if text.len() != 10 {
        return Err(wrong());
    }
    date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

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
