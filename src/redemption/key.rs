//! The download key: what a person types, and the only thing that is ever stored of it.
//!
//! A key is 25 symbols of Crockford base32: 23 random ones (115 bits) and 2 check symbols of a Reed–Solomon code
//! over GF(32), see `check`. This module reads what people type, explains what is wrong with it, and makes the
//! [`TicketId`]. It does no I/O and knows nothing of tickets, stores or HTTP.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

mod check;

pub use check::Suggestion;

/// Symbols in a key.
pub const KEY_SYMBOLS: usize = 25;
/// Symbols between two dashes of a printed key.
pub const GROUP_SYMBOLS: usize = 5;
/// Symbols that carry randomness; the rest are check symbols.
pub(super) const RANDOM_SYMBOLS: usize = 23;
/// The digits of Crockford's base32, by value. `I`, `L`, `O` and `U` are left out.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A key whose check symbols are right. It may still belong to no ticket.
///
/// A secret: whoever has it can redeem. It prints as nothing, and its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct DownloadKey {
    /// Values (0–31) of the symbols, first symbol first.
    values: [u8; KEY_SYMBOLS],
}

/// Why a text is not a key. Holds nothing from which the key could be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It cannot be a key: a character that no key has, or the wrong number of symbols.
    #[error("not of the form of a key")]
    Malformed {
        /// 1-based place, in characters of the text as given, of the first one that cannot stand in a key.
        /// `None` when only the length is wrong.
        position: Option<usize>,
        /// Symbols in the text, separators left out.
        length: usize,
    },
    /// It has the form of a key, but its check symbols do not fit the rest.
    #[error("the check symbols do not fit the rest of the key")]
    Mistyped {
        /// Every explanation by one wrong symbol or one swap of neighbours. Empty when nothing that simple explains it.
        suggestions: Vec<Suggestion>,
    },
}

impl DownloadKey {
    /// Reads what a person typed.
    ///
    /// Case, white space, dashes of any kind and dots do not matter; `I` and `L` are read as `1`, `O` as `0`,
    /// full-width forms as ASCII.
    pub fn parse(typed: &str) -> Result<Self, KeyError> {
        let mut values = [0_u8; KEY_SYMBOLS];
        let mut length = 0;
        let mut position = None;
        for (index, character) in typed.chars().enumerate() {
            match read(character) {
                Read::Separator => continue,
                Read::Symbol(value) if length < KEY_SYMBOLS => values[length] = value,
                Read::Symbol(_) => {}
                Read::Foreign => position = position.or(Some(index + 1)),
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

    /// Makes a new key out of 23 uniformly random bytes, of which 5 bits each are used.
    #[must_use]
    pub fn from_random(random: &[u8; RANDOM_SYMBOLS]) -> Self {
        let mut values = [0; KEY_SYMBOLS];
        for (value, byte) in values.iter_mut().zip(random) {
            *value = byte & 31;
        }
        check::complete(&mut values);
        Self { values }
    }

    /// What is stored in place of the key: the SHA-256 of its 25 symbols, upper case, in ASCII.
    #[must_use]
    pub fn id(&self) -> TicketId {
        let mut symbols = self.values.map(symbol);
        let id = TicketId(Sha256::digest(symbols).into());
        symbols.zeroize();
        id
    }

    /// The key as it is printed, `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`. Only for the eyes of whoever may redeem it.
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

/// The symbols of a text as they were understood (upper case, `O` as `0` and so on), separators left out, and
/// foreign characters as they are. For showing a person what was read; as secret as the key itself.
pub fn symbols_as_read(typed: &str) -> impl Iterator<Item = char> + '_ {
    typed.chars().filter_map(|character| match read(character) {
        Read::Separator => None,
        Read::Symbol(value) => Some(char::from(symbol(value))),
        Read::Foreign => Some(character),
    })
}

/// Whether a symbol, as [`symbols_as_read`] gives it, can stand in a key.
#[must_use]
pub fn stands_in_a_key(symbol: char) -> bool {
    u8::try_from(symbol).is_ok_and(|symbol| ALPHABET.contains(&symbol))
}

/// What a ticket is stored under: the SHA-256 of its key. Not a secret: 115 random bits cannot be searched for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId([u8; Self::BYTES]);

impl TicketId {
    /// Bytes in an id.
    pub const BYTES: usize = 32;
    /// Characters of its printed form.
    const TEXT_BYTES: usize = 43;

    /// An id out of its bytes, as a store or a receipt holds them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Reads the printed form: base64url without padding, 43 characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The decoder wants room for what the longest text of this length could hold.
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

/// What one character of a typed key means.
enum Read {
    /// A symbol, by its value.
    Symbol(u8),
    /// Skipped.
    Separator,
    /// Cannot stand in a key.
    Foreign,
}

/// First and last of the full-width forms that mirror ASCII `!` to `~` (Unicode block FF00).
const FULL_WIDTH: std::ops::RangeInclusive<char> = '\u{FF01}'..='\u{FF5E}';
/// How far a full-width form lies above its ASCII twin.
const FULL_WIDTH_OFFSET: u32 = 0xFEE0;

fn read(character: char) -> Read {
    let character = if FULL_WIDTH.contains(&character) {
        char::from_u32(u32::from(character) - FULL_WIDTH_OFFSET).unwrap_or(character)
    } else {
        character
    };
    match character.to_ascii_uppercase() {
        'I' | 'L' => Read::Symbol(1),
        'O' => Read::Symbol(0),
        upper => match ALPHABET.iter().position(|symbol| char::from(*symbol) == upper) {
            #[expect(clippy::cast_possible_truncation, reason = "a position in an alphabet of 32")]
            Some(value) => Read::Symbol(value as u8),
            None if is_separator(upper) => Read::Separator,
            None => Read::Foreign,
        },
    }
}

/// White space, dashes and dots, as keyboards, word processors and web pages put them into a copied key.
fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || matches!(character,
            // Spaces of no width, which copying from a web page brings along.
            '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}'
            // Unicode's dashes (category Pd), the soft hyphen, the hyphen bullet and the minus signs.
            | '-' | '\u{00AD}' | '\u{058A}' | '\u{05BE}' | '\u{1400}' | '\u{1806}' | '\u{2010}'..='\u{2015}'
            | '\u{2043}' | '\u{207B}' | '\u{208B}' | '\u{2212}' | '\u{2E17}' | '\u{2E1A}' | '\u{2E3A}' | '\u{2E3B}'
            | '\u{2E40}' | '\u{2E5D}' | '\u{301C}' | '\u{3030}' | '\u{30A0}' | '\u{FE31}' | '\u{FE32}' | '\u{FE58}'
            | '\u{FE63}' | '\u{10EAD}'
            // Dots: full stops, middle dots, bullets, leaders, and the East Asian ones.
            | '.' | '\u{00B7}' | '\u{2022}' | '\u{2024}'..='\u{2027}' | '\u{2219}' | '\u{22C5}' | '\u{3002}'
            | '\u{30FB}' | '\u{FE52}' | '\u{FF61}' | '\u{FF65}')
}

/// The printed form of a value (0–31).
fn symbol(value: u8) -> u8 {
    ALPHABET[usize::from(value & 31)]
}

#[cfg(test)]
mod tests;
