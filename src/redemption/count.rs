//! The use case of counting: how many tickets each batch has, by state.
//!
//! Knows the store by its trait, and no HTTP.

use std::collections::BTreeSet;

use super::ticket::Name;
use crate::redemption::store::{BatchCount, BatchPlace, MAX_PAGE, StoreError, TicketStore};

/// One page of the batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPage {
    /// Sorted by album and name.
    pub batches: Vec<BatchCount>,
    /// The place after which the next page begins; `None` when this is the last one.
    pub next: Option<BatchPlace>,
}

/// Up to `limit` batches (at least one, at most [`MAX_PAGE`]), after the place `after` or from the first.
pub async fn page(
    store: &dyn TicketStore,
    batch: Option<Name>,
    after: Option<BatchPlace>,
    limit: usize,
) -> Result<BatchPage, StoreError> {
    let limit = limit.clamp(1, MAX_PAGE);
    let batches = store.stats(batch, after, limit).await?;
    let next = batches.last().filter(|_| batches.len() >= limit).map(|last| last.place.clone());
    Ok(BatchPage { batches, next })
}

/// The albums of tickets that are redeemed or can be: the albums that the library must have.
#[must_use]
pub fn albums_in_use(counts: &[BatchCount]) -> BTreeSet<&str> {
    let used = counts.iter().filter(|count| count.issued + count.redeemed > 0);
    used.map(|count| count.place.album.as_str()).collect()
}

/// All batches of one name, or all batches. Their counts may be some seconds apart.
pub async fn all(store: &dyn TicketStore, batch: Option<Name>) -> Result<Vec<BatchCount>, StoreError> {
    let mut counts = Vec::new();
    let mut after = None;
    loop {
        let BatchPage { batches, next } = page(store, batch.clone(), after, MAX_PAGE).await?;
        counts.extend(batches);
        after = next;
        if after.is_none() {
            return Ok(counts);
        }
    }
}
