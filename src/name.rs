//! The name that people give to an album or a batch. Knows neither.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// The id of an album or the name of a batch: 1–128 bytes, no control characters, no spaces around it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(Box<str>);

/// The text is not a valid name of an album or of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 128 bytes, no control characters, and no spaces around it")]
pub struct NameError;

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = (1..=MAX_NAME_BYTES).contains(&text.len())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.into())) } else { Err(NameError) }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
