//! Albums, their files, and why an album or a file is unavailable. Knows no storage.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::DiskFile;

/// The most folders of a library.
pub(super) const MAX_FOLDERS: usize = 10_000;

/// An album: what a holder of a key downloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Album {
    /// Unique in its library.
    pub id: String,
    /// For people.
    pub title: String,
    /// For people.
    pub artist: String,
    /// The name of its folder.
    pub folder: String,
    /// The index in `files` of its picture, if it has one.
    pub cover: Option<usize>,
    /// At least one, in the order of the manifest.
    pub files: Vec<AlbumFile>,
}

/// A file of an album.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlbumFile {
    /// A name without a path; unique in its album.
    pub name: String,
    /// A name in ASCII that is valid on every system; unique in its album, regardless of case.
    pub ascii_name: String,
    /// A MIME type.
    pub media_type: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Sha256Digest,
}

/// A SHA-256, printed in hexadecimal as `sha256sum` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha256Digest([u8; 32]);

/// A file that is open for reading.
pub struct OpenFile {
    /// The size of the open file, which a manifest may not give.
    pub bytes: u64,
    /// A strong entity tag of the open file, without quotation marks. It changes whenever the content does.
    pub entity_tag: String,
    /// The source of its bytes.
    pub content: Content,
}

/// The source of an open file.
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// On a disk.
    Disk(DiskFile),
}

/// Why a library, an album or a file is unavailable. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// The library has no such album.
    #[error(
        "the library has no album `{0}`: add its folder, or mint keys for one of those that `tickey albums` lists"
    )]
    NoSuchAlbum(String),
    /// The album exists and is incomplete.
    #[error("album `{album}` is not complete: {why}")]
    Incomplete {
        /// Its id.
        album: String,
        /// The reason.
        why: String,
    },
    /// The album exists, and its files are being hashed.
    #[error(
        "the files of album `{0}` are new or were changed and are being read: wait, or give each a sha256 in album.toml"
    )]
    BeingRead(String),
    /// The library did not answer in time.
    #[error("the library does not answer: see whether the disk or the server that it is on hangs")]
    Silent,
    /// The library as a whole cannot be read.
    #[error("the library {library} cannot be read: {why}")]
    Unreadable {
        /// The library's address.
        library: String,
        /// The reason.
        why: String,
    },
}

/// One line of a listing: an album, or a folder that should have been one.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name of the folder.
    pub folder: String,
    /// The album, or why there is none.
    pub album: Result<Arc<Album>, String>,
}

/// A remark to the operator about a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Whether all is well.
    pub ok: bool,
    /// The finding and, if something is wrong, what to do.
    pub says: String,
}

impl Album {
    /// A file by its name, if the album has it.
    pub fn file(&self, name: &str) -> Result<&AlbumFile, LibraryError> {
        self.files.iter().find(|file| file.name == name).ok_or_else(|| LibraryError::Incomplete {
            album: self.id.clone(),
            why: format!("it no longer has `{name}`"),
        })
    }
}

impl Sha256Digest {
    /// A digest from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Sha256Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a SHA-256 has 64 hexadecimal digits";
        if text.len() != 64 || !text.is_ascii() {
            return Err(WRONG);
        }
        let mut bytes = [0; 32];
        for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[place..place + 2], 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

/// Several complaints joined into one text.
pub(super) fn join(complaints: &[String]) -> String {
    complaints.iter().enumerate().fold(String::new(), |mut text, (index, complaint)| {
        let _ = write!(text, "{}{complaint}", if index == 0 { "" } else { "; " });
        text
    })
}
