//! The slowest rate at which a client may take its answers. Pure: the time is passed in.
//!
//! A connection has an allowance of time. While the server waits for the client to take bytes, the allowance runs out.
//! Each byte that is taken gives back the time that it may need at the slowest rate, up to the whole allowance. So the
//! number of answers and the size of the pieces do not matter: a client that keeps up with the slowest rate on average
//! stays, and a client that stops, or takes a byte now and then, is dropped. Time in which the server has nothing to
//! send does not count.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// The limits for a slow client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slowest {
    /// The time for which a client may take nothing.
    pub(super) allowance: Duration,
    /// The average rate that it must keep up otherwise.
    pub(super) bytes_per_second: NonZeroU32,
}

/// The rest of a connection's allowance.
#[derive(Debug)]
pub(super) struct Pace {
    slowest: Slowest,
    left: Duration,
    /// Since when the server waits for the client.
    waiting_since: Option<Instant>,
}

impl Pace {
    pub(super) fn new(slowest: Slowest) -> Self {
        Self { slowest, left: slowest.allowance, waiting_since: None }
    }

    /// Notes that the client does not take the bytes that are ready.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// Whether the server waits for the client.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// Notes that the client can take bytes again.
    pub(super) fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(now.saturating_duration_since(since));
        }
    }

    /// Notes that the client has taken `bytes` bytes.
    pub(super) fn take(&mut self, bytes: usize) {
        if self.left < self.slowest.allowance {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let earned = Duration::from_secs(bytes.into()) / self.slowest.bytes_per_second.get();
            self.left = (self.left + earned).min(self.slowest.allowance);
        }
    }

    /// When the client is dropped, unless it takes something before.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOWEST: Slowest =
        Slowest { allowance: Duration::from_mins(1), bytes_per_second: NonZeroU32::new(1024).unwrap() };

    /// Lets a client take so many bytes at a time with so long a wait before each; gives the seconds after which it is
    /// given up, at most an hour.
    fn given_up_after(bytes: usize, wait_seconds: u64) -> Option<u64> {
        let start = Instant::now();
        let mut now = start;
        let mut pace = Pace::new(SLOWEST);
        while now < start + Duration::from_hours(1) {
            pace.wait(now);
            let ends_at = pace.ends_at().unwrap();
            now += Duration::from_secs(wait_seconds);
            if ends_at <= now {
                return Some((ends_at - start).as_secs());
            }
            pace.go_on(now);
            pace.take(bytes);
        }
        None
    }

    #[test]
    fn whoever_keeps_up_with_the_slowest_rate_stays() {
        assert_eq!(given_up_after(2 * 1024, 1), None, "a phone with 2 KiB/s");
        assert_eq!(given_up_after(64 * 1024, 32), None, "the same in large pieces");
        assert_eq!(given_up_after(1024, 1), None);
        assert_eq!(given_up_after(100_000_000, 59), None, "a rest of a minute after each of many bytes");
    }

    #[test]
    fn whoever_takes_less_is_given_up() {
        assert_eq!(given_up_after(0, 1), Some(60));
        assert_eq!(given_up_after(1, 50), Some(60));
        assert_eq!(given_up_after(512, 1), Some(119));
        assert_eq!(given_up_after(100_000_000, 61), Some(60), "bytes are not saved up for a longer rest");
    }

    #[test]
    fn time_without_anything_to_send_does_not_count() {
        let start = Instant::now();
        let mut pace = Pace::new(SLOWEST);
        pace.wait(start);
        pace.go_on(start + Duration::from_secs(10));
        assert_eq!(pace.ends_at(), None);
        pace.wait(start + Duration::from_secs(1000));
        pace.wait(start + Duration::from_secs(1001));
        assert_eq!(pace.ends_at(), Some(start + Duration::from_secs(1050)));
    }
}
