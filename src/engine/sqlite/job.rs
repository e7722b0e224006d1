//! Types shared by reads, scans and writes.

use tokio::sync::oneshot;

/// The channel for the answer. Closed once no caller waits for it.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// The result of a job over a connection.
pub(super) type RowResult<T> = rusqlite::Result<T>;
