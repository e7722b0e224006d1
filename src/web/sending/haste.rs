//! How large the next piece of a download may be: small for most, large for those whose client takes them fast.
//!
//! Small pieces are what keeps thousands of slow downloads small. A client in the same house, or a proxy beside the
//! server, takes hundreds of megabytes a second, and for that a small piece costs more than it is worth. So who proves
//! to be fast hurries, and some memory with it; of these there are only so many.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::lifecycle::Outlet;

/// Bytes that are read and sent at once. No more than the system takes at once from a connection whose client is slow.
pub(super) const PIECE_BYTES: usize = 16 * 1024;
/// The same for a download that hurries.
pub(super) const LARGE_PIECE_BYTES: usize = 128 * 1024;
/// Downloads that hurry at once. When their clients stop taking, half a megabyte of each may be stuck.
pub(super) const MAX_IN_HURRY: usize = 32;
/// What a fast client takes; 100 Mbit/s are less.
const FAST_BYTES_PER_SECOND: u128 = 16 << 20;
/// Pieces that a client must take fast before its download hurries: more than fit into the buffers of one that reads
/// nothing.
const FAST_PIECES: u32 = 16;

/// How fast a client takes its pieces.
pub(super) struct Haste {
    in_hurry: Arc<Semaphore>,
    /// When the last piece was begun, and how large it could be.
    last_piece: Option<(Instant, usize)>,
    /// Pieces in succession that were taken fast.
    fast_pieces: u32,
    /// There while the download hurries.
    place: Option<OwnedSemaphorePermit>,
}

impl Haste {
    pub(super) fn new(in_hurry: Arc<Semaphore>) -> Self {
        Self { in_hurry, last_piece: None, fast_pieces: 0, place: None }
    }

    /// To be called when there is room for another piece; gives how large that may be, in bytes.
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
