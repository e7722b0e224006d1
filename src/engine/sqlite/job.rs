//! What reads, scans and writes have in common.

use tokio::sync::oneshot;

/// Where the answer goes. Closed once nobody waits for it any more.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// What work over a connection comes to.
pub(super) type RowResult<T> = rusqlite::Result<T>;
