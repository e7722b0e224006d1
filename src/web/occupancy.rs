//! Limits how many things go on at once for each key. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what goes on, by key. The number of entries is bounded by that count.
pub(crate) struct Occupancy<K> {
    limit: NonZeroU32,
    going_on: Mutex<HashMap<K, u32>>,
}

/// A place that is counted for as long as this lives.
pub(crate) struct Occupied<K: Eq + Hash> {
    occupancy: Arc<Occupancy<K>>,
    key: Option<K>,
}

impl<K: Clone + Eq + Hash> Occupancy<K> {
    /// Creates empty counts, with at most `limit` places for each key.
    pub(crate) fn new(limit: NonZeroU32) -> Arc<Self> {
        Arc::new(Self { limit, going_on: Mutex::default() })
    }

    /// Takes a place for this key, unless it has reached the limit.
    pub(crate) fn enter(self: &Arc<Self>, key: K) -> Option<Occupied<K>> {
        let mut going_on = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        let count = going_on.entry(key.clone()).or_default();
        // A zero count is never stored, so a refusal leaves no entry behind.
        if *count >= self.limit.get() {
            return None;
        }
        *count += 1;
        drop(going_on);
        Some(Occupied { occupancy: Arc::clone(self), key: Some(key) })
    }
}

impl<K: Eq + Hash> Drop for Occupied<K> {
    fn drop(&mut self) {
        let mut going_on = self.occupancy.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Entry::Occupied(mut entry)) = self.key.take().map(|key| going_on.entry(key)) else { return };
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_the_limit_for_itself_and_nothing_is_remembered() {
        let occupancy = Occupancy::new(NonZeroU32::new(2).unwrap());
        let first = occupancy.enter("a").unwrap();
        let second = occupancy.enter("a").unwrap();
        assert!(occupancy.enter("a").is_none());
        let other = occupancy.enter("b").unwrap();
        drop(first);
        let third = occupancy.enter("a").unwrap();
        assert!(occupancy.enter("a").is_none());
        drop((second, third, other));
        assert!(occupancy.going_on.lock().unwrap().is_empty());
    }
}
