//! Calls into a file system that may hang, with a limit on threads and on waiting.
//!
//! A call that a file system does not answer cannot be cancelled: its thread is lost until the disk answers. So
//! each folder has a [`Lane`], which starts nothing new while one of its calls is overdue, and all lanes together
//! have one limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The most threads that all lanes together may occupy. The runtime has 512 for blocking calls of all kinds.
const MAX_THREADS: usize = 64;
/// The most threads that one lane may occupy.
const MAX_LANE_THREADS: usize = 16;
/// How long a caller waits for a call that only looks or opens. A call that takes longer is overdue.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// The disk did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk does not answer")]
pub(crate) struct Hung;

/// The threads that lanes share.
pub(crate) struct Threads(Arc<Semaphore>);

/// The calls on one folder, which is assumed to be on one disk.
pub(crate) struct Lane {
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

/// A permit to make a call on a thread. The call counts as under way until this is dropped.
pub(crate) struct Call {
    number: u64,
    running: Arc<Mutex<Running>>,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Threads {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_THREADS)))
    }

    pub(crate) fn lane(&self) -> Lane {
        let own = Arc::new(Semaphore::new(MAX_LANE_THREADS));
        Lane { all: Arc::clone(&self.0), own, running: Arc::default() }
    }
}

impl Lane {
    /// Makes a call that begins an operation. It is refused at once while another call is overdue. The caller stops
    /// waiting after [`PATIENCE`]; the call itself continues, and its result is dropped.
    pub(crate) async fn begin<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Hung> {
        if self.is_overdue() { Err(Hung) } else { self.run(PATIENCE, call).await }
    }

    /// Makes a call that continues an operation, and waits at most `patience` for it.
    pub(crate) async fn run<T: Send + 'static>(
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
            // The call panicked, which was logged, or the program ends.
            Ok(Err(_)) | Err(_) => Err(Hung),
        }
    }

    /// Makes a call that no caller waits for, when a thread is free.
    pub(crate) async fn run_for_nobody(&self, call: impl FnOnce() + Send + 'static) {
        if let Ok(permit) = self.enter().await {
            tokio::task::spawn_blocking(move || {
                call();
                drop(permit);
            });
        }
    }

    /// Waits for a free thread.
    pub(crate) async fn enter(&self) -> Result<Call, Hung> {
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
    /// Reports progress of the call: it is overdue only after too long without progress.
    pub(crate) fn got_on(&self) {
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// As much as a disk that hangs: a call that ends when the sender is dropped.
    fn hanging() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (wake, sleep) = mpsc::channel::<()>();
        (wake, move || assert!(sleep.recv().is_err()))
    }

    /// Lets everything begin that was spawned, and then so much time pass.
    async fn pass(time: Duration) {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_is_given_up_and_then_whoever_comes_is_refused_at_once() {
        let threads = Threads::new();
        let (hung, well) = (Arc::new(threads.lane()), threads.lane());
        let (wake, call) = hanging();
        let calling = Arc::clone(&hung);
        let refused = tokio::spawn(async move { calling.begin(call).await });
        pass(PATIENCE + Duration::from_millis(1)).await;
        assert_eq!(refused.await.unwrap(), Err(Hung));
        let began = Instant::now();
        assert_eq!(hung.begin(|| ()).await, Err(Hung));
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(well.begin(|| 7).await, Ok(7), "another folder's calls go on");
        drop(wake);
        while hung.begin(|| 8).await != Ok(8) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_takes_no_more_than_its_share_of_threads_and_all_together_no_more_than_theirs() {
        let threads = Threads::new();
        let lanes: Vec<_> = (0..=MAX_THREADS / MAX_LANE_THREADS).map(|_| Arc::new(threads.lane())).collect();
        let (mut wakes, mut calls) = (Vec::new(), Vec::new());
        for lane in &lanes {
            for _ in 0..=MAX_LANE_THREADS {
                let (wake, call) = hanging();
                wakes.push(wake);
                let lane = Arc::clone(lane);
                calls.push(tokio::spawn(async move { lane.begin(call).await }));
            }
        }
        pass(PATIENCE + Duration::from_millis(1)).await;
        for call in calls {
            assert_eq!(call.await.unwrap(), Err(Hung));
        }
        let running: Vec<usize> = lanes.iter().map(|lane| lock(&lane.running).since.len()).collect();
        assert!(running.iter().all(|calls| *calls <= MAX_LANE_THREADS), "{running:?}");
        assert_eq!(running.iter().sum::<usize>(), MAX_THREADS, "{running:?}");
        drop(wakes);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_call_that_gets_on_is_not_overdue() {
        let lane = Threads::new().lane();
        let call = lane.enter().await.unwrap();
        tokio::time::advance(PATIENCE * 2).await;
        assert!(lane.is_overdue());
        call.got_on();
        assert!(!lane.is_overdue());
        drop(call);
        assert_eq!(lane.begin(|| ()).await, Ok(()));
    }
}
