//! The limit against guessing: how many unknown keys may come from one neighbourhood of the network, and from all. The same
//! again, counted apart, for wrong admin tokens.
//!
//! Only keys that no ticket has are counted, after the store has said so; a neighbourhood that has used up its allowance
//! is refused every attempt until some of it has come back. When all together have used up theirs, every neighbourhood
//! that has guessed lately is refused, and no other. Each allowance is a token bucket, kept as the one moment at
//! which it will be full again (the generic cell rate algorithm, ITU-T I.371). Pure: the time is passed in.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::client::ClientPrefix;

/// An allowance of guesses that failed.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// So many at once.
    pub burst: NonZeroU32,
    /// And so many more each minute.
    pub per_minute: NonZeroU32,
}

impl Allowance {
    /// The time in which one comes back.
    fn interval(self) -> Duration {
        Duration::from_mins(1) / self.per_minute.get()
    }

    /// The time in which an empty bucket fills.
    fn fill(self) -> Duration {
        self.interval() * self.burst.get()
    }
}

/// Keeps the allowances.
pub struct Attempts {
    each: Allowance,
    all: Allowance,
    state: Mutex<State>,
}

struct State {
    /// When the bucket of everybody together is full again.
    all_full_at: Instant,
    /// When the bucket of a neighbourhood is full again; absent when it is full. Bounded by the allowance of all: each
    /// entry is a failed guess of the last few minutes.
    full_at: HashMap<ClientPrefix, Instant>,
    /// Entries at which full buckets are looked for and dropped.
    prune_above_entries: usize,
}

/// Entries below which pruning is not worth it.
const PRUNE_ABOVE_AT_LEAST: usize = 1024;

impl Attempts {
    /// Full allowances.
    #[must_use]
    pub fn new(each: Allowance, all: Allowance, now: Instant) -> Self {
        let state =
            State { all_full_at: now, full_at: HashMap::new(), prune_above_entries: PRUNE_ABOVE_AT_LEAST };
        Self { each, all, state: Mutex::new(state) }
    }

    /// Whether somebody may try now; if not, after what time.
    pub fn check(&self, client: ClientPrefix, now: Instant) -> Result<(), Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |full_at: Instant, allowance: Allowance| {
            // A whole token is there once the bucket lacks at most all but one.
            let ready_at = full_at + allowance.interval();
            ready_at.saturating_duration_since(now + allowance.fill())
        };
        // Whose allowance is full has done nothing lately, and does not pay for others when all together have guessed too
        // much.
        let Some(full_at) = state.full_at.get(&client).filter(|full_at| **full_at > now) else {
            return Ok(());
        };
        let longest = wait(*full_at, self.each).max(wait(state.all_full_at, self.all));
        if longest.is_zero() { Ok(()) } else { Err(longest) }
    }

    /// Counts a guess that failed. Requests that were in flight together can overdraw an allowance, at most by as much
    /// again.
    pub fn count_failure(&self, client: ClientPrefix, now: Instant) {
        let take = |full_at: Instant, allowance: Allowance| {
            (full_at.max(now) + allowance.interval()).min(now + 2 * allowance.fill())
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.all_full_at = take(state.all_full_at, self.all);
        let full_at = state.full_at.get(&client).copied().unwrap_or(now);
        state.full_at.insert(client, take(full_at, self.each));
        if state.full_at.len() >= state.prune_above_entries {
            state.full_at.retain(|_, full_at| *full_at > now);
            state.prune_above_entries = PRUNE_ABOVE_AT_LEAST.max(2 * state.full_at.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(burst: u32, per_minute: u32) -> Allowance {
        Allowance { burst: burst.try_into().unwrap(), per_minute: per_minute.try_into().unwrap() }
    }

    fn client(number: u8) -> ClientPrefix {
        ClientPrefix::of([10, 0, number, 1].into())
    }

    #[test]
    fn an_allowance_is_used_up_and_comes_back() {
        let start = Instant::now();
        let attempts = Attempts::new(allowance(30, 10), allowance(1000, 1000), start);
        for _ in 0..30 {
            attempts.check(client(1), start).unwrap();
            attempts.count_failure(client(1), start);
        }
        assert_eq!(attempts.check(client(1), start), Err(Duration::from_secs(6)));
        assert_eq!(attempts.check(client(2), start), Ok(()), "a neighbour pays for it");
        let later = start + Duration::from_secs(6);
        attempts.check(client(1), later).unwrap();
        attempts.count_failure(client(1), later);
        assert!(attempts.check(client(1), later).is_err());
        let much_later = start + Duration::from_hours(1);
        for _ in 0..30 {
            attempts.check(client(1), much_later).unwrap();
            attempts.count_failure(client(1), much_later);
        }
        assert!(attempts.check(client(1), much_later).is_err());
    }

    #[test]
    fn an_overdraft_is_bounded() {
        let start = Instant::now();
        let attempts = Attempts::new(allowance(30, 10), allowance(10_000, 1000), start);
        for _ in 0..1000 {
            attempts.count_failure(client(1), start);
        }
        assert_eq!(attempts.check(client(1), start), Err(Duration::from_secs(186)));
    }

    #[test]
    fn everybody_together_has_a_ceiling() {
        let start = Instant::now();
        let attempts = Attempts::new(allowance(30, 10), allowance(100, 60), start);
        for number in 0..100 {
            attempts.check(client(number), start).unwrap();
            attempts.count_failure(client(number), start);
        }
        assert_eq!(attempts.check(client(7), start), Err(Duration::from_secs(1)));
        assert_eq!(attempts.check(client(200), start), Ok(()), "who never guessed pays for others");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let start = Instant::now();
        let attempts = Attempts::new(allowance(30, 10), allowance(1000, 1000), start);
        for round in 0..100_000_u32 {
            let [_, a, b, c] = round.to_be_bytes();
            let now = start + Duration::from_millis(100) * round;
            attempts.count_failure(ClientPrefix::of([a, b, c, 1].into()), now);
        }
        assert!(attempts.state.lock().unwrap().full_at.len() < 2 * PRUNE_ABOVE_AT_LEAST);
    }
}
