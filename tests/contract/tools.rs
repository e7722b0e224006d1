//! Section 2, the tools: load, look at, void, give back, count and list tickets, while a server uses the same store.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::support::key::Key;
use crate::support::redeemed::Redeemed;
use crate::support::shop::{ALBUM, Outcome, Shop, Ticket, csv, file_names};

/// Fails unless none of these keys is in the text in any of the ways to write it.
#[track_caller]
fn holds_no_key<'a>(text: &str, keys: impl IntoIterator<Item = &'a Key>) {
    let text = text.to_uppercase();
    for key in keys {
        assert!(!text.contains(&key.dashed()) && !text.contains(&key.symbols()), "{key:?} is in {text}");
    }
}

/// "Existing tickets are left as they are; says how many were new, present, refused (with line numbers)".
#[test]
fn load_says_how_many_tickets_were_new_present_and_refused_and_where() {
    let shop = Shop::new();
    let present = shop.tickets(11);
    let new: Vec<Key> = (0..17).map(|_| shop.key()).collect();
    let mut tickets: Vec<Ticket> = present.iter().chain(&new).map(Ticket::new).collect();
    // Line 1 is the header, so the ticket at index i is in line i + 2.
    let mut mistyped = Ticket::new(&shop.key());
    mistyped.key.replace_range(0..1, if mistyped.key.starts_with('7') { "8" } else { "7" });
    let mut short = Ticket::new(&shop.key());
    short.key.truncate(20);
    let mut no_date = Ticket::new(&shop.key());
    no_date.expires_at = "tomorrow".to_owned();
    let refused = [(22, &mistyped), (25, &short), (29, &no_date)];
    for (line, ticket) in refused {
        tickets.insert(line - 2, ticket.clone());
    }
    let outcome = shop.tool_reading(&["load", "-"], &csv(&tickets));
    let numbers = outcome.numbers();
    for number in [17, 11, 3, 22, 25, 29] {
        assert!(numbers.contains_key(&number), "{number} is not said: {}", outcome.all());
    }
    holds_no_key(&outcome.all(), present.iter().chain(&new));
    for (_, ticket) in refused {
        assert!(!outcome.all().contains(&ticket.key), "a refused key is printed: {}", outcome.all());
    }
    let server = shop.serve();
    for key in [&new[0], &new[16], &present[0], &present[10]] {
        Redeemed::read(&server.redeem(key), 201);
    }
}

/// A file is as good as standard input, and loading it twice is loading it once.
#[test]
fn loading_a_file_again_changes_nothing() {
    let shop = Shop::new();
    let keys: Vec<Key> = (0..13).map(|_| shop.key()).collect();
    fs::write(shop.path("tickets.csv"), csv(&keys.iter().map(Ticket::new).collect::<Vec<_>>()))
        .expect("a file");
    let first = shop.tool(&["load", "tickets.csv"]).expect(0);
    assert!(first.numbers().contains_key(&13), "{}", first.all());
    let server = shop.serve();
    server.redeemed(&keys[0]);
    shop.tool_reading(&["revoke", "-"], &keys[1].dashed()).expect(0);
    let second = shop.tool(&["load", "tickets.csv"]).expect(0);
    assert!(second.numbers().contains_key(&13), "{}", second.all());
    server.redeem(&keys[0]).problem(409, "already_redeemed");
    server.redeem(&keys[1]).problem(410, "revoked");
    Redeemed::read(&server.redeem(&keys[2]), 201);
}

/// Keys in a list may be written as people write them.
#[test]
fn load_reads_keys_as_forgivingly_as_the_form_does() {
    let shop = Shop::new();
    let keys: Vec<Key> = (0..3).map(|_| shop.key()).collect();
    let spelled = [keys[0].symbols(), keys[1].dashed().to_lowercase(), keys[2].dashed().replace('-', " ")];
    let tickets: Vec<Ticket> = keys
        .iter()
        .zip(spelled)
        .map(|(key, spelling)| Ticket { key: spelling, ..Ticket::new(key) })
        .collect();
    shop.load(&tickets);
    let server = shop.serve();
    for key in &keys {
        Redeemed::read(&server.redeem(key), 201);
    }
}

/// The state that `inspect --json` gives, with all else that it gives.
#[track_caller]
fn inspect(shop: &Shop, key: &Key) -> Value {
    let outcome = shop.tool_reading(&["inspect", "-", "--json"], &format!("{key:?}\n")).expect(0);
    holds_no_key(&outcome.all(), [key]);
    outcome.json()
}

/// Somewhere in the document there is this text as a value.
fn tells(document: &Value, text: &str) -> bool {
    match document {
        Value::String(value) => value == text,
        Value::Array(items) => items.iter().any(|item| tells(item, text)),
        Value::Object(members) => members.values().any(|member| tells(member, text)),
        _ => false,
    }
}

/// `inspect`, `revoke` and `reinstate` with the key on standard input, while a server serves: each sees what the others
/// did.
#[test]
fn a_ticket_is_inspected_revoked_and_reinstated_while_a_server_runs() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let issued = inspect(&shop, &key);
    for text in ["issued", ALBUM, "tests", &key.id()] {
        assert!(tells(&issued, text), "{text} is not in {issued}");
    }

    let redeemed = server.redeemed(&key);
    let inspected = inspect(&shop, &key);
    assert!(tells(&inspected, "redeemed") && tells(&inspected, &redeemed.id), "{inspected}");

    holds_no_key(&shop.tool_reading(&["revoke", "-"], &key.dashed()).expect(0).all(), [&key]);
    assert!(tells(&inspect(&shop, &key), "revoked"));
    server.redeem(&key).problem(410, "revoked");

    let because = ["reinstate", "-", "--because", "revoked by mistake"];
    holds_no_key(&shop.tool_reading(&because, &key.dashed()).expect(0).all(), [&key]);
    assert!(tells(&inspect(&shop, &key), "issued"));
    assert_ne!(server.redeemed(&key).id, redeemed.id);
}

/// A key as an argument is read as well; what is shown does not repeat it.
#[test]
fn a_key_may_be_an_argument_and_is_not_repeated() {
    let shop = Shop::new();
    let key = shop.ticket();
    for arguments in [
        &["inspect", &key.dashed()][..],
        &["inspect", &key.symbols().to_lowercase(), "--json"],
        &["revoke", &key.dashed()],
        &["reinstate", &key.dashed(), "--because", "a test"],
    ] {
        holds_no_key(&shop.tool(arguments).expect(0).all(), [&key]);
    }
    Redeemed::read(&shop.serve().redeem(&key), 201);
}

/// A slip is told from an unknown key, and neither is repeated.
#[test]
fn a_key_that_is_no_key_is_refused_without_being_repeated() {
    let shop = Shop::new();
    shop.ticket();
    let unknown = shop.key().dashed();
    for typed in ["SSZ5AW8H8VHTPRE95B9EE0ZA3", "M9S34-6Q3D2-5VT4F-5V37E-3S3N!", "", &unknown] {
        for arguments in [&["inspect", "-"][..], &["revoke", "-"], &["reinstate", "-", "--because", "a test"]]
        {
            let outcome = shop.tool_reading(arguments, typed);
            assert!(matches!(outcome.status, Some(1 | 2)), "{arguments:?} of {typed:?}: {}", outcome.all());
            let repeated = !typed.is_empty() && outcome.all().contains(typed);
            assert!(!repeated, "{arguments:?} repeats the key: {}", outcome.all());
        }
    }
}

#[test]
fn a_batch_is_revoked_as_a_whole_and_no_other() {
    let shop = Shop::new();
    let server = shop.serve();
    let lost: Vec<Key> = (0..5).map(|_| shop.ticket_with(|key| Ticket::new(key).of_batch("lost"))).collect();
    let kept = shop.ticket_with(|key| Ticket::new(key).of_batch("kept"));
    let redeemed = server.redeemed(&lost[0]);
    shop.tool(&["revoke", "--batch", "lost"]).expect(0);
    for key in &lost {
        server.redeem(key).problem(410, "revoked");
    }
    server.follow(&redeemed.receipt_url).problem(410, "revoked");
    Redeemed::read(&server.redeem(&kept), 201);
}

/// A shop with a batch of each state.
fn shop_with_two_batches() -> (Shop, Vec<Key>) {
    let shop = Shop::new();
    let batch = |name: &str, count: usize| -> Vec<Key> {
        let keys: Vec<Key> = (0..count).map(|_| shop.key()).collect();
        shop.load(&keys.iter().map(|key| Ticket::new(key).of_batch(name)).collect::<Vec<_>>());
        keys
    };
    let (tour, press) = (batch("tour", 41), batch("press", 7));
    let server = shop.serve();
    for key in &tour[..3] {
        server.redeemed(key);
    }
    for key in &tour[3..8] {
        shop.tool_reading(&["revoke", "-"], &key.dashed()).expect(0);
    }
    (shop, tour.into_iter().chain(press).collect())
}

/// Of 41 tickets of a tour 3 were redeemed and 5 revoked, so 33 are left; the 7 of the press are another batch.
#[test]
fn stats_count_the_tickets_of_each_state() {
    let (shop, keys) = shop_with_two_batches();
    let tour = shop.tool(&["stats", "--batch", "tour"]).expect(0);
    for number in [3, 5, 33] {
        assert!(tour.numbers().contains_key(&number), "{number} is not in {}", tour.all());
    }
    assert!(!tour.numbers().contains_key(&7), "the other batch is counted too: {}", tour.all());
    let all = shop.tool(&["stats"]).expect(0);
    assert!(all.numbers().contains_key(&3) && all.numbers().contains_key(&5), "{}", all.all());

    let tour = shop.tool(&["stats", "--batch", "tour", "--json"]).expect(0);
    let document = tour.json().to_string();
    for state in ["issued", "redeemed", "revoked"] {
        assert!(document.contains(state), "{state} is not in {document}");
    }
    for number in [3, 5, 33] {
        assert!(tour.numbers().contains_key(&number), "{number} is not in {document}");
    }
    holds_no_key(&[tour.all(), all.all()].concat(), &keys);
}

/// "(the list never holds keys)": it holds their ids.
#[test]
fn export_lists_the_tickets_by_their_ids_and_never_holds_a_key() {
    let (shop, keys) = shop_with_two_batches();
    let count = |outcome: &Outcome| keys.iter().filter(|key| outcome.stdout.contains(&key.id())).count();
    for format in [&[][..], &["--json"]] {
        let everything = shop.tool(&[&["export"], format].concat()).expect(0);
        assert_eq!(count(&everything), 48, "{}", everything.all());
        let tour = shop.tool(&[&["export", "--batch", "tour"], format].concat()).expect(0);
        assert_eq!(count(&tour), 41, "{}", tour.all());
        holds_no_key(&[everything.all(), tour.all()].concat(), &keys);
    }
    let rows = shop.tool(&["export", "--json"]).expect(0).json_rows();
    let mut states = BTreeMap::new();
    for row in &rows {
        for state in ["issued", "redeemed", "revoked"].into_iter().filter(|state| tells(row, state)) {
            *states.entry(state).or_insert(0) += 1;
        }
    }
    assert_eq!(states, BTreeMap::from([("issued", 40), ("redeemed", 3), ("revoked", 5)]));
}

/// "`--json` on each": one document and nothing else on standard output.
#[test]
fn every_tool_that_looks_at_or_changes_tickets_speaks_json() {
    let shop = Shop::new();
    let key = shop.ticket();
    for arguments in [
        &["inspect", "-", "--json"][..],
        &["revoke", "-", "--json"],
        &["reinstate", "-", "--because", "a test", "--json"],
        &["revoke", "--batch", "tests", "--json"],
        &["stats", "--json"],
        &["export", "--json"],
    ] {
        let outcome = shop.tool_reading(arguments, &key.dashed()).expect(0);
        assert!(!outcome.json_rows().is_empty(), "{arguments:?}: {}", outcome.all());
        holds_no_key(&outcome.all(), [&key]);
    }
}

/// "What is in the library and whether it is complete".
#[test]
fn albums_lists_the_library_and_fails_when_it_is_not_complete() {
    let shop = Shop::new();
    let albums = shop.tool(&["albums"]).expect(0);
    assert!(albums.stdout.contains(ALBUM), "{}", albums.all());
    let file = shop.path("library").join(ALBUM).join(file_names()[0]);
    fs::remove_file(file).expect("a file of the album");
    let incomplete = shop.tool(&["albums"]);
    assert_eq!(incomplete.status, Some(1), "{}", incomplete.all());
    assert!(incomplete.all().contains(file_names()[0]), "{}", incomplete.all());
}

/// "Checks configuration, store, library, … and says what to do".
#[test]
fn doctor_finds_nothing_in_a_healthy_shop_and_the_fault_in_another() {
    let shop = Shop::new();
    shop.ticket();
    shop.serve().get("/readyz").expect(200);
    let keys = shop.path("link-keys").display().to_string();
    let doctor = ["doctor", "--link-keys-file", &keys];
    shop.tool(&doctor).expect(0);
    fs::remove_dir_all(shop.path("library")).expect("the library");
    let outcome = shop.tool(&doctor);
    assert_eq!(outcome.status, Some(1), "{}", outcome.all());
}
