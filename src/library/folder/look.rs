//! One look at an album's folder: its manifest, and whether its files exist. Blocks; reads the content of
//! no other file.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::Path;

use super::digests::Digested;
use super::faults::{check_size, wrong};
use crate::disk::{Stamp, open_regular, stamp_of};
use crate::library::album::{Album, AlbumFile, join};
use crate::library::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestFile};

/// The name of a manifest.
pub(super) const MANIFEST: &str = "album.toml";

/// The result of a look at a folder.
pub(super) struct Found {
    /// The stamp of its manifest.
    pub(super) manifest: Option<Stamp>,
    /// The id of its album, if the manifest can be read.
    pub(super) id: Option<String>,
    pub(super) state: State,
}

/// The state of an album's folder.
pub(super) enum State {
    Whole(Album),
    /// The album is complete, but the digests of these files are unknown.
    Unread(Vec<String>),
    /// The fault.
    Broken(String),
}

/// The state of a file.
enum FoundFile {
    Known(AlbumFile),
    /// Its digest is unknown. Holds its name.
    Unread(String),
}

/// Looks at the folder `name`. `digests` are the known digests of its files.
pub(super) fn look(path: &Path, name: &str, digests: &HashMap<String, Digested>) -> Found {
    let (stamp, manifest) = match read_manifest(path) {
        Ok(read) => read,
        Err((manifest, why)) => return Found { manifest, id: None, state: State::Broken(why) },
    };
    let (id, manifest_stamp) = (manifest.id.to_string(), Some(stamp));
    let mut files = Vec::with_capacity(manifest.files.len());
    let (mut unread, mut wrong) = (Vec::new(), Vec::new());
    for file in manifest.files {
        match examine(path, file, digests) {
            Ok(FoundFile::Known(file)) => files.push(file),
            Ok(FoundFile::Unread(name)) => unread.push(name),
            Err(why) => wrong.push(why),
        }
    }
    let state = if !wrong.is_empty() {
        State::Broken(join(&wrong))
    } else if !unread.is_empty() {
        State::Unread(unread)
    } else {
        State::Whole(Album {
            id: id.clone(),
            title: manifest.title,
            artist: manifest.artist,
            folder: name.to_owned(),
            cover: manifest.cover,
            files,
        })
    };
    Found { manifest: manifest_stamp, id: Some(id), state }
}

/// Checks whether a file exists with the size that the manifest gives.
fn examine(
    folder: &Path,
    file: ManifestFile,
    digests: &HashMap<String, Digested>,
) -> Result<FoundFile, String> {
    let stamp = stamp_of(&folder.join(&file.name)).map_err(|error| wrong(&file.name, &error))?;
    check_size(&file.name, stamp.bytes, file.bytes)?;
    let sha256 = match (file.sha256, digests.get(&file.name)) {
        (Some(given), _) => given,
        (None, Some(digested)) if digested.is_of(&stamp) => digested.result.clone()?,
        (None, _) => return Ok(FoundFile::Unread(file.name)),
    };
    Ok(FoundFile::Known(AlbumFile {
        name: file.name,
        ascii_name: file.ascii_name,
        media_type: file.media_type,
        bytes: stamp.bytes,
        sha256,
    }))
}

/// Reads a manifest. The error says what is wrong with it, with its stamp if it could be opened.
pub(super) fn read_manifest(folder: &Path) -> Result<(Stamp, Manifest), (Option<Stamp>, String)> {
    let (file, stamp) = open_regular(&folder.join(MANIFEST)).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "it has no album.toml".to_owned(),
            _ => wrong(MANIFEST, &error),
        };
        (None, why)
    })?;
    let mut text = String::new();
    file.take(MAX_MANIFEST_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| (Some(stamp), format!("{MANIFEST}: {error}")))?;
    let manifest = Manifest::parse(&text).map_err(|error| (Some(stamp), error.to_string()))?;
    Ok((stamp, manifest))
}
