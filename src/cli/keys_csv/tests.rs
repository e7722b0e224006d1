//! Files of keys as people and spreadsheets write them.

use super::*;

const GOOD: &str = "M9S34-6Q3D2-5VT4F-5V37E-3S3NJ,album,batch";

fn read(text: &str) -> Vec<Result<(), (u64, String)>> {
    let mut csv = KeysCsv::new(text.as_bytes()).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = csv.next().unwrap() {
        lines.push(line.map(drop).map_err(|bad| (bad.line, bad.why)));
    }
    lines
}

#[test]
fn a_bad_line_spoils_no_other_and_is_named_by_its_number() {
    let long = "x".repeat(5000);
    let text = format!(
        "key,album,batch,valid_from,expires_at\r\n\r\n{GOOD}\r\n\
         \"{GOOD}\n\n{long}\n\u{FEFF}bad\n{GOOD},\"\",\"2030-01-01\""
    );
    let lines = read(&text);
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert_eq!((&lines[0], &lines[4]), (&Ok(()), &Ok(())));
    let numbers: Vec<u64> =
        lines.iter().filter_map(|line| line.as_ref().err()).map(|(line, _)| *line).collect();
    assert_eq!(numbers, [4, 6, 7]);
}

#[test]
fn fields_are_read_as_spreadsheets_write_them() {
    let quoted = GOOD.replace(",album,", ",\"an \"\"album\"\", so called\",");
    for line in [
        GOOD,
        &quoted,
        &format!(" {} ", GOOD.replace(',', " , ")),
        &format!("\"{}", GOOD.replacen(',', "\",", 1)),
    ] {
        assert_eq!(read(&format!("key,album,batch\n{line}")), [Ok(())], "{line}");
        assert_eq!(read(&format!("key,album,batch\r\n{line}\r\n")), [Ok(())], "{line}");
    }
    let text = format!("key,album,batch\n{quoted}\n");
    let mut csv = KeysCsv::new(text.as_bytes()).unwrap();
    let line = csv.next().unwrap().unwrap().ok().unwrap();
    assert_eq!(line.terms.album.as_str(), "an \"album\", so called");
    let wide = format!("key,album,batch\n{GOOD}{}\n{GOOD}\n", ",x".repeat(MAX_COLUMNS));
    assert_eq!(read(&wide), [Err((2, "it has more than 100 columns".to_owned())), Ok(())]);
    assert!(read("key,album,batch\n\u{FEFF}\n").len() == 1);
}

#[test]
fn the_header_may_be_in_any_order_and_must_be_there() {
    assert!(KeysCsv::new("batch,key,album\n".as_bytes()).is_ok());
    for text in ["", "key,album\n", GOOD] {
        assert!(KeysCsv::new(text.as_bytes()).is_err(), "{text}");
    }
}

/// What is read of a text, or why its header is refused.
#[expect(clippy::type_complexity, reason = "of two tests alone")]
fn try_read(text: &str) -> Result<Vec<Result<(), (u64, String)>>, String> {
    KeysCsv::new(text.as_bytes()).map(drop)?;
    Ok(read(text))
}

#[test]
fn spreadsheets_may_separate_columns_by_semicolons_or_tabs() {
    let plain =
        format!("key,album,batch,valid_from,expires_at\n{GOOD},,2030-01-01\n{GOOD},,\nbad,album,batch,,\n");
    let expected = read(&plain);
    assert_eq!(expected[..2], [Ok(()), Ok(())]);
    for separator in [";", "\t", ","] {
        let file = plain.replace(',', separator);
        for file in [
            file.clone(),
            format!("\u{FEFF}{}", file.replace('\n', "\r\n")),
            format!("\u{FEFF}{}", file.replacen("key", "\"key\"", 1)),
            file.to_uppercase().replace("2030-01-01", "\"2030-01-01\""),
            file.replacen("key", "\" Key \"", 1)
                .replace("valid_from", "Valid from")
                .replace("expires_at", "Expires-At"),
        ] {
            let lines = read(&file);
            assert_eq!(lines.len(), 3, "{file:?}");
            assert_eq!(lines, expected, "{file:?}");
        }
    }
    // A name may hold the other separators.
    let file = "batch;key;album\n\"tour; first\";M9S34-6Q3D2-5VT4F-5V37E-3S3NJ;a, b\n";
    let mut csv = KeysCsv::new(file.as_bytes()).unwrap();
    let terms = csv.next().unwrap().unwrap().ok().unwrap().terms;
    assert_eq!((terms.batch.as_str(), terms.album.as_str()), ("tour; first", "a, b"));
}

#[test]
fn a_first_line_may_announce_the_separator_and_counts_as_a_line() {
    for first in ["sep=;\n", "\u{FEFF}sep=;\r\n", "SEP=;\n", "\"sep=;\";;\n", "sep=;;;;\n", "\nsep=;\n"] {
        let file = format!("{first}key;album;batch\n{}\nbad;album;batch\n", GOOD.replace(',', ";"));
        let lines = try_read(&file).unwrap_or_else(|why| panic!("{file:?}: {why}"));
        let bad = 2 + first.matches('\n').count() as u64 + 1;
        assert_eq!(lines[0], Ok(()), "{file:?}");
        assert_eq!(lines[1].as_ref().unwrap_err().0, bad, "{file:?}");
    }
    assert!(try_read("sep=;\nkey,album,batch\n").is_err());
    assert!(try_read("sep=;").is_err());
}

#[test]
fn rows_without_content_are_skipped_and_counted_as_lines() {
    let file =
        format!("key;album;batch;;\n;;;;\n\"\";\" \";;;\n \n{}\n;;\t;\nbad;a;b\n", GOOD.replace(',', ";"));
    let lines = read(&file);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((&lines[0], lines[1].as_ref().unwrap_err().0), (&Ok(()), 7));
}

#[test]
fn a_file_that_is_no_csv_is_refused_with_what_to_do() {
    let utf_16 = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
        let text = format!("key\talbum\tbatch\r\n{}\r\n", GOOD.replace(',', "\t"));
        [mark, &text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>()].concat()
    };
    for (file, said) in [
        (utf_16(b"\xFF\xFE", u16::to_le_bytes), "UTF-16"),
        (utf_16(b"\xFE\xFF", u16::to_be_bytes), "UTF-16"),
        (utf_16(b"", u16::to_le_bytes), "UTF-16"),
        (b"PK\x03\x04\x14\0rest".to_vec(), "spreadsheet"),
        (format!("key,album,batch\r{GOOD}\r").into_bytes(), "CR alone"),
        (format!("key,album,batch\r{}", format!("{GOOD}\r").repeat(200)).into_bytes(), "CR alone"),
        (b"key|album|batch\n".to_vec(), "commas, semicolons or tabs"),
        (format!("{GOOD}\n").into_bytes(), "should be the header"),
    ] {
        let why = KeysCsv::new(file.as_slice()).map(drop).unwrap_err();
        assert!(why.contains(said), "{why}");
        assert!(!why.contains("M9S34"), "{why}");
    }
}
