//! A file on a disk that may hang: opened without following links, and identified by its open descriptor.

use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, OFlags, Statx, StatxFlags, statx};
use rustix::io::{ReadWriteFlags, preadv2};
use sha2::{Digest as _, Sha256};

use super::lane::Lane;

/// How long a read for a download may take. It is long, since a loaded disk may be slow and a download that has
/// begun should finish.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// A stamp that changes when the file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    pub(crate) bytes: u64,
    /// The modification time of the content.
    modified: (i64, i64),
    /// The change time of the inode: it changes even if a copy keeps the old modification time.
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_of(&self, now: &Statx) -> bool {
        let time = |time: &rustix::fs::StatxTimestamp| (time.tv_sec, i64::from(time.tv_nsec));
        (self.inode, self.bytes) == (now.stx_ino, now.stx_size)
            && (self.modified, self.changed) == (time(&now.stx_mtime), time(&now.stx_ctime))
    }

    /// An entity tag, without quotation marks: the same on all servers that share a file system, and it reveals nothing
    /// about the file system. The device number is left out, since it differs from server to server.
    fn entity_tag(&self) -> String {
        let mut hash = Sha256::new();
        for number in [self.inode, self.bytes] {
            hash.update(number.to_be_bytes());
        }
        for number in [self.modified.0, self.modified.1, self.changed.0, self.changed.1] {
            hash.update(number.to_be_bytes());
        }
        let digest = hash.finalize();
        digest[..16].iter().fold(String::with_capacity(32), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// Opens a regular file: not a link, a pipe or a device. Does not wait for the writer of a pipe.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Stamp)> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => io::Error::other(IS_LINK),
        _ => error,
    })?;
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    Ok((file, Stamp::of(&metadata)))
}

/// The stamp of a regular file, without opening it.
pub(crate) fn stamp_of(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::symlink_metadata(path)?;
    check_regular(&metadata)?;
    Ok(Stamp::of(&metadata))
}

/// The error text for a symbolic link.
pub(crate) const IS_LINK: &str = "is a symbolic link, which is not followed";

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_symlink() {
        IS_LINK
    } else if kind.is_fifo() {
        "is a pipe and no regular file"
    } else {
        "is not a regular file"
    };
    Err(io::Error::other(what))
}

/// A file on disk that is open for reading.
#[derive(Clone)]
pub struct DiskFile {
    file: Arc<Closing>,
    stamp: Stamp,
    lane: Arc<Lane>,
}

/// A file that is closed on another thread, since on some file systems closing a file waits for the disk.
struct Closing {
    /// `None` only while dropping.
    file: Option<File>,
    lane: Arc<Lane>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let (file, lane) = (self.file.take(), Arc::clone(&self.lane));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // The close waits for a thread of its lane, so that files of a hanging disk occupy no further threads.
            runtime.spawn(async move { lane.run_for_nobody(move || drop(file)).await });
        }
    }
}

/// Why a piece of a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes sent so far belong to another content than the bytes that follow.
    #[error("the file was changed or cut off while it was downloaded")]
    Changed,
    /// The disk hangs or is overloaded.
    #[error("the disk does not answer")]
    Silent,
    /// The error of the file system.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl DiskFile {
    pub(crate) fn new(file: File, stamp: Stamp, lane: Arc<Lane>) -> Self {
        let file = Arc::new(Closing { file: Some(file), lane: Arc::clone(&lane) });
        Self { file, stamp, lane }
    }

    /// Its size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.stamp.bytes
    }

    /// A strong entity tag without quotation marks.
    #[must_use]
    pub fn entity_tag(&self) -> String {
        self.stamp.entity_tag()
    }

    /// Fills a buffer with the bytes at `offset`, outside the runtime's threads, and returns it. Fails unless all of
    /// them belong to the content of the entity tag.
    pub async fn read_at<Buffer>(&self, offset: u64, mut buffer: Buffer) -> Result<Buffer, ReadError>
    where
        Buffer: AsMut<[u8]> + Send + 'static,
    {
        // Cached bytes need no thread.
        if self.read_cached(offset, buffer.as_mut())? {
            return Ok(buffer);
        }
        let this = self.clone();
        let read = self.lane.run(READ_PATIENCE, move || {
            this.file()?.read_exact_at(buffer.as_mut(), offset).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => ReadError::Changed,
                _ => ReadError::Failed(error),
            })?;
            this.check_unchanged()?;
            Ok(buffer)
        });
        read.await.map_err(|_| ReadError::Silent)?
    }

    /// Fills the buffer if the file system can do so without waiting for the disk; returns whether it did.
    /// Fails like [`Self::read_at`].
    pub fn read_cached(&self, offset: u64, buffer: &mut [u8]) -> Result<bool, ReadError> {
        let wanted = buffer.len();
        let read = preadv2(self.file()?, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT);
        if read != Ok(wanted) {
            return Ok(false);
        }
        self.check_unchanged()?;
        Ok(true)
    }

    /// Call this after a read: it detects every write that the read could have seen. Does not wait for the disk: the
    /// cached attributes of a network file system must suffice.
    fn check_unchanged(&self) -> Result<(), ReadError> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let now = statx(self.file()?, c"", flags, StatxFlags::BASIC_STATS).map_err(io::Error::from)?;
        if self.stamp.is_of(&now) { Ok(()) } else { Err(ReadError::Changed) }
    }

    fn file(&self) -> io::Result<&File> {
        self.file.file.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}
