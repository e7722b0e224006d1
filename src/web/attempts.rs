//! A limit of failures for each network, so that no client can keep the server busy with guesses.
//!
//! A network that has used up its allowance is refused until a part of it has come back; all others are served. There
//! is no common limit of all networks: an attacker with enough networks could use it to lock out honest clients, and
//! the guarded secrets cannot be guessed anyway. Each allowance is a token bucket, stored as the time at which it will
//! be full again (the generic cell rate algorithm, ITU-T I.371). Pure: the time is passed in.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::client::ClientPrefix;

/// An allowance of failures.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// The most failures at once.
    pub burst: NonZeroU32,
    /// The further failures allowed each minute.
    pub per_minute: NonZeroU32,
}

impl Allowance {
    /// The time in which one token comes back.
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
    /// When the bucket of a network is full again; absent when it is full. At most [`MAX_REMEMBERED`].
    full_at: Mutex<HashMap<ClientPrefix, Instant>>,
}

/// The most networks that are remembered: some 5 MB. When there are more, those with the fewest failures are forgotten.
const MAX_REMEMBERED: usize = 65_536;

impl Attempts {
    /// Creates full allowances.
    #[must_use]
    pub fn new(each: Allowance) -> Self {
        Self { each, full_at: Mutex::new(HashMap::new()) }
    }

    /// Whether a client may try now. If not, the error holds the seconds to wait.
    pub fn check(&self, client: ClientPrefix, now: Instant) -> Result<(), u64> {
        let full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(full_at) = full_at.get(&client) else { return Ok(()) };
        // A whole token is available once the bucket lacks at most all but one.
        let ready_at = *full_at + self.each.interval();
        let wait = ready_at.saturating_duration_since(now + self.each.fill());
        if wait.is_zero() { Ok(()) } else { Err(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)) }
    }

    /// Counts a failure. Requests that were in flight together can overdraw an allowance, at most by as much again.
    pub fn count_failure(&self, client: ClientPrefix, now: Instant) {
        let mut remembered = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = remembered.get(&client).map_or(now, |full_at| now.max(*full_at));
        remembered.insert(client, (full_at + self.each.interval()).min(now + 2 * self.each.fill()));
        if remembered.len() > MAX_REMEMBERED {
            forget(&mut remembered, now);
        }
    }
}

/// Makes room: forgets networks whose allowance is full again and, if that is not enough, the half with the fewest
/// failures. So this runs once in many failures, however many networks there are.
fn forget(remembered: &mut HashMap<ClientPrefix, Instant>, now: Instant) {
    remembered.retain(|_, full_at| *full_at > now);
    if remembered.len() <= MAX_REMEMBERED / 2 {
        return;
    }
    let mut by_failures: Vec<(Instant, ClientPrefix)> =
        remembered.iter().map(|(client, full_at)| (*full_at, *client)).collect();
    let half = by_failures.len() / 2;
    by_failures.select_nth_unstable_by_key(half, |(full_at, _)| *full_at);
    for (_, client) in &by_failures[..half] {
        remembered.remove(client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts() -> Attempts {
        Attempts::new(Allowance { burst: 30.try_into().unwrap(), per_minute: 10.try_into().unwrap() })
    }

    fn client(number: u32) -> ClientPrefix {
        let [_, a, b, c] = number.to_be_bytes();
        ClientPrefix::of([a, b, c, 1].into())
    }

    #[test]
    fn an_allowance_is_used_up_and_comes_back() {
        let start = Instant::now();
        let attempts = attempts();
        for _ in 0..30 {
            attempts.check(client(1), start).unwrap();
            attempts.count_failure(client(1), start);
        }
        assert_eq!(attempts.check(client(1), start), Err(6));
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
        let attempts = attempts();
        for _ in 0..1000 {
            attempts.count_failure(client(1), start);
        }
        assert_eq!(attempts.check(client(1), start), Err(186));
    }

    #[test]
    fn failures_of_any_number_of_networks_turn_away_nobody_else() {
        let start = Instant::now();
        let attempts = attempts();
        attempts.count_failure(client(0), start);
        for number in 1..10_000 {
            attempts.count_failure(client(number), start);
        }
        assert_eq!(attempts.check(client(0), start), Ok(()), "somebody who mistyped once");
        assert_eq!(attempts.check(client(10_001), start), Ok(()), "somebody who never did");
    }

    /// All of them within a moment, so that no allowance comes back meanwhile.
    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let attempts = attempts();
        for _ in 0..30 {
            attempts.count_failure(client(0), now);
        }
        let mut most = 0;
        for number in 1..4 * u32::try_from(MAX_REMEMBERED).unwrap() {
            attempts.count_failure(client(number), now);
            most = most.max(attempts.full_at.lock().unwrap().len());
        }
        assert_eq!(most, MAX_REMEMBERED);
        assert!(attempts.check(client(0), now).is_err(), "who failed most is remembered longest");
    }
}
