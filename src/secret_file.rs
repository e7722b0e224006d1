//! Small files that an operator gives the server: secrets and certificates. Knows files, and nothing of their content.
//!
//! Their disks may hang, so they are read outside the runtime's threads, with a timeout and a size limit. They may be
//! symbolic links, like the files of a Kubernetes Secret. No lock is held while a file is read.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// How long reading a file may take.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// The content of a file, up to the limit.
pub(crate) struct Content {
    /// Wiped when it is dropped.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Whether the file is longer than the limit.
    pub(crate) is_cut: bool,
    /// The file's permission bits.
    pub(crate) mode: u32,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It is a folder, a pipe or a device.
    #[error("it is not a file")]
    NotAFile,
    /// The disk did not answer in time.
    #[error("its disk does not answer")]
    Silent,
    /// The system's error.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// A file that is read again while the server runs: one read at a time, however long its disk takes.
pub(crate) struct SecretFile {
    path: PathBuf,
    max_bytes: u64,
    /// Held by the reading thread.
    reading: Arc<Semaphore>,
}

impl SecretFile {
    pub(crate) fn new(path: &Path, max_bytes: u64) -> Self {
        Self { path: path.to_owned(), max_bytes, reading: Arc::new(Semaphore::new(1)) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. Fails at once while an earlier read hangs.
    pub(crate) async fn read(&self) -> Result<Content, SecretFileError> {
        let permit = Arc::clone(&self.reading).try_acquire_owned().map_err(|_| SecretFileError::Silent)?;
        let (path, max_bytes) = (self.path.clone(), self.max_bytes);
        let reading = tokio::task::spawn_blocking(move || {
            let content = read_now(&path, max_bytes);
            drop(permit);
            content
        });
        match tokio::time::timeout(READ_TIMEOUT, reading).await {
            Ok(Ok(content)) => content,
            // The thread panicked, which was logged, or the program ends.
            Ok(Err(_)) | Err(_) => Err(SecretFileError::Silent),
        }
    }
}

/// Reads a file and blocks, as at the start of the program.
pub(crate) fn read(path: &Path, max_bytes: u64) -> Result<Content, SecretFileError> {
    let path = path.to_owned();
    let (send, content) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("secret-file".to_owned()).spawn(move || {
        // The caller may have given up waiting.
        let _ = send.send(read_now(&path, max_bytes));
    })?;
    content.recv_timeout(READ_TIMEOUT).unwrap_or(Err(SecretFileError::Silent))
}

fn read_now(path: &Path, max_bytes: u64) -> Result<Content, SecretFileError> {
    // Without this flag, opening a pipe would wait for its writer.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(SecretFileError::NotAFile);
    }
    // Room for the whole secret: a vector that grows leaves copies in memory.
    let room = usize::try_from(max_bytes.min(metadata.len()) + 1).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let read = file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    let is_cut = read as u64 > max_bytes;
    bytes.truncate(usize::try_from(max_bytes).unwrap_or(usize::MAX));
    Ok(Content { bytes, is_cut, mode: metadata.permissions().mode() & 0o777 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_up_to_its_limit_and_what_is_no_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "0123456789").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("secret", &link).unwrap();
        for (max_bytes, expected, is_cut) in
            [(20, "0123456789", false), (10, "0123456789", false), (4, "0123", true)]
        {
            for content in [read(&path, max_bytes), SecretFile::new(&link, max_bytes).read().await] {
                let content = content.unwrap();
                assert_eq!((content.bytes.as_slice(), content.is_cut), (expected.as_bytes(), is_cut));
            }
        }
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        for path in [folder.path(), &pipe] {
            assert!(matches!(read(path, 10), Err(SecretFileError::NotAFile)));
            assert!(matches!(SecretFile::new(path, 10).read().await, Err(SecretFileError::NotAFile)));
        }
    }
}
