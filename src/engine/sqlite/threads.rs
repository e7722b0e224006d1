//! Threads for blocking calls of SQLite, outside the runtime's threads.

use std::thread::JoinHandle;

use super::super::StoreError;

pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| StoreError::Unavailable(format!("no thread can be started for the store: {error}")))
}

pub(super) fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the store panicked");
    }
}

/// The error when a thread has ended.
pub(super) fn stopped() -> StoreError {
    StoreError::Unavailable("the store has stopped: restart the program".to_owned())
}
