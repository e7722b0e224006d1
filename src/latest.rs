//! A cached result of looking at something. A caller that finds it too old renews it. At most one look is under way,
//! and each caller waits for it no longer than it chooses. Knows nothing of what is looked at.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

/// The result of the last look, cheap to clone.
pub(crate) struct Latest<Look> {
    last: Arc<Mutex<Look>>,
    /// Held while a look is under way.
    looking: Arc<tokio::sync::Mutex<()>>,
}

impl<Look: Clone + Send + 'static> Latest<Look> {
    pub(crate) fn new(first: Look) -> Self {
        Self { last: Arc::new(Mutex::new(first)), looking: Arc::default() }
    }

    pub(crate) fn get(&self) -> Look {
        lock(&self.last).clone()
    }

    /// Starts a new look based on the last result, or joins the look that is under way; waits at most `wait`, then
    /// returns the latest result. A look continues when its caller is gone.
    pub(crate) async fn renew<Looking>(
        &self,
        wait: Duration,
        look_again: impl FnOnce(Look) -> Looking + Send + 'static,
    ) -> Look
    where
        Looking: Future<Output = Look> + Send,
    {
        match Arc::clone(&self.looking).try_lock_owned() {
            Ok(guard) => {
                let last = Arc::clone(&self.last);
                let look = tokio::spawn(async move {
                    let before = lock(&last).clone();
                    let now = look_again(before).await;
                    *lock(&last) = now;
                    drop(guard);
                });
                let _ = timeout(wait, look).await;
            }
            Err(_) => {
                let _ = timeout(wait, self.looking.lock()).await;
            }
        }
        self.get()
    }

    /// The latest result: waits for a look that is under way, but no longer than `wait`.
    pub(crate) async fn settled(&self, wait: Duration) -> Look {
        let _ = timeout(wait, self.looking.lock()).await;
        self.get()
    }
}

fn lock<Look>(last: &Mutex<Look>) -> std::sync::MutexGuard<'_, Look> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_look_serves_all_and_outlives_who_waits_for_it() {
        let latest = Arc::new(Latest::new(0));
        let looks = Arc::new(AtomicU32::new(0));
        let renew = |wait: Duration| {
            let (latest, looks) = (Arc::clone(&latest), Arc::clone(&looks));
            async move {
                let slow = move |before: u32| async move {
                    looks.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    before + 1
                };
                latest.renew(wait, slow).await
            }
        };
        let (hasty, other, patient) = tokio::join!(
            renew(Duration::from_secs(1)),
            renew(Duration::from_secs(2)),
            renew(Duration::from_secs(9))
        );
        assert_eq!((hasty, other, patient), (0, 0, 1));
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        assert_eq!(renew(Duration::from_secs(9)).await, 2);
    }
}
