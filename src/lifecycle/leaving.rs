//! The state of a server's shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether the server is leaving. All clones share the same state.
#[derive(Clone, Debug, Default)]
pub struct Leaving(Arc<AtomicU8>);

impl Leaving {
    const STAYING: u8 = 0;
    const LEAVING: u8 = 1;
    const CUTTING_OFF: u8 = 2;

    /// Whether SIGTERM has come.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.load(Ordering::Relaxed) != Self::STAYING
    }

    /// Whether requests still in flight are being cut off.
    #[must_use]
    pub fn is_cutting_off(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::CUTTING_OFF
    }

    pub(super) fn leave(&self) {
        self.0.store(Self::LEAVING, Ordering::Relaxed);
    }

    pub(super) fn cut_off(&self) {
        self.0.store(Self::CUTTING_OFF, Ordering::Relaxed);
    }
}
