//! Section 1, the key, as far as it shows in answers: what is read as a key, and how a slip is explained.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::http::{Answer, Request};
use crate::support::key::{self, Key, SYMBOLS, Word};
use crate::support::server::Server;
use crate::support::shop::Shop;

/// Section 1, "two to check against": also the proof that these tests know the key as the contract has it.
#[test]
fn the_examples_of_the_contract_have_right_check_symbols_and_the_ids_it_gives() {
    let examples = [
        ("M9S34-6Q3D2-5VT4F-5V37E-3S3NJ", "FW8esbCt8xG32a8tomvn89yOy4rIihM6OSS4kRFRWOA"),
        ("E28JT-97KB6-CQ643-DZVMX-XQK4G", "1mPqkoY-13OkhbXpmPVss6gtJcemIKaMGikFaimgDcs"),
    ];
    for (text, id) in examples {
        let key = Key::read(text).expect("right check symbols");
        assert_eq!((key.dashed().as_str(), key.id().as_str()), (text, id));
    }
    let shop = Shop::new();
    let server = shop.serve();
    for (text, _) in examples {
        // A key with wrong check symbols would be `mistyped`, and never looked for.
        type_in(&server, text).problem(404, "unknown");
    }
}

/// Section 1: "its 7th symbol should be `S`".
#[test]
fn the_mistyped_example_of_the_contract_is_explained_as_the_contract_says() {
    let shop = Shop::new();
    let problem = type_in(&shop.serve(), "SSZ5AW8H8VHTPRE95B9EE0ZA3").problem(422, "mistyped");
    let right = json!({"kind": "substitution", "position": 7, "typed": "8", "perhaps": "S"});
    assert_eq!(problem["suggestions"], json!([right]));
}

/// Section 1, "entry is forgiving": case, spaces, dashes of any kind and dots are ignored, `I`, `L` and `O` are read
/// as digits, full-width forms as ASCII. All ways to write a key are the same key: the same redemption comes back.
#[test]
fn every_way_to_write_a_key_is_the_same_key() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = Key::holding("01", 1000);
    shop.load(&[crate::support::shop::Ticket::new(&key)]);
    let first = server.redeem_as(&key, "one-person").expect(201).body.clone();
    for spelling in spellings(&key) {
        let again = server.send(&Request::redeem(&spelling).idempotency_key("one-person"));
        assert_eq!(again.expect(201).body, first, "{spelling:?}");
    }
}

fn spellings(key: &Key) -> Vec<String> {
    let symbols = key.symbols();
    let full_width = |text: &str| -> String {
        text.chars()
            .map(|symbol| char::from_u32(u32::from(symbol) + 0xFEE0).expect("a full-width form"))
            .collect()
    };
    let separators = [
        " ", "   ", "\u{a0}", "\u{2003}", "\u{2009}", "\u{3000}", // spaces
        "-", "--", "\u{2010}", "\u{2011}", "\u{2012}", "\u{2013}", "\u{2014}",
        "\u{2015}", // hyphens and dashes
        "\u{2212}", "\u{fe58}", "\u{fe63}",
        "\u{ff0d}", // a minus sign, a small dash, a small and a full-width hyphen
        ".", "\u{ff0e}", " - ", ". ", // dots, and some of each
        "\u{30fc}", "\u{30fb}", "\u{3002}", "\u{964} ",
        "\u{2022}", // what keyboards of other languages have there
        "\u{2}\n", "\u{2060}", "\u{fe0f}", "\u{fffc}", // what PDF viewers and chats put there
    ];
    let mut spellings = vec![
        symbols.clone(),
        symbols.to_lowercase(),
        key.dashed().to_lowercase(),
        symbols.replace('1', "I"),
        symbols.replace('1', "i"),
        symbols.replace('1', "L"),
        symbols.replace('1', "l"),
        symbols.replace('0', "O"),
        symbols.replace('0', "o"),
        symbols.replace('0', "o").replace('1', "l").to_lowercase(),
        full_width(&symbols),
        full_width(&symbols.to_lowercase()),
        full_width(&key.dashed()),
        full_width(&symbols.replace('0', "O").replace('1', "I")),
    ];
    let marks = [
        ("\u{2068}", "\u{2069}"),
        ("", "\u{200e}"),
        ("\u{202a}", "\u{202c}"),
        ("\u{feff}", ""),
        ("\"", "\""),
        ("'", "'"),
        ("`", "`"),
        ("“", "”"),
        ("„", "“"),
        ("«\u{a0}", "\u{a0}»"),
        ("‹", "›"),
        ("「", "」"),
        ("『", "』"),
        ("(", ")"),
        ("*", "*"),
    ];
    for (before, after) in marks {
        spellings.push(format!("{before}{}{after}", key.dashed()));
    }
    let digits_of = |zero: char| -> String {
        let other = |digit: u32| char::from_u32(u32::from(zero) + digit).expect("a digit");
        key.dashed().chars().map(|symbol| symbol.to_digit(10).map_or(symbol, other)).collect()
    };
    spellings.extend(['\u{660}', '\u{6f0}', '\u{966}', '\u{1d7ce}'].map(digits_of));
    spellings.extend([
        format!("Key: {}", key.dashed()),
        format!("Your download code is {}. Enjoy!", key.dashed()),
        format!("https://host.example/#{}", key.dashed()),
        format!("https://host.example/#{}", key.symbols()),
        format!("https://host.example/%23{}", key.dashed().replace('-', "%2D")),
    ]);
    for separator in separators {
        spellings.push(key.dashed().replace('-', separator));
        spellings.push(format!("{separator}{symbols}{separator}"));
        spellings.push(symbols.split("").collect::<Vec<_>>().join(separator));
    }
    spellings
}

/// The same with any mixture of all that is ignored: whatever a person does to a key that does not change its symbols.
#[test]
fn no_mixture_of_what_is_ignored_makes_another_key() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let first = server.redeem_as(&key, "one-person").expect(201).body.clone();
    let noise = proptest::collection::vec(("[ .\u{2010}-\u{2015}-]{0,3}", any::<bool>()), SYMBOLS);
    let outcome = TestRunner::new(ProptestConfig::with_cases(100)).run(&noise, |noise| {
        let mut typed = String::new();
        for (symbol, (separators, lower)) in key.symbols().chars().zip(noise) {
            typed.push_str(&separators);
            typed.push(if lower { symbol.to_ascii_lowercase() } else { symbol });
        }
        let again = server.send(&Request::redeem(&typed).idempotency_key("one-person"));
        prop_assert_eq!((again.status, &again.body), (201, &first));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// Section 1, "anything else is refused with its position", and section 3: 1-based, in what was sent. Positions are
/// of characters, so what came before does not matter, however many bytes it took.
#[test]
fn what_cannot_stand_in_a_key_is_refused_with_its_position_in_what_was_sent() {
    let shop = Shop::new();
    let server = shop.serve();
    let rest = "9S346Q3D25VT4F5V37E3S3NJ";
    let cases = [
        (format!("U{rest}"), 1),
        (format!("u{rest}"), 1),
        (format!("M{}!", &rest[..23]), 25),
        ("M9S34-6Q3D2-5VT4F-5V37E-3S3N!".to_owned(), 29),
        ("M9S34-6Q3U2-5UT4F-5V37E-3S3NJ".to_owned(), 10),
        (format!("  -- U{rest}"), 6),
        ("M9S34\u{2014}6Q3D2\u{2013}5VT4F\u{3000}5V*7E-3S3NJ".to_owned(), 21),
        ("\u{ff2d}\u{ff19}S34-6Q#D2-5VT4F-5V37E-3S3NJ".to_owned(), 9),
        ("M9S34_6Q3D2-5VT4F-5V37E-3S3NJ".to_owned(), 6),
        (format!("M9Ä{}", &rest[2..]), 3),
        (format!("\u{1f511}{rest}"), 1),
        (format!("M9S34\u{0}{rest}"), 6),
        (format!("M9{}\u{ff35}", &rest[1..23]), 25),
        // Two keys, and a link without a whole one.
        ("Keys: M9S34-6Q3D2-5VT4F-5V37E-3S3NJ, E28JT-97KB6-CQ643-DZVMX-XQK4G".to_owned(), 5),
        ("https://tickets.example/#M9S34-6Q3D2-5VT4F-5V37E".to_owned(), 6),
    ];
    for (typed, position) in cases {
        let problem = type_in(&server, &typed).problem(422, "malformed");
        assert_eq!(problem["position"], position, "{typed:?}: {problem}");
        assert_eq!(problem["expected_length"], SYMBOLS, "{typed:?}: {problem}");
        assert!(problem["length"].is_u64(), "{typed:?}: {problem}");
    }
}

/// Section 3, `malformed`: no position "when only the length is wrong", and the length "in symbols, separators left
/// out". Nothing at all is a key of no symbols.
#[test]
fn a_key_that_is_only_too_short_or_too_long_is_refused_with_its_length() {
    let shop = Shop::new();
    let server = shop.serve();
    let cases = [
        ("", 0),
        (" - . ", 0),
        ("M", 1),
        ("M9S34-6Q3D2-5VT4F-5V37E-3S3N", 24),
        ("M9S34-6Q3D2-5VT4F-5V37E", 20),
        ("M9S34-6Q3D2-5VT4F-5V37E-3S3NJ0", 26),
        ("m9s34 6q3d2 5vt4f 5v37e 3s3nj l", 26),
        ("M9S34-6Q3D2-5VT4F-5V37E-3S3NJ M9S34-6Q3D2-5VT4F-5V37E-3S3NJ", 50),
    ];
    for (typed, length) in cases {
        let problem = type_in(&server, typed).problem(422, "malformed");
        assert_eq!(problem["length"], length, "{typed:?}: {problem}");
        assert_eq!(problem["expected_length"], SYMBOLS, "{typed:?}: {problem}");
        assert!(problem.get("position").is_none_or(Value::is_null), "{typed:?}: {problem}");
    }
}

/// Section 1, "every one-symbol … error is detected … and the place of a single wrong symbol can be computed".
#[test]
fn every_single_wrong_symbol_is_found_and_put_right() {
    let shop = Shop::new();
    let server = shop.serve();
    let right = shop.key().word();
    for place in 0..SYMBOLS {
        for value in (0..32).filter(|value| *value != right[place]) {
            let mut wrong = right;
            wrong[place] = value;
            let suggestions = suggestions(&server, &wrong);
            let symbol = |word: &Word| key::spell(word)[place..=place].to_owned();
            let repair = json!({
                "kind": "substitution",
                "position": place + 1,
                "typed": symbol(&wrong),
                "perhaps": symbol(&right),
            });
            assert!(suggestions.contains(&repair), "{}: {suggestions:?}", key::spell(&wrong));
            same_explanations(&wrong, suggestions);
        }
    }
}

/// Section 1, "adjacent swaps included", and section 3: a swap is explained by the place of its first symbol.
#[test]
fn every_swap_of_neighbours_is_found_and_put_right() {
    let shop = Shop::new();
    let server = shop.serve();
    for right in (0..3).map(|_| shop.key().word()) {
        for place in (0..SYMBOLS - 1).filter(|place| right[*place] != right[place + 1]) {
            let mut swapped = right;
            swapped.swap(place, place + 1);
            let suggestions = suggestions(&server, &swapped);
            let repair = json!({"kind": "swap", "position": place + 1});
            assert!(suggestions.contains(&repair), "{}: {suggestions:?}", key::spell(&swapped));
            same_explanations(&swapped, suggestions);
        }
    }
}

/// Section 1, "every two-symbol error is detected". Some of them look like another single slip; what is suggested is
/// still exactly what one slip would explain.
#[test]
fn every_pair_of_wrong_symbols_is_refused_as_mistyped() {
    let shop = Shop::new();
    let server = shop.serve();
    let right = shop.key().word();
    let mut unexplained = 0;
    for first in 0..SYMBOLS {
        for second in first + 1..SYMBOLS {
            let mut wrong = right;
            wrong[first] = (right[first] + 1 + u8::try_from(second).expect("a small number")) % 32;
            wrong[second] = (right[second] + 31) % 32;
            let suggestions = suggestions(&server, &wrong);
            unexplained += usize::from(suggestions.is_empty());
            same_explanations(&wrong, suggestions);
        }
    }
    assert!(
        unexplained > 0,
        "a suggestion is made for every error, even for those that nothing simple explains"
    );
}

/// Section 3, `mistyped`: positions are among the 25, whatever separators were sent between them.
#[test]
fn separators_do_not_move_the_places_of_a_suggestion() {
    let shop = Shop::new();
    let problem = type_in(&shop.serve(), " ssz5a-w8h8v . htpre--95b9e\u{2014}e0za3").problem(422, "mistyped");
    let right = json!({"kind": "substitution", "position": 7, "typed": "8", "perhaps": "S"});
    assert_eq!(problem["suggestions"], json!([right]));
}

/// Whatever is typed, the answer is an explanation of the key and never a failure of the server.
#[test]
fn whatever_is_typed_in_is_explained() {
    let shop = Shop::new();
    let server = shop.serve();
    let typed = prop_oneof![any::<String>(), "[0-9A-HJKMNP-TV-Z]{20,30}", "[0-9A-Z! -]{25}"];
    let outcome = TestRunner::new(ProptestConfig::with_cases(300)).run(&typed, |typed| {
        let answer = type_in(&server, &typed);
        // One in 1024 of the right length is a key, though nobody's.
        let reason = answer.json()["reason"].clone();
        let expected = match answer.status {
            422 => reason == "malformed" || reason == "mistyped",
            404 => reason == "unknown",
            _ => false,
        };
        prop_assert!(expected, "{:?}: {}", typed, answer);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

fn type_in(server: &Server, typed: &str) -> Answer {
    server.send(&Request::redeem(typed))
}

#[track_caller]
fn suggestions(server: &Server, word: &Word) -> Vec<Value> {
    let problem = type_in(server, &key::spell(word)).problem(422, "mistyped");
    problem["suggestions"].as_array().unwrap_or_else(|| panic!("no suggestions: {problem}")).clone()
}

/// Fails unless these are all the explanations there are, in whatever order.
#[track_caller]
fn same_explanations(word: &Word, mut suggestions: Vec<Value>) {
    let mut expected = key::explanations(word);
    expected.sort_by_key(ToString::to_string);
    suggestions.sort_by_key(ToString::to_string);
    assert_eq!(suggestions, expected, "{}", key::spell(word));
}
