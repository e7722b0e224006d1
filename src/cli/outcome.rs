//! The results of commands.

use std::error::Error;

/// Success, or a sentence that says what to do.
pub(super) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A wrong command line that only the command itself can recognise.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUsage(pub(super) String);
