//! The lists are in order, and the script of the form reads every character and every text as the server does.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;
use crate::redemption::key::{DownloadKey, KeyError, symbols};

const SCRIPT: &str = include_str!("../../../../static/tickey.js");

#[test]
fn each_list_is_in_order_and_none_has_what_another_has() {
    let zeros: Vec<(u32, u32)> = ZEROS.iter().map(|zero| (*zero, zero + 9)).collect();
    let forms: Vec<(u32, u32)> = FORMS.iter().map(|(first, last, _)| (*first, *last)).collect();
    let lists = [SEPARATORS, AROUND, &zeros, &forms];
    for list in lists {
        assert!(list.iter().all(|(first, last)| first <= last));
        assert!(list.windows(2).all(|pair| pair[0].1 < pair[1].0), "{list:X?}");
    }
    let mut all = lists.concat();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0].1 < pair[1].0), "{all:X?}");
}

#[test]
fn whatever_the_standard_library_calls_white_space_is_a_separator() {
    for character in ('\0'..=char::MAX).filter(|character| character.is_whitespace()) {
        assert_eq!(read(character), Read::Separator, "{character:?}");
    }
}

#[test]
fn the_script_has_these_lists() {
    let lists = lists_of_the_script();
    assert!(SCRIPT.contains(&lists), "static/tickey.js has other lists; put these there:\n{lists}");
}

/// The lists as the script has them: hexadecimal code points, `first-last=ASCII`.
fn lists_of_the_script() -> String {
    let range = |first: u32, last: u32| {
        if first == last { format!("{first:x}") } else { format!("{first:x}-{last:x}") }
    };
    let plain =
        |list: &[(u32, u32)]| list.iter().map(|(first, last)| range(*first, *last)).collect::<Vec<_>>();
    let forms =
        FORMS.iter().map(|(first, last, ascii)| format!("{}={}", range(*first, *last), char::from(*ascii)));
    let zeros = ZEROS.iter().map(|zero| range(*zero, zero + 9) + "=0");
    let mut text = String::new();
    for (name, items) in [
        ("SEPARATORS", plain(SEPARATORS)),
        ("AROUND", plain(AROUND)),
        ("DIGITS", zeros.collect()),
        ("FORMS", forms.collect()),
    ] {
        writeln!(text, "  const {name} = ranges(`").unwrap();
        for line in items.chunks(8) {
            writeln!(text, "    {}", line.join(" ")).unwrap();
        }
        writeln!(text, "  `);").unwrap();
    }
    text
}

/// Runs a program of one line in Node, with the script loaded as `tickey` and the lines of standard input as `lines`.
fn node(program: &str, input: &str) -> String {
    let lines = "const lines = require('node:fs').readFileSync(0, 'utf8').split('\\n');";
    let whole = format!("{SCRIPT}\n{lines}\nconst {{ tickey }} = globalThis;\n{program}");
    let file = tempfile::NamedTempFile::with_suffix(".cjs").unwrap();
    std::fs::write(file.path(), whole).unwrap();
    let mut child = Command::new("node")
        .arg(file.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs Node.js (apt install nodejs)");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_script_reads_every_character_of_unicode_as_the_server_does() {
    let program = "
        const told = (means) => typeof means === 'string' ? means : means.value < 0 ? 'foreign' : means.value;
        const all = [];
        for (let point = 0; point < 0x110000; point += 1)
            if (point < 0xd800 || point > 0xdfff) all.push(told(tickey.meaning(String.fromCodePoint(point))));
        process.stdout.write(all.join('\\n'));";
    let answers = node(program, "");
    let mut compared = 0;
    for (character, script) in ('\0'..=char::MAX).zip(answers.split('\n')) {
        let server = match read(character) {
            Read::Symbol(value) => value.to_string(),
            Read::Separator => "separator".to_owned(),
            Read::Around => "around".to_owned(),
            Read::Foreign => "foreign".to_owned(),
        };
        assert_eq!(script, server, "{character:?} (U+{:04X})", u32::from(character));
        compared += 1;
    }
    assert_eq!(compared, 0x11_0000 - 0x800);
}

/// Texts of pieces that keys are found among, and of pieces that make one of two keys or none.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "M9S34-6Q3D2-5VT4F-5V37E-3S3NJ", "m9s346q3d25vt4f5v37e3s3nj", "E28JT 97KB6 CQ643 DZVMX XQK4G",
            "M9S34%2D6Q3D2%2D5VT4F%2d5V37E%2D3S3NJ", "M9S34-6Q3D2-5VT4F-5V37E-3S3NZ", "M9S34", "6Q3D2",
        ]).prop_map(str::to_owned),
        4 => prop::sample::select(vec![
            "Key: ", "Key ", "https://host/#", "u", "é", "“", "”", "*", " ", "\n", "-", "\u{2068}", "%23", "%E2%81%A8",
            "%FF", "%", "兑换码", "Enjoy!", ". ", "12345", "_", "٣", "𝐀", "Ｕ",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,3}",
    ];
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat().replace('\n', "\u{2028}"))
}

#[test]
fn the_script_finds_a_key_in_a_text_when_the_server_does() {
    let mut texts_and_answers = Vec::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..4000 {
        let text = texts().new_tree(&mut runner).unwrap().current();
        let answer = match DownloadKey::parse(&text) {
            Ok(key) => format!("key {}", key.reveal()),
            Err(KeyError::Malformed { position, length }) => {
                let first = symbols(&text).position(|symbol| symbol.value.is_none());
                assert_eq!(first.is_some(), position.is_some(), "{text:?}");
                format!("malformed {length} {}", first.map_or(0, |index| index + 1))
            }
            Err(KeyError::Mistyped { suggestions }) => format!("mistyped {}", suggestions.len()),
        };
        texts_and_answers.push((text, answer));
    }
    let kinds = |kind: &str| texts_and_answers.iter().filter(|(_, answer)| answer.starts_with(kind)).count();
    assert!(
        kinds("key") > 300 && kinds("malformed") > 300 && kinds("mistyped") > 30,
        "the texts are of one kind only"
    );
    let program = "
        const told = (finding, text) => !finding ? `key ${tickey.format(text)}`
            : finding.reason === 'mistyped' ? `mistyped ${finding.suggestions.length}`
            : `malformed ${finding.length} ${finding.wrong[0] ?? 0}`;
        process.stdout.write(lines.map((text) => told(tickey.check(text), text)).join('\\n'));";
    let input: Vec<&str> = texts_and_answers.iter().map(|(text, _)| text.as_str()).collect();
    let answers = node(program, &input.join("\n"));
    assert_eq!(answers.split('\n').count(), texts_and_answers.len());
    for ((text, server), script) in texts_and_answers.iter().zip(answers.split('\n')) {
        assert_eq!(script, server, "{text:?}");
    }
}
