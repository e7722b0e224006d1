//! Where the cluster is, how it is talked to, and how requests are shared.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::credentials::Login;
use super::index::IndexName;
use super::nodes::Nodes;
use crate::engine::StoreError;
use crate::engine::batch::Limits;

/// Where the cluster is and how it is talked to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Some of its nodes, or one address that stands for them.
    pub urls: Vec<Url>,
    /// User and password, if it asks for them.
    pub login: Option<Login>,
    /// A CA whose certificates are believed, beside those that everybody believes.
    pub ca_file: Option<PathBuf>,
    /// The index.
    pub index: IndexName,
    /// Primary shards of an index that is made; an index that exists keeps its own.
    pub shards: NonZeroU16,
    /// How requests are shared.
    pub batching: Batching,
}

impl Settings {
    /// The settings for these nodes, of which there is at least one, and this index, and otherwise the defaults.
    #[must_use]
    pub fn new(urls: Vec<Url>, index: IndexName) -> Self {
        Self {
            urls,
            login: None,
            ca_file: None,
            index,
            shards: NonZeroU16::MIN,
            batching: Batching::default(),
        }
    }

    /// The nodes. The error says which file cannot be used.
    pub(super) fn connect(&self) -> Result<Nodes, StoreError> {
        Nodes::new(&self.urls, self.ca_file.as_deref(), self.login.clone()).map_err(StoreError::Unavailable)
    }
}

/// How requests are shared. The defaults are right for every use but measuring.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// Operations that may wait for reading, for writing, and for confirmation; one more is refused at once.
    pub max_queue: usize,
    /// Operations that share a request, at most.
    pub max_batch: usize,
    /// Requests for reading, and for writing, that are under way while all goes well.
    pub lanes: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Self { max_queue: 8192, max_batch: 1000, lanes: 2 }
    }
}

impl Batching {
    pub(super) fn limits(self) -> Limits {
        Limits {
            max_queue: self.max_queue,
            max_batch: self.max_batch,
            lanes: self.lanes,
            max_lanes: self.lanes + 14,
            slow: Duration::from_millis(100),
        }
    }
}
