//! The use case of issuing keys without a file: tickets go to the store, their keys to the caller.
//!
//! The keys are stored nowhere else. If they are lost on their way, they cannot be made again: their tickets are
//! useless, and are counted until their batch is revoked. (The command line writes the keys to a file first, see
//! `tickey mint`.) Knows the store by its trait, and no HTTP.

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::create::create_minted;
use super::key::DownloadKey;
use super::mint::{BatchTerms, new_keys};
use super::write::WriteError;
use crate::environment::{Entropy, EntropyError};
use crate::redemption::store::{StoreError, TicketStore};

/// The number of keys that are made before other tasks get a turn.
const KEYS_AT_ONCE: usize = 256;

/// Why no keys were issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The store cannot be used, or did not acknowledge all tickets; it may have stored some of them.
    #[error(transparent)]
    Store(WriteError),
    /// No random bytes are available for keys.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A newly made key already has a ticket.
    #[error("a new key was not new: the operating system's random bytes repeat themselves")]
    NotNew,
}

/// Makes `count` tickets, some thousands at most, and returns their keys once the store has all of them.
/// Ends by `deadline`.
pub async fn issue(
    store: &dyn TicketStore,
    terms: &BatchTerms,
    count: usize,
    now: Timestamp,
    entropy: &dyn Entropy,
    deadline: Instant,
) -> Result<Vec<DownloadKey>, IssueError> {
    // Before any key is made: if the ping fails, it is certain that nothing was stored.
    let pong = timeout_at(deadline, store.ping()).await.unwrap_or_else(|_| Err(StoreError::silent()));
    pong.map_err(|error| IssueError::Store(WriteError::StoreUnavailable(error)))?;
    let mut keys = Vec::with_capacity(count);
    let mut tickets = Vec::with_capacity(count);
    for (made, key) in (1..=count).zip(new_keys(entropy)) {
        let key = key?;
        tickets.push((key.id(), terms.ticket(now)));
        keys.push(key);
        if made % KEYS_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
    let created = create_minted(store, tickets, Some(deadline)).await;
    let created = created.map_err(|error| IssueError::Store(WriteError::StoreUnavailable(error)))?;
    let created = created
        .certain()
        .map_err(|doubt| IssueError::Store(WriteError::OutcomeUnknown(doubt.to_string())))?;
    if created.new == count as u64 { Ok(keys) } else { Err(IssueError::NotNew) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::environment::SystemEntropy;
    use crate::redemption::store::SharedStore;
    use crate::redemption::store::location::{IfMissing, StoreLocation};

    /// Says the same again and again.
    struct Stuck;

    impl Entropy for Stuck {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
            buffer.fill(7);
            Ok(())
        }
    }

    async fn issued(
        entropy: &dyn Entropy,
        count: usize,
    ) -> (SharedStore, Result<Vec<DownloadKey>, IssueError>) {
        let folder = tempfile::tempdir().unwrap();
        let location: StoreLocation =
            format!("sqlite:{}/tickets.db", folder.path().display()).parse().unwrap();
        let store = location.open(IfMissing::Create, Arc::new(())).await.unwrap();
        let terms = BatchTerms {
            album: "album".parse().unwrap(),
            batch: "batch".parse().unwrap(),
            valid_from: None,
            expires_at: None,
        };
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let keys = issue(&*store, &terms, count, now, entropy, deadline).await;
        (store, keys)
    }

    #[tokio::test]
    async fn every_key_that_is_given_out_has_its_ticket() {
        let (store, keys) = issued(&SystemEntropy, 1000).await;
        let keys = keys.unwrap();
        assert_eq!(keys.len(), 1000);
        for key in &keys {
            assert_eq!(store.get(key.id()).await.unwrap().unwrap().value.batch.as_str(), "batch");
        }
    }

    #[tokio::test]
    async fn keys_that_repeat_are_not_given_out() {
        let (_, keys) = issued(&Stuck, 2).await;
        assert!(matches!(keys, Err(IssueError::NotNew)));
    }
}
