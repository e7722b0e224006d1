//! Explains the mistakes in a typed key, in words for a person who sees the form.
//!
//! The script of the page gives the same explanation before anything is sent, in the same words: `tell` in
//! `static/tickey.js`. A test in the browser compares the two.

use std::borrow::Cow;

use crate::redemption::key::{
    GROUP_SYMBOLS, KEY_SYMBOLS, KeyError, Suggestion, stands_in_a_key, symbols_as_read,
};

/// The most hints about invalid symbols; more would not help.
const MAX_HINTS: usize = 3;

/// A mistake in words.
pub(super) struct Told {
    pub(super) title: &'static str,
    pub(super) detail: Cow<'static, str>,
    /// Where to look, one sentence each.
    pub(super) hints: Vec<String>,
    /// The positions of the doubtful symbols, from 1.
    pub(super) wrong: Vec<usize>,
}

/// The mistake in words.
pub(super) fn tell(mistake: &KeyError, typed: &str) -> Told {
    match mistake {
        KeyError::Mistyped { suggestions } => mistyped(suggestions, typed),
        KeyError::Malformed { position: Some(_), .. } => foreign(typed),
        KeyError::Malformed { position: None, length } => wrong_length(*length),
    }
}

fn mistyped(suggestions: &[Suggestion], typed: &str) -> Told {
    let look = if suggestions.len() > 1 { "Or look" } else { "Look" };
    let hint = |suggestion: &Suggestion| match suggestion {
        Suggestion::Substitution { position, perhaps, .. } => {
            let shown = symbols_as_read(typed).nth(position - 1).unwrap_or_default();
            format!("Look at {}: you typed {shown}, it may be {perhaps}.", place(*position))
        }
        Suggestion::Swap { position } => {
            format!("{look} at symbols {position} and {}: they may be in the wrong order.", position + 1)
        }
    };
    let places = |suggestion: &Suggestion| match suggestion {
        Suggestion::Substitution { position, .. } => vec![*position],
        Suggestion::Swap { position } => vec![*position, position + 1],
    };
    let detail = if suggestions.is_empty() {
        "Its last two symbols check the others, and they do not fit. More than one symbol must differ, so please \
         compare it with your card, group by group."
    } else {
        "Its last two symbols check the others, and they do not fit."
    };
    Told {
        title: "This key has a typing mistake",
        detail: detail.into(),
        hints: suggestions.iter().map(hint).collect(),
        wrong: suggestions.iter().flat_map(places).collect(),
    }
}

fn foreign(typed: &str) -> Told {
    let symbols = symbols_as_read(typed).zip(1..);
    let foreign: Vec<(char, usize)> = symbols.filter(|(symbol, _)| !stands_in_a_key(*symbol)).collect();
    let hint = |(symbol, position): &(char, usize)| {
        let symbol = symbol.to_ascii_uppercase();
        let perhaps = if symbol == 'U' { ", it may be V" } else { "" };
        format!("Look at {}: {symbol}{perhaps}.", place(*position))
    };
    Told {
        title: if foreign.len() > 1 {
            "Some of this cannot be in a key"
        } else {
            "One symbol cannot be in a key"
        },
        detail: "A key has only digits and the letters A to Z, and never the letter U.".into(),
        hints: foreign.iter().take(MAX_HINTS).map(hint).collect(),
        wrong: foreign.iter().map(|(_, position)| *position).collect(),
    }
}

fn wrong_length(length: usize) -> Told {
    let (title, detail) = if length == 0 {
        ("The key is still missing", Cow::from("Type the 25 letters and digits from your card."))
    } else {
        let (title, what) = if length < KEY_SYMBOLS {
            ("This key is too short", "few")
        } else {
            ("This key is too long", "many")
        };
        let off = length.abs_diff(KEY_SYMBOLS);
        let off = if off == 1 { "one".to_owned() } else { off.to_string() };
        let detail = format!(
            "A key has {KEY_SYMBOLS} symbols and this has {length}: {off} too {what}. Compare it with your card, group \
             by group."
        );
        (title, detail.into())
    };
    Told { title, detail, hints: Vec::new(), wrong: Vec::new() }
}

/// A symbol's position in a key, as people count.
fn place(position: usize) -> String {
    const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
    match ORDINALS.get((position - 1) / GROUP_SYMBOLS) {
        Some(group) => format!("symbol {position} ({group} group)"),
        None => format!("symbol {position}"),
    }
}
