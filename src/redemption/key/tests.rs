//! The claims of the key's definition, one by one.

use super::*;
use proptest::prelude::*;

const VECTORS: [(&str, &str); 2] = [
    ("M9S34-6Q3D2-5VT4F-5V37E-3S3NJ", "FW8esbCt8xG32a8tomvn89yOy4rIihM6OSS4kRFRWOA"),
    ("E28JT-97KB6-CQ643-DZVMX-XQK4G", "1mPqkoY-13OkhbXpmPVss6gtJcemIKaMGikFaimgDcs"),
];

fn any_key() -> impl Strategy<Value = DownloadKey> {
    any::<[u8; 23]>().prop_map(|random| DownloadKey::from_random(&random))
}

fn plain(key: &DownloadKey) -> Vec<char> {
    key.reveal().chars().filter(|c| *c != '-').collect()
}

fn parse(symbols: &[char]) -> Result<DownloadKey, KeyError> {
    DownloadKey::parse(&symbols.iter().collect::<String>())
}

fn suggestions(symbols: &[char]) -> Vec<Suggestion> {
    match parse(symbols) {
        Err(KeyError::Mistyped { suggestions }) => suggestions,
        other => panic!("expected a mistyped key, got {other:?}"),
    }
}

#[test]
fn the_published_vectors_have_their_ids() {
    for (text, id) in VECTORS {
        let key = DownloadKey::parse(text).unwrap();
        assert_eq!(key.reveal(), text);
        assert_eq!(key.id().to_string(), id);
        assert_eq!(TicketId::parse(id), Some(key.id()));
    }
}

#[test]
fn the_published_typo_is_placed() {
    let typo: Vec<char> = "SSZ5AW8H8VHTPRE95B9EE0ZA3".chars().collect();
    assert!(suggestions(&typo).contains(&Suggestion::Substitution { position: 7, typed: '8', perhaps: 'S' }));
}

#[test]
fn debug_shows_nothing() {
    let key = DownloadKey::parse(VECTORS[0].0).unwrap();
    assert_eq!(format!("{key:?}"), "DownloadKey(redacted)");
    let error = DownloadKey::parse("M9S34-6Q3D2-5VT4F-5V37E-3S3NZ").unwrap_err();
    assert!(!format!("{error:?} {error}").contains("M9S34"));
}

#[test]
fn length_and_foreign_symbols_are_told_apart() {
    let malformed = |text: &str| match DownloadKey::parse(text) {
        Err(KeyError::Malformed { position, length }) => (position, length),
        other => panic!("{text:?} gave {other:?}"),
    };
    assert_eq!(malformed(""), (None, 0));
    assert_eq!(malformed(" - . "), (None, 0));
    assert_eq!(malformed("M9S34-6Q3D2"), (None, 10));
    assert_eq!(malformed("M9S34-6Q3D2-5VT4F-5V37E-3S3NJ0"), (None, 26));
    assert_eq!(malformed("M9S34-6Q3U2-5VT4F-5V37E-3S3NJ"), (Some(10), 25));
    // Positions are counted in characters of what was sent, separators and non-ASCII ones included.
    assert_eq!(malformed("“M9S34”6Q3D2-5VT4F-5V37E-3S3NJ”"), (Some(7), 26));
    assert_eq!(malformed("\"\""), (None, 0));
    assert_eq!(malformed("－－é"), (Some(3), 1));
    // Symbols past the 25th are looked at too.
    assert_eq!(malformed("M9S34-6Q3D2-5VT4F-5V37E-3S3NZ 00 !"), (Some(34), 28));
}

#[test]
fn entry_is_forgiving() {
    let id = DownloadKey::parse(VECTORS[0].0).unwrap().id();
    for text in [
        "m9s346q3d25vt4f5v37e3s3nj",
        "  M9S34 6Q3D2\t5VT4F 5V37E 3S3NJ\r\n",
        "M9S34—6Q3D2–5VT4F‐5V37E−3S3NJ",
        "M9S34.6Q3D2·5VT4F。5V37E．3S3NJ",
        "\u{FEFF}M9S34\u{AD}6Q3D2\u{200B}5VT4F\u{3000}5V37E\u{FF0D}3S3NJ",
        "Ｍ９ｓ３４６Ｑ３Ｄ２５ＶＴ４Ｆ５Ｖ３７Ｅ３Ｓ３ＮＪ",
    ] {
        assert_eq!(DownloadKey::parse(text).unwrap().id(), id, "{text:?}");
    }
}

#[test]
fn what_is_put_between_and_around_the_symbols_does_not_matter() {
    let (text, _) = VECTORS[0];
    let key = DownloadKey::parse(text).unwrap();
    for (before, after) in [
        ("\u{2068}", "\u{2069}"),
        ("", "\u{200E}"),
        ("\u{202A}", "\u{202C}"),
        ("\u{FEFF}", "\u{FE0F}"),
        ("", "\u{FFFC}"),
        ("\"", "\""),
        ("'", "'"),
        ("`", "`"),
        ("“", "”"),
        ("„", "“"),
        ("«\u{A0}", "\u{A0}»"),
        ("‹", "›"),
        ("「", "」"),
        ("『", "』"),
        ("＂", "＂"),
        ("(", ")"),
        ("*", "*"),
        ("||", "||"),
    ] {
        assert_eq!(DownloadKey::parse(&format!("{before}{text}{after}")).as_ref(), Ok(&key), "{before:?}");
        // A typing mistake is explained all the same.
        let typo = format!("{before}{}Z{after}", &text[..text.len() - 1]);
        assert!(matches!(DownloadKey::parse(&typo), Err(KeyError::Mistyped { .. })), "{typo:?}");
    }
    for between in ["\u{2060}", "ー", "・", "। ", "。", "\u{2}\n", "\u{E0100}", "➖", " • ", "\u{2800}"]
    {
        assert_eq!(DownloadKey::parse(&text.replace('-', between)).as_ref(), Ok(&key), "{between:?}");
    }
}

#[test]
fn digits_of_every_script_and_letters_of_every_font_are_read_as_ascii() {
    let (text, _) = VECTORS[0];
    let id = DownloadKey::parse(text).unwrap().id();
    for zero in ['٠', '۰', '०', '০', '๐', '𝟎', '０'] {
        let typed: String = text
            .chars()
            .map(|c| c.to_digit(10).and_then(|d| char::from_u32(u32::from(zero) + d)).unwrap_or(c))
            .collect();
        assert_eq!(DownloadKey::parse(&typed).unwrap().id(), id, "{typed}");
    }
    assert_eq!(DownloadKey::parse(&text.replace('M', "𝐌").replace('S', "𝓼")).unwrap().id(), id);
    for foreign in ["U", "u", "𝐔", "é", "²", "①", "С", "😀", "\0"] {
        let typed = text.replacen('6', foreign, 1);
        let Err(KeyError::Malformed { position, length }) = DownloadKey::parse(&typed) else {
            panic!("{typed:?} was read as a key");
        };
        assert_eq!((position, length), (Some(7), 25), "{typed:?}");
        assert_eq!(symbols_as_read(&typed).nth(5), foreign.chars().next(), "{typed:?}");
    }
}

#[test]
fn a_longer_text_gives_the_only_key_in_it_and_nothing_is_guessed() {
    let [(text, _), (other, _)] = VECTORS;
    let bare = text.replace('-', "");
    let key = DownloadKey::parse(text).unwrap();
    for typed in [
        format!("Key: {text}"),
        format!("KEY {text}"),
        format!("Your download code is {text}. Enjoy!"),
        format!("https://host.example/#{text}"),
        format!("https://host.example/#{bare}"),
        format!("https://host.example/#{}", text.replace('-', "%2D")),
        format!("https://out.example/?url=https%3A%2F%2Fhost.example%2F%23{text}&x=%FF"),
        format!("https://host.example/#%E2%81%A8{text}%E2%81%A9"),
        format!("{text} (that is, {bare})"),
        format!("下载码{text}，谢谢"),
    ] {
        assert_eq!(DownloadKey::parse(&typed).as_ref(), Ok(&key), "{typed}");
    }
    for typed in [
        format!("Keys: {text}, {other}"),
        format!("{text} {text}"),
        format!("{text} 1"),
        format!("A {text}"),
        format!("12345 {text}"),
        format!("U{text}"),
        format!("{text}é"),
        format!("Key: {text}0"),
        format!("Key: {}", text.replacen('-', "_", 1)),
        format!("Key: {}Z", &text[..text.len() - 1]),
        format!("Key: {}", text.replacen("9S", "S9", 1)),
    ] {
        assert!(matches!(DownloadKey::parse(&typed), Err(KeyError::Malformed { .. })), "{typed}");
    }
}

#[test]
fn letters_that_look_like_digits_are_read_as_digits() {
    let key =
        DownloadKey::from_random(&[0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]);
    let printed = key.reveal();
    for (zero, one) in [("O", "I"), ("o", "l"), ("Ｏ", "Ｌ"), ("O", "i")] {
        assert_eq!(DownloadKey::parse(&printed.replace('0', zero).replace('1', one)).unwrap(), key);
    }
}

#[test]
fn every_single_and_double_error_of_one_key_is_refused() {
    let key = DownloadKey::parse(VECTORS[1].0).unwrap();
    for a in 0..KEY_SYMBOLS {
        for error_a in 1..32 {
            let mut one = key.values;
            one[a] ^= error_a;
            assert!(!check::is_codeword(&one));
            for b in a + 1..KEY_SYMBOLS {
                for error_b in 1..32 {
                    let mut two = one;
                    two[b] ^= error_b;
                    assert!(!check::is_codeword(&two));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(key in any_key()) {
        prop_assert_eq!(DownloadKey::parse(&key.reveal()), Ok(key));
    }

    #[test]
    fn one_wrong_symbol_is_found_and_mended(key in any_key(), index in 0..KEY_SYMBOLS, error in 1_u8..32) {
        let mut values = key.values;
        values[index] ^= error;
        let found = check::explain(&values);
        let substitution = Suggestion::Substitution {
            position: index + 1,
            typed: char::from(symbol(values[index])),
            perhaps: char::from(symbol(key.values[index])),
        };
        prop_assert!(found.contains(&substitution));
        let substitutions = found.iter().filter(|s| matches!(s, Suggestion::Substitution { .. })).count();
        prop_assert_eq!(substitutions, 1);
    }

    #[test]
    fn a_swap_of_neighbours_is_refused_and_explained(key in any_key(), index in 0..KEY_SYMBOLS - 1) {
        let mut symbols = plain(&key);
        prop_assume!(symbols[index] != symbols[index + 1]);
        symbols.swap(index, index + 1);
        let swap = Suggestion::Swap { position: index + 1 };
        prop_assert!(suggestions(&symbols).contains(&swap));
    }

    #[test]
    fn two_wrong_symbols_never_pass(
        key in any_key(), a in 0..KEY_SYMBOLS, b in 0..KEY_SYMBOLS, error_a in 1_u8..32, error_b in 1_u8..32,
    ) {
        prop_assume!(a != b);
        let mut values = key.values;
        values[a] ^= error_a;
        values[b] ^= error_b;
        prop_assert!(!check::is_codeword(&values));
    }

    #[test]
    fn every_suggestion_makes_a_key(values in prop::array::uniform25(0_u8..32)) {
        prop_assume!(!check::is_codeword(&values));
        for suggestion in check::explain(&values) {
            let mut mended: Vec<char> = values.iter().map(|v| char::from(symbol(*v))).collect();
            match suggestion {
                Suggestion::Substitution { position, typed, perhaps } => {
                    prop_assert_eq!(mended[position - 1], typed);
                    mended[position - 1] = perhaps;
                }
                Suggestion::Swap { position } => mended.swap(position - 1, position),
            }
            prop_assert!(parse(&mended).is_ok());
        }
    }

    #[test]
    fn any_text_gets_an_answer(text in ".{0,80}") {
        match DownloadKey::parse(&text) {
            Ok(key) => {
                let read: Vec<char> = symbols_as_read(&text).collect();
                prop_assert!(read == plain(&key) || read.len() > KEY_SYMBOLS);
            }
            Err(KeyError::Malformed { position, length }) => {
                prop_assert!(position.is_none_or(|p| (1..=text.chars().count()).contains(&p)));
                prop_assert!(position.is_some() || length != KEY_SYMBOLS);
                prop_assert_eq!(length, symbols_as_read(&text).count());
            }
            Err(KeyError::Mistyped { .. }) => prop_assert_eq!(symbols_as_read(&text).count(), KEY_SYMBOLS),
        }
    }
}
