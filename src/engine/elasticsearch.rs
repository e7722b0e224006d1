//! Documents in an index of Elasticsearch: compare-and-set by version, confirmation, batching, any number of servers.
//!
//! Reads go out together as one `_mget`, writes as one `_bulk`: whatever has arrived while earlier requests were under
//! way ([`super::batch`]). Every change carries `if_seq_no` and `if_primary_term`.
//!
//! # Why what it says is so
//!
//! - **Written** is said when the primary has answered 200: then the write is in the translog, on disk, of every copy
//!   that the cluster counts as in sync, and only such a copy can become the primary. A primary that was cut off cannot
//!   say it, since it can neither reach those copies nor have them struck off.
//! - **Conflict** (409) may be said of a write that was made: after a failover Elasticsearch repeats a write by itself,
//!   and the repetition meets the first. The callers read again and compare.
//! - **Refused**: turned away before anything was done: 429 of a queue, a block of the index, 400, 403. The first is
//!   tried again for a while, after a pause that differs from document to document. A refusal of an item (not of the
//!   whole request) might be that of a repetition of a write that was made. So in the end the document is *fenced*: it is
//!   written unchanged on the condition of the version that the write was based on. If that succeeds, the write was not
//!   made, and never will be, since the version is gone.
//! - **Unknown** is everything else: no answer in time, a broken connection, 5xx.
//! - **A read can be wrong** while the cluster is torn: a primary that was cut off goes on answering with what it has,
//!   even with writes that it could not get acknowledged and that are gone when it comes back. So what a refusal rests on
//!   is *confirmed*.
//!
//! # What a confirmation is
//!
//! Two things must be certain of the version that was read: it is *durable* (no failover takes it back), and it was
//! *current* at a moment within the call. A confirmation of a moment ago is not enough for the second: another server may
//! have changed the document since, and its caller may know.
//!
//! - Durable is certain for ever of a version for which this server has had a 200: of its own write, or of an earlier
//!   confirmation. A version names one write: numbers that a lost primary gave out have an older term. The last such
//!   version of each document is remembered ([`documents`], bounded).
//! - A version that is remembered is confirmed by an `update` that changes nothing, on the condition of that version
//!   (`detect_noop`). It writes nothing, syncs nothing and leaves the version as it is. Its 200 says that it is current:
//!   Elasticsearch sends a bulk to all copies that count even when none of its items has changed anything, and answers
//!   only when they have agreed (`ReplicationOperation`, as of 8.19). A copy that has been made primary does not agree, and
//!   takes writes only once it refuses to agree. So when the last copy agreed no other primary had taken a write.
//! - A version that is not remembered may be of a write that is still on its way to the copies. It is confirmed by the
//!   same `update` with `detect_noop: false`, which is a write like any other, with the same content; its 200 covers
//!   both. The version that it makes is remembered, so this happens once for each document and server, as a rule.
//! - That there is no document is confirmed by the same `update` with a condition that nothing meets: 404 if there is
//!   none. It writes nothing, and is agreed on by the copies as above. Since no document is ever deleted, nothing is known
//!   to be absent too early.
//!
//! All who ask about a document share confirmations ([`confirmations`]): one is under way at a time, and it answers those
//! who had asked before it was sent; who asks later waits for the next one, which begins after a pause. So a document
//! that everybody asks about costs a bounded number of small requests a second, and no write.
//!
//! Knows Elasticsearch, and no ticket, no key, and nothing of HTTP as a server.

use std::fmt::Display;
use std::hash::Hash;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;
use serde_json::Value;

use super::StoreError;
use super::batch::Limits;
use nodes::Nodes;

mod answer;
pub(crate) mod bulk;
mod check;
mod confirmations;
mod credentials;
pub(crate) mod documents;
mod get;
mod index;
mod node;
mod nodes;
pub(crate) mod scan;
mod transports;
pub(crate) mod tries;

pub(crate) use check::check;
pub use check::{Check, Checkup};
pub use credentials::{Login, PasswordSource};
pub use index::{IndexName, IndexNameError};

/// What an index holds.
pub(crate) trait Document: Sized + Send + Sync + 'static {
    /// Names a document.
    type Id: Copy + Eq + Hash + Display + Serialize + Send + Sync + 'static;

    /// A name that no document has. What is asked about it shows whether writes are answered.
    const NOBODY: Self::Id;

    /// Reads a name.
    fn parse_id(text: &str) -> Option<Self::Id>;

    /// What a document may hold, as Elasticsearch's `mappings`.
    fn mappings() -> Value;

    /// Fields of them, as JSON pointers, that an index of an older version does not have. They are added to such an index.
    const ADDED_FIELDS: &'static [&'static str];

    /// Appends the document as JSON on one line, without the line's end.
    fn write(&self, body: &mut Vec<u8>);

    /// Reads a document. The error says what is wrong with it.
    fn read(json: &[u8]) -> Result<Self, String>;
}

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
    fn connect(&self) -> Result<Nodes, StoreError> {
        Nodes::new(&self.urls, self.ca_file.clone(), self.login.clone()).map_err(StoreError::Unavailable)
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
    fn limits(self) -> Limits {
        Limits {
            max_queue: self.max_queue,
            max_batch: self.max_batch,
            lanes: self.lanes,
            max_lanes: self.lanes + 14,
            slow: Duration::from_millis(100),
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store has stopped: restart the program".to_owned())
}

/// Appends a value as JSON. Into memory, and of types that can be written, so this cannot fail.
pub(crate) fn append_json(body: &mut Vec<u8>, value: &impl Serialize) {
    let written = serde_json::to_writer(body, value);
    debug_assert!(written.is_ok(), "a value that is no JSON");
}
