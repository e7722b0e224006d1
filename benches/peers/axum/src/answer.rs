//! What a redemption is answered with: the album's files, each with a signed link that ends.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::key::TicketId;

/// How much of an HMAC-SHA-256 stands in a link, in bytes.
const SIGNATURE_BYTES: usize = 16;
/// What a path segment may hold as it is.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Deserialize)]
struct Album {
    id: String,
    title: String,
    artist: String,
    files: Vec<AlbumFile>,
}

#[derive(Deserialize)]
struct AlbumFile {
    name: String,
    media_type: String,
    bytes: u64,
    sha256: String,
    link_seconds: i64,
}

#[derive(Serialize)]
pub struct Answer<'a> {
    redemption: RedemptionPart,
    album: AlbumPart<'a>,
    files: Vec<FilePart<'a>>,
}

#[derive(Serialize)]
struct RedemptionPart {
    id: Uuid,
    redeemed_at: Timestamp,
    receipt_url: String,
}

#[derive(Serialize)]
struct AlbumPart<'a> {
    id: &'a str,
    title: &'a str,
    artist: &'a str,
}

#[derive(Serialize)]
struct FilePart<'a> {
    name: &'a str,
    media_type: &'a str,
    bytes: u64,
    sha256: &'a str,
    url: String,
    expires_at: Timestamp,
}

impl Answer<'_> {
    pub fn receipt_url(&self) -> &str {
        &self.redemption.receipt_url
    }
}

/// Makes links, and the answers that hold them.
pub struct Signer {
    album: Album,
    /// Keyed, ready to be cloned for each message.
    mac: Hmac<Sha256>,
    key_name: [u8; 4],
}

impl Signer {
    pub fn new(album: &Path, secret: &[u8]) -> anyhow::Result<Self> {
        let digest = Sha256::digest(secret);
        Ok(Self {
            album: serde_json::from_slice(&fs::read(album)?)?,
            mac: Hmac::new_from_slice(secret)?,
            key_name: [digest[0], digest[1], digest[2], digest[3]],
        })
    }

    pub fn answer(&self, host: &str, ticket: &TicketId, redemption: Uuid, now: Timestamp) -> Answer<'_> {
        let Album { id, title, artist, files } = &self.album;
        let signature = self.sign(&[b"receipt\0", ticket, redemption.as_bytes()]);
        let receipt = [ticket.as_slice(), redemption.as_bytes(), &self.key_name, &signature].concat();
        let receipt_url = format!("http://{host}/redemptions/{}", URL_SAFE_NO_PAD.encode(receipt));
        Answer {
            redemption: RedemptionPart { id: redemption, redeemed_at: now, receipt_url },
            album: AlbumPart { id, title, artist },
            files: files.iter().map(|file| self.link(host, file, now)).collect(),
        }
    }

    fn link<'a>(&self, host: &str, file: &'a AlbumFile, now: Timestamp) -> FilePart<'a> {
        let expires_at = now + SignedDuration::from_secs(file.link_seconds);
        let (album, name, expires) = (&self.album.id, &file.name, expires_at.as_second());
        let signature = self.sign(&[format!("link\0{album}\0{name}\0{expires}").as_bytes()]);
        let path =
            [album, name].map(|segment| utf8_percent_encode(segment, PATH_SEGMENT).to_string()).join("/");
        let [key, signature] = [&self.key_name[..], &signature].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        FilePart {
            name,
            media_type: &file.media_type,
            bytes: file.bytes,
            sha256: &file.sha256,
            url: format!("http://{host}/files/{path}?expires={expires}&key={key}&signature={signature}"),
            expires_at,
        }
    }

    fn sign(&self, message: &[&[u8]]) -> [u8; SIGNATURE_BYTES] {
        let mac = message.iter().fold(self.mac.clone(), Hmac::chain_update);
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(&mac.finalize().into_bytes()[..SIGNATURE_BYTES]);
        signature
    }
}
