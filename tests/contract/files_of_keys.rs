//! Section 2, `tickey mint` and `tickey load`, where people and their spreadsheets come in: files as they are saved,
//! dates that are past, albums that are mistyped, names that a spreadsheet would run.

use std::fs;

use crate::support::key::Key;
use crate::support::shop::{ALBUM, Outcome, Shop, Ticket, csv};

#[track_caller]
fn mint(shop: &Shop, more: &[&str]) -> Outcome {
    let mut arguments = vec!["mint", "--batch", "tour", "--count", "1", "-o", "keys.csv"];
    if !more.contains(&"--album") {
        arguments.extend(["--album", ALBUM]);
    }
    arguments.extend(more);
    shop.tool(&arguments)
}

/// A spreadsheet of a country with decimal commas separates columns by semicolons; others write tabs, or say which.
#[test]
fn load_takes_files_as_spreadsheets_save_them() {
    let shop = Shop::new();
    let server = shop.serve();
    let forms: [fn(&str) -> String; 6] = [
        |file| format!("\u{feff}{}", file.replace(',', ";").replace('\n', "\r\n")),
        |file| file.replace(',', "\t"),
        |file| format!("sep=;\n{}", file.replace(',', ";")),
        |file| file.replacen("key,album", "Key , ALBUM", 1).replace("expires_at", "Expires at"),
        |file| format!("{file},,,,\n\n,,,,\n"),
        |file| {
            let lines = file.replace(',', "\",\"");
            lines.lines().flat_map(|line| ["\"", line, "\"\n"]).collect()
        },
    ];
    for form in forms {
        let keys = [shop.key(), shop.key()];
        let file = form(&csv(&keys.each_ref().map(Ticket::new)));
        let loaded = shop.tool_reading(&["load", "-"], &file).expect(0);
        assert!(loaded.stdout.contains("2 new, 0 present, 0 refused"), "{file:?}: {}", loaded.all());
        for key in &keys {
            server.redeemed(key);
        }
    }
}

#[test]
fn load_names_the_lines_of_such_a_file_by_their_numbers_in_it() {
    let shop = Shop::new();
    let file =
        format!("sep=;\nKey;Album;Batch\n;;\n{};{ALBUM};tour\n;;;\nbad;{ALBUM};tour\n", shop.key().dashed());
    let loaded = shop.tool_reading(&["load", "-"], &file).expect(1);
    assert!(loaded.stdout.contains("1 new, 0 present, 1 refused"), "{}", loaded.all());
    assert!(loaded.stderr.contains("line 6: "), "{}", loaded.all());
}

#[test]
fn a_file_in_utf_16_is_refused_with_how_to_save_it() {
    let shop = Shop::new();
    let text: Vec<u8> = "key\talbum\tbatch\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(shop.path("keys.txt"), [b"\xff\xfe".as_slice(), &text].concat()).expect("a file");
    let loaded = shop.tool(&["load", "keys.txt"]).expect(1);
    assert!(loaded.stderr.contains("CSV UTF-8"), "{}", loaded.all());
}

#[test]
fn load_says_which_lines_differ_from_what_is_stored_and_changes_nothing() {
    let shop = Shop::new();
    let keys: Vec<Key> = (0..3).map(|_| shop.key()).collect();
    let tickets: Vec<Ticket> = keys.iter().map(Ticket::new).collect();
    shop.load(&tickets);
    let before = shop.tool(&["export"]).expect(0).stdout;
    let late = "2099-01-01T00:00:00Z".parse().expect("a time");
    let changed =
        [tickets[0].clone(), tickets[1].clone().expiring(late), tickets[2].clone().of_batch("other")];
    let file = csv(&changed);
    let loaded = shop.tool_reading(&["load", "-"], &file).expect(0);
    assert!(loaded.stdout.contains("0 new, 3 present, 0 refused"), "{}", loaded.all());
    for said in ["2 of those present differ", "line 3 (expires_at)", "line 4 (batch)", "tickey extend"] {
        assert!(loaded.stderr.contains(said), "{said}: {}", loaded.all());
    }
    assert!(!loaded.stderr.contains("line 2"), "{}", loaded.all());
    let report = shop.tool_reading(&["load", "--json", "-"], &file).expect(0).json();
    assert_eq!(report["differing"], 2, "{report}");
    assert_eq!(report["differing_lines"][0]["line"], 3, "{report}");
    assert_eq!(report["differing_lines"][0]["columns"][0], "expires_at", "{report}");
    assert_eq!(shop.tool(&["export"]).expect(0).stdout, before);
    let same = shop.tool_reading(&["load", "-"], &csv(&tickets)).expect(0);
    assert!(!same.all().contains("differ"), "{}", same.all());
}

#[test]
fn a_past_end_is_refused_by_mint_and_no_key_is_made() {
    let shop = Shop::new();
    for end in ["2020-01-01", "2026-11-01T00:00:00Z"] {
        let minted = mint(&shop, &["--expires", end]).expect(2);
        assert!(minted.stderr.contains("not in the future"), "{}", minted.all());
        assert!(!shop.path("keys.csv").exists());
    }
}

#[test]
fn load_says_of_keys_that_have_ended_that_they_cannot_be_redeemed() {
    let shop = Shop::new();
    let ended = Ticket::new(&shop.key()).expiring("2020-01-01T00:00:00Z".parse().expect("a time"));
    let loaded = shop.tool_reading(&["load", "-"], &csv(&[Ticket::new(&shop.key()), ended])).expect(0);
    assert!(
        loaded.stderr.contains("ended before now") && loaded.stderr.contains("line 3"),
        "{}",
        loaded.all()
    );
}

#[test]
fn mint_and_load_print_the_moment_at_which_keys_end_with_its_zone() {
    let shop = Shop::new();
    let minted = mint(&shop, &["--expires", "2098-12-24"]).expect(0);
    let words = "2098-12-24T00:00:00Z, when that day begins in UTC (for the whole day, 2098-12-25)";
    assert!(minted.stdout.contains(words), "{}", minted.all());
    let loaded = shop.tool(&["load", "keys.csv"]).expect(0);
    assert!(loaded.stdout.contains(words), "{}", loaded.all());
    let report = shop.tool(&[
        "mint",
        "--json",
        "--album",
        ALBUM,
        "--batch",
        "tour",
        "--count",
        "1",
        "-o",
        "more.csv",
        "--expires",
        "2098-12-24T18:00:00+01:00",
    ]);
    assert_eq!(report.expect(0).json()["expires_at"], "2098-12-24T17:00:00Z");
}

#[test]
fn a_mistyped_album_is_refused_by_mint_with_the_one_that_was_meant() {
    let shop = Shop::new();
    let minted = mint(&shop, &["--album", "harbor-lights"]).expect(1);
    assert!(minted.stderr.contains(&format!("did you mean `{ALBUM}`?")), "{}", minted.all());
    assert!(!shop.path("keys.csv").exists());
    // Without a library there is nothing to look into, and a reminder.
    let minted = shop
        .tool_without_library(&["mint", "--album", "x", "--batch", "b", "--count", "1", "-o", "keys.csv"]);
    assert!(minted.expect(0).stderr.contains("tickey doctor"));
}

#[test]
fn load_takes_tickets_of_an_album_that_is_not_there_yet_and_says_so() {
    let shop = Shop::new();
    let tickets = [Ticket::new(&shop.key()).of_album("harbour-light"), Ticket::new(&shop.key())];
    let loaded = shop.tool_reading(&["load", "-"], &csv(&tickets)).expect(0);
    assert!(loaded.stderr.contains("no album `harbour-light`"), "{}", loaded.all());
    assert!(loaded.stderr.contains(ALBUM), "{}", loaded.all());
}

#[test]
fn a_store_that_was_made_is_named() {
    let shop = Shop::new();
    let store = format!("sqlite:{}", shop.path("other.db").display());
    let minted = mint(&shop, &["--store", &store]).expect(0);
    assert!(minted.stderr.contains(&format!("a new store was made: {store}")), "{}", minted.all());
    let loaded = shop.tool(&["load", "--store", &store, "keys.csv"]).expect(0);
    assert!(!loaded.stderr.contains("a new store"), "{}", loaded.all());
}

#[test]
fn no_cell_of_a_list_is_a_formula_and_the_list_of_keys_loads_again() {
    let shop = Shop::new();
    for (number, name) in ["=1+1", "+44", "-5 dB", "@home"].into_iter().enumerate() {
        shop.add_album(name, "T", "A", &[("1.flac", vec![0; 10])]);
        let file = format!("keys-{number}.csv");
        let batch = format!("--batch={name}");
        let album = format!("--album={name}");
        shop.tool(&["mint", &album, &batch, "--count", "1", "-o", &file]).expect(0);
        let keys = fs::read_to_string(shop.path(&file)).expect("the list of keys");
        let listed = shop.tool(&["export", &batch]).expect(0).stdout;
        for list in [&keys, &listed] {
            let row = list.lines().nth(1).expect("a row");
            let cells = row.split(',').skip(1);
            assert!(cells.clone().any(|cell| cell == format!("'{name}")), "{row}");
            assert!(cells.clone().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "{row}");
        }
        let loaded = shop.tool(&["load", &file]).expect(0);
        assert!(loaded.stdout.contains("0 new, 1 present"), "{}", loaded.all());
        assert!(!loaded.stderr.contains("differ"), "{}", loaded.all());
        let report = shop.tool(&["stats", "--json", &batch]).expect(0).json();
        assert_eq!(report["batches"][0]["batch"], name, "{report}");
    }
}

#[test]
fn no_output_holds_what_a_terminal_would_run() {
    let shop = Shop::new();
    let key = shop.ticket();
    shop.serve().redeemed(&key);
    let because = "late\u{1b}[2J\u{9b}31m\u{202e}";
    let folder = shop.path("library").join("odd\u{1b}[31m");
    fs::create_dir_all(folder).expect("a folder that is no album");
    let outputs = [
        shop.tool_reading(&["reinstate", "--because", because, "-"], &key.dashed()),
        shop.tool_reading(&["inspect", "-"], &key.dashed()),
        shop.tool_reading(&["inspect", "--json", "-"], &key.dashed()),
        shop.tool(&["export", "--json"]),
        shop.tool(&["albums"]),
        shop.tool(&["albums", "--json"]),
        shop.tool(&["doctor"]),
        shop.tool(&["mint", "--album", "x\u{9b}31m", "--batch", "b", "--count", "1", "-o", "k.csv"]),
    ];
    for output in outputs {
        let runs = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!output.all().contains(runs), "{:?}", output.all());
    }
}
