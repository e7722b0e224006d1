//! What the handlers of this context share.

use std::sync::Arc;
use std::time::Duration;

use super::answer::latest::LatestFiles;
use super::downloads::{DownloadLimits, Downloads};
use crate::environment::{Clock, Entropy};
use crate::library::{Album, Library, LibraryError};
use crate::lifecycle::Completion;
use crate::redemption::link::{KeyRing, LinkLifetimes};
use crate::redemption::metrics::Metrics;
use crate::redemption::store::SharedStore;
use crate::redemption::ticket::Name;
use crate::web::attempts::{Allowance, Attempts};

/// What the handlers share, as axum hands it on.
pub type Shared = Arc<State>;

/// Everything that this context's answers depend on.
pub struct State {
    pub(crate) store: SharedStore,
    pub(crate) library: Library,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) attempts: Attempts,
    pub(crate) latest_files: LatestFiles,
    pub(crate) downloads: Downloads,
    /// Redemptions that are carried to their end.
    pub(crate) underway: Completion,
    pub(crate) settings: Settings,
}

/// The parts of a [`State`] that have a life of their own.
pub struct Parts {
    /// The tickets.
    pub store: SharedStore,
    /// The albums.
    pub library: Library,
    /// What links and receipts are signed with.
    pub keys: KeyRing,
    /// The time.
    pub clock: Box<dyn Clock>,
    /// Randomness, for idempotency keys and new tickets.
    pub entropy: Arc<dyn Entropy>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What an operator decides about this context's answers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long links live.
    pub link_lifetimes: LinkLifetimes,
    /// Renewals of expired links that may follow each other at once; after that there is one an hour.
    pub max_renewals: u32,
    /// Unknown keys from one network; so many wrong admin tokens, too.
    pub unknown: Allowance,
    /// Downloads that may go on at once.
    pub downloads: DownloadLimits,
    /// The time that a request has from when it is understood to its answer's head.
    pub request_timeout: Duration,
}

impl State {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts, settings: Settings) -> Shared {
        let Parts { store, library, keys, clock, entropy, metrics } = parts;
        let attempts = Attempts::new(settings.unknown);
        let (latest_files, underway) = (LatestFiles::default(), Completion::default());
        let downloads = Downloads::new(settings.downloads);
        Arc::new(Self {
            store,
            library,
            keys,
            clock,
            entropy,
            metrics,
            attempts,
            latest_files,
            downloads,
            underway,
            settings,
        })
    }

    /// When a request that begins to use the store now must be answered, whatever the store does.
    pub(crate) fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.settings.request_timeout
    }

    /// The album, if it is whole; or why not, by the deadline at the latest.
    pub(crate) async fn find_album(
        &self,
        album: &Name,
        deadline: tokio::time::Instant,
    ) -> Result<Arc<Album>, LibraryError> {
        let found = tokio::time::timeout_at(deadline, self.library.album(album.as_str())).await;
        found.unwrap_or(Err(LibraryError::Silent))
    }
}
