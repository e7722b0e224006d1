//! What a key looks like, and what its ticket is stored under.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a key's symbols.
pub type TicketId = [u8; 32];

/// The digits of Crockford's base32, by value.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`
const KEY_BYTES: usize = 29;
const GROUP: usize = 5;

/// Checks a key as it is printed, both check symbols included.
pub fn ticket_id(key: &str) -> Option<TicketId> {
    if key.len() != KEY_BYTES {
        return None;
    }
    let mut digest = Sha256::new();
    // The symbols as a polynomial over GF(32), at α and at α²: zero for a key.
    let (mut first, mut second) = (0, 0);
    for (index, byte) in key.bytes().enumerate() {
        if index % (GROUP + 1) == GROUP {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let value = ALPHABET.iter().position(|symbol| *symbol == byte)?;
        first = times_alpha(first) ^ value;
        second = times_alpha(times_alpha(second)) ^ value;
        digest.update([byte]);
    }
    ((first, second) == (0, 0)).then(|| digest.finalize().into())
}

/// Multiplies in GF(32), whose polynomial is x⁵ + x² + 1, by the class of x.
fn times_alpha(value: usize) -> usize {
    if value & 0b1_0000 == 0 { value << 1 } else { (value << 1) ^ 0b10_0101 }
}
