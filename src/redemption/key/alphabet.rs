//! What keys are written with: their symbols, and how many of them there are.
//!
//! Knows no key and no text.

/// Symbols in a key.
pub const KEY_SYMBOLS: usize = 25;
/// Symbols between two dashes of a printed key.
pub const GROUP_SYMBOLS: usize = 5;
/// Symbols that carry randomness; the rest are check symbols.
pub(in crate::redemption) const RANDOM_SYMBOLS: usize = 23;
/// The digits of Crockford's base32, by value. `I`, `L`, `O` and `U` are left out.
pub(super) const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Whether a symbol, as [`symbols_as_read`](super::symbols_as_read) gives it, can stand in a key.
#[must_use]
pub fn stands_in_a_key(symbol: char) -> bool {
    u8::try_from(symbol).is_ok_and(|symbol| ALPHABET.contains(&symbol))
}

/// The printed form of a value (0–31).
pub(super) fn symbol(value: u8) -> u8 {
    ALPHABET[usize::from(value & 31)]
}
