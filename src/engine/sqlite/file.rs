//! The file itself, not its content: created with access for its owner only, and watched for being moved or replaced.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::StoreError;

/// A file that stays empty for longer has lost its content. The time is what another process needs to initialise it.
const BEGINNING: Duration = Duration::from_secs(2);
/// The mode of a new file: its owner only. SQLite gives the same to the files beside it (`-wal`, `-shm`).
const MODE: u32 = 0o600;
/// The permission bits of users other than the owner.
const OTHERS: u32 = 0o077;

/// SQLite treats an empty file as a new database, but an empty file that existed before has lost its tickets.
pub(super) fn refuse_empty(path: &Path) -> Result<(), StoreError> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    let is_old = metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > BEGINNING));
    if metadata.len() == 0 && is_old {
        return Err(StoreError::Corrupt(format!(
            "{} is empty: restore it from a backup, or remove it to begin with no tickets",
            path.display()
        )));
    }
    Ok(())
}

/// Creates the folder of the file, with access for its owner only: the keys that sign links are in it too.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        StoreError::Unavailable(format!("the folder {} cannot be made: {error}", folder.display()))
    })
}

/// Creates the file if it is missing, before SQLite would do so with permissions that depend on the umask. An existing
/// file stays as it is.
pub(super) fn make_file(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(MODE).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unavailable(format!("{} cannot be made: {error}", path.display()))),
    }
}

/// The files, of this one and those beside it, that other users may read or write, with their modes.
pub(crate) fn open_to_others(path: &Path) -> Vec<(PathBuf, u32)> {
    let files = ["", "-wal", "-shm"].map(|ending| beside(path, ending));
    let open = files.into_iter().filter_map(|file| {
        let mode = std::fs::metadata(&file).ok()?.mode() & 0o777;
        (mode & OTHERS != 0).then_some((file, mode))
    });
    open.collect()
}

/// A file that SQLite keeps beside another.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The identity of the file and its write-ahead log when they were opened, to notice when they are moved or replaced:
/// data written to an unlinked file is lost when the program ends.
pub(super) struct WatchedFile {
    path: PathBuf,
    log: PathBuf,
    identity: Identity,
    log_identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

impl WatchedFile {
    /// Call this while a connection that has read is open, so that the log exists.
    pub(super) fn new(path: &Path) -> Result<Self, StoreError> {
        let log = beside(path, "-wal");
        let looked_at = |path: &Path| {
            identity(path).map_err(|error| {
                StoreError::Unavailable(format!("{} cannot be looked at: {error}", path.display()))
            })
        };
        Ok(Self { identity: looked_at(path)?, log_identity: looked_at(&log)?, path: path.to_path_buf(), log })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (path, before) in [(&self.path, self.identity), (&self.log, self.log_identity)] {
            if !identity(path).is_ok_and(|now| now == before) {
                return Err(StoreError::Unavailable(format!(
                    "{} was removed or replaced while it was in use: put it back and restart",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

fn identity(path: &Path) -> std::io::Result<Identity> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
