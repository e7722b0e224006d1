//! Work on a disk that may hang: away from the runtime's threads, with a limit on threads and on waiting.
//!
//! A call into a file system that has stopped answering cannot be taken back: its thread is lost until the disk answers.
//! So each album's folder has a [`Lane`], which begins nothing new while one of its calls is overdue, and all lanes of a
//! library share one limit. Knows calls, and nothing of albums.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Threads that one library may occupy. The runtime has 512 for blocking calls of all kinds.
const MAX_THREADS: usize = 64;
/// Threads that one album's folder may occupy.
const MAX_LANE_THREADS: usize = 16;
/// How long a caller waits for a call that only looks or opens. A call that takes longer is overdue.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The disk did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk does not answer")]
pub(super) struct Hung;

/// The threads of one library.
pub(super) struct Threads(Arc<Semaphore>);

/// The calls on one part of a library, which is assumed to be on one disk.
pub(super) struct Lane {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
    running: Arc<Mutex<Running>>,
}

/// The calls under way, in the order in which they began.
#[derive(Default)]
struct Running {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// A thread's right to make a call. The call is under way until this is dropped.
pub(super) struct Call {
    number: u64,
    running: Arc<Mutex<Running>>,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Threads {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_THREADS)))
    }

    pub(super) fn lane(&self) -> Lane {
        let own = Arc::new(Semaphore::new(MAX_LANE_THREADS));
        Lane { all: Arc::clone(&self.0), own, running: Arc::default() }
    }
}

impl Lane {
    /// Makes a call that begins something. Refused at once while another call is overdue, and given up after
    /// [`PATIENCE`]; the call itself goes on, and its result is dropped.
    pub(super) async fn begin<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Hung> {
        if self.is_overdue() { Err(Hung) } else { self.run(PATIENCE, call).await }
    }

    /// Makes a call that goes on with what has begun, and waits so long for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Hung> {
        let deadline = Instant::now() + patience;
        let permit = timeout_at(deadline, self.enter()).await.map_err(|_| Hung)??;
        let work = tokio::task::spawn_blocking(move || {
            let result = call();
            drop(permit);
            result
        });
        match timeout_at(deadline, work).await {
            Ok(Ok(result)) => Ok(result),
            // It panicked, which was logged, or the program ends.
            Ok(Err(_)) | Err(_) => Err(Hung),
        }
    }

    /// Waits for a thread's turn.
    pub(super) async fn enter(&self) -> Result<Call, Hung> {
        let own = Arc::clone(&self.own).acquire_owned().await.map_err(|_| Hung)?;
        let all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| Hung)?;
        let mut running = lock(&self.running);
        let number = running.next;
        running.next += 1;
        running.since.insert(number, Instant::now());
        Ok(Call { number, running: Arc::clone(&self.running), _permits: (own, all) })
    }

    fn is_overdue(&self) -> bool {
        lock(&self.running).since.values().any(|since| since.elapsed() > PATIENCE)
    }
}

impl Call {
    /// Says that the call has got on: it is overdue only when nothing happens for too long.
    pub(super) fn got_on(&self) {
        let mut running = lock(&self.running);
        if let Some(since) = running.since.get_mut(&self.number) {
            *since = Instant::now();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        lock(&self.running).since.remove(&self.number);
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
