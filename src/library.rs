//! Albums and their files: what a key gives.
//!
//! A [`Library`] is searched by album id. A file is only ever reached through the album that lists it, so no request
//! can name a path. Knows files and nothing of tickets or of our HTTP. Most libraries serve their files through this
//! server, by links that it signs itself; for files that are served elsewhere, [`Library::link`] returns the link.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

mod album;
mod ascii_name;
mod demo;
mod folder;
mod manifest;
pub mod s3;
mod shelf;

pub use album::{Album, AlbumFile, Content, LibraryError, Listed, OpenFile, Remark, Sha256Digest};
pub use manifest::ManifestError;

/// A library: the source of albums.
pub enum Library {
    /// The demonstration albums, compiled in.
    Demo(demo::DemoLibrary),
    /// A folder with one folder for each album.
    Folder(folder::FolderLibrary),
    /// A bucket with one folder for each album.
    S3(Box<s3::S3Library>),
}

/// The address of a library, as `--library` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LibraryAddress {
    /// `demo:`
    Demo,
    /// `file:DIR`
    Folder(PathBuf),
    /// `s3://BUCKET/PREFIX`
    S3(s3::Place),
}

/// The text is not the address of a library. Says which forms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Of an unknown kind.
    #[error(
        "give demo: for the built-in albums, file:DIR for a folder with one folder an album, or s3://BUCKET/PREFIX for \
         the same on S3"
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

/// The address of a library, with all settings needed to use it.
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

    /// The album with this id, for a download by link. While changed files are hashed, this is the album as it was
    /// before the change.
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

    /// A link to a file that is served elsewhere, valid from `issued_at` for `lifetime`. It makes a client save the
    /// file as `disposition` says. The same arguments give the same link on every server. `None` when this server
    /// serves the files itself.
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

    /// The longest lifetime that a link can have.
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

    /// Advice to the operator about the library as a whole.
    #[must_use]
    pub fn remarks(&self) -> Vec<Remark> {
        match self {
            Self::Demo(_) | Self::Folder(_) => Vec::new(),
            Self::S3(library) => library.remarks(),
        }
    }

    /// All albums, sorted by folder. Waits until every new or changed file has been hashed.
    pub async fn list(&self) -> Result<Vec<Listed>, LibraryError> {
        match self {
            Self::Demo(library) => Ok(library.list()),
            Self::Folder(library) => library.list().await,
            Self::S3(library) => library.list().await,
        }
    }

    /// Compares an album with its manifest and reports differences: every byte, or on S3 only what S3 reports
    /// without a download.
    pub async fn verify(&self, album: &Album) -> Result<(), LibraryError> {
        match self {
            Self::Demo(library) => library.verify(album),
            Self::Folder(library) => library.verify(album).await,
            Self::S3(library) => library.verify(album).await,
        }
    }
}
