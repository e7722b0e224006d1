//! Pauses between the tries of one operation.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::Duration;

use tokio::time::Instant;

/// The first pause before another try; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Pauses that differ from document to document, so that documents rejected together are not retried together.
pub(crate) struct Tries {
    ends_at: Instant,
    pause: Duration,
    /// A fraction, in 256ths.
    jitter: u32,
}

impl Tries {
    /// The tries of an operation on this document, which is retried for at most `limit`.
    pub(crate) fn new(id: &impl Hash, limit: Duration) -> Self {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let jitter = u32::from(hasher.finish().to_le_bytes()[0]);
        Self { ends_at: Instant::now() + limit, pause: FIRST_PAUSE, jitter }
    }

    /// Waits until the next try. Returns `false` when there is no time for one.
    pub(crate) async fn again(&mut self) -> bool {
        let pause = self.pause / 2 + self.pause * self.jitter / 256;
        if Instant::now() + pause >= self.ends_at {
            return false;
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
        true
    }
}
