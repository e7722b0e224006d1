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
//!   whole request) might be that of a repetition of a write that was made. So in the end the document is *fenced*: it
//!   is written unchanged on the condition of the version that the write was based on. If that succeeds, the write was
//!   not made, and never will be, since the version is gone.
//! - **Unknown** is everything else: no answer in time, a broken connection, 5xx.
//! - **A read can be wrong** while the cluster is torn: a primary that was cut off goes on answering with what it has,
//!   even with writes that it could not get acknowledged and that are gone when it comes back. So what a refusal rests
//!   on is *confirmed*.
//!
//! # What a confirmation is
//!
//! Two things must be certain of the version that was read: it is *durable* (no failover takes it back), and it was
//! *current* at a moment within the call. A confirmation of a moment ago is not enough for the second: another server
//! may have changed the document since, and its caller may know.
//!
//! - Durable is certain for ever of a version for which this server has had a 200: of its own write, or of an earlier
//!   confirmation. A version names one write: numbers that a lost primary gave out have an older term. The last such
//!   version of each document is remembered ([`documents`], bounded).
//! - A version that is remembered is confirmed by an `update` that changes nothing, on the condition of that version
//!   (`detect_noop`). It writes nothing, syncs nothing and leaves the version as it is. Its 200 says that it is
//!   current: Elasticsearch sends a bulk to all copies that count even when none of its items has changed anything, and
//!   answers only when they have agreed (`ReplicationOperation`, as of 8.19). A copy that has been made primary does
//!   not agree, and takes writes only once it refuses to agree. So when the last copy agreed no other primary had taken
//!   a write.
//! - A version that is not remembered may be of a write that is still on its way to the copies. It is confirmed by the
//!   same `update` with `detect_noop: false`, which is a write like any other, with the same content; its 200 covers
//!   both. The version that it makes is remembered, so this happens once for each document and server, as a rule.
//! - That there is no document is confirmed by the same `update` with a condition that nothing meets: 404 if there is
//!   none. It writes nothing, and is agreed on by the copies as above. Since no document is ever deleted, nothing is
//!   known to be absent too early.
//!
//! All who ask about a document share confirmations ([`confirmations`]): one is under way at a time, and it answers
//! those who had asked before it was sent; who asks later waits for the next one, which begins after a pause. So a
//! document that everybody asks about costs a bounded number of small requests a second, and no write.
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
