//! The index behind documents: it is checked before the first request, and an observer is told what requests come to.
//!
//! Knows no queue and no single document.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::answer::ItemOutcome;
use super::bulk::{self, Item, Patience};
use super::document::Document;
use super::index::{Definition, IndexName, ensure};
use super::nodes::Nodes;
use crate::engine::{IfMissing, Operation, RequestOutcome, StoreError, StoreObserver};

/// After how long an index that could not be looked at is looked at again.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// An index that was found to be ours, or is to be.
pub(super) struct OpenIndex {
    pub(super) nodes: Nodes,
    index: IndexName,
    definition: Definition,
    if_missing: IfMissing,
    /// Set once the index was seen to be ours.
    ready: AtomicBool,
    /// Held while the index is looked at; what that came to last, if it failed.
    last_failure: Mutex<Option<(Instant, StoreError)>>,
    pub(super) observer: Arc<dyn StoreObserver>,
}

impl OpenIndex {
    /// An index that nobody has looked at yet.
    pub(super) fn new(
        nodes: Nodes,
        index: IndexName,
        definition: Definition,
        if_missing: IfMissing,
        observer: Arc<dyn StoreObserver>,
    ) -> Self {
        let (ready, last_failure) = (AtomicBool::new(false), Mutex::new(None));
        Self { nodes, index, definition, if_missing, ready, last_failure, observer }
    }

    /// Its name, as it stands in paths.
    pub(super) fn name(&self) -> &str {
        self.index.as_str()
    }

    /// Looks whether the index is there and ours, and makes one if that is wanted, unless that is known.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut last_failure = self.last_failure.lock().await;
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        // Those who have waited for this look need not look again, one after the other.
        if let Some((at, error)) = &*last_failure
            && at.elapsed() < LOOK_PAUSE
        {
            return Err(error.clone());
        }
        let looked = ensure(&self.nodes, &self.index, &self.definition, self.if_missing).await;
        match &looked {
            Ok(()) => self.ready.store(true, Ordering::Release),
            Err(error) => *last_failure = Some((Instant::now(), error.clone())),
        }
        looked
    }

    /// Sends items, if the index was prepared.
    pub(super) async fn bulk<D: Document>(
        &self,
        prepared: Result<(), StoreError>,
        items: &[Item<'_, D>],
        patience: Patience,
    ) -> Vec<ItemOutcome> {
        match prepared {
            Ok(()) => bulk::send(&self.nodes, self.index.as_str(), items, patience).await,
            Err(error) => vec![ItemOutcome::NotSent(error.to_string()); items.len()],
        }
    }

    /// Tells the observer what became of writes.
    pub(super) fn observe_writes(&self, operation: Operation, outcomes: &[ItemOutcome]) {
        let is_unknown = |outcome: &ItemOutcome| matches!(outcome, ItemOutcome::Unknown(_));
        let is_failed = |outcome: &ItemOutcome| {
            matches!(outcome, ItemOutcome::NotSent(_) | ItemOutcome::Rejected(_) | ItemOutcome::Refused(_))
        };
        let outcome = if outcomes.iter().any(is_unknown) {
            RequestOutcome::Unknown
        } else if outcomes.iter().any(is_failed) {
            RequestOutcome::Failed
        } else {
            RequestOutcome::Done
        };
        self.observer.request(operation, outcome, outcomes.len());
    }

    /// Tells of a scan to the observer and gives its result.
    pub(super) fn observe_scan<T>(
        &self,
        result: Result<T, StoreError>,
        items: impl Fn(&T) -> usize,
    ) -> Result<T, StoreError> {
        let (outcome, items) = match &result {
            Ok(found) => (RequestOutcome::Done, items(found)),
            Err(_) => (RequestOutcome::Failed, 0),
        };
        self.observer.request(Operation::Scan, outcome, items);
        result
    }
}
