//! The interface by which a context defines its documents, so that an index can hold them.

use std::fmt::Display;
use std::hash::Hash;

use serde::Serialize;
use serde_json::Value;

/// A kind of document.
pub(crate) trait Document: Sized + Send + Sync + 'static {
    /// The id of a document.
    type Id: Copy + Eq + Hash + Display + Serialize + Send + Sync + 'static;

    /// An id that no document has. A question about it shows whether the cluster takes writes.
    const NOBODY: Self::Id;

    /// Parses an id.
    fn parse_id(text: &str) -> Option<Self::Id>;

    /// The fields of a document, as Elasticsearch's `mappings`.
    fn mappings() -> Value;

    /// Fields, as JSON pointers into `mappings`, that an index of an older version does not have. They are added to
    /// such an index.
    const ADDED_FIELDS: &'static [&'static str];

    /// Appends the document as JSON on one line, without the line's end.
    fn write(&self, body: &mut Vec<u8>);

    /// Reads a document. The error says what is wrong with it.
    fn read(json: &[u8]) -> Result<Self, String>;
}

/// Appends a value as JSON. It cannot fail: it writes to memory, and only types that can be serialized.
pub(crate) fn append_json(body: &mut Vec<u8>, value: &impl Serialize) {
    let written = serde_json::to_writer(body, value);
    debug_assert!(written.is_ok(), "a value that is no JSON");
}
