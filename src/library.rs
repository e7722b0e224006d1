//! Albums and their files: what a key gives.
//!
//! A [`Library`] is looked into by album id; a file is only ever reached through the album that lists it, so no request
//! can name a path. Knows files and nothing of tickets or of our HTTP. Most libraries give their files through this
//! server, by links that it signs itself; one whose files are served elsewhere says so by [`Library::link`].

use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::disk::DiskFile;

mod demo;
mod folder;
mod manifest;
pub mod s3;
mod shelf;

pub use manifest::ManifestError;

/// Folders that a library may have.
const MAX_FOLDERS: usize = 10_000;

/// Where albums come from.
pub enum Library {
    /// The demonstration albums, compiled in.
    Demo(demo::DemoLibrary),
    /// A folder with one folder an album.
    Folder(folder::FolderLibrary),
    /// A bucket with one folder an album.
    S3(Box<s3::S3Library>),
}

/// An album: what is given away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Album {
    /// Unique in its library.
    pub id: String,
    /// For people.
    pub title: String,
    /// For people.
    pub artist: String,
    /// The name of the folder that it lies in.
    pub folder: String,
    /// The picture among its files, if it has one: an index into `files`.
    pub cover: Option<usize>,
    /// At least one, in the order of the manifest.
    pub files: Vec<AlbumFile>,
}

/// A file of an album.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlbumFile {
    /// Without any folder; unique in its album.
    pub name: String,
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
    /// The size of what is open, which a manifest may not know.
    pub bytes: u64,
    /// A strong entity tag of what is open, without quotation marks: another one as soon as the content is another.
    pub entity_tag: String,
    /// Where to read it.
    pub content: Content,
}

/// Where an open file is.
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// On a disk.
    Disk(DiskFile),
}

/// What is wrong with a library or with something in it. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// It has no such album.
    #[error(
        "the library has no album `{0}`: add its folder, or mint keys for one of those that `tickey albums` lists"
    )]
    NoSuchAlbum(String),
    /// The album is there, and not whole.
    #[error("album `{album}` is not complete: {why}")]
    Incomplete {
        /// Its id.
        album: String,
        /// What is missing.
        why: String,
    },
    /// The album is there, and its files are being read, since their digests are not known yet.
    #[error(
        "the files of album `{0}` are new or were changed and are being read: wait, or give each a sha256 in album.toml"
    )]
    BeingRead(String),
    /// It did not answer in time.
    #[error("the library does not answer: see whether the disk or the server that it is on hangs")]
    Silent,
    /// The library as a whole cannot be read.
    #[error("the library {library} cannot be read: {why}")]
    Unreadable {
        /// Where it is.
        library: String,
        /// Why.
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

/// Something that an operator should know of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Whether it is well.
    pub ok: bool,
    /// What was found and, when it is not well, what to do.
    pub says: String,
}

/// Where a library is, as `--library` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LibraryAddress {
    /// `demo:`
    Demo,
    /// `file:DIR`
    Folder(PathBuf),
    /// `s3://BUCKET/PREFIX`
    S3(s3::Place),
}

/// A text is not an address. Says what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Of no kind that is known.
    #[error(
        "give demo: for the built-in albums, file:DIR for a folder with one folder an album, or s3://BUCKET/PREFIX for the same on S3"
    )]
    Kind,
    /// Not a place on S3.
    #[error(transparent)]
    Place(#[from] s3::PlaceError),
}

impl FromStr for LibraryAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(place) = text.strip_prefix("s3://") {
            return Ok(Self::S3(place.parse()?));
        }
        match text.split_once(':') {
            Some(("demo", "")) => Ok(Self::Demo),
            Some(("file", folder)) if !folder.is_empty() => Ok(Self::Folder(folder.into())),
            _ => Err(AddressError::Kind),
        }
    }
}

/// Where a library is, with all that is needed to use it.
#[derive(Clone, Debug)]
pub enum LibraryLocation {
    /// `demo:`
    Demo,
    /// `file:DIR`
    Folder(PathBuf),
    /// `s3://BUCKET/PREFIX`
    S3(Box<s3::Settings>),
}

impl Library {
    /// Opens a library and scans it once.
    pub async fn open(location: &LibraryLocation) -> Result<Self, LibraryError> {
        match location {
            LibraryLocation::Demo => Ok(Self::Demo(demo::DemoLibrary::new()?)),
            LibraryLocation::Folder(path) => Ok(Self::Folder(folder::FolderLibrary::open(path).await?)),
            LibraryLocation::S3(settings) => Ok(Self::S3(Box::new(s3::S3Library::open(settings).await?))),
        }
    }

    /// The album with this id, if all of its files are there.
    pub async fn album(&self, id: &str) -> Result<Arc<Album>, LibraryError> {
        match self {
            Self::Demo(library) => library.album(id),
            Self::Folder(library) => library.album(id).await,
            Self::S3(library) => library.album(id).await,
        }
    }

    /// The album with this id, to give one of its files to somebody who has a link. While changed files are read for their
    /// digests, it is the album as it was before.
    pub async fn downloadable(&self, id: &str) -> Result<Arc<Album>, LibraryError> {
        match self {
            Self::Folder(library) => library.downloadable(id).await,
            Self::Demo(_) | Self::S3(_) => self.album(id).await,
        }
    }

    /// Opens a file of an album, unless links lead to it.
    pub async fn open_file(&self, album: &Album, file: &AlbumFile) -> Result<OpenFile, LibraryError> {
        match self {
            Self::Demo(library) => library.open_file(album, file),
            Self::Folder(library) => library.open_file(album, file).await,
            Self::S3(_) => {
                let why = format!("`{}` is only given by S3 itself", file.name);
                Err(LibraryError::Incomplete { album: album.id.clone(), why })
            }
        }
    }

    /// A link to a file that is served elsewhere, which begins to live at `issued_at` and lives for `lifetime`. It
    /// makes a client save the file as `disposition` says. The same arguments give the same link on every server.
    /// `None` when this server gives the files itself.
    #[must_use]
    pub fn link(
        &self,
        album: &Album,
        file: &AlbumFile,
        issued_at: Timestamp,
        lifetime: SignedDuration,
        disposition: &str,
    ) -> Option<String> {
        match self {
            Self::Demo(_) | Self::Folder(_) => None,
            Self::S3(library) => Some(library.link(album, file, issued_at, lifetime, disposition)),
        }
    }

    /// The longest life that a link can have.
    #[must_use]
    pub fn longest_link(&self) -> SignedDuration {
        match self {
            Self::Demo(_) | Self::Folder(_) => SignedDuration::MAX,
            Self::S3(_) => s3::LONGEST_LINK,
        }
    }

    /// `scheme://host[:port]` from which files are served, when that is not this server.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        match self {
            Self::Demo(_) | Self::Folder(_) => None,
            Self::S3(library) => Some(library.origin()),
        }
    }

    /// What an operator should know of the library as a whole.
    #[must_use]
    pub fn remarks(&self) -> Vec<Remark> {
        match self {
            Self::Demo(_) | Self::Folder(_) => Vec::new(),
            Self::S3(library) => library.remarks(),
        }
    }

    /// Everything that is there, sorted by folder. Waits until files have been read whose digests are not known.
    pub async fn list(&self) -> Result<Vec<Listed>, LibraryError> {
        match self {
            Self::Demo(library) => Ok(library.list()),
            Self::Folder(library) => library.list().await,
            Self::S3(library) => library.list().await,
        }
    }

    /// Compares an album with its manifest, and says what differs: every byte, or on S3 what that knows without a download.
    pub async fn verify(&self, album: &Album) -> Result<(), LibraryError> {
        match self {
            Self::Demo(library) => library.verify(album),
            Self::Folder(library) => library.verify(album).await,
            Self::S3(library) => library.verify(album).await,
        }
    }
}

impl Album {
    /// A file by its name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&AlbumFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

impl Sha256Digest {
    /// A digest out of its bytes.
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

/// Several complaints as one text.
fn join(complaints: &[String]) -> String {
    complaints.iter().enumerate().fold(String::new(), |mut text, (index, complaint)| {
        let _ = write!(text, "{}{complaint}", if index == 0 { "" } else { "; " });
        text
    })
}
