//! The result of one look through a library: albums by their ids, and folders that should have been albums.

use std::collections::HashMap;
use std::sync::Arc;

use super::album::{Album, LibraryError, Listed};

/// Albums, and folders that are no album yet.
#[derive(Default)]
pub(super) struct Shelf {
    /// By id.
    albums: HashMap<String, Arc<Album>>,
    broken: Vec<Broken>,
}

/// A folder that should have been an album.
struct Broken {
    folder: String,
    /// The id of the album, if known.
    id: Option<String>,
    why: String,
}

impl Shelf {
    /// Whether a folder may have this id. If another folder already has it, this one is noted as broken.
    pub(super) fn admits(&mut self, folder: &str, id: &str) -> bool {
        let Some(other) = self.albums.get(id) else { return true };
        let why = format!("its id `{id}` is that of the album in `{}`", other.folder);
        self.add_broken(folder.to_owned(), None, why);
        false
    }

    pub(super) fn add(&mut self, album: Album) {
        self.albums.insert(album.id.clone(), Arc::new(album));
    }

    pub(super) fn add_broken(&mut self, folder: String, id: Option<String>, why: String) {
        self.broken.push(Broken { folder, id, why });
    }

    pub(super) fn get(&self, id: &str) -> Result<&Arc<Album>, LibraryError> {
        if let Some(album) = self.albums.get(id) {
            return Ok(album);
        }
        match self.broken.iter().find(|broken| broken.id.as_deref() == Some(id)) {
            Some(broken) => Err(LibraryError::Incomplete { album: id.to_owned(), why: broken.why.clone() }),
            None => Err(LibraryError::NoSuchAlbum(id.to_owned())),
        }
    }

    /// The id of the album in a folder, or of the last one seen there.
    pub(super) fn id_of(&self, folder: &str) -> Option<String> {
        let whole = self.albums.iter().find(|(_, album)| album.folder == folder).map(|(id, _)| id);
        let broken = || {
            self.broken.iter().find(|broken| broken.folder == folder).and_then(|broken| broken.id.as_ref())
        };
        whole.or_else(broken).cloned()
    }

    /// All albums and broken folders, sorted by folder.
    pub(super) fn listed(&self) -> Vec<Listed> {
        let whole = self
            .albums
            .values()
            .map(|album| Listed { folder: album.folder.clone(), album: Ok(Arc::clone(album)) });
        let broken = self
            .broken
            .iter()
            .map(|broken| Listed { folder: broken.folder.clone(), album: Err(broken.why.clone()) });
        let mut listed: Vec<Listed> = whole.chain(broken).collect();
        listed.sort_by(|a, b| a.folder.cmp(&b.folder));
        listed
    }
}
