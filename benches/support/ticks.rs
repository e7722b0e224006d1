//! The pace of an open loop: ticks that are exact to a tenth of a millisecond, where the runtime's own are exact to a
//! whole one, which is more than what many answers take.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A thread that sleeps, and wakes the runtime.
pub(crate) struct Ticks(Arc<Notify>);

impl Ticks {
    /// Begins to tick.
    pub(crate) fn every(interval: Duration) -> io::Result<Self> {
        let ticks = Arc::new(Notify::new());
        let listener = Arc::downgrade(&ticks);
        thread::Builder::new().name("ticks".to_owned()).spawn(move || {
            let mut next = Instant::now() + interval;
            // It ends when nobody waits any longer.
            while let Some(ticks) = listener.upgrade() {
                thread::sleep(next.saturating_duration_since(Instant::now()));
                ticks.notify_one();
                // Those that were missed are one.
                while next <= Instant::now() {
                    next += interval;
                }
            }
        })?;
        Ok(Self(ticks))
    }

    /// Waits for the next tick.
    pub(crate) async fn next(&self) {
        self.0.notified().await;
    }
}
