//! The folder of one album: looked at when its album is asked for. Its files are hashed when their digests are unknown.
//!
//! All state here belongs to this folder only. However slow its disk is, and however long hashing takes, requests for
//! other albums do not wait.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::digests::{self, Digested};
use super::faults::{check_size, wrong};
use super::look::{self, MANIFEST, State, read_manifest};
use crate::disk::{DiskFile, Hung, Lane, PATIENCE, Stamp, open_regular, stamp_of};
use crate::latest::Latest;
use crate::library::album::{Album, AlbumFile, LibraryError};

/// The greatest age of the last look at an album's folder.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a request waits after hashing of the files began. Later requests are told at once to try again.
pub(super) const WAIT_FOR_DIGESTS: Duration = Duration::from_millis(500);
/// How long a hashing thread may make no progress before another album may be hashed in its place.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// How often the files of an album are hashed before a list reports that they keep changing.
const MAX_READINGS: usize = 3;

/// An album's folder.
pub(super) struct AlbumFolder {
    pub(super) name: String,
    path: PathBuf,
    lane: Arc<Lane>,
    /// Limits how many albums of the library are hashed at once.
    readers: Arc<Semaphore>,
    latest: Latest<Look>,
    /// By file name.
    digests: Mutex<HashMap<String, Digested>>,
    reading: Mutex<Reading>,
}

/// The result of the last look.
#[derive(Clone, Default)]
struct Look {
    at: Option<Instant>,
    manifest: Option<Stamp>,
    id: Option<Arc<str>>,
    seen: Seen,
    /// The album as of the last time it was complete.
    whole: Option<Arc<Album>>,
}

#[derive(Clone, Default)]
enum Seen {
    Whole,
    /// Files are being hashed.
    Unread,
    Broken(Arc<str>),
    /// The folder was not looked at, since its disk does not answer.
    #[default]
    Silent,
}

/// When the files were last hashed and, during hashing, a receiver that is closed when it ends.
#[derive(Default)]
struct Reading {
    began: Option<Instant>,
    ended: Option<watch::Receiver<()>>,
}

/// The purpose for which an album is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A receipt, which promises its files with their digests.
    Promise,
    /// The download of a promised file, even if it has changed since.
    Download,
}

impl AlbumFolder {
    pub(super) fn new(root: &Path, name: String, lane: Lane, readers: Arc<Semaphore>) -> Self {
        Self {
            path: root.join(&name),
            name,
            lane: Arc::new(lane),
            readers,
            latest: Latest::new(Look::default()),
            digests: Mutex::default(),
            reading: Mutex::default(),
        }
    }

    /// The id of its album, or its last id if the manifest can no longer be read.
    pub(super) fn id(&self) -> Option<Arc<str>> {
        self.latest.get().id
    }

    /// The fault of the folder, if there is one.
    pub(super) fn fault(&self) -> Option<Arc<str>> {
        match self.latest.get().seen {
            Seen::Broken(why) => Some(why),
            Seen::Whole | Seen::Unread | Seen::Silent => None,
        }
    }

    /// Whether the folder could not be looked at.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.latest.get().seen, Seen::Silent)
    }

    /// The number of files of its album, as far as known.
    pub(super) fn files(&self) -> usize {
        self.latest.get().whole.map_or(0, |album| album.files.len())
    }

    /// The album with this id, or why it is unavailable; `None` if it is no longer in this folder.
    pub(super) async fn album(
        self: &Arc<Self>,
        id: &str,
        purpose: Purpose,
    ) -> Option<Result<Arc<Album>, LibraryError>> {
        let mut look = self.look(LOOK_AGAIN_AFTER).await;
        if matches!(look.seen, Seen::Unread) && purpose == Purpose::Promise {
            self.wait_for_digests().await;
            look = self.latest.get();
        }
        if look.id.as_deref() != Some(id) {
            return None;
        }
        Some(match (look.seen, look.whole) {
            (Seen::Whole, Some(album)) => Ok(album),
            (Seen::Unread, Some(album)) if purpose == Purpose::Download => Ok(album),
            (Seen::Broken(why), _) => {
                Err(LibraryError::Incomplete { album: id.to_owned(), why: why.to_string() })
            }
            (Seen::Unread, _) => Err(LibraryError::BeingRead(id.to_owned())),
            (Seen::Silent | Seen::Whole, _) => Err(LibraryError::Silent),
        })
    }

    /// The album once its files have been hashed, however long that takes, or its fault.
    pub(super) async fn settled(self: &Arc<Self>) -> Result<Arc<Album>, String> {
        let (mut readings, mut began) = (0, None);
        loop {
            let look = self.look(LOOK_AGAIN_AFTER).await;
            match (look.seen, look.whole) {
                (Seen::Whole, Some(album)) => return Ok(album),
                (Seen::Broken(why), _) => return Err(why.to_string()),
                (Seen::Silent | Seen::Whole, _) => return Err(LibraryError::Silent.to_string()),
                (Seen::Unread, _) => {}
            }
            let (now_began, ended) = {
                let reading = lock(&self.reading);
                (reading.began, reading.ended.clone())
            };
            if now_began != began {
                (readings, began) = (readings + 1, now_began);
            }
            if readings > MAX_READINGS {
                return Err("its files change while they are read: wait until they are copied".to_owned());
            }
            match ended {
                // Also ends without progress, to check whether the disk still answers.
                Some(mut ended) => drop(timeout(PATIENCE, ended.changed()).await),
                None => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
            }
        }
    }

    /// Looks at the folder again if its manifest has changed.
    pub(super) async fn notice_changes(self: &Arc<Self>) {
        if let Some(known) = self.latest.get().manifest {
            let manifest = self.path.join(MANIFEST);
            let now = self.lane.begin(move || stamp_of(&manifest).ok()).await;
            if now == Ok(Some(known)) {
                return;
            }
        }
        self.look(Duration::ZERO).await;
    }

    /// Opens a file of the album.
    pub(super) async fn open(&self, album: &Album, file: &AlbumFile) -> Result<DiskFile, LibraryError> {
        let (folder, name, expected_bytes) = (self.path.clone(), file.name.clone(), file.bytes);
        let opened = self.lane.begin(move || {
            let (opened, stamp) = open_regular(&folder.join(&name)).map_err(|error| wrong(&name, &error))?;
            if stamp.bytes != expected_bytes {
                // The file was replaced. If the manifest gives a size, the new file must have it.
                let (_, manifest) = read_manifest(&folder).map_err(|(_, why)| why)?;
                let given = manifest.files.iter().find(|file| file.name == name).and_then(|file| file.bytes);
                check_size(&name, stamp.bytes, given)?;
            }
            Ok((opened, stamp))
        });
        match opened.await {
            Ok(Ok((opened, stamp))) => Ok(DiskFile::new(opened, stamp, Arc::clone(&self.lane))),
            Ok(Err(why)) => Err(LibraryError::Incomplete { album: album.id.clone(), why }),
            Err(Hung) => Err(LibraryError::Silent),
        }
    }

    /// Differences between the known album and its files: every byte is read.
    pub(super) async fn differences(&self, album: &Album) -> Vec<String> {
        let mut wrong_files = Vec::new();
        for AlbumFile { name, sha256, .. } in &album.files {
            let path = self.path.join(name);
            let read = self.read_thread(move |got_on| digests::read(&path, got_on)?.result);
            let digest = match read.await {
                // A hanging disk ends the comparison.
                Ok(reading) => reading.finished(|| false).await,
                Err(Hung) => None,
            };
            match digest {
                Some(Ok(digest)) if digest == *sha256 => {}
                Some(Ok(_)) => {
                    wrong_files.push(format!("`{name}` differs from its sha256: copy it again"));
                }
                Some(Err(why)) => wrong_files.push(why),
                None => wrong_files.push(format!("`{name}` cannot be read: {Hung}")),
            }
        }
        wrong_files
    }

    /// The last look, or a new one if the last is too old.
    async fn look(self: &Arc<Self>, max_age: Duration) -> Look {
        let last = self.latest.get();
        if last.at.is_some_and(|at| at.elapsed() < max_age) {
            return last;
        }
        let this = Arc::clone(self);
        // A look has its own timeout, whatever the disk does.
        let look = self.latest.renew(PATIENCE * 2, move |before| this.look_again(before)).await;
        if look.at == last.at { Look { seen: Seen::Silent, ..look } } else { look }
    }

    async fn look_again(self: Arc<Self>, before: Look) -> Look {
        let at = Some(Instant::now());
        let (path, name, digests) = (self.path.clone(), self.name.clone(), lock(&self.digests).clone());
        let Ok(found) = self.lane.begin(move || look::look(&path, &name, &digests)).await else {
            return Look { at, seen: Seen::Silent, ..before };
        };
        let is_there = found.manifest.is_some();
        // The manifest has become invalid. The album's keys are still requested by its last id.
        let id = found.id.map(Arc::from).or(before.id.filter(|_| is_there));
        let whole = before.whole.filter(|album| id.as_deref() == Some(album.id.as_str()));
        let (seen, whole) = match found.state {
            State::Whole(album) => {
                lock(&self.digests).retain(|name, _| album.file(name).is_ok());
                (Seen::Whole, Some(whole.filter(|known| **known == album).unwrap_or_else(|| Arc::new(album))))
            }
            State::Unread(names) => {
                self.read(names);
                (Seen::Unread, whole)
            }
            State::Broken(why) => (Seen::Broken(why.into()), None),
        };
        Look { at, manifest: found.manifest, id, seen, whole }
    }

    /// Waits until the files have been hashed, if that began just now.
    async fn wait_for_digests(&self) {
        let (began, ended) = {
            let reading = lock(&self.reading);
            (reading.began, reading.ended.clone())
        };
        if let (Some(began), Some(mut ended)) = (began, ended) {
            let _ = timeout_at(began + WAIT_FOR_DIGESTS, ended.changed()).await;
        }
    }

    /// Begins to hash these files, unless that is under way or ended just now: they may still be being copied.
    fn read(self: &Arc<Self>, names: Vec<String>) {
        let mut reading = lock(&self.reading);
        let just_now = reading.began.is_some_and(|began| began.elapsed() < LOOK_AGAIN_AFTER);
        if reading.ended.is_some() || just_now {
            return;
        }
        let (ending, ended) = watch::channel(());
        *reading = Reading { began: Some(Instant::now()), ended: Some(ended) };
        tokio::spawn(Arc::clone(self).read_all(names, ending));
    }

    /// Hashes files, then looks again. Callers wait until `_ending` is dropped.
    async fn read_all(self: Arc<Self>, names: Vec<String>, _ending: watch::Sender<()>) {
        let mut permit = Arc::clone(&self.readers).acquire_owned().await.ok();
        let this = Arc::clone(&self);
        let reading = self.read_thread(move |mut got_on| {
            for name in names {
                if let Ok(digested) = digests::read(&this.path.join(&name), &mut got_on) {
                    lock(&this.digests).insert(name, digested);
                }
            }
        });
        if let Ok(reading) = reading.await {
            // Lets another album be hashed: a thread that hangs counts only against the limit of its own lane.
            reading
                .finished(|| {
                    permit = None;
                    true
                })
                .await;
        }
        drop(permit);
        let ended = Instant::now();
        lock(&self.reading).ended = None;
        // A look that began earlier may still be under way.
        while self.look(Duration::ZERO).await.at < Some(ended) {}
    }

    /// Reads files on a thread of their own, at the lowest priority.
    async fn read_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(Box<dyn FnMut(usize) + Send>) -> T + Send + 'static,
    ) -> Result<ReadThread<T>, Hung> {
        // A reader delays other readers of the lane, so it does not wait for a disk that hangs.
        let call = timeout(PATIENCE, self.lane.enter()).await.map_err(|_| Hung)??;
        let read_bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&read_bytes);
        let (send, result) = oneshot::channel();
        let run = move || {
            give_way();
            let got_on = move |bytes: usize| {
                counted.fetch_add(bytes as u64, Ordering::Relaxed);
                call.got_on();
            };
            // The caller may have gone.
            let _ = send.send(work(Box::new(got_on)));
        };
        std::thread::Builder::new().name("digests".to_owned()).spawn(run).map_err(|_| Hung)?;
        Ok(ReadThread { read_bytes, result })
    }
}

/// A thread that reads files.
struct ReadThread<T> {
    read_bytes: Arc<AtomicU64>,
    result: oneshot::Receiver<T>,
}

impl<T> ReadThread<T> {
    /// Waits for the thread's result. After a time without progress, `goes_on` decides whether to wait on. `None` if
    /// there is no result.
    async fn finished(mut self, mut goes_on: impl FnMut() -> bool) -> Option<T> {
        let mut before = 0;
        loop {
            if let Ok(result) = timeout(STALLED_AFTER, &mut self.result).await {
                return result.ok();
            }
            let now = self.read_bytes.load(Ordering::Relaxed);
            if now == before && !goes_on() {
                return None;
            }
            before = now;
        }
    }
}

/// Lowers the thread's priority: people wait for the other threads.
fn give_way() {
    const NICE: i32 = 10;
    // On failure the thread keeps the normal priority.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
