//! A key on the command line, or from standard input, which hides it from `ps` and shell histories.

use std::io::Read as _;

use zeroize::Zeroizing;

use super::outcome::Outcome;
use crate::redemption::key::{DownloadKey, KeyError, Suggestion, TicketId};

/// The most bytes that are read from standard input.
const MAX_INPUT_BYTES: u64 = 4096;

/// The key argument of the command line. Debug output hides it.
#[derive(Clone)]
pub(super) struct KeyArgument(Zeroizing<String>);

impl std::fmt::Debug for KeyArgument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyArgument(redacted)")
    }
}

impl std::str::FromStr for KeyArgument {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl KeyArgument {
    /// The typed text; for `-`, it is read from standard input.
    pub(super) fn read(&self) -> Outcome<Zeroizing<String>> {
        let mut typed = self.0.clone();
        if self.is_stdin() {
            typed.clear();
            std::io::stdin().lock().take(MAX_INPUT_BYTES).read_to_string(&mut typed)?;
        }
        Ok(typed)
    }

    /// Whether the key is read from standard input.
    pub(super) fn is_stdin(&self) -> bool {
        self.0.as_str() == "-"
    }

    /// The ticket id of the key, or the given id itself.
    pub(super) fn ticket_id(&self) -> Outcome<TicketId> {
        ticket_id(&self.read()?).map_err(|error| explain(&error).into())
    }
}

/// The ticket id of the typed key, or the typed id itself.
pub(super) fn ticket_id(typed: &str) -> Result<TicketId, KeyError> {
    match TicketId::parse(typed.trim()) {
        Some(id) => Ok(id),
        None => Ok(DownloadKey::parse(typed)?.id()),
    }
}

/// The mistake in a key, without quoting the key.
pub(super) fn explain(error: &KeyError) -> String {
    match error {
        KeyError::Malformed { position: Some(position), .. } => {
            format!("the key has a character at position {position} that cannot stand there")
        }
        KeyError::Malformed { position: None, length } => {
            format!("a key has 25 symbols, this one has {length}")
        }
        KeyError::Mistyped { suggestions } => match suggestions.first() {
            Some(Suggestion::Substitution { position, .. }) => {
                format!("the key is mistyped, perhaps at symbol {position}")
            }
            Some(Suggestion::Swap { position }) => {
                format!("the key is mistyped: symbols {position} and {} may be swapped", position + 1)
            }
            None => "the key is mistyped".to_owned(),
        },
    }
}
