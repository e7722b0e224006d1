//! A disk that stops answering when it is told to: one folder of files, mounted by FUSE from this process.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, Request, SessionACL,
};

/// The kernel asks every time.
const NO_TIME: Duration = Duration::ZERO;
/// The inode of the first file.
const FIRST_FILE: u64 = 2;
/// A test that went wrong ends, and with it what waits for its disk, which nothing else can end.
const LONGEST_HANG: Duration = Duration::from_secs(90);

/// A mounted disk. Answers again, and is unmounted, when it is dropped.
pub(crate) struct Disk {
    switch: Arc<Switch>,
    /// Taken when it is dropped.
    session: Option<BackgroundSession>,
}

#[derive(Default)]
struct Switch {
    hangs: Mutex<bool>,
    turned: Condvar,
}

impl Switch {
    fn turn(&self, hangs: bool) {
        *self.hangs.lock().unwrap_or_else(PoisonError::into_inner) = hangs;
        self.turned.notify_all();
    }

    fn pass(&self) {
        let hangs = self.hangs.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.turned.wait_timeout_while(hangs, LONGEST_HANG, |hangs| *hangs));
    }
}

impl Disk {
    /// Mounts a disk with these files at an empty folder.
    pub(crate) fn mount(folder: &Path, files: Vec<(String, Vec<u8>)>) -> Self {
        let switch = Arc::new(Switch::default());
        let mut config = Config::default();
        config.mount_options = vec![MountOption::RO, MountOption::FSName("hanging".to_owned())];
        config.acl = SessionACL::Owner;
        let session = fuser::spawn_mount(Files { switch: Arc::clone(&switch), files }, folder, &config);
        let session =
            session.expect("FUSE: this test needs /dev/fuse, and root or fusermount3 (package fuse3)");
        Self { switch, session: Some(session) }
    }

    /// From now on nothing is answered.
    pub(crate) fn hang(&self) {
        self.switch.turn(true);
    }

    /// From now on everything is answered, also what was asked meanwhile.
    pub(crate) fn answer(&self) {
        self.switch.turn(false);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.answer();
        // While a file is open it cannot be; then the mount ends with this process.
        drop(self.session.take().map(BackgroundSession::umount_and_join));
    }
}

struct Files {
    switch: Arc<Switch>,
    files: Vec<(String, Vec<u8>)>,
}

impl Files {
    fn attributes(&self, inode: u64) -> Option<FileAttr> {
        let (kind, bytes) = if inode == u64::from(INodeNo::ROOT) {
            (FileType::Directory, 0)
        } else {
            (FileType::RegularFile, self.content(inode)?.len() as u64)
        };
        Some(FileAttr {
            ino: INodeNo(inode),
            size: bytes,
            blocks: bytes.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: if kind == FileType::Directory { 0o755 } else { 0o600 },
            nlink: 1,
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            rdev: 0,
            blksize: 512,
            flags: 0,
        })
    }

    fn content(&self, inode: u64) -> Option<&[u8]> {
        let index = usize::try_from(inode.checked_sub(FIRST_FILE)?).ok()?;
        self.files.get(index).map(|(_, content)| content.as_slice())
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.switch.pass();
        let index = self.files.iter().position(|(known, _)| known.as_str() == name);
        match index.and_then(|index| self.attributes(FIRST_FILE + index as u64)) {
            Some(attributes) => reply.entry(&NO_TIME, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.switch.pass();
        match self.attributes(inode.into()) {
            Some(attributes) => reply.attr(&NO_TIME, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.switch.pass();
        let content = self.content(inode.into()).unwrap_or_default();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let end = start.saturating_add(size as usize).min(content.len());
        reply.data(&content[start..end]);
    }
}
