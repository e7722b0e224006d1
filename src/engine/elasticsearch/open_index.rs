//! The index behind documents: it is checked before the first request, and an observer is told the outcome
//! of each request.
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

/// The pause before an index whose check failed is checked again.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// An index that was checked, or is to be checked, before its first use.
pub(super) struct OpenIndex {
    pub(super) nodes: Nodes,
    index: IndexName,
    definition: Definition,
    if_missing: IfMissing,
    /// Set once the index is known to belong to this program.
    ready: AtomicBool,
    /// Held while the index is checked. Holds the last failure of a check.
    last_failure: Mutex<Option<(Instant, StoreError)>>,
    pub(super) observer: Arc<dyn StoreObserver>,
}

impl OpenIndex {
    /// An index that is not checked yet.
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

    /// Its name, in the form for URL paths.
    pub(super) fn name(&self) -> &str {
        self.index.as_str()
    }

    /// Checks once that the index exists and belongs to this program, and creates it if that is wanted.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut last_failure = self.last_failure.lock().await;
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        // Callers that waited for this check need not repeat it one after the other.
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

    /// Sends items, once the index is prepared.
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

    /// Reports the outcomes of writes to the observer.
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

    /// Reports a scan to the observer and returns its result.
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
