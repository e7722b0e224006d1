//! This context's condition for readiness: its store.

use std::sync::Arc;
use std::time::Duration;

use super::failure::store_unavailable;
use super::state::Shared;
use crate::redemption::store::StoreError;
use crate::web::health::Check;

/// The timeout of a ping of the store.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A check that pings the store.
pub(crate) fn check(state: &Shared) -> Check {
    let store = Arc::clone(&state.store);
    let ask = move || {
        let pong = store.ping();
        let answered = async {
            let pong = tokio::time::timeout(PING_TIMEOUT, pong).await;
            pong.unwrap_or_else(|_| Err(StoreError::silent())).map_err(|error| {
                store_unavailable(&error, "Keys cannot be looked up at the moment, so try again shortly.")
            })
        };
        Box::pin(answered) as _
    };
    Check { name: "store", ask: Box::new(ask) }
}
