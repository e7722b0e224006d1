//! The JSON of the answer to a redemption. Other modules fill it.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::library::Album;

/// The path prefix of receipts.
pub(crate) const RECEIPTS: &str = "/redemptions/";

/// The path prefix of holders' files, followed by the receipt and the file's name.
pub(crate) const FILES_OF_RECEIPTS: &str = "/files/receipts/";

/// A redemption and its downloads.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RedemptionBody {
    /// The use of the ticket.
    pub(crate) redemption: RedemptionPart,
    /// The album.
    #[serde(serialize_with = "album_part")]
    #[schema(value_type = AlbumPart<'static>)]
    pub(crate) album: Arc<Album>,
    /// The album's files, each with a link that works until it expires.
    #[schema(value_type = Vec<FilePart>)]
    pub(crate) files: Files,
}

/// The use of a ticket.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RedemptionPart {
    /// Identifies the redemption; the same in every answer about it.
    pub(crate) id: Uuid,
    /// When the key was redeemed.
    pub(crate) redeemed_at: Timestamp,
    /// The holder's page; a secret.
    #[schema(format = "uri")]
    pub(crate) receipt_url: String,
    /// Present when a link has expired: `POST` to it renews the links.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uri")]
    pub(crate) renewal_url: Option<String>,
}

/// An album.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlbumPart<'a> {
    /// Unique on this server.
    id: &'a str,
    /// For people.
    title: &'a str,
    /// For people.
    artist: &'a str,
}

fn album_part<S: Serializer>(album: &Album, serializer: S) -> Result<S::Ok, S::Error> {
    AlbumPart { id: &album.id, title: &album.title, artist: &album.artist }.serialize(serializer)
}

/// A file and its link.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FilePart {
    /// The name to save it under.
    pub(crate) name: String,
    /// A MIME type.
    pub(crate) media_type: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its digest, in hexadecimal.
    pub(crate) sha256: String,
    /// The signed link.
    #[schema(format = "uri")]
    pub(crate) url: String,
    /// When the link expires.
    pub(crate) expires_at: Timestamp,
}

impl RedemptionBody {
    /// The receipt's URL without the origin, for a browser that is already on this server.
    pub(crate) fn receipt_path(&self) -> &str {
        let url = &self.redemption.receipt_url;
        url.find(RECEIPTS).map_or("/", |start| &url[start..])
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let files = self.files.0.json.as_ref().map_or(0, |json| json.get().len());
        // The rest besides the files is usually short; a buffer that grows would be copied.
        let mut json = Vec::with_capacity(files + 1024);
        serde_json::to_writer(&mut json, self)?;
        Ok(json)
    }

    /// The links, one on each line.
    pub(crate) fn lines(&self) -> String {
        self.files.iter().fold(String::new(), |mut text, file| {
            text.push_str(&file.url);
            text.push('\n');
            text
        })
    }
}

/// An album's files with their links. Cheap to clone, and written as JSON once.
#[derive(Clone, Debug)]
pub(crate) struct Files(Arc<Written>);

#[derive(Debug)]
struct Written {
    files: Vec<FilePart>,
    /// The same as JSON.
    json: Option<Box<RawValue>>,
}

impl From<Vec<FilePart>> for Files {
    fn from(files: Vec<FilePart>) -> Self {
        // A failure to serialize it is reported when the answer is written.
        let json = to_raw_value(&files).ok();
        Self(Arc::new(Written { files, json }))
    }
}

impl Deref for Files {
    type Target = [FilePart];

    fn deref(&self) -> &[FilePart] {
        &self.0.files
    }
}

impl Serialize for Files {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.json {
            Some(json) => json.serialize(serializer),
            None => self.0.files.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_is_what_would_be_written_now() {
        let files = vec![FilePart {
            name: "a".to_owned(),
            media_type: "b/c".to_owned(),
            bytes: 1,
            sha256: "d".to_owned(),
            url: "https://a/\"b\"".to_owned(),
            expires_at: Timestamp::UNIX_EPOCH,
        }];
        let written = serde_json::to_string(&Files::from(files.clone())).unwrap();
        assert_eq!(written, serde_json::to_string(&files).unwrap());
    }
}
