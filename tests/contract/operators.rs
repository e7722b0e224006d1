//! What whoever issues tickets does beside minting: prolong, void, undo, and find out what became of a request.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::key::Key;
use crate::support::redeemed::Redeemed;
use crate::support::shop::{ALBUM, Outcome, Shop, Ticket};
use crate::support::time::{eventually, now, seconds_from_now};

fn hours_from_now(hours: i64) -> Timestamp {
    seconds_from_now(hours * 3600)
}

/// Waits until the store lists so many tickets of a batch, since lists may lag.
#[track_caller]
fn listed(shop: &Shop, batch: &str, tickets: u64) {
    let stats = || shop.tool(&["stats", "--batch", batch, "--json"]);
    eventually("all are listed", || {
        let outcome = stats();
        (outcome.status == Some(0) && outcome.json()["tickets"] == tickets).then_some(())
    });
}

/// A key of a ticket that has expired since it was stored.
fn expired(shop: &Shop) -> Key {
    let end = seconds_from_now(3);
    let key = shop.ticket_with(|key| Ticket::new(key).expiring(end));
    eventually("the ticket expires", || (now() >= end).then_some(()));
    key
}

#[track_caller]
fn inspect(shop: &Shop, key: &Key) -> Value {
    shop.tool_reading(&["inspect", "-", "--json"], &key.dashed()).expect(0).json()
}

#[test]
fn an_expired_key_is_prolonged_and_can_be_redeemed() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = expired(&shop);
    server.redeem(&key).problem(410, "expired");
    let later = hours_from_now(48).to_string();
    let because = ["extend", "-", "--expires", &later, "--because", "the parcels are late", "--json"];
    let extended = shop.tool_reading(&because, &key.dashed()).expect(0).json();
    assert_eq!(extended["expires_at"], json!(later));
    assert_eq!(inspect(&shop, &key)["extended"]["because"], "the parcels are late");
    Redeemed::read(&server.redeem(&key), 201);
}

#[test]
fn nothing_is_extended_to_a_time_that_is_past_and_nothing_is_shortened() {
    let shop = Shop::new();
    let end = hours_from_now(48);
    let key = shop.ticket_with(|key| Ticket::new(key).expiring(end));
    let extend = |time: &str| shop.tool_reading(&["extend", "-", "--expires", time], &key.dashed());
    let past = extend("2020-01-01");
    assert_eq!(past.status, Some(2), "{}", past.all());
    assert!(past.stderr.contains("future"), "{}", past.all());
    let earlier = extend(&hours_from_now(24).to_string()).expect(0);
    assert!(earlier.stderr.contains("nothing was changed"), "{}", earlier.all());
    assert_eq!(inspect(&shop, &key)["expires_at"], json!(end.to_string()));
    let endless = shop.ticket();
    let outcome =
        shop.tool_reading(&["extend", "-", "--expires", &end.to_string()], &endless.dashed()).expect(0);
    assert!(outcome.stderr.contains("never expires"), "{}", outcome.all());
    assert_eq!(inspect(&shop, &endless)["expires_at"], Value::Null);
}

#[test]
fn of_a_batch_the_unused_tickets_are_prolonged_and_the_rest_is_counted() {
    let shop = Shop::new();
    let server = shop.serve();
    let (soon, late) = (hours_from_now(1), hours_from_now(100));
    let ends = |end: Timestamp| move |key: &Key| Ticket::new(key).of_batch("tour").expiring(end);
    let short = [shop.ticket_with(ends(soon)), shop.ticket_with(ends(soon))];
    let long = shop.ticket_with(ends(late));
    let endless = shop.ticket_with(|key| Ticket::new(key).of_batch("tour"));
    let (used, void) = (shop.ticket_with(ends(soon)), shop.ticket_with(ends(soon)));
    let other = shop.ticket_with(|key| Ticket::new(key).expiring(soon));
    server.redeemed(&used);
    shop.tool_reading(&["revoke", "-"], &void.dashed()).expect(0);
    let to = hours_from_now(50).to_string();
    let extend = ["extend", "--batch", "tour", "--expires", &to, "--json"];
    let expected = |extended: u64, unchanged: u64| {
        json!({
            "expires_at": to, "extended": extended, "unchanged": unchanged, "redeemed": 1, "revoked": 1,
        })
    };
    listed(&shop, "tour", 6);
    assert_eq!(shop.tool(&extend).expect(0).json(), expected(2, 2));
    assert_eq!(shop.tool(&extend).expect(0).json(), expected(0, 4), "doing it again changes nothing");
    let end = |key: &Key| inspect(&shop, key)["expires_at"].clone();
    assert_eq!(short.each_ref().map(end), [json!(to), json!(to)]);
    assert_eq!([end(&long), end(&endless)], [json!(late.to_string()), Value::Null]);
    assert_eq!(
        [&used, &void, &other].map(end),
        [json!(soon.to_string()), json!(soon.to_string()), json!(soon.to_string())]
    );
}

#[test]
fn reinstate_never_calls_an_expired_ticket_redeemable() {
    let shop = Shop::new();
    let key = expired(&shop);
    let reinstate = ["reinstate", "-", "--because", "a test"];
    let unused = shop.tool_reading(&reinstate, &key.dashed()).expect(1);
    let says = |outcome: &Outcome| {
        assert!(!outcome.all().contains("can be redeemed"), "{}", outcome.all());
        for word in ["expired at", "tickey extend"] {
            assert!(outcome.stderr.contains(word), "{word} is not said: {}", outcome.all());
        }
    };
    says(&unused);
    shop.tool_reading(&["revoke", "-"], &key.dashed()).expect(0);
    let given_back = shop.tool_reading(&reinstate, &key.dashed()).expect(0);
    says(&given_back);
    assert_eq!(inspect(&shop, &key)["status"], "issued");
}

#[test]
fn a_reinstatement_that_is_repeated_with_times_gives_back_once() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    server.redeemed(&key);
    let reinstate = ["reinstate", "-", "--because", "a test", "--times", "1"];
    shop.tool_reading(&reinstate, &key.dashed()).expect(0);
    server.redeemed(&key);
    let again = shop.tool_reading(&reinstate, &key.dashed()).expect(0);
    assert!(again.stderr.contains("given back 1 time before"), "{}", again.all());
    server.redeem(&key).problem(409, "already_redeemed");
}

#[test]
fn a_batch_that_was_revoked_by_mistake_gets_the_state_that_it_had() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = |_| shop.ticket_with(|key| Ticket::new(key).of_batch("tour"));
    let keys: Vec<Key> = (0..4).map(key).collect();
    let answer = server.redeem_as(&keys[0], "holder");
    let redeemed = Redeemed::read(&answer, 201);
    listed(&shop, "tour", 4);
    let revoke = ["revoke", "--batch", "tour", "--because", "a leak", "--json"];
    assert_eq!(shop.tool(&revoke).expect(0).json(), json!({"revoked": 4, "unchanged": 0}));
    server.follow(&redeemed.receipt_url).problem(410, "revoked");
    let record = inspect(&shop, &keys[1])["revoked"].clone();
    assert_eq!(record["because"], "a leak");
    assert!(record["at"].as_str().is_some_and(|at| at.parse::<Timestamp>().is_ok()), "{record}");

    let restore = ["reinstate", "--batch", "tour", "--because", "the wrong batch", "--json"];
    let done = json!({"reinstated": 4, "redeemed": 1, "unchanged": 0});
    assert_eq!(shop.tool(&restore).expect(0).json(), done);
    server.follow(&redeemed.receipt_url).expect(200);
    let same = server.redeem_as(&keys[0], "holder");
    assert_eq!(Redeemed::read(&same, 201).id, redeemed.id, "the holder's own request is answered as before");
    server.redeem(&keys[0]).problem(409, "already_redeemed");
    for key in &keys[1..] {
        server.redeemed(key);
    }
    assert_eq!(inspect(&shop, &keys[1])["reinstated"]["because"], "the wrong batch");
    assert_eq!(shop.tool(&restore).expect(0).json(), json!({"reinstated": 0, "redeemed": 0, "unchanged": 4}));
}

#[test]
fn what_had_been_revoked_before_a_batch_stays_revoked_when_that_is_undone() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys: Vec<Key> = (0..3).map(|_| shop.ticket_with(|key| Ticket::new(key).of_batch("tour"))).collect();
    listed(&shop, "tour", 3);
    shop.tool_reading(&["revoke", "-", "--because", "a thief's"], &keys[0].dashed()).expect(0);
    let alone =
        inspect(&shop, &keys[0])["revoked"]["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    // Times are kept in whole seconds.
    let later = alone.expect("a time").as_second() + 1;
    eventually("the next second", || (now().as_second() >= later).then_some(()));
    let revoked = shop.tool(&["revoke", "--batch", "tour"]).expect(0);
    let told = revoked.stderr.split("--revoked-since ").nth(1).and_then(|rest| rest.split(' ').next());
    let since = told.unwrap_or_else(|| panic!("no time: {}", revoked.all()));
    let undo = ["reinstate", "--batch", "tour", "--because", "the wrong batch", "--revoked-since", since];
    shop.tool(&[&undo[..], &["--json"]].concat()).expect(0);
    server.redeem(&keys[0]).problem(410, "revoked");
    for key in &keys[1..] {
        server.redeemed(key);
    }
    shop.tool(&["reinstate", "-", "--because", "a test", "--revoked-since", since]).expect(2);
}

#[test]
fn a_dry_run_says_what_would_be_revoked_and_changes_nothing() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys: Vec<Key> = (0..3).map(|_| shop.ticket_with(|key| Ticket::new(key).of_batch("tour"))).collect();
    server.redeemed(&keys[0]);
    let dry_run = ["revoke", "--batch", "tour", "--dry-run", "--json"];
    let expected = json!({"dry_run": true, "revoked": 3, "redeemed": 1, "unchanged": 0});
    listed(&shop, "tour", 3);
    eventually("the redemption is counted", || (shop.tool(&dry_run).json() == expected).then_some(()));
    let words = shop.tool(&["revoke", "--batch", "tour", "--dry-run"]).expect(0);
    assert!(words.stdout.contains("3 would be revoked"), "{}", words.all());
    shop.tool_reading(&["revoke", "-", "--dry-run"], &keys[1].dashed()).expect(0);
    assert_eq!(inspect(&shop, &keys[1])["status"], "issued");
    server.redeemed(&keys[2]);
    let unknown = shop.tool(&["revoke", "--batch", "nope", "--dry-run"]).expect(1);
    assert!(unknown.stderr.contains("there is no batch `nope`"), "{}", unknown.all());
}

#[test]
fn what_became_of_a_request_is_found_by_its_id() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    server.redeemed(&key);
    let refusal = server.redeem(&key).problem(409, "already_redeemed");
    let request = refusal["request_id"].as_str().expect("an id").to_owned();
    let unknown = server.redeem(&shop.key()).problem(404, "unknown");
    let unknown = unknown["request_id"].as_str().expect("an id").to_owned();
    let log = server.stop_and_read_log();
    let found = |id: &str| shop.tool_reading(&["inspect", id, "--server-log", "-"], &log).expect(0);
    let outcome = found(&request);
    for text in ["already_redeemed", &key.id(), "status:      redeemed", &request] {
        assert!(outcome.stdout.contains(text), "{text} is not in {}", outcome.all());
    }
    let json =
        shop.tool_reading(&["inspect", &request, "--server-log", "-", "--json"], &log).expect(0).json();
    assert_eq!(json["tickets"][0]["id"], json!(key.id()));
    assert_eq!(json["log"][0]["fields"]["outcome"], "already_redeemed");
    let outcome = found(&unknown);
    assert!(outcome.stderr.contains("is not in this store"), "{}", outcome.all());
    // A ticket's own history, by its key or by its id.
    for subject in [key.dashed(), key.id()] {
        let outcome = found(&subject);
        assert_eq!(outcome.stdout.matches("/redemptions").count(), 2, "{}", outcome.all());
    }
    let nothing = shop.tool_reading(&["inspect", "no-such-request", "--server-log", "-"], &log).expect(1);
    assert!(nothing.stderr.contains("no line about the request or redemption"), "{}", nothing.all());
}

#[test]
fn without_the_log_a_request_s_id_is_told_where_to_look() {
    let shop = Shop::new();
    let key = shop.ticket();
    let outcome = shop.tool(&["inspect", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"]).expect(1);
    assert!(outcome.stderr.contains("--server-log"), "{}", outcome.all());
    let by_id = shop.tool(&["inspect", &key.id(), "--json"]).expect(0).json();
    assert_eq!(by_id["id"], json!(key.id()));
}

#[test]
fn a_server_says_which_albums_of_its_tickets_the_library_lacks() {
    let shop = Shop::new();
    let at_home = shop.key();
    // Without a library, so that nothing keeps the tool from loading it.
    shop.load(&[Ticket::new(&at_home)]);
    std::fs::rename(shop.path("library").join(ALBUM), shop.path("away")).expect("the album is moved");
    shop.add_album("another", "Another", "Nobody", &[("1.flac", vec![1])]);
    let server = shop.serve();
    eventually("it is said", || server.log().contains("does not have albums").then_some(()));
    let log = server.log();
    let line = log.lines().find(|line| line.contains("does not have albums")).expect("the line");
    assert!(line.contains("WARN") && line.contains(ALBUM), "{line}");
    let doctor =
        shop.tool(&["doctor", "--link-keys-file", &shop.path("link-keys").display().to_string()]).expect(1);
    let folder = shop.path("library").display().to_string();
    assert!(doctor.stdout.contains(&format!("looked into the folder {folder}")), "{}", doctor.all());
    assert!(doctor.stdout.contains(&format!("`{ALBUM}`")), "{}", doctor.all());
}

#[test]
fn a_batch_that_does_not_exist_is_an_error_with_words() {
    let shop = Shop::new();
    shop.ticket();
    let to = hours_from_now(1).to_string();
    for arguments in [
        &["stats", "--batch", "nope"][..],
        &["stats", "--batch", "nope", "--json"],
        &["export", "--batch", "nope"],
        &["revoke", "--batch", "nope"],
        &["reinstate", "--batch", "nope", "--because", "a test"],
        &["extend", "--batch", "nope", "--expires", &to],
    ] {
        let outcome = shop.tool(arguments).expect(1);
        assert!(outcome.stderr.contains("there is no batch `nope`"), "{arguments:?}: {}", outcome.all());
        assert!(outcome.stdout.is_empty(), "{arguments:?}: {}", outcome.all());
    }
}

#[test]
fn keys_and_lists_can_go_to_standard_output() {
    let shop = Shop::new();
    let minted = shop.tool(&["mint", "--album", ALBUM, "--batch", "b", "--count", "1", "-o", "-"]).expect(0);
    let lines: Vec<&str> = minted.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", minted.all());
    assert!(minted.stderr.contains("1 key minted"), "{}", minted.all());
    let key = lines[1].split(',').next().and_then(Key::read).expect("a key");
    shop.serve().redeemed(&key);
    listed(&shop, "b", 1);
    assert!(shop.tool(&["export", "-o", "-"]).expect(0).stdout.contains(&key.id()));
    shop.tool(&["export", "--batch", "b", "-o", "list.csv"]).expect(0);
    let list = std::fs::read_to_string(shop.path("list.csv")).expect("the list");
    assert!(list.starts_with("id,album,batch,") && list.contains(&key.id()), "{list}");
    let again = shop.tool(&["export", "-o", "list.csv"]).expect(1);
    assert!(again.stderr.contains("list.csv exists"), "{}", again.all());
    let json = shop.tool(&["mint", "--album", ALBUM, "--batch", "b", "--count", "1", "-o", "-", "--json"]);
    assert_eq!(json.status, Some(2), "{}", json.all());
}

#[test]
fn help_is_short_with_h_and_has_sections_and_examples_in_full() {
    let shop = Shop::new();
    for subcommand in ["mint", "serve", "revoke", "extend", "inspect"] {
        let full = shop.tool(&["help", subcommand]).expect(0).stdout;
        let short = shop.tool(&[subcommand, "-h"]).expect(0).stdout;
        for text in ["Examples:", "Where things are:", "Elasticsearch (only for a store with URLs):"] {
            assert!(full.contains(text), "{subcommand}: {text} is not in {full}");
        }
        assert!(!short.contains("--elasticsearch"), "{short}");
        assert!(short.lines().count() < full.lines().count(), "{short}");
    }
}
