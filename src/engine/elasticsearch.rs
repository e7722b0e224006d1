//! Documents in an index of Elasticsearch: compare-and-set by version, confirmation, batching, any number of servers.
//!
//! Reads go out together as one `_mget`, writes as one `_bulk`, with all operations that arrived while earlier requests
//! were under way ([`super::batch`]). Every change carries `if_seq_no` and `if_primary_term`.
//!
//! # Why its answers are correct
//!
//! - **Written** is returned when the primary has answered 200: then the write is in the translog, on disk, of every
//!   in-sync copy, and only an in-sync copy can become the primary. A primary that was cut off cannot answer 200, since
//!   it can neither reach those copies nor have them removed from the in-sync set.
//! - **Conflict** (409) may be returned for a write that was made: after a failover Elasticsearch repeats a write by
//!   itself, and the repetition meets the first write. The callers read again and compare.
//! - **Refused**: rejected before anything was done: 429 of a queue, a block of the index, 400, 403. A 429 is tried
//!   again for a while, after a pause that differs from document to document. A refusal of an item (not of the whole
//!   request) may belong to the repetition of a write that was made. So in the end the document is *fenced*: it is
//!   written unchanged on the condition of the version that the write was based on. If that succeeds, the write was not
//!   made, and never will be, since that version is gone.
//! - **Unknown** is everything else: no answer in time, a broken connection, 5xx.
//! - **A read can be stale** during a network partition: a primary that was cut off goes on answering with its own
//!   state, including writes that were never acknowledged and that are gone when it comes back. So a version that a
//!   refusal is based on is *confirmed*.
//!
//! # Confirmations
//!
//! Two things must be certain of the version that was read: it is *durable* (no failover takes it back), and it was
//! *current* at a moment within the call. An earlier confirmation does not prove the second: another server may have
//! changed the document since, and its caller may know of that change.
//!
//! - Durability is certain, for ever, of a version for which this server has had a 200: of its own write, or of an
//!   earlier confirmation. A version names one write: sequence numbers that a lost primary gave out have an older term.
//!   The last such version of each document is remembered ([`documents`], bounded).
//! - A remembered version is confirmed by an `update` that changes nothing, on the condition of that version
//!   (`detect_noop`). It writes nothing, syncs nothing and leaves the version as it is. Its 200 proves that the version
//!   is current: Elasticsearch sends a bulk to all in-sync copies even when none of its items has changed anything, and
//!   answers only when they have agreed (`ReplicationOperation`, as of 8.19). A copy that was promoted to primary does
//!   not agree, and it takes no writes before it has stopped agreeing. So when the last copy agreed, no other primary
//!   had taken a write.
//! - A version that is not remembered may belong to a write that is still on its way to the copies. It is confirmed by
//!   the same `update` with `detect_noop: false`: a normal write with the same content, whose 200 proves both. The
//!   version that it makes is remembered, so this usually happens once for each document and server.
//! - The absence of a document is confirmed by the same `update` with a condition that nothing meets: 404 if there is
//!   none. It writes nothing, and the copies agree on it as above. Since no document is ever deleted, absence is never
//!   reported too early.
//!
//! Callers that ask about the same document share confirmations ([`confirmations`]). One is under way at a time, and it
//! answers the callers that asked before it was sent; later callers wait for the next one, which begins after a pause.
//! So a document that many callers ask about costs a bounded number of small requests a second, and no write.
//!
//! Knows Elasticsearch, and no ticket, no key, and nothing of HTTP as a server.

pub(crate) mod answer;
mod bulk;
mod check;
mod confirmations;
mod credentials;
pub(crate) mod document;
pub(crate) mod documents;
mod get;
mod index;
mod node;
mod nodes;
mod open_index;
pub(crate) mod scan;
mod settings;
mod transports;
pub(crate) mod tries;

pub(crate) use check::check;
pub use check::{Check, Checkup};
pub use credentials::{Login, PasswordSource};
pub use index::{IndexName, IndexNameError};
pub use settings::{Batching, Settings};
