//! Buffers that downloads share.

use std::sync::{Arc, Mutex, PoisonError};

use super::haste::{LARGE_PIECE_BYTES, MAX_IN_HURRY, PIECE_BYTES};

/// The number of small buffers that are kept for reuse. Further ones are allocated when needed, and freed afterwards.
const KEPT_SMALL_BUFFERS: usize = 64;

/// Buffers that are not in use.
#[derive(Default)]
pub(super) struct Buffers {
    small: Mutex<Vec<Box<[u8]>>>,
    large: Mutex<Vec<Box<[u8]>>>,
}

/// A buffer that returns to its pool.
pub(crate) struct Buffer {
    content: Box<[u8]>,
    /// The number of bytes to fill.
    bytes: usize,
    home: Arc<Buffers>,
}

impl Buffers {
    /// A buffer of `bytes` bytes, or of a large piece if that is less.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Buffer {
        let (kept, capacity) = match bytes {
            ..=PIECE_BYTES => (&self.small, PIECE_BYTES),
            _ => (&self.large, LARGE_PIECE_BYTES),
        };
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let content = kept.unwrap_or_else(|| vec![0; capacity].into_boxed_slice());
        Buffer { content, bytes: bytes.min(capacity), home: Arc::clone(self) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let (kept, most) = match self.content.len() {
            PIECE_BYTES => (&self.home.small, KEPT_SMALL_BUFFERS),
            _ => (&self.home.large, MAX_IN_HURRY),
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < most {
            kept.push(std::mem::take(&mut self.content));
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.content[..self.bytes]
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.content[..self.bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_only_some_are_kept() {
        let buffers = Arc::new(Buffers::default());
        let many: Vec<_> = (0..2 * KEPT_SMALL_BUFFERS).map(|_| buffers.take(PIECE_BYTES)).collect();
        assert!(buffers.small.lock().unwrap().is_empty());
        drop(many);
        assert_eq!(buffers.small.lock().unwrap().len(), KEPT_SMALL_BUFFERS);
        let some = buffers.take(100);
        assert_eq!((some.as_ref().len(), buffers.small.lock().unwrap().len()), (100, KEPT_SMALL_BUFFERS - 1));
        let large = buffers.take(LARGE_PIECE_BYTES);
        assert_eq!(large.as_ref().len(), LARGE_PIECE_BYTES);
        drop(large);
        assert_eq!(buffers.large.lock().unwrap().len(), 1);
    }
}
