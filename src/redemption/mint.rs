//! New tickets and their keys.
//!
//! Pure: random bytes and the time come in, tickets go out one by one, so that a batch of any size takes no memory.

use jiff::Timestamp;

use super::key::DownloadKey;
use super::ticket::{Name, Ticket};
use crate::environment::{Entropy, EntropyError};

/// What the tickets of a batch have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchTerms {
    /// The album that they give.
    pub album: Name,
    /// The name of the batch.
    pub batch: Name,
    /// From when on they can be redeemed.
    pub valid_from: Option<Timestamp>,
    /// Since when they no longer can.
    pub expires_at: Option<Timestamp>,
}

/// A key's time span is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("valid_from must be before expires_at, or the key can never be redeemed")]
pub struct EmptySpan;

impl BatchTerms {
    /// Refuses terms that no moment fulfils.
    pub fn check(self) -> Result<Self, EmptySpan> {
        match (self.valid_from, self.expires_at) {
            (Some(from), Some(end)) if from >= end => Err(EmptySpan),
            _ => Ok(self),
        }
    }

    /// An unused ticket on these terms.
    #[must_use]
    pub fn ticket(&self, issued_at: Timestamp) -> Ticket {
        Ticket {
            valid_from: self.valid_from,
            expires_at: self.expires_at,
            ..Ticket::issue(self.album.clone(), self.batch.clone(), issued_at)
        }
    }
}

/// A key that nobody has seen before.
pub fn new_key(entropy: &dyn Entropy) -> Result<DownloadKey, EntropyError> {
    let mut random = zeroize::Zeroizing::new([0; 23]);
    entropy.fill(random.as_mut())?;
    Ok(DownloadKey::from_random(&random))
}
