//! Digests of files that their manifest gives none for: computed once, and kept while a file stays as it is.
//!
//! Reading gigabytes takes its time, so it is done on a thread of its own, and by few albums at once; what it was
//! computed of is the file as it was both before and after.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::faults::wrong;
use crate::disk::{Stamp, open_regular};
use crate::library::album::Sha256Digest;

/// Bytes read at once.
const BUFFER_BYTES: usize = 128 * 1024;
/// A file that could not be read is tried again after this.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What reading a file came to.
#[derive(Clone, Debug)]
pub(super) struct Digested {
    stamp: Stamp,
    at: Instant,
    /// The digest, or what is wrong.
    pub(super) result: Result<Sha256Digest, String>,
}

impl Digested {
    /// Whether it is of this very file, and still counts.
    pub(super) fn is_of(&self, stamp: &Stamp) -> bool {
        self.stamp == *stamp && (self.result.is_ok() || self.at.elapsed() < TRY_AGAIN_AFTER)
    }
}

/// Reads a file. Fails if it cannot be opened or changes meanwhile, and says so. Calls `got_on` after each piece.
pub(super) fn read(path: &Path, mut got_on: impl FnMut(usize)) -> Result<Digested, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (mut file, stamp) = open_regular(path).map_err(|error| wrong(&name, &error))?;
    let result = digest(&mut file, &mut got_on).map_err(|error| wrong(&name, &error));
    if file.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == stamp) {
        Ok(Digested { stamp, at: Instant::now(), result })
    } else {
        Err(format!("`{name}` changes while it is read: wait until it is copied"))
    }
}

/// The digest of what is left of a file.
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
