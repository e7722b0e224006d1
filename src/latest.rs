//! The latest look at something, made anew by whoever finds it too old: one look is under way at most, and nobody waits
//! for it longer than they want to. Knows nothing of what is looked at.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

/// What the last look came to, cheap to clone.
pub(crate) struct Latest<Look> {
    last: Arc<Mutex<Look>>,
    /// Held by whoever is looking.
    looking: Arc<tokio::sync::Mutex<()>>,
}

impl<Look: Clone + Send + 'static> Latest<Look> {
    pub(crate) fn new(first: Look) -> Self {
        Self { last: Arc::new(Mutex::new(first)), looking: Arc::default() }
    }

    pub(crate) fn get(&self) -> Look {
        lock(&self.last).clone()
    }

    /// Makes another look out of the last one, or waits for the one that is under way, as long as `wait`; then gives
    /// what is the latest. A look goes on when nobody waits for it any more.
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

    /// The latest, once the look that is under way, if one is, has ended or so much time has passed.
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
