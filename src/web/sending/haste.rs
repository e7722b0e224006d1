//! The size of the next piece of a download: small for most, large for clients that take them fast.
//!
//! Small pieces keep the memory of thousands of slow downloads small. But a client in the same house, or a proxy beside
//! the server, takes hundreds of megabytes a second, and at that rate small pieces cost too much time. So a client that
//! proves to be fast gets large pieces, which need more memory; the number of such downloads is limited.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::lifecycle::Outlet;

/// The bytes of a piece: read and sent at once. No more than the system accepts at once from a connection whose
/// client is slow.
pub(super) const PIECE_BYTES: usize = 16 * 1024;
/// The same for a fast download.
pub(super) const LARGE_PIECE_BYTES: usize = 128 * 1024;
/// The most fast downloads at once. When their clients stop taking bytes, half a megabyte of each may be stuck.
pub(super) const MAX_IN_HURRY: usize = 32;
/// The rate of a fast client; 100 Mbit/s are less.
const FAST_BYTES_PER_SECOND: u128 = 16 << 20;
/// The pieces that a client must take fast before its download counts as fast: more than fit into the buffers of a
/// client that reads nothing.
const FAST_PIECES: u32 = 16;

/// Measures how fast a client takes its pieces.
pub(super) struct Haste {
    in_hurry: Arc<Semaphore>,
    /// When the last piece began, and its largest size.
    last_piece: Option<(Instant, usize)>,
    /// Consecutive pieces that were taken fast.
    fast_pieces: u32,
    /// `Some` while the download counts as fast.
    place: Option<OwnedSemaphorePermit>,
}

impl Haste {
    pub(super) fn new(in_hurry: Arc<Semaphore>) -> Self {
        Self { in_hurry, last_piece: None, fast_pieces: 0, place: None }
    }

    /// Call this when there is room for another piece; returns its largest size, in bytes.
    pub(super) fn next_piece_bytes(&mut self, now: Instant, outlet: &Outlet) -> usize {
        let hurried = self.place.is_some();
        let bytes = self.decide(now);
        if hurried != self.place.is_some() {
            outlet.hurry(!hurried);
        }
        bytes
    }

    fn decide(&mut self, now: Instant) -> usize {
        let is_fast = self.last_piece.is_some_and(|(at, bytes)| {
            let microseconds = now.saturating_duration_since(at).as_micros();
            microseconds * FAST_BYTES_PER_SECOND <= bytes as u128 * 1_000_000
        });
        self.fast_pieces = if is_fast { self.fast_pieces.saturating_add(1) } else { 0 };
        if !is_fast {
            self.place = None;
        } else if self.place.is_none() && self.fast_pieces >= FAST_PIECES {
            self.place = Arc::clone(&self.in_hurry).try_acquire_owned().ok();
        }
        let bytes = if self.place.is_some() { LARGE_PIECE_BYTES } else { PIECE_BYTES };
        self.last_piece = Some((now, bytes));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The largest of many pieces, each of which takes so long for every 16 KiB.
    fn largest(haste: &mut Haste, each: Duration) -> usize {
        let (mut now, mut bytes, mut most) = (Instant::now(), 0, 0);
        for _ in 0..100 {
            now += each * u32::try_from(bytes / PIECE_BYTES).unwrap();
            bytes = haste.decide(now);
            most = most.max(bytes);
        }
        most
    }

    #[test]
    fn only_a_fast_client_is_hurried_for_and_only_so_many() {
        let in_hurry = Arc::new(Semaphore::new(1));
        let mut slow = Haste::new(Arc::clone(&in_hurry));
        assert_eq!(largest(&mut slow, Duration::from_millis(2)), PIECE_BYTES);
        let mut fast = Haste::new(Arc::clone(&in_hurry));
        assert_eq!(largest(&mut fast, Duration::from_micros(200)), LARGE_PIECE_BYTES);
        let mut another = Haste::new(Arc::clone(&in_hurry));
        assert_eq!(largest(&mut another, Duration::from_micros(200)), PIECE_BYTES, "there is one place");
        drop(fast);
        assert_eq!(largest(&mut another, Duration::from_micros(200)), LARGE_PIECE_BYTES);
    }

    #[test]
    fn whoever_gets_slow_makes_room_with_the_next_piece() {
        let in_hurry = Arc::new(Semaphore::new(1));
        let mut haste = Haste::new(Arc::clone(&in_hurry));
        largest(&mut haste, Duration::from_micros(200));
        assert_eq!(in_hurry.available_permits(), 0);
        assert_eq!(haste.decide(Instant::now() + Duration::from_mins(1)), PIECE_BYTES);
        assert_eq!(in_hurry.available_permits(), 1);
    }
}
