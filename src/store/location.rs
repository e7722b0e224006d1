//! Where a store is, as `--store` says it.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::sqlite::{self, SqliteStore};
use super::{SharedStore, StoreError, StoreObserver};

/// A store's location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// `sqlite:PATH`: an embedded SQLite file.
    Sqlite(PathBuf),
}

/// A text is not a location. Says what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// No path after the colon.
    #[error("`sqlite:` needs the path of a file after it, such as sqlite:tickey-data/tickets.db")]
    NoPath,
    /// A kind of store that this version does not have.
    #[error("this version keeps tickets in an SQLite file only: give sqlite:PATH")]
    Unsupported,
}

impl FromStr for StoreLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err(LocationError::NoPath),
            Some(path) => Ok(Self::Sqlite(path.into())),
            None => Err(LocationError::Unsupported),
        }
    }
}

/// Whether a store that does not exist yet is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// Make it.
    Create,
    /// Say that it is missing.
    Fail,
}

impl StoreLocation {
    /// Opens the store, brought up to the schema of this version.
    pub fn open(
        &self,
        if_missing: IfMissing,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<SharedStore, StoreError> {
        match self {
            Self::Sqlite(path) => {
                let store = SqliteStore::open(path, if_missing, sqlite::Settings::default(), observer)?;
                Ok(Arc::new(store))
            }
        }
    }
}
