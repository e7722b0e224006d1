//! Albums and their files: what a key gives.
//!
//! A [`Library`] is looked into by album id; a file is only ever reached through the album that lists it, so no request
//! can name a path. Knows files and nothing of tickets or HTTP. The next kind of library (S3) is another variant
//! of [`Library`].

use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

mod demo;
mod folder;
mod manifest;

pub use manifest::ManifestError;

/// Where albums come from.
pub enum Library {
    /// The demonstration albums, compiled in.
    Demo(demo::DemoLibrary),
    /// A folder with one folder an album.
    Folder(folder::FolderLibrary),
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
pub enum OpenFile {
    /// It is in memory.
    Memory(Bytes),
    /// It is on disk.
    Disk(tokio::fs::File),
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
    /// The library as a whole cannot be read.
    #[error("the library {path} cannot be read: {why}")]
    Unreadable {
        /// Its folder.
        path: PathBuf,
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

/// Where a library is, as `--library` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LibraryLocation {
    /// `demo:`
    Demo,
    /// `file:DIR`
    Folder(PathBuf),
}

/// A text is not a location. Says what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give demo: for the built-in albums, or file:DIR for a folder with one folder an album")]
pub struct LocationError;

impl FromStr for LibraryLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        match text.split_once(':') {
            Some(("demo", "")) => Ok(Self::Demo),
            Some(("file", folder)) if !folder.is_empty() => Ok(Self::Folder(folder.into())),
            _ => Err(LocationError),
        }
    }
}

impl Library {
    /// Opens a library and looks through it once.
    pub async fn open(location: &LibraryLocation) -> Result<Self, LibraryError> {
        match location {
            LibraryLocation::Demo => Ok(Self::Demo(demo::DemoLibrary::new()?)),
            LibraryLocation::Folder(path) => Ok(Self::Folder(folder::FolderLibrary::open(path).await?)),
        }
    }

    /// The album with this id, if all of its files are there.
    pub async fn album(&self, id: &str) -> Result<Arc<Album>, LibraryError> {
        match self {
            Self::Demo(library) => library.album(id),
            Self::Folder(library) => library.album(id).await,
        }
    }

    /// Opens a file of an album.
    pub async fn open_file(&self, album: &Album, file: &AlbumFile) -> Result<OpenFile, LibraryError> {
        match self {
            Self::Demo(library) => library.open_file(album, file),
            Self::Folder(library) => library.open_file(album, file).await,
        }
    }

    /// Everything that is there, sorted by folder.
    pub async fn list(&self) -> Result<Vec<Listed>, LibraryError> {
        match self {
            Self::Demo(library) => Ok(library.list()),
            Self::Folder(library) => library.list().await,
        }
    }

    /// Reads every byte of an album and compares it with the manifest. Says what differs.
    pub async fn verify(&self, album: &Album) -> Result<(), LibraryError> {
        match self {
            Self::Demo(library) => library.verify(album),
            Self::Folder(library) => library.verify(album).await,
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
