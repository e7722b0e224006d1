//! Maps albums to folders. Scans the library's folder, and checks of each album only whether its manifest has changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::album_folder::AlbumFolder;
use crate::disk::{Hung, IS_LINK, Lane, Threads};
use crate::library::album::{LibraryError, MAX_FOLDERS};

/// The number of folders that are looked at in parallel.
pub(super) const LOOKS_AT_ONCE: usize = 16;
/// The most files of all albums together; each takes some 250 bytes of memory.
const MAX_FILES: usize = 200_000;
/// The number of albums whose files are hashed in parallel.
const MAX_READERS: usize = 2;

/// The library's folder, and state that its calls share.
pub(super) struct Root {
    path: PathBuf,
    lane: Lane,
    threads: Threads,
    readers: Arc<Semaphore>,
}

/// The result of a scan.
#[derive(Default)]
pub(super) struct Index {
    /// When the scan began.
    pub(super) at: Option<Instant>,
    /// By name.
    pub(super) folders: BTreeMap<String, Arc<AlbumFolder>>,
    /// By the id of the album.
    ids: HashMap<Arc<str>, Arc<AlbumFolder>>,
    /// Folders that are not albums because another folder has the same id, with the reason.
    pub(super) duplicates: HashMap<String, String>,
    /// Symbolic links. They are not followed: no file outside the library is ever served.
    pub(super) links: BTreeSet<String>,
    /// Why the index is incomplete.
    failed: Option<LibraryError>,
}

enum Entry {
    Folder(String),
    Link(String),
}

impl Root {
    pub(super) fn new(path: &Path) -> Self {
        let threads = Threads::new();
        let readers = Arc::new(Semaphore::new(MAX_READERS));
        Self { path: path.to_owned(), lane: threads.lane(), threads, readers }
    }

    /// Scans the folder. The known state of albums is kept.
    pub(super) async fn scan(self: Arc<Self>, before: Arc<Index>) -> Arc<Index> {
        let at = Some(Instant::now());
        let root = self.path.clone();
        let entries = match self.lane.begin(move || entries(&root)).await {
            Ok(Ok(entries)) => entries,
            Ok(Err(why)) => return Arc::new(before.failed(at, self.unreadable(why))),
            Err(Hung) => return Arc::new(before.failed(at, LibraryError::Silent)),
        };
        let mut index = Index { at, ..Index::default() };
        for entry in entries {
            match entry {
                Entry::Link(name) => drop(index.links.insert(name)),
                Entry::Folder(name) => {
                    let folder = before.folders.get(&name).cloned().unwrap_or_else(|| {
                        let (lane, readers) = (self.threads.lane(), Arc::clone(&self.readers));
                        Arc::new(AlbumFolder::new(&self.path, name.clone(), lane, readers))
                    });
                    index.folders.insert(name, folder);
                }
            }
        }
        let folders: Vec<Arc<AlbumFolder>> = index.folders.values().cloned().collect();
        let looks = stream::iter(folders).map(async |folder: Arc<AlbumFolder>| {
            folder.notice_changes().await;
            folder.files()
        });
        let mut looks = std::pin::pin!(looks.buffer_unordered(LOOKS_AT_ONCE));
        let mut files = 0;
        while let Some(of_album) = looks.next().await {
            files += of_album;
            if files > MAX_FILES {
                let why =
                    format!("its albums have more than {MAX_FILES} files: give some a library of their own");
                return Arc::new(before.failed(at, self.unreadable(why)));
            }
        }
        index.assign_ids();
        Arc::new(index)
    }

    fn unreadable(&self, why: String) -> LibraryError {
        LibraryError::Unreadable { library: self.path.display().to_string(), why }
    }
}

impl Index {
    pub(super) fn folder_of(&self, id: &str) -> Option<Arc<AlbumFolder>> {
        self.ids.get(id).cloned()
    }

    /// Why the index is incomplete.
    pub(super) fn failure(&self) -> Option<&LibraryError> {
        self.failed.as_ref()
    }

    /// Why an album that is in no folder is unavailable.
    pub(super) fn lacks(&self, id: &str) -> LibraryError {
        let incomplete = |why: String| LibraryError::Incomplete { album: id.to_owned(), why };
        if let Some(error) = &self.failed {
            return error.clone();
        }
        if self.links.contains(id) {
            return incomplete(link_advice(id));
        }
        // The id in its manifest is unknown, but most folders are named after their album's id.
        if let Some(why) = self.folders.get(id).and_then(|folder| folder.fault()) {
            return incomplete(why.to_string());
        }
        // The album may be in a folder that does not answer.
        if self.folders.values().any(|folder| folder.is_silent() && folder.id().is_none()) {
            return LibraryError::Silent;
        }
        LibraryError::NoSuchAlbum(id.to_owned())
    }

    /// The old index, with the reason why there is no newer one.
    fn failed(&self, at: Option<Instant>, error: LibraryError) -> Self {
        tracing::warn!(%error, "the library cannot be scanned: new albums are not found");
        Self {
            at,
            folders: self.folders.clone(),
            ids: self.ids.clone(),
            duplicates: self.duplicates.clone(),
            links: self.links.clone(),
            failed: Some(error),
        }
    }

    /// Assigns each id to the first folder that has it, in an order that is the same on all servers.
    fn assign_ids(&mut self) {
        for (name, folder) in &self.folders {
            let Some(id) = folder.id() else { continue };
            if let Some(first) = self.ids.get(&id) {
                let why = format!("its id `{id}` is that of the album in `{}`", first.name);
                self.duplicates.insert(name.clone(), why);
            } else {
                self.ids.insert(id, Arc::clone(folder));
            }
        }
    }
}

/// The message about a link in the library's folder, with what to do.
pub(super) fn link_advice(name: &str) -> String {
    format!("`{name}` {IS_LINK}: copy the folder itself into the library, or mount it there (`mount --bind`)")
}

fn entries(root: &Path) -> Result<Vec<Entry>, String> {
    let readable = |entry: io::Result<fs::DirEntry>| -> io::Result<Option<Entry>> {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        Ok(if name.starts_with('.') {
            None
        } else if kind.is_symlink() {
            Some(Entry::Link(name))
        } else {
            kind.is_dir().then_some(Entry::Folder(name))
        })
    };
    let entries = fs::read_dir(root).map_err(|error| error.to_string())?;
    let entries = entries.map(readable).filter_map(Result::transpose).take(MAX_FOLDERS + 1);
    let entries: Vec<Entry> = entries.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if entries.len() > MAX_FOLDERS {
        return Err(format!("it has more than {MAX_FOLDERS} folders: give some a library of their own"));
    }
    Ok(entries)
}
