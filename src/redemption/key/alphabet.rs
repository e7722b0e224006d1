//! The alphabet of keys: their symbols, and the number of symbols.
//!
//! Knows no key and no text.

/// The number of symbols in a key.
pub const KEY_SYMBOLS: usize = 25;
/// The number of symbols between two dashes of a printed key.
pub const GROUP_SYMBOLS: usize = 5;
/// The number of random symbols; the rest are check symbols.
pub(in crate::redemption) const RANDOM_SYMBOLS: usize = 23;
/// The digits of Crockford's base32, by value. `I`, `L`, `O` and `U` are left out.
pub(super) const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Whether a symbol, as [`symbols_as_read`](super::symbols_as_read) returns it, is in the alphabet.
#[must_use]
pub fn stands_in_a_key(symbol: char) -> bool {
    u8::try_from(symbol).is_ok_and(|symbol| ALPHABET.contains(&symbol))
}

/// The printed form of a value (0–31).
pub(super) fn symbol(value: u8) -> u8 {
    ALPHABET[usize::from(value & 31)]
}
