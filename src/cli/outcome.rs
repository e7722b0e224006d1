//! How commands end.

use std::error::Error;

/// Well, or with a sentence that says what to do.
pub(super) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A command line that is wrong in a way that only the command itself can tell.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUsage(pub(super) String);
