//! Section 2, `tickey demo`, and section 4's "`seed/ticket-data.json` … `seed/demo-keys.csv` has the keys that belong
//! to it": the main job, with nothing to set up.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::key::Key;
use crate::support::redeemed::Redeemed;
use crate::support::server::{Server, tickey};
use crate::support::shop::hexadecimal_sha256;
use crate::support::time::{eventually, now};

#[track_caller]
fn demo(directory: &Path) -> Server {
    let mut command = tickey(directory);
    command.args(["demo", "--data-dir", "data"]);
    Server::start(command)
}

fn seed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("seed").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The keys of the demo, in the order of their list.
fn keys() -> Vec<Key> {
    let list = seed("demo-keys.csv");
    let keys = list.lines().skip(1).filter_map(|line| line.split(',').next());
    keys.map(|key| Key::read(key).expect("a well-formed key")).collect()
}

/// The documents of the bulk file by their ids.
fn documents() -> HashMap<String, Value> {
    let lines: Vec<Value> =
        seed("ticket-data.json").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    lines
        .chunks(2)
        .map(|pair| (pair[0]["create"]["_id"].as_str().expect("an id").to_owned(), pair[1].clone()))
        .collect()
}

#[test]
fn every_ticket_of_the_seed_has_its_key_in_the_list() {
    let keys = keys();
    let documents = documents();
    assert_eq!(keys.len(), documents.len());
    for key in keys {
        assert!(documents.contains_key(&key.id()), "no ticket for {key:?}");
    }
}

/// What happens to each key follows from its ticket, and no more of it than is said there.
#[test]
fn every_key_of_the_demo_does_what_its_ticket_says() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let server = demo(directory.path());
    let documents = documents();
    let is_past =
        |instant: &Value| instant.as_str().map(|text| text.parse::<jiff::Timestamp>().unwrap() <= now());
    for key in keys() {
        let ticket = &documents[&key.id()];
        let answer = server.redeem(&key);
        match ticket["status"].as_str() {
            Some("issued") if is_past(&ticket["expires_at"]) == Some(true) => {
                answer.problem(410, "expired");
            }
            Some("issued") if is_past(&ticket["valid_from"]) == Some(false) => {
                answer.problem(403, "not_yet_valid");
            }
            Some("issued") => {
                let redeemed = Redeemed::read(&answer, 201);
                assert_eq!(redeemed.album["id"], ticket["album"]);
                for file in &redeemed.files {
                    assert_eq!(hexadecimal_sha256(&server.follow(&file.url).expect(200).body), file.sha256);
                }
            }
            Some("redeemed") => {
                answer.problem(409, "already_redeemed");
            }
            Some("revoked") => {
                answer.problem(410, "revoked");
            }
            status => panic!("a ticket of status {status:?}"),
        }
    }
}

/// "Prints the address and keys that can be redeemed right now".
#[test]
fn the_keys_that_the_demo_prints_can_be_redeemed() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let server = demo(directory.path());
    let address = server.address.to_string();
    let printed = eventually("it prints its address and keys", || {
        let printed = server.printed();
        (printed.contains(&address) && !keys_in(&printed).is_empty()).then_some(printed)
    });
    for key in keys_in(&printed) {
        Redeemed::read(&server.redeem(&key), 201);
    }
}

/// The keys in a text, each once.
fn keys_in(text: &str) -> BTreeSet<Key> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'))
        .filter(|word| word.len() == 29)
        .filter_map(Key::read)
        .collect()
}

/// "When the store is new it loads `seed/`": a second start finds everything as it was left, and offers only keys that
/// are still good.
#[test]
fn a_second_start_of_the_demo_finds_everything_as_it_was_left() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let server = demo(directory.path());
    let printed =
        eventually("it prints keys", || Some(keys_in(&server.printed())).filter(|keys| !keys.is_empty()));
    let used = printed.first().expect("one key at least");
    let redeemed = Redeemed::read(&server.redeem_as(used, "mine"), 201);
    server.kill();

    let server = demo(directory.path());
    server.redeem(used).problem(409, "already_redeemed");
    assert_eq!(Redeemed::read(&server.follow(&redeemed.receipt_url), 200).id, redeemed.id);
    let printed =
        eventually("it prints keys", || Some(keys_in(&server.printed())).filter(|keys| !keys.is_empty()));
    assert!(!printed.contains(used), "a used key is offered");
}
