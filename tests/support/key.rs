//! The key of section 1 of the contract: Crockford base32 with two Reed–Solomon check symbols over GF(32).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How many symbols a key has, and how many of them are random.
pub(crate) const SYMBOLS: usize = 25;
const RANDOM_SYMBOLS: usize = 23;

/// Crockford's digits, each at its value.
pub(crate) const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The generator (x−α)(x−α²) = x² + (α+α²)x + α³, lowest coefficient first, with α = 2.
const GENERATOR: [u8; 2] = [8, 6];

/// Twenty-five symbols as somebody typed them, each as its value: a key only if the check symbols are right.
pub(crate) type Word = [u8; SYMBOLS];

/// A well-formed key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(Word);

impl Key {
    /// The `number`-th of an endless row of keys, the same in every run.
    pub(crate) fn numbered(number: u64) -> Self {
        let noise = Sha256::digest(format!("key {number} of the contract's tests"));
        let mut word = [0; SYMBOLS];
        for (symbol, byte) in word.iter_mut().zip(noise).take(RANDOM_SYMBOLS) {
            *symbol = byte % 32;
        }
        Self::with_check_symbols(word)
    }

    /// The first key from `number` on that holds all of these symbols.
    pub(crate) fn holding(symbols: &str, number: u64) -> Self {
        (number..number + 1000)
            .map(Self::numbered)
            .find(|key| symbols.chars().all(|symbol| key.symbols().contains(symbol)))
            .expect("one in a thousand keys has them")
    }

    /// Reads a key as the program prints it: the 25 symbols, dashes between them or not, with right check symbols.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let word = word(text)?;
        is_code_word(&word).then_some(Self(word))
    }

    fn with_check_symbols(mut word: Word) -> Self {
        let mut remainder = [0; 2];
        for &symbol in &word[..RANDOM_SYMBOLS] {
            let feedback = symbol ^ remainder[1];
            remainder[1] = remainder[0] ^ product(feedback, GENERATOR[1]);
            remainder[0] = product(feedback, GENERATOR[0]);
        }
        word[RANDOM_SYMBOLS] = remainder[1];
        word[RANDOM_SYMBOLS + 1] = remainder[0];
        Self(word)
    }

    /// The symbols' values, to be garbled.
    pub(crate) fn word(&self) -> Word {
        self.0
    }

    /// The 25 symbols alone.
    pub(crate) fn symbols(&self) -> String {
        spell(&self.0)
    }

    /// As printed on a card: `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`.
    pub(crate) fn dashed(&self) -> String {
        let symbols = self.symbols();
        let groups: Vec<&str> = (0..SYMBOLS).step_by(5).map(|start| &symbols[start..start + 5]).collect();
        groups.join("-")
    }

    /// The ticket's id: the digest of the symbols, which is all that may be stored.
    pub(crate) fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.symbols()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.dashed())
    }
}

/// The symbols of a word, as text.
pub(crate) fn spell(word: &Word) -> String {
    word.iter().map(|&value| symbol(value)).collect()
}

/// Reads 25 symbols, right or wrong, with or without dashes.
pub(crate) fn word(text: &str) -> Option<Word> {
    let values: Option<Vec<u8>> = text
        .bytes()
        .filter(|byte| *byte != b'-')
        .map(|byte| {
            ALPHABET.iter().position(|digit| *digit == byte).and_then(|value| u8::try_from(value).ok())
        })
        .collect();
    values?.try_into().ok()
}

/// What the answer `mistyped` must suggest for this word: every single wrong symbol and every adjacent swap that
/// would explain it, found by trying them all.
pub(crate) fn explanations(word: &Word) -> Vec<Value> {
    let mut found = Vec::new();
    for place in 0..SYMBOLS {
        for value in (0..32).filter(|value| *value != word[place]) {
            let mut other = *word;
            other[place] = value;
            if is_code_word(&other) {
                let (typed, perhaps) = (symbol(word[place]).to_string(), symbol(value).to_string());
                let position = place + 1;
                found.push(
                    json!({"kind": "substitution", "position": position, "typed": typed, "perhaps": perhaps}),
                );
            }
        }
    }
    for place in 0..SYMBOLS - 1 {
        let mut other = *word;
        other.swap(place, place + 1);
        if other != *word && is_code_word(&other) {
            found.push(json!({"kind": "swap", "position": place + 1}));
        }
    }
    found
}

fn symbol(value: u8) -> char {
    char::from(ALPHABET[usize::from(value)])
}

/// Whether the word, read as a polynomial with its first symbol as the highest coefficient, is zero at α and at α².
pub(crate) fn is_code_word(word: &Word) -> bool {
    [2, 4].iter().all(|&root| word.iter().fold(0, |sum, &coefficient| product(sum, root) ^ coefficient) == 0)
}

/// The product in GF(32) with the field polynomial x⁵+x²+1.
fn product(mut left: u8, mut right: u8) -> u8 {
    let mut sum = 0;
    while right != 0 {
        if right & 1 == 1 {
            sum ^= left;
        }
        left <<= 1;
        if left & 0b10_0000 != 0 {
            left ^= 0b10_0101;
        }
        right >>= 1;
    }
    sum
}
