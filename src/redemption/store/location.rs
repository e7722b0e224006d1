//! The address of a store, as `--store` gives it.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use reqwest::Url;

pub use crate::engine::IfMissing;

use super::elasticsearch::{self, ElasticsearchStore};
use super::sqlite::{self, SqliteStore};
use super::{SharedStore, StoreError, StoreObserver};

/// The most nodes that can be given.
const MAX_NODES: usize = 64;

/// A store's location.
#[derive(Clone, Debug)]
pub enum StoreLocation {
    /// `sqlite:PATH`: an embedded SQLite file.
    Sqlite(PathBuf),
    /// URLs of Elasticsearch's nodes, with the settings for connecting to them.
    Elasticsearch(Box<elasticsearch::Settings>),
}

/// The text is not a location. Says which forms are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// No path after the colon.
    #[error("`sqlite:` needs the path of a file after it, such as sqlite:tickey-data/tickets.db")]
    NoPath,
    /// A kind of store that does not exist.
    #[error(
        "give sqlite:PATH, or URLs of Elasticsearch such as https://elasticsearch-master:9200, separated by commas"
    )]
    Unsupported,
    /// Text that looks like a URL and cannot be used as one.
    #[error("`{0}` is not the URL of an Elasticsearch: give http(s)://HOST:PORT, without anything after it")]
    BadUrl(String),
    /// A password would be in every message that names the URL.
    #[error(
        "give user and password not in the URL, but as TICKEY_ELASTICSEARCH_USERNAME and \
         TICKEY_ELASTICSEARCH_PASSWORD_FILE"
    )]
    PasswordInUrl,
    /// Too many URLs.
    #[error("give at most {MAX_NODES} URLs: some of the nodes are enough")]
    TooMany,
}

impl FromStr for StoreLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err(LocationError::NoPath),
            Some(path) => Ok(Self::Sqlite(path.into())),
            None => {
                let urls: Vec<Url> =
                    text.split(',').map(|url| parse_url(url.trim())).collect::<Result<_, _>>()?;
                if urls.len() > MAX_NODES {
                    return Err(LocationError::TooMany);
                }
                Ok(Self::Elasticsearch(Box::new(elasticsearch::Settings::new(urls, elasticsearch::INDEX))))
            }
        }
    }
}

fn parse_url(text: &str) -> Result<Url, LocationError> {
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(LocationError::Unsupported);
    }
    let bad = || LocationError::BadUrl(text.to_owned());
    let mut url = Url::parse(text).map_err(|_| bad())?;
    if url.query().is_some() || url.fragment().is_some() || !url.has_host() {
        return Err(bad());
    }
    // A path leads to a cluster behind a proxy; request paths are appended to it.
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

impl StoreLocation {
    /// Refuses a password in a URL. Not a part of parsing, since clap's message about an invalid text would show it.
    pub fn check_no_password(&self) -> Result<(), LocationError> {
        let has_login = |url: &Url| !url.username().is_empty() || url.password().is_some();
        match self {
            Self::Elasticsearch(settings) if settings.urls.iter().any(has_login) => {
                Err(LocationError::PasswordInUrl)
            }
            Self::Elasticsearch(_) | Self::Sqlite(_) => Ok(()),
        }
    }

    /// Opens the store and migrates it to this version's schema.
    pub async fn open(
        &self,
        if_missing: IfMissing,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<SharedStore, StoreError> {
        match self {
            Self::Sqlite(path) => {
                let store = SqliteStore::open(path, if_missing, sqlite::Settings::default(), observer)?;
                Ok(Arc::new(store))
            }
            Self::Elasticsearch(settings) => {
                let store = ElasticsearchStore::new(settings.as_ref().clone(), if_missing, observer)?;
                store.prepare().await?;
                Ok(Arc::new(store))
            }
        }
    }

    /// Opens the store for a server. A cluster that cannot be reached yet does not prevent the start: the server
    /// reports that it is not ready until the cluster answers.
    pub async fn open_for_serving(
        &self,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<SharedStore, StoreError> {
        let Self::Elasticsearch(settings) = self else {
            return self.open(IfMissing::Create, observer).await;
        };
        let store = ElasticsearchStore::new(settings.as_ref().clone(), IfMissing::Create, observer)?;
        match store.prepare().await {
            Ok(()) => {}
            Err(error @ StoreError::Corrupt(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "Elasticsearch cannot be used yet: no key can be redeemed until it can");
            }
        }
        Ok(Arc::new(store))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read() {
        let urls = |text: &str| match text.parse() {
            Ok(StoreLocation::Elasticsearch(settings)) => {
                settings.urls.iter().map(Url::to_string).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(urls("https://elasticsearch-master:9200"), ["https://elasticsearch-master:9200/"]);
        assert_eq!(urls("http://a:1, http://b/es"), ["http://a:1/", "http://b/es/"]);
        assert!(matches!("sqlite:a/b.db".parse(), Ok(StoreLocation::Sqlite(path)) if path.ends_with("b.db")));
    }

    #[test]
    fn what_is_no_location_is_refused() {
        let refused = |text: &str| text.parse::<StoreLocation>().unwrap_err();
        assert_eq!(refused("sqlite:"), LocationError::NoPath);
        for text in ["", "tickets.db", "postgres://a", "https://a,", "ftp://a"] {
            assert_eq!(refused(text), LocationError::Unsupported, "{text}");
        }
        for text in ["https://", "http://a?b", "http://a#b", "https://a:99999"] {
            assert_eq!(refused(text), LocationError::BadUrl(text.to_owned()));
        }
        let with_password: StoreLocation = "https://a,https://elastic:secret@b:9200".parse().unwrap();
        assert_eq!(with_password.check_no_password(), Err(LocationError::PasswordInUrl));
        assert_eq!(refused(&vec!["http://a"; 65].join(",")), LocationError::TooMany);
    }
}
