//! The state that the handlers of this context share.

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

/// The shared state, as axum passes it to handlers.
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
    /// Redemptions that run to their end.
    pub(crate) underway: Completion,
    pub(crate) settings: Settings,
}

/// The components of a [`State`] that are created elsewhere.
pub struct Parts {
    /// The tickets.
    pub store: SharedStore,
    /// The albums.
    pub library: Library,
    /// The keys that sign links and receipts.
    pub keys: KeyRing,
    /// The clock.
    pub clock: Box<dyn Clock>,
    /// Randomness, for idempotency keys and new tickets.
    pub entropy: Arc<dyn Entropy>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// The operator's settings for this context's answers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The lifetimes of links.
    pub link_lifetimes: LinkLifetimes,
    /// The number of renewals of expired links without a pause; after that there is one an hour.
    pub max_renewals: u32,
    /// The allowance of unknown keys from one network, and, separately, of wrong admin tokens.
    pub unknown: Allowance,
    /// The limits of downloads at once.
    pub downloads: DownloadLimits,
    /// The time from a parsed request to its answer's head.
    pub request_timeout: Duration,
}

impl State {
    /// Combines the components.
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

    /// The deadline of a request that begins to use the store now, whatever the store does.
    pub(crate) fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.settings.request_timeout
    }

    /// The album, if it is complete, or why it is unavailable; by the deadline at the latest.
    pub(crate) async fn find_album(
        &self,
        album: &Name,
        deadline: tokio::time::Instant,
    ) -> Result<Arc<Album>, LibraryError> {
        let found = tokio::time::timeout_at(deadline, self.library.album(album.as_str())).await;
        found.unwrap_or(Err(LibraryError::Silent))
    }
}
