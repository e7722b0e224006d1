//! Texts as cells of a CSV file that people open in spreadsheets.
//!
//! A spreadsheet executes a cell that begins like a formula, whatever its origin. So such a text is written with an
//! apostrophe before it, which marks a text in spreadsheets, and read without it. Knows texts and nothing of tickets.

use std::borrow::Cow;

/// The first characters of formulas, including the full-width forms of East Asian input methods.
const FORMULA_STARTS: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
/// The character that marks a text in spreadsheets.
const TEXT_MARK: char = '\'';

/// The cell for a text: never a formula.
#[must_use]
pub fn cell(text: &str) -> Cow<'_, str> {
    if is_marked_formula(text) { Cow::Owned(format!("{TEXT_MARK}{text}")) } else { Cow::Borrowed(text) }
}

/// The text of a cell, as [`cell`] was given it.
#[must_use]
pub fn text(cell: &str) -> &str {
    match cell.strip_prefix(TEXT_MARK) {
        Some(text) if is_marked_formula(text) => text,
        _ => cell,
    }
}

/// Whether a text begins like a formula, or would without its leading marks: such marks must be kept apart from ours.
fn is_marked_formula(text: &str) -> bool {
    text.trim_start_matches(TEXT_MARK).starts_with(FORMULA_STARTS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_marked_as_text() {
        for (given, written) in [
            ("=1+1", "'=1+1"),
            ("+44", "'+44"),
            ("-5 dB", "'-5 dB"),
            ("@home", "'@home"),
            ("＝１", "'＝１"),
            ("'=1", "''=1"),
            ("tour-2026", "tour-2026"),
            ("'74 jailbreak", "'74 jailbreak"),
            ("", ""),
        ] {
            assert_eq!(cell(given), written);
            assert_eq!(text(written), given);
        }
        assert_eq!(text("'quoted'"), "'quoted'");
    }

    proptest! {
        #[test]
        fn no_cell_is_a_formula_and_each_reads_back(given in "['=+@a\t-]{0,6}") {
            let written = cell(&given);
            prop_assert!(!written.starts_with(FORMULA_STARTS));
            prop_assert_eq!(text(&written), given.as_str());
        }
    }
}
