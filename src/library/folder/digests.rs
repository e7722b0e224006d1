//! Digests that a manifest does not give: computed once, and kept while the file is unchanged.
//!
//! Reading gigabytes takes long, so it runs on a separate thread, for few albums at once. A digest counts only if the
//! file is the same before and after the read.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::faults::wrong;
use crate::disk::{Stamp, open_regular, stamp_of};
use crate::library::album::Sha256Digest;

/// Bytes read at once.
const BUFFER_BYTES: usize = 128 * 1024;
/// A file that could not be read is retried after this time.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The result of reading a file.
#[derive(Clone, Debug)]
pub(super) struct Digested {
    stamp: Stamp,
    at: Instant,
    /// The digest, or the fault.
    pub(super) result: Result<Sha256Digest, String>,
}

impl Digested {
    /// Whether it belongs to exactly this file and is still valid.
    pub(super) fn is_of(&self, stamp: &Stamp) -> bool {
        self.stamp == *stamp && (self.result.is_ok() || self.at.elapsed() < TRY_AGAIN_AFTER)
    }
}

/// Hashes a file. A fault that prevents reading is a result like a digest, valid until the file changes. It is an error
/// if the file changes during the read, or is gone. Calls `got_on` after each piece.
pub(super) fn read(path: &Path, mut got_on: impl FnMut(usize)) -> Result<Digested, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (mut file, stamp) = match open_regular(path) {
        Ok(opened) => opened,
        Err(error) => {
            let stamp = stamp_of(path).map_err(|_| wrong(&name, &error))?;
            return Ok(Digested { stamp, at: Instant::now(), result: Err(wrong(&name, &error)) });
        }
    };
    let result = digest(&mut file, &mut got_on).map_err(|error| wrong(&name, &error));
    if file.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == stamp) {
        Ok(Digested { stamp, at: Instant::now(), result })
    } else {
        Err(format!("`{name}` changes while it is read: wait until it is copied"))
    }
}

/// The digest of the rest of a file.
fn digest(file: &mut std::fs::File, mut got_on: impl FnMut(usize)) -> io::Result<Sha256Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Sha256Digest::from_bytes(hasher.finalize().into())),
            read => {
                hasher.update(&buffer[..read]);
                got_on(read);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Not a file that is being copied: nobody should be told to wait for it.
    #[test]
    fn what_cannot_be_opened_is_told_as_long_as_it_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flac");
        fs::write(&path, "music").unwrap();
        for (path, mode) in [(folder.path(), 0o755), (&path, 0o000)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let reading = std::thread::spawn(move || {
            // Root may read every file; this thread alone is somebody else.
            let nobody = rustix::process::Uid::from_raw(65_534);
            let _ = rustix::thread::set_thread_res_uid(nobody, nobody, nobody);
            let digested = read(&path, |_| ()).unwrap();
            assert!(digested.result.as_ref().unwrap_err().contains("a.flac"), "{digested:?}");
            assert!(digested.is_of(&stamp_of(&path).unwrap()));
            assert!(read(&path.with_extension("mp3"), |_| ()).is_err(), "there is no such file");
        });
        reading.join().unwrap();
    }
}
