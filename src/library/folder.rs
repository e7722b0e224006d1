//! A library in a folder: each folder in it that has an `album.toml` is an album.
//!
//! Albums may be added, changed and removed while the server runs. The folder is looked through again, when it is
//! asked about and the last look is older than [`LOOK_AGAIN_AFTER`]; so a file that disappears is noticed before a
//! ticket is used up for it. Digests that a manifest does not give are computed once and kept while the file's size
//! and time of change stay the same.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::latest::Latest;
use super::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestFile};
use super::shelf::Shelf;
use super::{Album, AlbumFile, LibraryError, Listed, OpenFile, Sha256Digest, join};

/// How old the last look through the folder may be.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a request waits for a new look; new digests can take far longer, and meanwhile the last look counts.
const WAIT_FOR_LOOK: Duration = Duration::from_millis(500);
/// Bytes read at once while a digest is computed.
const DIGEST_BUFFER_BYTES: usize = 128 * 1024;

/// A library in a folder.
pub struct FolderLibrary {
    root: PathBuf,
    latest: Latest<Look>,
}

/// What was found in the folder, and when.
#[derive(Clone)]
struct Look {
    at: Instant,
    found: Arc<Found>,
}

#[derive(Default)]
struct Found {
    shelf: Shelf,
    digests: HashMap<PathBuf, (Stamp, Sha256Digest)>,
}

/// Changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl FolderLibrary {
    pub(super) async fn open(path: &Path) -> Result<Self, LibraryError> {
        let unreadable = |why: String| LibraryError::Unreadable { library: path.display().to_string(), why };
        let root = fs::canonicalize(path).map_err(|error| unreadable(error.to_string()))?;
        let started = Instant::now();
        let found = {
            let root = root.clone();
            tokio::task::spawn_blocking(move || look(&root, &Found::default()))
                .await
                .map_err(|error| unreadable(error.to_string()))?
        }
        .map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { root, latest: Latest::new(Look { at: started, found: Arc::new(found) }) })
    }

    pub(super) async fn album(&self, id: &str) -> Result<Arc<Album>, LibraryError> {
        let (found, fresh) = self.found().await;
        let album = found.shelf.get(id)?;
        if !fresh {
            self.check_files(album).await?;
        }
        Ok(Arc::clone(album))
    }

    pub(super) async fn open_file(&self, album: &Album, file: &AlbumFile) -> Result<OpenFile, LibraryError> {
        let path = self.path_of(album, file);
        let expected = file.bytes;
        let opened = tokio::task::spawn_blocking(move || open_regular(&path)).await;
        let incomplete = |why: String| LibraryError::Incomplete {
            album: album.id.clone(),
            why: format!("`{}` {why}", file.name),
        };
        match opened {
            Ok(Ok((opened, metadata))) if metadata.len() == expected => {
                Ok(OpenFile::Disk(opened))
            }
            Ok(Ok((_, metadata))) => {
                Err(incomplete(format!("has {} bytes instead of {expected}: copy it again", metadata.len())))
            }
            Ok(Err(error)) => Err(incomplete(format!("cannot be opened: {error}"))),
            Err(error) => Err(incomplete(format!("cannot be opened: {error}"))),
        }
    }

    pub(super) async fn list(&self) -> Vec<Listed> {
        self.found().await.0.shelf.listed()
    }

    pub(super) async fn verify(&self, album: &Album) -> Result<(), LibraryError> {
        let mut wrong = Vec::new();
        for file in &album.files {
            let path = self.path_of(album, file);
            match tokio::task::spawn_blocking(move || digest(&path)).await {
                Ok(Ok(digest)) if digest == file.sha256 => {}
                Ok(Ok(_)) => wrong.push(format!("`{}` differs from its sha256: copy it again", file.name)),
                Ok(Err(error)) => wrong.push(format!("`{}` cannot be read: {error}", file.name)),
                Err(error) => wrong.push(format!("`{}` cannot be read: {error}", file.name)),
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(LibraryError::Incomplete { album: album.id.clone(), why: join(&wrong) })
        }
    }

    /// Where a file lies: the album's own folder, and a name that its manifest has been checked for.
    fn path_of(&self, album: &Album, file: &AlbumFile) -> PathBuf {
        self.root.join(&album.folder).join(&file.name)
    }

    /// Looks whether the files of one album are there, when there was no time to look through the whole folder.
    async fn check_files(&self, album: &Arc<Album>) -> Result<(), LibraryError> {
        let (folder, looked_at) = (self.root.join(&album.folder), Arc::clone(album));
        let missing = tokio::task::spawn_blocking(move || {
            let is_whole = |file: &AlbumFile| {
                fs::symlink_metadata(folder.join(&file.name))
                    .is_ok_and(|metadata| metadata.is_file() && metadata.len() == file.bytes)
            };
            looked_at.files.iter().find(|file| !is_whole(file)).map(|file| file.name.clone())
        });
        let why = match missing.await {
            Ok(None) => return Ok(()),
            Ok(Some(name)) => format!("`{name}` is missing or has another size"),
            Err(error) => error.to_string(),
        };
        Err(LibraryError::Incomplete { album: album.id.clone(), why })
    }

    /// What is in the folder, looked through again if the last look is too old; and whether that is fresh, since new
    /// digests can take long.
    async fn found(&self) -> (Arc<Found>, bool) {
        let last = self.latest.get();
        if last.at.elapsed() < LOOK_AGAIN_AFTER {
            return (last.found, true);
        }
        let root = self.root.clone();
        let look = async move |before: Look| {
            let kept = before.clone();
            tokio::task::spawn_blocking(move || look_again(&root, &before)).await.unwrap_or(kept)
        };
        let now = self.latest.renew(WAIT_FOR_LOOK, look).await;
        (now.found, now.at != last.at)
    }
}

fn look_again(root: &Path, before: &Look) -> Look {
    let at = Instant::now();
    let found = match look(root, &before.found) {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "the library cannot be read: no album can be downloaded until it can");
            Found { digests: before.found.digests.clone(), ..Found::default() }
        }
    };
    Look { at, found: Arc::new(found) }
}

/// Looks through the whole folder. Fails only when the folder itself cannot be read.
fn look(root: &Path, before: &Found) -> std::io::Result<Found> {
    let mut found = Found::default();
    let mut folders: Vec<_> = fs::read_dir(root)?.collect::<Result<_, _>>()?;
    folders.sort_by_key(fs::DirEntry::file_name);
    for entry in folders {
        let folder = entry.file_name().to_string_lossy().into_owned();
        // Links are not followed: nothing outside the library is ever given away.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || folder.starts_with('.') {
            continue;
        }
        let path = entry.path();
        if !path.join("album.toml").exists() {
            found.shelf.add_broken(folder, None, "it has no album.toml".to_owned());
            continue;
        }
        match read_manifest(&path) {
            Err(why) => {
                // Its keys are still asked for by the id that it had.
                let id = before.shelf.id_of(&folder);
                found.shelf.add_broken(folder, id, why);
            }
            Ok(manifest) => add(&mut found, before, folder, &path, manifest),
        }
    }
    Ok(found)
}

fn add(found: &mut Found, before: &Found, folder: String, path: &Path, manifest: Manifest) {
    let id = manifest.id.to_string();
    if !found.shelf.admits(&folder, &id) {
        return;
    }
    let mut files = Vec::with_capacity(manifest.files.len());
    let mut wrong = Vec::new();
    for file in manifest.files {
        match examine(&path.join(&file.name), file, before, &mut found.digests) {
            Ok(file) => files.push(file),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() {
        found.shelf.add(Album {
            id,
            title: manifest.title,
            artist: manifest.artist,
            folder,
            cover: manifest.cover,
            files,
        });
    } else {
        found.shelf.add_broken(folder, Some(id), join(&wrong));
    }
}

/// Looks whether a file is there with the size that the manifest gives, and finds out its digest if that gives none.
fn examine(
    path: &Path,
    file: ManifestFile,
    before: &Found,
    digests: &mut HashMap<PathBuf, (Stamp, Sha256Digest)>,
) -> Result<AlbumFile, String> {
    let metadata =
        fs::symlink_metadata(path).map_err(|error| format!("`{}` cannot be found: {error}", file.name))?;
    if !metadata.is_file() {
        return Err(format!("`{}` is not a regular file", file.name));
    }
    if let Some(bytes) = file.bytes.filter(|bytes| *bytes != metadata.len()) {
        return Err(format!(
            "`{}` has {} bytes instead of {bytes}: copy it again",
            file.name,
            metadata.len()
        ));
    }
    let sha256 = if let Some(given) = file.sha256 {
        given
    } else {
        let stamp = Stamp::of(&metadata);
        let digest = match before.digests.get(path) {
            Some((known, digest)) if *known == stamp => *digest,
            _ => digest(path).map_err(|error| format!("`{}` cannot be read: {error}", file.name))?,
        };
        digests.insert(path.to_path_buf(), (stamp, digest));
        digest
    };
    Ok(AlbumFile { name: file.name, media_type: file.media_type, bytes: metadata.len(), sha256 })
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            // Of the inode: copying with the old times of the content changes it all the same.
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn read_manifest(folder: &Path) -> Result<Manifest, String> {
    let (file, _) =
        open_regular(&folder.join("album.toml")).map_err(|error| format!("album.toml: {error}"))?;
    let mut text = String::new();
    file.take(MAX_MANIFEST_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| format!("album.toml: {error}"))?;
    Manifest::parse(&text).map_err(|error| error.to_string())
}

/// Opens a file that is one: not a link, a pipe or a device.
fn open_regular(path: &Path) -> std::io::Result<(File, Metadata)> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(std::io::Error::other("not a regular file")) }
}

fn digest(path: &Path) -> std::io::Result<Sha256Digest> {
    let (mut file, _) = open_regular(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; DIGEST_BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Sha256Digest::from_bytes(hasher.finalize().into())),
            read => hasher.update(&buffer[..read]),
        }
    }
}
