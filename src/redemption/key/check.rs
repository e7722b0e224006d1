//! The check symbols: a Reed–Solomon code over GF(32), and the mistakes that it can locate.
//!
//! A key is a codeword of the (31,29) code with generator (x−α)(x−α²), shortened to 25 symbols; the first symbol is the
//! coefficient of x²⁴. Its distance is 3, so one or two wrong symbols never pass, and a single wrong one can be
//! located: an error of value e at power p gives the syndromes S₁ = e·αᵖ and S₂ = e·α²ᵖ, so S₂/S₁ = αᵖ (Lin and
//! Costello, *Error Control Coding*, chapter 7).

use super::alphabet::{KEY_SYMBOLS, symbol};

/// Elements of GF(32) other than zero: the order of α.
const ORDER: usize = 31;
/// x⁵ + x² + 1, primitive over GF(2); α is the class of x.
const FIELD_POLYNOMIAL: u8 = 0b10_0101;

/// α to the power of the index, twice over so that a sum of two logarithms needs no reduction.
const EXP: [u8; 2 * ORDER] = exponentials();
/// The logarithm of the index to the base α; the entry of 0 is unused.
const LOG: [usize; 32] = logarithms();

const fn exponentials() -> [u8; 2 * ORDER] {
    let mut table = [0; 2 * ORDER];
    let mut value = 1_u8;
    let mut power = 0;
    while power < 2 * ORDER {
        table[power] = value;
        value <<= 1;
        if value & 0b10_0000 != 0 {
            value ^= FIELD_POLYNOMIAL;
        }
        power += 1;
    }
    table
}

const fn logarithms() -> [usize; 32] {
    let mut table = [0; 32];
    let mut power = 0;
    while power < ORDER {
        table[EXP[power] as usize] = power;
        power += 1;
    }
    table
}

fn multiply(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 { 0 } else { EXP[LOG[usize::from(a)] + LOG[usize::from(b)]] }
}

/// The polynomial of the symbols at α and at α²: both zero for a codeword.
fn syndromes(values: &[u8; KEY_SYMBOLS]) -> (u8, u8) {
    values.iter().fold((0, 0), |(first, second), value| {
        (multiply(first, EXP[1]) ^ value, multiply(second, EXP[2]) ^ value)
    })
}

/// Whether the check symbols fit.
pub(super) fn is_codeword(values: &[u8; KEY_SYMBOLS]) -> bool {
    syndromes(values) == (0, 0)
}

/// Sets the last two symbols so that the whole is a codeword.
pub(super) fn complete(values: &mut [u8; KEY_SYMBOLS]) {
    values[KEY_SYMBOLS - 2..].fill(0);
    let (first, second) = syndromes(values);
    // Two equations, c₁·α + c₀ = S₁ and c₁·α² + c₀ = S₂, so c₁ = (S₁ + S₂) / (α + α²).
    let divisor = EXP[1] ^ EXP[2];
    let inverse = EXP[ORDER - LOG[usize::from(divisor)]];
    let high = multiply(first ^ second, inverse);
    values[KEY_SYMBOLS - 2] = high;
    values[KEY_SYMBOLS - 1] = first ^ multiply(high, EXP[1]);
}

/// A simple, plausible explanation of why a key fails the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suggestion {
    /// One symbol is wrong.
    Substitution {
        /// 1-based position among the 25 symbols.
        position: usize,
        /// The symbol as it was read.
        typed: char,
        /// The symbol with which the key would pass.
        perhaps: char,
    },
    /// Two neighbours are in the wrong order.
    Swap {
        /// 1-based position of the first of the two.
        position: usize,
    },
}

/// Every explanation of a word that is not a codeword by one wrong symbol (at most one exists) or one swap of
/// neighbours.
pub(super) fn explain(values: &[u8; KEY_SYMBOLS]) -> Vec<Suggestion> {
    substitution(values).into_iter().chain(swap(values)).collect()
}

fn substitution(values: &[u8; KEY_SYMBOLS]) -> Option<Suggestion> {
    let (first, second) = syndromes(values);
    if first == 0 || second == 0 {
        return None;
    }
    let power = (LOG[usize::from(second)] + ORDER - LOG[usize::from(first)]) % ORDER;
    // Powers 25 to 30 belong to the part of the code that was shortened away: no symbol is there.
    let index = (KEY_SYMBOLS - 1).checked_sub(power)?;
    let error = EXP[LOG[usize::from(first)] + ORDER - power];
    Some(Suggestion::Substitution {
        position: index + 1,
        typed: char::from(symbol(values[index])),
        perhaps: char::from(symbol(values[index] ^ error)),
    })
}

/// At most one swap explains it, too: its syndromes give S₂/S₁ = (1 + α)·αᵖ⁻¹, which determines one position.
fn swap(values: &[u8; KEY_SYMBOLS]) -> Option<Suggestion> {
    (1..KEY_SYMBOLS).find_map(|position| {
        let mut swapped = *values;
        swapped.swap(position - 1, position);
        is_codeword(&swapped).then_some(Suggestion::Swap { position })
    })
}
