//! What a context says of its documents, so that an index can hold them.

use std::fmt::Display;
use std::hash::Hash;

use serde::Serialize;
use serde_json::Value;

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

/// Appends a value as JSON. Into memory, and of types that can be written, so this cannot fail.
pub(crate) fn append_json(body: &mut Vec<u8>, value: &impl Serialize) {
    let written = serde_json::to_writer(body, value);
    debug_assert!(written.is_ok(), "a value that is no JSON");
}
