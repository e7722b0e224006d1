//! Work that runs to its end, whether or not its client still waits.
//!
//! A handler is dropped when its connection ends. Work that may have changed something must not be dropped: it runs in
//! a task of its own, and the server's shutdown waits for it.

use tokio_util::task::TaskTracker;

/// Work that is under way. All clones share the same state.
#[derive(Clone, Default)]
pub struct Completion(TaskTracker);

impl Completion {
    /// Runs `work`, which is bounded in time, to its end, and returns its result; `None` when it panicked. If the
    /// caller no longer waits, `unheard` gets the result instead.
    pub(crate) async fn complete<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        unheard: impl FnOnce(T) + Send + 'static,
    ) -> Option<T> {
        // Boxed from the start: otherwise it would be copied repeatedly on its way into the task.
        let work = Box::pin(work);
        let working = self.0.spawn(async move { Told(Some((work.await, unheard))) });
        working.await.ok()?.hear()
    }

    /// Waits until all work has ended.
    pub async fn finish(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

/// The result of work, on its way to the caller. If it is dropped on the way, `unheard` gets it.
struct Told<T, Unheard: FnOnce(T)>(Option<(T, Unheard)>);

impl<T, Unheard: FnOnce(T)> Told<T, Unheard> {
    fn hear(mut self) -> Option<T> {
        self.0.take().map(|(outcome, _)| outcome)
    }
}

impl<T, Unheard: FnOnce(T)> Drop for Told<T, Unheard> {
    fn drop(&mut self) {
        if let Some((outcome, unheard)) = self.0.take() {
            unheard(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn work_ends_whether_or_not_its_caller_waits() {
        let completion = Completion::default();
        assert_eq!(completion.complete(async { 1 }, |_| panic!("somebody waited")).await, Some(1));
        let (go_on, unheard) = (Arc::new(Notify::new()), Arc::new(Mutex::new(None)));
        let work = {
            let go_on = Arc::clone(&go_on);
            async move {
                go_on.notified().await;
                2
            }
        };
        let told = Arc::clone(&unheard);
        let mut waiting = Box::pin(completion.complete(work, move |outcome| {
            told.lock().unwrap().replace(outcome);
        }));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        go_on.notify_one();
        completion.finish().await;
        assert_eq!(unheard.lock().unwrap().take(), Some(2));
    }
}
