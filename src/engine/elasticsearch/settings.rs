//! The settings of a cluster: its address, its login, and how requests are shared.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::credentials::Login;
use super::index::IndexName;
use super::nodes::Nodes;
use crate::engine::StoreError;
use crate::engine::batch::Limits;

/// The address of a cluster and how to connect to it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Some of its nodes, or one address that stands for them.
    pub urls: Vec<Url>,
    /// User and password, if it asks for them.
    pub login: Option<Login>,
    /// A CA whose certificates are trusted, in addition to the public CAs.
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

    /// The client of the nodes. The error names the file that cannot be used.
    pub(super) fn connect(&self) -> Result<Nodes, StoreError> {
        Nodes::new(&self.urls, self.ca_file.as_deref(), self.login.clone()).map_err(StoreError::Unavailable)
    }
}

/// How operations share requests. The defaults are right for every use except measurements.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// The most operations that may wait for reading, for writing, and for confirmation; one more is refused at once.
    pub max_queue: usize,
    /// The most operations in one request.
    pub max_batch: usize,
    /// Requests for reading, and for writing, that are under way in normal operation.
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
