//! A library in a folder: each folder in it that has an `album.toml` is an album.
//!
//! Albums may be added, changed and removed while the server runs. Each album's state is kept separately: its folder is
//! looked at when the album is asked for and the last look is older than a second, so that a missing file is noticed
//! before a ticket is used up for it. The whole library is scanned only for an unknown album. Digests that a manifest
//! does not give are computed once, and kept while the file is unchanged.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep_until, timeout};

use super::album::{Album, AlbumFile, Content, LibraryError, Listed, OpenFile, join};
use crate::latest::Latest;
use album_folder::{AlbumFolder, Purpose};
use index::{Index, LOOKS_AT_ONCE, Root, link_advice};

mod album_folder;
mod digests;
mod faults;
mod index;
mod look;

/// How long a request for an unknown album waits for a scan, which costs a disk access for each album.
const WAIT_FOR_SCAN: Duration = Duration::from_secs(3);
/// The shortest time between the beginnings of two scans.
const SCAN_PAUSE: Duration = Duration::from_millis(100);
/// How long the tools, and the server at its start, wait for a scan.
const WAIT_FOR_FIRST_SCAN: Duration = Duration::from_mins(2);

/// A library in a folder.
pub struct FolderLibrary {
    root: Arc<Root>,
    index: Latest<Arc<Index>>,
}

impl FolderLibrary {
    pub(super) async fn open(path: &Path) -> Result<Self, LibraryError> {
        let unreadable = |why: String| LibraryError::Unreadable { library: path.display().to_string(), why };
        let given = path.to_owned();
        let found =
            timeout(WAIT_FOR_SCAN, tokio::task::spawn_blocking(move || fs::canonicalize(given))).await;
        let found = found.map_err(|_| LibraryError::Silent)?;
        let path = found.map_err(|error| unreadable(error.to_string()))?;
        let path = path.map_err(|error| unreadable(error.to_string()))?;
        let library = Self { root: Arc::new(Root::new(&path)), index: Latest::new(Arc::default()) };
        let index = library.scan_since(Instant::now(), WAIT_FOR_FIRST_SCAN).await?;
        match index.failure() {
            Some(error) => Err(error.clone()),
            None => Ok(library),
        }
    }

    /// The album with this id, if all of its files are there.
    pub(super) async fn album(&self, id: &str) -> Result<Arc<Album>, LibraryError> {
        self.find(id, Purpose::Promise).await
    }

    /// The same, or the album as it was before its files changed and had to be hashed again.
    pub(super) async fn downloadable(&self, id: &str) -> Result<Arc<Album>, LibraryError> {
        self.find(id, Purpose::Download).await
    }

    pub(super) async fn open_file(&self, album: &Album, file: &AlbumFile) -> Result<OpenFile, LibraryError> {
        let index = self.index.get();
        let folder = index.folders.get(&album.folder);
        let folder = folder.ok_or_else(|| LibraryError::NoSuchAlbum(album.id.clone()))?;
        let opened = folder.open(album, file).await?;
        Ok(OpenFile {
            bytes: opened.bytes(),
            entity_tag: opened.entity_tag(),
            content: Content::Disk(opened),
        })
    }

    /// All albums. Waits until their files have been hashed.
    pub(super) async fn list(&self) -> Result<Vec<Listed>, LibraryError> {
        let index = self.scan_since(Instant::now(), WAIT_FOR_FIRST_SCAN).await?;
        if let Some(error) = index.failure() {
            return Err(error.clone());
        }
        let settled = stream::iter(index.folders.values().cloned()).map(async |folder: Arc<AlbumFolder>| {
            let album = folder.settled().await;
            Listed { folder: folder.name.clone(), album }
        });
        let mut listed: Vec<Listed> = settled.buffer_unordered(LOOKS_AT_ONCE).collect().await;
        for one in &mut listed {
            if let Some(why) = index.duplicates.get(&one.folder) {
                one.album = Err(why.clone());
            }
        }
        let link = |name: &String| Listed { folder: name.clone(), album: Err(link_advice(name)) };
        listed.extend(index.links.iter().map(link));
        listed.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(listed)
    }

    pub(super) async fn verify(&self, album: &Album) -> Result<(), LibraryError> {
        let index = self.index.get();
        let folder = index.folders.get(&album.folder);
        let folder = folder.ok_or_else(|| LibraryError::NoSuchAlbum(album.id.clone()))?;
        let wrong = folder.differences(album).await;
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(LibraryError::Incomplete { album: album.id.clone(), why: join(&wrong) })
        }
    }

    async fn find(&self, id: &str, purpose: Purpose) -> Result<Arc<Album>, LibraryError> {
        let asked_at = Instant::now();
        if let Some(folder) = self.index.get().folder_of(id)
            && let Some(answer) = folder.album(id, purpose).await
        {
            return answer;
        }
        // The album is new, or it has moved.
        let index = self.scan_since(asked_at, WAIT_FOR_SCAN).await?;
        let found = match index.folder_of(id) {
            Some(folder) => folder.album(id, purpose).await,
            None => None,
        };
        found.unwrap_or_else(|| Err(index.lacks(id)))
    }

    /// The result of a scan that began after `asked_at`. Waits at most `wait` for it.
    async fn scan_since(&self, asked_at: Instant, wait: Duration) -> Result<Arc<Index>, LibraryError> {
        let deadline = asked_at + wait;
        loop {
            let last = self.index.get();
            if last.at.is_some_and(|at| at >= asked_at) {
                return Ok(last);
            }
            if let Some(at) = last.at {
                sleep_until(at + SCAN_PAUSE).await;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LibraryError::Silent);
            }
            let root = Arc::clone(&self.root);
            self.index.renew(left, move |before| root.scan(before)).await;
        }
    }
}

#[cfg(test)]
mod tests;
