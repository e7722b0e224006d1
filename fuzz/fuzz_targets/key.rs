//! Reading a key: any text gets an answer, the answer is consistent, and what is explained would mend it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickey::redemption::key::{DownloadKey, KEY_SYMBOLS, KeyError, Suggestion, symbols_as_read};

fuzz_target!(|typed: &str| {
    let symbols: Vec<char> = symbols_as_read(typed).collect();
    match DownloadKey::parse(typed) {
        Ok(key) => {
            // The whole text is the key, or the key is in a longer text, which does not change with its surroundings.
            let whole = symbols.len() == KEY_SYMBOLS;
            assert!(whole || symbols.len() > KEY_SYMBOLS);
            assert!(!whole || key.reveal().replace('-', "") == symbols.iter().collect::<String>());
            let printed = key.reveal();
            for longer in [format!("Key: {printed}"), format!("https://host/%23{printed}!"), printed] {
                assert_eq!(DownloadKey::parse(&longer).as_ref(), Ok(&key));
            }
        }
        Err(KeyError::Malformed { position, length }) => {
            assert_eq!(length, symbols.len());
            assert!(position.is_none_or(|place| (1..=typed.chars().count()).contains(&place)));
            assert!(position.is_some() || length != KEY_SYMBOLS);
        }
        Err(KeyError::Mistyped { suggestions }) => {
            assert_eq!(symbols.len(), KEY_SYMBOLS);
            assert!(suggestions.len() <= 2);
            for suggestion in suggestions {
                let mut mended = symbols.clone();
                match suggestion {
                    Suggestion::Substitution { position, perhaps, .. } => mended[position - 1] = perhaps,
                    Suggestion::Swap { position } => mended.swap(position - 1, position),
                }
                assert!(DownloadKey::parse(&mended.iter().collect::<String>()).is_ok());
            }
        }
    }
});
