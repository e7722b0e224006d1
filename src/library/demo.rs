//! The demonstration albums, which are compiled into the program.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::album::{Album, AlbumFile, Content, LibraryError, Listed, OpenFile, Sha256Digest};
use super::manifest::Manifest;

/// `seed/library`, compiled in.
#[derive(rust_embed::RustEmbed)]
#[folder = "seed/library"]
struct Files;

/// The demonstration albums.
pub struct DemoLibrary {
    albums: Vec<(String, Arc<Album>)>,
}

impl DemoLibrary {
    pub(super) fn new() -> Result<Self, LibraryError> {
        let mut albums = Vec::new();
        for path in Files::iter() {
            let Some(folder) = path.strip_suffix("/album.toml") else { continue };
            let album =
                read(folder).map_err(|why| LibraryError::Incomplete { album: folder.to_owned(), why })?;
            albums.push((folder.to_owned(), Arc::new(album)));
        }
        albums.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { albums })
    }

    pub(super) fn album(&self, id: &str) -> Result<Arc<Album>, LibraryError> {
        let found = self.albums.iter().find(|(_, album)| album.id == id);
        found.map(|(_, album)| Arc::clone(album)).ok_or_else(|| LibraryError::NoSuchAlbum(id.to_owned()))
    }

    pub(super) fn open_file(&self, album: &Album, file: &AlbumFile) -> Result<OpenFile, LibraryError> {
        let content = self.content(album, file)?;
        Ok(OpenFile {
            bytes: file.bytes,
            entity_tag: file.sha256.to_string(),
            content: Content::Memory(content),
        })
    }

    pub(super) fn list(&self) -> Vec<Listed> {
        let listed = |(folder, album): &(String, Arc<Album>)| Listed {
            folder: folder.clone(),
            album: Ok(Arc::clone(album)),
        };
        self.albums.iter().map(listed).collect()
    }

    pub(super) fn verify(&self, album: &Album) -> Result<(), LibraryError> {
        for file in &album.files {
            let digest = Sha256Digest::from_bytes(Sha256::digest(self.content(album, file)?).into());
            if digest != file.sha256 {
                return Err(incomplete(album, format!("`{}` differs from its digest", file.name)));
            }
        }
        Ok(())
    }

    fn content(&self, album: &Album, file: &AlbumFile) -> Result<Bytes, LibraryError> {
        let folder = self.albums.iter().find(|(_, known)| known.id == album.id).map(|(folder, _)| folder);
        let found = folder.and_then(|folder| Files::get(&format!("{folder}/{}", file.name)));
        match found.map(|found| found.data) {
            Some(std::borrow::Cow::Borrowed(data)) => Ok(Bytes::from_static(data)),
            Some(std::borrow::Cow::Owned(data)) => Ok(Bytes::from(data)),
            None => Err(incomplete(album, format!("`{}` is missing", file.name))),
        }
    }
}

fn incomplete(album: &Album, why: String) -> LibraryError {
    LibraryError::Incomplete { album: album.id.clone(), why }
}

fn read(folder: &str) -> Result<Album, String> {
    let manifest = Files::get(&format!("{folder}/album.toml")).ok_or("album.toml is missing")?;
    let text = std::str::from_utf8(&manifest.data).map_err(|_| "album.toml is not UTF-8")?;
    let manifest = Manifest::parse(text).map_err(|error| error.to_string())?;
    let file = |file: super::manifest::ManifestFile| {
        let found = Files::get(&format!("{folder}/{}", file.name))
            .ok_or_else(|| format!("`{}` is missing", file.name))?;
        Ok(AlbumFile {
            name: file.name,
            ascii_name: file.ascii_name,
            media_type: file.media_type,
            bytes: found.data.len() as u64,
            sha256: Sha256Digest::from_bytes(found.metadata.sha256_hash()),
        })
    };
    Ok(Album {
        id: manifest.id.to_string(),
        title: manifest.title,
        artist: manifest.artist,
        folder: folder.to_owned(),
        cover: manifest.cover,
        files: manifest.files.into_iter().map(file).collect::<Result<_, String>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demonstration_albums_are_whole() {
        let library = DemoLibrary::new().unwrap();
        assert!(library.albums.len() >= 2);
        for (folder, album) in &library.albums {
            library.verify(album).unwrap();
            let text = Files::get(&format!("{folder}/album.toml")).unwrap();
            let manifest = Manifest::parse(std::str::from_utf8(&text.data).unwrap()).unwrap();
            for (listed, found) in manifest.files.iter().zip(&album.files) {
                assert_eq!((listed.bytes, listed.sha256), (Some(found.bytes), Some(found.sha256)));
            }
        }
    }
}
