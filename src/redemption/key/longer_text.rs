//! A key in a longer text: a link (`https://host/#KEY`), a line of a message (`Key: KEY`), a whole sentence.
//!
//! Nothing is guessed: a text gives a key only when it holds exactly one, with valid check symbols, separate (no letter
//! or digit touches it) and in the form in which keys are printed: in groups of five or in one piece. One pass over the
//! text, and one more when parts of it are percent-encoded. Knows the text and nothing of its origin.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::alphabet::{GROUP_SYMBOLS, KEY_SYMBOLS};
use super::characters::{Read, is_latin_letter, read};
use super::check;

/// The values of a key's symbols.
type Values = Zeroizing<[u8; KEY_SYMBOLS]>;

/// The most words that a key can consist of.
const MAX_WORDS: usize = KEY_SYMBOLS / GROUP_SYMBOLS;
/// Fewer letters than this before a key are not a label: the text has too many symbols.
const MIN_LABEL_LETTERS: usize = 3;

/// The only key in a text, as the values of its symbols.
pub(super) fn only_key_in(text: &str) -> Option<Values> {
    match keys_in(text) {
        Found::None if text.contains('%') => {
            let Cow::Owned(decoded) = percent_decode_str(text).decode_utf8_lossy() else { return None };
            let decoded = Zeroizing::new(decoded);
            keys_in(&decoded).one()
        }
        found => found.one(),
    }
}

/// How many different keys a text holds.
enum Found {
    None,
    One(Values),
    Several,
}

impl Found {
    fn one(self) -> Option<Values> {
        match self {
            Self::One(key) => Some(key),
            Self::None | Self::Several => None,
        }
    }

    fn and(self, key: Values) -> Self {
        match self {
            Self::None => Self::One(key),
            Self::One(known) if known == key => Self::One(known),
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

fn keys_in(text: &str) -> Found {
    let words = Words::of(text);
    let found = (0..words.list.len()).filter_map(|first| words.key_from(first));
    found.fold(Found::None, Found::and)
}

/// A text as words of symbols.
struct Words {
    /// The symbols of all words, by value.
    symbols: Zeroizing<Vec<u8>>,
    list: Vec<Word>,
    /// Whether the text holds characters other than symbols and separators.
    has_foreign: bool,
}

/// Consecutive symbols with nothing between them.
struct Word {
    /// The index of its first symbol in [`Words::symbols`].
    start: usize,
    /// The index after its last symbol there.
    end: usize,
    /// Whether only separators are between it and the word before.
    follows: bool,
    /// Whether a character that [`spoils`] a key touches it.
    touched: bool,
    /// Whether it was typed in letters only.
    only_letters: bool,
}

impl Words {
    fn of(text: &str) -> Self {
        // Allocated in full at the start, so that growing leaves no copy of a key behind.
        let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut words: Vec<Word> = Vec::new();
        let (mut in_word, mut follows, mut touched, mut has_foreign) = (false, false, false, false);
        for character in text.chars() {
            match read(character) {
                Read::Symbol(value) => {
                    if !in_word {
                        let start = symbols.len();
                        words.push(Word { start, end: start, follows, touched, only_letters: true });
                    }
                    symbols.push(value);
                    if let Some(word) = words.last_mut() {
                        word.end += 1;
                        word.only_letters &= is_latin_letter(character);
                    }
                    (in_word, follows) = (true, true);
                }
                Read::Separator => (in_word, touched) = (false, false),
                Read::Around | Read::Foreign => {
                    touched = spoils(character);
                    if let Some(word) = words.last_mut().filter(|_| in_word) {
                        word.touched |= touched;
                    }
                    (in_word, follows, has_foreign) = (false, false, true);
                }
            }
        }
        Self { symbols, list: words, has_foreign }
    }

    /// The key whose first word is this one.
    fn key_from(&self, first: usize) -> Option<Values> {
        let (before, rest) = self.list.split_at(first);
        let start = rest.first()?.start;
        // A key consists of whole groups, with only separators between them.
        let parts = rest.iter().enumerate().take(MAX_WORDS).take_while(|(index, word)| {
            (word.end - word.start).is_multiple_of(GROUP_SYMBOLS)
                && !word.touched
                && (*index == 0 || word.follows)
        });
        let (last, _) = parts.into_iter().find(|(_, word)| word.end == start + KEY_SYMBOLS)?;
        let after = &rest[last + 1..];
        if !(self.has_foreign || is_label(before) && after.is_empty()) {
            return None;
        }
        let values: Values = Zeroizing::new(self.symbols[start..start + KEY_SYMBOLS].try_into().ok()?);
        check::is_codeword(&values).then_some(values)
    }
}

/// Whether a character that touches a key makes it another text: a letter that is no symbol, or the rest of an
/// invalid percent escape.
fn spoils(character: char) -> bool {
    is_latin_letter(character) || matches!(character, '%' | '\0' | char::REPLACEMENT_CHARACTER)
}

/// Whether words that consist of symbols only, such as `Code` and `Key`, are a label and not surplus symbols.
fn is_label(words: &[Word]) -> bool {
    words.first().is_some_and(|word| word.end - word.start >= MIN_LABEL_LETTERS)
        && words.iter().all(|word| word.only_letters)
}
