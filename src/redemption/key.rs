//! The download key, which a person types, and its hash, the only form that is stored.
//!
//! A key is 25 symbols of Crockford base32: 23 random ones (115 bits) and 2 check symbols of a Reed–Solomon code over
//! GF(32), see `check`. This module parses typed text, explains mistakes in it, and makes the [`TicketId`]. It does no
//! I/O and knows nothing of tickets, stores or HTTP.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

mod alphabet;
mod characters;
mod check;
mod longer_text;

pub(super) use alphabet::RANDOM_SYMBOLS;
use alphabet::symbol;
pub use alphabet::{GROUP_SYMBOLS, KEY_SYMBOLS, stands_in_a_key};
use characters::{Read, read};
pub use check::Suggestion;

/// A key whose check symbols are right. It may still belong to no ticket.
///
/// A secret: its holder can redeem. Debug output hides it, and its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct DownloadKey {
    /// Values (0–31) of the symbols, first symbol first.
    values: [u8; KEY_SYMBOLS],
}

/// Why a text is not a key. Holds nothing that reveals a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text cannot be a key: it has a foreign character or the wrong number of symbols.
    #[error("not of the form of a key")]
    Malformed {
        /// 1-based position of the first foreign character, in characters of the given text. `None` when only the
        /// length is wrong.
        position: Option<usize>,
        /// The number of symbols in the text, without separators.
        length: usize,
    },
    /// It has the form of a key, but its check symbols do not fit the rest.
    #[error("the check symbols do not fit the rest of the key")]
    Mistyped {
        /// All explanations by one wrong symbol or one swap of neighbours. Empty when there is no such explanation.
        suggestions: Vec<Suggestion>,
    },
}

impl DownloadKey {
    /// Parses typed or pasted text.
    ///
    /// Ignores case, white space, dashes of any kind, dots and characters without a glyph, and quotation marks and
    /// brackets around the whole. `I` and `L` are read as `1`, `O` as `0`, full-width and other forms of letters and
    /// digits as ASCII. A longer text, such as a link or a sentence, yields the only key in it.
    pub fn parse(typed: &str) -> Result<Self, KeyError> {
        match Self::parse_whole(typed) {
            Err(error @ KeyError::Malformed { length, .. }) if length > KEY_SYMBOLS => {
                longer_text::only_key_in(typed).map(|values| Self { values: *values }).ok_or(error)
            }
            outcome => outcome,
        }
    }

    /// Parses a text that consists of a key only.
    fn parse_whole(typed: &str) -> Result<Self, KeyError> {
        let mut values = [0_u8; KEY_SYMBOLS];
        let mut length = 0;
        let mut position = None;
        for symbol in symbols(typed) {
            match symbol.value {
                Some(value) if length < KEY_SYMBOLS => values[length] = value,
                Some(_) => {}
                None => position = position.or(Some(symbol.position)),
            }
            length += 1;
        }
        if position.is_some() || length != KEY_SYMBOLS {
            return Err(KeyError::Malformed { position, length });
        }
        if check::is_codeword(&values) {
            Ok(Self { values })
        } else {
            Err(KeyError::Mistyped { suggestions: check::explain(&values) })
        }
    }

    /// Makes a new key from 23 uniformly random bytes, of which 5 bits each are used.
    #[must_use]
    pub fn from_random(random: &[u8; RANDOM_SYMBOLS]) -> Self {
        let mut values = [0; KEY_SYMBOLS];
        for (value, byte) in values.iter_mut().zip(random) {
            *value = byte & 31;
        }
        check::complete(&mut values);
        Self { values }
    }

    /// The id that is stored instead of the key: the SHA-256 of its 25 symbols, upper case, in ASCII.
    #[must_use]
    pub fn id(&self) -> TicketId {
        let mut symbols = self.values.map(symbol);
        let id = TicketId(Sha256::digest(symbols).into());
        symbols.zeroize();
        id
    }

    /// The key as it is printed, `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`. Show it only to a person who may redeem it.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut printed = String::with_capacity(KEY_SYMBOLS + KEY_SYMBOLS / GROUP_SYMBOLS);
        for (index, value) in self.values.iter().enumerate() {
            if index > 0 && index % GROUP_SYMBOLS == 0 {
                printed.push('-');
            }
            printed.push(char::from(symbol(*value)));
        }
        printed
    }
}

impl fmt::Debug for DownloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DownloadKey(redacted)")
    }
}

impl Drop for DownloadKey {
    fn drop(&mut self) {
        self.values.zeroize();
    }
}

/// The symbols of a text as they were read (upper case, `O` as `0` and so on), without separators, and with foreign
/// characters unchanged. For showing a person what was read; as secret as the key itself.
pub fn symbols_as_read(typed: &str) -> impl Iterator<Item = char> + '_ {
    symbols(typed).map(|symbol| symbol.shown)
}

/// A symbol of a text, valid or not.
struct TypedSymbol {
    /// 1-based position, in characters of the text.
    position: usize,
    /// `None` for a foreign character.
    value: Option<u8>,
    /// The symbol as it was read.
    shown: char,
}

/// The symbols of a text, without separators.
fn symbols(typed: &str) -> impl Iterator<Item = TypedSymbol> + '_ {
    let skipped = |character| matches!(read(character), Read::Separator | Read::Around);
    let start = typed.chars().take_while(|character| skipped(*character)).count();
    let inner = typed.trim_matches(skipped);
    inner.chars().enumerate().filter_map(move |(index, character)| {
        let value = match read(character) {
            Read::Separator => return None,
            Read::Symbol(value) => Some(value),
            Read::Around | Read::Foreign => None,
        };
        let shown = value.map_or(character, |value| char::from(symbol(value)));
        Some(TypedSymbol { position: start + index + 1, value, shown })
    })
}

/// The id under which a ticket is stored: the SHA-256 of its key. Not a secret: 115 random bits cannot be searched for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId([u8; Self::BYTES]);

impl TicketId {
    /// The number of bytes in an id.
    pub const BYTES: usize = 32;
    /// The number of characters of its printed form.
    const TEXT_BYTES: usize = 43;

    /// An id from its bytes, as in a store or a receipt.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Parses the printed form: base64url without padding, 43 characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The decoder requires room for the longest value of this text length.
        let mut bytes = [0; Self::BYTES + 1];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        bytes[..length].try_into().ok().map(Self)
    }
}

impl serde::Serialize for TicketId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; Self::TEXT_BYTES];
        URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketId({self})")
    }
}

#[cfg(test)]
mod tests;
