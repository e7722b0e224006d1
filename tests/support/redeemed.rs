//! The body of a 201 and of a receipt, checked to the letter while it is read.

use jiff::Timestamp;
use serde_json::Value;

use super::http::{Answer, JSON};
use super::time::instant;

/// One file of the album.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) url: String,
    pub(crate) expires_at: Timestamp,
}

/// What the holder of a redeemed ticket gets.
#[derive(Clone, Debug)]
#[allow(clippy::struct_field_names, reason = "the contract's own name for it")]
pub(crate) struct Redeemed {
    pub(crate) id: String,
    pub(crate) redeemed_at: Timestamp,
    pub(crate) receipt_url: String,
    pub(crate) album: Value,
    pub(crate) files: Vec<File>,
    /// The bytes as they came.
    pub(crate) body: Vec<u8>,
}

impl Redeemed {
    /// Reads an answer that must have this status and exactly the contract's shape: no member more, none less.
    #[track_caller]
    pub(crate) fn read(answer: &Answer, status: u16) -> Self {
        answer.expect(status);
        assert_eq!(answer.media_type(), JSON, "{answer}");
        let document = answer.json();
        members(&document, &["redemption", "album", "files"]);
        let redemption = &document["redemption"];
        members(redemption, &["id", "redeemed_at", "receipt_url"]);
        members(&document["album"], &["id", "title", "artist"]);
        let id = text(redemption, "id");
        assert!(id.parse::<uuid::Uuid>().is_ok(), "the redemption's id is no UUID: {id:?}");
        let files = document["files"].as_array().unwrap_or_else(|| panic!("files is no array: {answer}"));
        Self {
            id,
            redeemed_at: instant(&text(redemption, "redeemed_at")),
            receipt_url: text(redemption, "receipt_url"),
            album: document["album"].clone(),
            files: files.iter().map(File::read).collect(),
            body: answer.body.clone(),
        }
    }

    /// The receipt itself: the last part of its URL.
    pub(crate) fn receipt(&self) -> &str {
        self.receipt_url.rsplit('/').next().unwrap_or_default()
    }

    /// The file of this name, which must be there.
    #[track_caller]
    pub(crate) fn file(&self, name: &str) -> &File {
        self.files.iter().find(|file| file.name == name).unwrap_or_else(|| panic!("no {name:?} in {self:?}"))
    }
}

impl File {
    #[track_caller]
    fn read(document: &Value) -> Self {
        members(document, &["name", "media_type", "bytes", "sha256", "url", "expires_at"]);
        Self {
            name: text(document, "name"),
            media_type: text(document, "media_type"),
            bytes: document["bytes"].as_u64().unwrap_or_else(|| panic!("bytes is no count: {document}")),
            sha256: text(document, "sha256"),
            url: text(document, "url"),
            expires_at: instant(&text(document, "expires_at")),
        }
    }
}

#[track_caller]
fn members(document: &Value, expected: &[&str]) {
    let object = document.as_object().unwrap_or_else(|| panic!("no object: {document}"));
    let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{document}");
}

#[track_caller]
fn text(document: &Value, member: &str) -> String {
    let text = document[member].as_str().unwrap_or_else(|| panic!("no text in {member:?}: {document}"));
    assert!(!text.is_empty(), "nothing in {member:?}: {document}");
    text.to_owned()
}
