//! Section 2, `tickey mint`: "the CSV is written and synced first, then loaded, so no key can be lost between the two;
//! running it again on the same file finishes a broken run and mints nothing new".

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::support::key::Key;
use crate::support::redeemed::Redeemed;
use crate::support::server::tickey;
use crate::support::shop::{ALBUM, CSV_HEADER, Outcome, Shop};

const FILE: &str = "keys.csv";

fn mint_arguments(count: usize) -> Vec<String> {
    let count = count.to_string();
    let arguments = ["mint", "--album", ALBUM, "--batch", "tour", "--count", &count, "-o", FILE];
    arguments.map(str::to_owned).to_vec()
}

#[track_caller]
fn mint(shop: &Shop, count: usize) -> Outcome {
    let arguments = mint_arguments(count);
    shop.tool(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The rows of the file, each with its key, which must be well-formed and the only one of its kind.
#[track_caller]
fn rows(shop: &Shop) -> Vec<(Key, String)> {
    let csv = fs::read_to_string(shop.path(FILE)).expect("the list of keys");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some(CSV_HEADER));
    let mut seen = HashSet::new();
    lines
        .map(|line| {
            let (key, rest) = line.split_once(',').unwrap_or_else(|| panic!("no row: {line:?}"));
            let key = Key::read(key).unwrap_or_else(|| panic!("no well-formed key: {line:?}"));
            assert!(seen.insert(key.clone()), "{key:?} twice");
            (key, rest.to_owned())
        })
        .collect()
}

/// How many tickets the store has, by the ids it lists.
#[track_caller]
fn ids_in_the_store(shop: &Shop) -> usize {
    let listed = shop.tool(&["export", "--json"]).expect(0);
    listed.json_rows().len()
}

#[test]
fn minted_keys_are_written_to_a_file_for_its_owner_only_and_can_be_redeemed() {
    let shop = Shop::new();
    let outcome = mint(&shop, 100).expect(0);
    let rows = rows(&shop);
    assert_eq!(rows.len(), 100);
    assert!(rows.iter().all(|(_, rest)| *rest == format!("{ALBUM},tour,,")), "{:?}", rows[0]);
    let mode = fs::metadata(shop.path(FILE)).expect("the list of keys").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(ids_in_the_store(&shop), 100);
    let server = shop.serve();
    for (key, _) in &rows[95..] {
        Redeemed::read(&server.redeem(key), 201);
    }
    let said = outcome.all();
    assert!(
        rows.iter().all(|(key, _)| !said.contains(&key.dashed()) && !said.contains(&key.symbols())),
        "{said}"
    );
}

/// Not only one key in two runs, but no relation that could be seen: all the random symbols differ from key to key.
#[test]
fn two_runs_mint_different_keys() {
    let (first, second) = (Shop::new(), Shop::new());
    mint(&first, 200).expect(0);
    mint(&second, 200).expect(0);
    let keys: HashSet<Key> = rows(&first).into_iter().chain(rows(&second)).map(|(key, _)| key).collect();
    assert_eq!(keys.len(), 400);
    for place in 0..23 {
        let values: HashSet<u8> = keys.iter().map(|key| key.word()[place]).collect();
        assert_eq!(values.len(), 32, "not every symbol appears at place {}", place + 1);
    }
}

#[test]
fn the_dates_of_a_batch_are_in_the_file_and_hold() {
    let shop = Shop::new();
    let dates = ["--valid-from", "2098-01-01T00:00:00Z", "--expires", "2099-01-01T00:00:00Z"];
    let arguments = mint_arguments(2);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(dates).collect();
    shop.tool(&arguments).expect(0);
    let rows = rows(&shop);
    for (_, rest) in &rows {
        assert_eq!(*rest, format!("{ALBUM},tour,2098-01-01T00:00:00Z,2099-01-01T00:00:00Z"));
    }
    shop.serve().redeem(&rows[0].0).problem(403, "not_yet_valid");
}

#[test]
fn minting_again_on_the_same_file_mints_nothing_new() {
    let shop = Shop::new();
    mint(&shop, 50).expect(0);
    let file = fs::read(shop.path(FILE)).expect("the list of keys");
    mint(&shop, 50).expect(0);
    assert!(fs::read(shop.path(FILE)).expect("the list of keys") == file, "the file has changed");
    assert_eq!(ids_in_the_store(&shop), 50);
}

/// A run that broke after the file was written and before it was loaded.
#[test]
fn minting_again_loads_what_is_in_the_file_and_not_in_the_store() {
    let shop = Shop::new();
    mint(&shop, 50).expect(0);
    let file = fs::read(shop.path(FILE)).expect("the list of keys");
    for suffix in ["", "-wal", "-shm"] {
        // Not every one of them is there when nobody uses the store.
        let _ = fs::remove_file(shop.path(&format!("tickets.db{suffix}")));
    }
    mint(&shop, 50).expect(0);
    assert!(fs::read(shop.path(FILE)).expect("the list of keys") == file, "the file has changed");
    assert_eq!(ids_in_the_store(&shop), 50);
    let server = shop.serve();
    for (key, _) in rows(&shop).iter().take(3) {
        Redeemed::read(&server.redeem(key), 201);
    }
}

/// What was redeemed stays redeemed when a batch is minted "again".
#[test]
fn minting_again_gives_no_used_ticket_back() {
    let shop = Shop::new();
    mint(&shop, 5).expect(0);
    let server = shop.serve();
    let key = rows(&shop)[2].0.clone();
    server.redeemed(&key);
    mint(&shop, 5).expect(0);
    server.redeem(&key).problem(409, "already_redeemed");
}

/// Keys that may have been printed are never lost, whatever the second command asks for by mistake.
#[test]
fn minting_something_else_into_the_same_file_loses_no_key_of_it() {
    let shop = Shop::new();
    mint(&shop, 20).expect(0);
    let before: Vec<Key> = rows(&shop).into_iter().map(|(key, _)| key).collect();
    for arguments in [
        ["mint", "--album", ALBUM, "--batch", "tour", "--count", "5", "-o", FILE],
        ["mint", "--album", ALBUM, "--batch", "another", "--count", "20", "-o", FILE],
        ["mint", "--album", "another", "--batch", "tour", "--count", "20", "-o", FILE],
    ] {
        shop.tool(&arguments);
        let after: HashSet<Key> = rows(&shop).into_iter().map(|(key, _)| key).collect();
        assert!(before.iter().all(|key| after.contains(key)), "{arguments:?} has lost keys");
    }
}

/// `kill -9` at any moment, and the same command again: as many tickets as were asked for, each with its key in the
/// file.
#[test]
fn a_run_that_was_killed_is_finished_by_running_it_again() {
    const COUNT: usize = 20_000;
    for milliseconds in [5, 20, 50, 100, 200, 400] {
        let shop = Shop::new();
        let mut run = tickey(shop.folder())
            .args(mint_arguments(COUNT))
            .env("TICKEY_STORE", shop.store())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        // The moment of death is what is varied here.
        thread::sleep(Duration::from_millis(milliseconds));
        run.kill().expect("our own child");
        run.wait().expect("our own child");
        mint(&shop, COUNT).expect(0);
        let minted = rows(&shop);
        assert_eq!(minted.len(), COUNT, "killed after {milliseconds} ms");
        assert_eq!(ids_in_the_store(&shop), COUNT, "killed after {milliseconds} ms");
        Redeemed::read(&shop.serve().redeem(&minted[COUNT - 1].0), 201);
    }
}
