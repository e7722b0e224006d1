//! Section 3, the admin interface: "mint, inspect, revoke, reinstate, count, with `Authorization: Bearer` of the admin
//! token; absent when no token is set". It does what the tools of section 2 do, and says it in the same JSON.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::http::{Answer, BROWSER, FORM, JSON, Request, percent_encode};
use crate::support::key::Key;
use crate::support::redeemed::Redeemed;
use crate::support::server::{Server, tickey};
use crate::support::shop::{ALBUM, CSV_HEADER, Outcome, Shop, Ticket};
use crate::support::time::{eventually, now, seconds_from_now};

const TOKEN: &str = "canary-3Zb8Qm5XyT1vKw9RrD2sLh7NcF4gJp6A";
const OTHER_TOKEN: &str = "sparrow-9Hd2Wq8LmV5zXc1BnT7yRk4PjF6gS3A";

fn token_file(shop: &Shop) -> PathBuf {
    shop.path("admin-token")
}

fn write_token(shop: &Shop, token: &str) {
    let path = token_file(shop);
    fs::write(&path, format!("{token}\n")).expect("the token's file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its rights");
}

/// A server of this shop with an admin interface.
#[track_caller]
fn serve(shop: &Shop, flags: &[&str]) -> Server {
    write_token(shop, TOKEN);
    let path = token_file(shop).display().to_string();
    shop.serve_with(&[&["--admin-token-file", &path], flags].concat())
}

fn with_token(request: Request, token: &str) -> Request {
    request.header("Authorization", format!("Bearer {token}"))
}

fn get(target: &str) -> Request {
    with_token(Request::get(target), TOKEN)
}

fn post(target: &str, body: &Value) -> Request {
    with_token(bare_post(target, body), TOKEN)
}

fn bare_post(target: &str, body: &Value) -> Request {
    Request::new("POST", target).body(JSON, body.to_string())
}

fn mint_body(batch: &str, count: u64) -> Value {
    json!({"album": ALBUM, "batch": batch, "count": count})
}

/// Mints and gives the keys.
#[track_caller]
fn mint(server: &Server, batch: &str, count: u64) -> Vec<Key> {
    let answer = server.send(&post("/admin/batches", &mint_body(batch, count)));
    assert_eq!(answer.expect(201).media_type(), JSON);
    keys(&answer.json()["keys"])
}

#[track_caller]
fn keys(list: &Value) -> Vec<Key> {
    let texts = list.as_array().expect("a list of keys").iter();
    texts.map(|text| text.as_str().and_then(Key::read).unwrap_or_else(|| panic!("no key: {text}"))).collect()
}

#[track_caller]
fn stats(server: &Server) -> Value {
    server.send(&get("/admin/stats")).expect(200).json()
}

#[track_caller]
fn inspected(server: &Server, key: &Key) -> Value {
    server.send(&get(&format!("/admin/tickets/{}", key.id()))).expect(200).json()
}

/// A request for each route, whose method and body are right.
fn every_request(key: &Key) -> Vec<Request> {
    let ticket = format!("/admin/tickets/{}", key.id());
    vec![
        Request::get("/admin/batches"),
        bare_post("/admin/batches", &mint_body("tests", 1)),
        bare_post("/admin/batches/tests/revoke", &json!({})),
        bare_post("/admin/batches/tests/reinstate", &json!({"because": "a test"})),
        bare_post("/admin/batches/tests/extend", &json!({"expires_at": "2100-01-01"})),
        Request::get(&ticket),
        bare_post("/admin/tickets/lookup", &json!({"key": key.dashed()})),
        bare_post(&format!("{ticket}/revoke"), &json!({})),
        bare_post(&format!("{ticket}/reinstate"), &json!({"because": "a test"})),
        bare_post(&format!("{ticket}/extend"), &json!({"expires_at": "2100-01-01"})),
        Request::get("/admin/stats"),
    ]
}

/// "Absent when no token is set": an address like any other that is not there.
#[test]
fn without_a_token_there_is_no_admin_interface() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    for request in every_request(&key) {
        for request in [request.clone(), with_token(request, TOKEN)] {
            server.send(&request).problem(404, "not_found");
        }
    }
    server.get("/admin").problem(404, "not_found");
    assert!(!server.get("/openapi.json").expect(200).text().contains("/admin"), "it is described");
    server.redeemed(&key);
}

#[test]
fn nobody_passes_without_the_token() {
    let shop = Shop::new();
    let server = serve(&shop, &["--unknown-burst", "1000"]);
    let key = shop.ticket();
    let before = stats(&server);
    for request in every_request(&key) {
        let refused = [
            request.clone(),
            with_token(request.clone(), OTHER_TOKEN),
            with_token(request.clone(), &TOKEN[..TOKEN.len() - 1]),
            with_token(request.clone(), &format!("{TOKEN}x")),
            with_token(request.clone(), &TOKEN.to_lowercase()),
            with_token(request.clone(), ""),
            request.clone().header("Authorization", format!("Basic {TOKEN}")),
            request.clone().header("Authorization", TOKEN),
            request.clone().header("Authorization", b"Bearer \xff\xfe"),
            request.clone().header("X-Admin-Token", TOKEN),
            with_token(with_token(request.clone(), TOKEN), OTHER_TOKEN),
            request.clone().accept(BROWSER),
        ];
        for request in refused {
            let answer = server.send(&request);
            answer.problem(401, "unauthorized");
            assert_eq!(answer.required_header("www-authenticate"), "Bearer");
            assert_eq!(answer.required_header("cache-control"), "no-store");
            assert!(!answer.text().contains(TOKEN) && !answer.text().contains(&key.dashed()), "{answer}");
        }
    }
    assert_eq!(stats(&server), before);
    server.redeemed(&key);
}

/// The name of the scheme is not case-sensitive (RFC 9110, section 11.1).
#[test]
fn the_scheme_may_be_written_as_one_likes() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = Request::get("/admin/stats").header("Authorization", format!("{scheme} {TOKEN}"));
        server.send(&request).expect(200);
    }
}

/// Wrong tokens use up an allowance of their network's own, beside that for unknown keys.
#[test]
fn wrong_tokens_are_bounded_for_each_network_and_apart_from_keys() {
    let shop = Shop::new();
    let flags = ["--trusted-proxies", "127.0.0.0/8", "--unknown-burst", "3", "--unknown-per-minute", "1"];
    let server = serve(&shop, &flags);
    let from = |address: &str, token: &str| {
        server.send(&with_token(Request::get("/admin/stats"), token).forwarded_for(address))
    };
    for _ in 0..10 {
        let without = server.send(&Request::get("/admin/stats").forwarded_for("203.0.113.1"));
        without.problem(401, "unauthorized");
    }
    for last in 1..=3 {
        from(&format!("203.0.113.{last}"), OTHER_TOKEN).problem(401, "unauthorized");
    }
    // Or else the answer would say which guess was right.
    for token in [TOKEN, OTHER_TOKEN] {
        from("203.0.113.9", token).problem(429, "too_many_attempts");
    }
    from("198.51.100.1", TOKEN).expect(200);

    let here = |request: Request| server.send(&request.forwarded_for("203.0.113.9"));
    Redeemed::read(&here(Request::redeem(&shop.ticket().dashed())), 201);
    let there = |request: Request| server.send(&request.forwarded_for("198.51.100.1"));
    for _ in 0..3 {
        there(Request::redeem(&shop.key().dashed())).problem(404, "unknown");
    }
    there(Request::redeem(&shop.ticket().dashed())).problem(429, "too_many_attempts");
    from("198.51.100.1", TOKEN).expect(200);
}

/// What is minted on one server is redeemed on another, at once.
#[test]
fn minted_keys_can_be_redeemed_on_every_server() {
    let shop = Shop::new();
    let servers = [serve(&shop, &[]), serve(&shop, &[])];
    let answer = servers[0].send(&post("/admin/batches", &mint_body("vinyl", 7)));
    let minted = answer.expect(201).json();
    assert_eq!(
        (&minted["batch"], &minted["album"], &minted["count"]),
        (&json!("vinyl"), &json!(ALBUM), &json!(7))
    );
    let keys = keys(&minted["keys"]);
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 7);
    assert_eq!(answer.required_header("cache-control"), "no-store");
    for (number, key) in keys.iter().enumerate() {
        Redeemed::read(&servers[number % 2].redeem(key), 201);
        servers[(number + 1) % 2].redeem(key).problem(409, "already_redeemed");
    }
    assert_eq!(stats(&servers[1])["redeemed"], 7);
}

/// "`Accept: text/csv` gives the CSV of `mint`": `tickey load` reads it, and finds every ticket there already.
#[test]
fn keys_come_as_the_file_of_mint_if_that_is_asked_for() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let mut body = mint_body("cards, \"first\" print", 300);
    body["valid_from"] = json!("2026-01-01");
    body["expires_at"] = json!("2099-01-01T01:00:00+01:00");
    let answer = server.send(&post("/admin/batches", &body).accept("text/csv"));
    assert_eq!(answer.expect(201).media_type(), "text/csv");
    let text = answer.text();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(CSV_HEADER));
    let rest = format!(",{ALBUM},\"cards, \"\"first\"\" print\",2026-01-01T00:00:00Z,2099-01-01T00:00:00Z");
    let keys: Vec<Key> = lines
        .map(|line| line.strip_suffix(&rest).and_then(Key::read).unwrap_or_else(|| panic!("{line:?}")))
        .collect();
    assert_eq!(keys.len(), 300);
    let loaded = shop.tool_reading(&["load", "-", "--json"], &text).expect(0).json();
    assert_eq!((&loaded["new"], &loaded["present"]), (&json!(0), &json!(300)));
    server.redeemed(&keys[299]);
}

#[test]
fn a_batch_of_the_largest_size_is_minted_whole_and_can_be_added_to() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let first = mint(&server, "large", 10_000);
    let second = mint(&server, "large", 1);
    assert_eq!(first.iter().chain(&second).collect::<BTreeSet<_>>().len(), 10_001);
    assert_eq!(stats(&server)["tickets"], 10_001);
    for key in [&first[0], &first[9_999], &second[0]] {
        server.redeemed(key);
    }
}

#[test]
fn minted_keys_can_have_a_beginning_and_an_end() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let mint_with = |field: &str, time: &str| {
        let mut body = mint_body("times", 1);
        body[field] = json!(time);
        keys(&server.send(&post("/admin/batches", &body)).expect(201).json()["keys"]).remove(0)
    };
    server.redeem(&mint_with("valid_from", "2099-01-01")).problem(403, "not_yet_valid");
    let end = seconds_from_now(2);
    let key = mint_with("expires_at", &end.to_string());
    eventually("the ticket expires", || (now() > end).then_some(()));
    server.redeem(&key).problem(410, "expired");
}

#[test]
fn what_cannot_be_minted_is_refused_and_nothing_is_minted() {
    let shop = Shop::new();
    shop.add_album("half", "Half", "Somebody", &[("a.txt", b"a".to_vec()), ("b.txt", b"b".to_vec())]);
    fs::remove_file(shop.path("library/half/b.txt")).expect("a file of the album");
    let server = serve(&shop, &[]);
    let with = |field: &str, value: Value| {
        let mut body = mint_body("batch", 1);
        body[field] = value;
        body
    };
    let wrong = [
        json!([ALBUM, "batch", 1]),
        json!({"album": ALBUM, "batch": "batch"}),
        json!("batch"),
        with("count", json!(0)),
        with("count", json!(10_001)),
        with("count", json!(-1)),
        with("count", json!("5")),
        with("count", json!(1.5)),
        with("batch", json!("")),
        with("batch", json!(" batch")),
        with("batch", json!("x".repeat(129))),
        with("album", json!("a\nb")),
        with("valid_from", json!("tomorrow")),
        with("expires_at", json!(1_798_070_400)),
        with("expires_at", json!("2020-01-01")),
        with("expires", json!("2099-01-01")),
        with("keys", json!(["M9S34-6Q3D2-5VT4F-5V37E-3S3NJ"])),
        json!({"album": ALBUM, "batch": "b", "count": 1, "valid_from": "2027-01-01", "expires_at": "2027-01-01"}),
    ];
    for body in wrong {
        server.send(&post("/admin/batches", &body)).problem(400, "bad_request");
    }
    let raw = |media_type: &str, body: String| {
        server.send(&with_token(Request::new("POST", "/admin/batches").body(media_type, body), TOKEN))
    };
    raw(JSON, "{".to_owned()).problem(400, "bad_request");
    raw(JSON, String::new()).problem(400, "bad_request");
    raw(FORM, format!("album={ALBUM}&batch=batch&count=1")).problem(415, "unsupported_media_type");
    raw("text/plain", mint_body("batch", 1).to_string()).problem(415, "unsupported_media_type");
    raw(JSON, format!("{}{}", " ".repeat(5000), mint_body("batch", 1))).problem(413, "too_large");
    server.send(&post("/admin/batches", &with("album", json!("nowhere")))).problem(422, "album_unknown");
    server.send(&post("/admin/batches", &with("album", json!("half")))).problem(503, "album_unavailable");
    assert_eq!(stats(&server)["tickets"], 0);
}

/// "The same JSON as `tickey inspect --json`", by the id and by the key.
#[test]
fn a_ticket_is_looked_at_by_its_id_or_by_its_key() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let key = shop.ticket();
    let check = || {
        let told = shop.tool_reading(&["inspect", "-", "--json"], &key.dashed()).expect(0).json();
        assert_eq!(inspected(&server, &key), told);
        for typed in [key.dashed(), key.symbols().to_lowercase(), key.dashed().replace('-', " ")] {
            let answer = server.send(&post("/admin/tickets/lookup", &json!({"key": typed})));
            assert_eq!(answer.expect(200).json(), told);
            assert!(!answer.text().contains(&key.dashed()), "{answer}");
        }
        told
    };
    assert_eq!(check()["status"], "issued");
    let redeemed = server.redeemed(&key);
    let told = check();
    assert_eq!((&told["status"], &told["redemption"]["id"]), (&json!("redeemed"), &json!(redeemed.id)));
    shop.tool_reading(&["revoke", "-"], &key.dashed()).expect(0);
    assert_eq!(check()["status"], "revoked");
    shop.tool_reading(&["reinstate", "-", "--because", "a test"], &key.dashed()).expect(0);
    assert_eq!(check()["reinstated"]["because"], "a test");
}

/// In the words of the contract's refusals.
#[test]
fn a_key_that_is_none_is_refused_as_when_it_is_redeemed() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let look_up = |body: &Value| server.send(&post("/admin/tickets/lookup", body));
    for typed in ["too short", "SSZ5AW8H8VHTPRE95B9EE0ZA3", "M9S34-6Q3D2-5VT4F-5V37E-3S3N!", ""] {
        let without_id = |answer: Answer| {
            let mut problem = answer.problem_of_any_reason(422);
            problem["request_id"] = Value::Null;
            problem
        };
        let redeemed = without_id(server.send(&Request::redeem(typed)));
        assert_eq!(without_id(look_up(&json!({"key": typed}))), redeemed);
    }
    look_up(&json!({"key": shop.key().dashed()})).problem(404, "unknown");
    for body in [json!({}), json!({"key": 5}), json!([shop.key().dashed()]), json!({"key": "a", "id": "b"})] {
        look_up(&body).problem(400, "bad_request");
    }
    // However often: whoever has the token is not guessing.
    for _ in 0..40 {
        look_up(&json!({"key": shop.key().dashed()})).problem(404, "unknown");
    }
}

#[test]
fn an_id_that_no_ticket_has_is_not_found() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    shop.ticket();
    let unknown = shop.key();
    for id in [unknown.id(), unknown.dashed(), unknown.symbols(), "x".to_owned(), "%ff".to_owned()] {
        server.send(&get(&format!("/admin/tickets/{id}"))).problem(404, "ticket_unknown");
        server.send(&post(&format!("/admin/tickets/{id}/revoke"), &json!({}))).problem(404, "ticket_unknown");
        let reinstate = post(&format!("/admin/tickets/{id}/reinstate"), &json!({"because": "a test"}));
        server.send(&reinstate).problem(404, "ticket_unknown");
    }
    for target in ["/admin", "/admin/", "/admin/tickets", "/admin/tickets/a/b", "/admin/nowhere"] {
        server.send(&get(target)).problem(404, "not_found");
    }
}

#[test]
fn other_methods_are_not_taken() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let key = shop.ticket();
    for request in every_request(&key) {
        let answer = server.send(&with_token(request, TOKEN).with_method("DELETE"));
        answer.problem(405, "method_not_allowed");
    }
    let revoke = format!("/admin/tickets/{}/revoke", key.id());
    server.send(&get(&revoke)).problem(405, "method_not_allowed");
    server.redeemed(&key);
}

/// What an admin does on one server holds on all of them, and is told as the tools tell it.
#[test]
fn a_ticket_is_revoked_and_reinstated() {
    let shop = Shop::new();
    let servers = [serve(&shop, &[]), serve(&shop, &[])];
    let key = mint(&servers[0], "tour", 1).remove(0);
    let change = |server: usize, what: &str, body: &Value| {
        let answer = servers[server].send(&post(&format!("/admin/tickets/{}/{what}", key.id()), body));
        let told = answer.expect(200).json();
        assert_eq!(told, shop.tool_reading(&["inspect", "-", "--json"], &key.dashed()).expect(0).json());
        told
    };
    let redeemed = servers[0].redeemed(&key);
    for server in [1, 0, 1] {
        assert_eq!(change(server, "revoke", &json!({}))["status"], "revoked");
    }
    for server in &servers {
        server.redeem(&key).problem(410, "revoked");
        server.follow(&redeemed.receipt_url).problem(410, "revoked");
    }
    for server in [0, 1] {
        let told = change(server, "reinstate", &json!({"because": "  scratched card "}));
        assert_eq!((&told["status"], &told["reinstated"]["times"]), (&json!("issued"), &json!(1)));
        assert_eq!(told["reinstated"]["because"], "scratched card");
    }
    servers[1].follow(&redeemed.receipt_url).problem(404, "receipt_unknown");
    assert_ne!(servers[1].redeemed(&key).id, redeemed.id);
    for body in
        [json!({}), json!({"because": ""}), json!({"because": "  "}), json!({"because": "x".repeat(1001)})]
    {
        let answer = servers[0].send(&post(&format!("/admin/tickets/{}/reinstate", key.id()), &body));
        answer.problem(400, "bad_request");
    }
    assert_eq!(inspected(&servers[0], &key)["status"], "redeemed");
}

/// No body is needed to revoke, and one of whatever kind changes nothing about it.
#[test]
fn revoking_needs_no_body() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let key = shop.ticket();
    let request = Request::new("POST", &format!("/admin/tickets/{}/revoke", key.id()));
    server.send(&with_token(request.body_of_no_type(""), TOKEN)).expect(200);
    server.redeem(&key).problem(410, "revoked");
}

#[test]
fn a_batch_is_revoked_as_a_whole_and_no_other() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let name = "lost & found / 100% \"Über\"";
    let lost = mint(&server, name, 1500);
    let kept = mint(&server, "kept", 1);
    let redeemed = server.redeemed(&lost[0]);
    shop.tool_reading(&["revoke", "-"], &lost[1].dashed()).expect(0);
    let revoke = |name: &str| {
        let target = format!("/admin/batches/{}/revoke", percent_encode(name));
        server.send(&with_token(Request::new("POST", &target).body_of_no_type(""), TOKEN))
    };
    assert_eq!(revoke(name).expect(200).json(), json!({"revoked": 1499, "unchanged": 1}));
    assert_eq!(revoke(name).expect(200).json(), json!({"revoked": 0, "unchanged": 1500}));
    server.redeem(&lost[1499]).problem(410, "revoked");
    server.follow(&redeemed.receipt_url).problem(410, "revoked");
    server.redeemed(&kept[0]);
    for unknown in ["nothing", " ", "lost", &"x".repeat(200)] {
        revoke(unknown).problem(404, "batch_unknown");
    }
}

/// "The same JSON as `tickey stats --json`."
#[test]
fn tickets_are_counted_as_the_tool_counts_them() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    shop.add_album("other", "Other", "Somebody", &[("a.txt", b"a".to_vec())]);
    let tour = mint(&server, "tour", 5);
    mint(&server, "press & radio", 2);
    shop.ticket_with(|key| Ticket::new(key).of_album("other").of_batch("tour"));
    server.redeemed(&tour[0]);
    shop.tool_reading(&["revoke", "-"], &tour[1].dashed()).expect(0);
    for batch in [None, Some("tour"), Some("press & radio")] {
        let (flags, target) = match batch {
            None => (vec![], "/admin/stats".to_owned()),
            Some(name) => (vec!["--batch", name], format!("/admin/stats?batch={}", percent_encode(name))),
        };
        let told = shop.tool(&[vec!["stats", "--json"], flags].concat()).expect(0).json();
        assert_eq!(server.send(&get(&target)).expect(200).json(), told, "{target}");
    }
    let listed = server.send(&get("/admin/batches")).expect(200).json();
    assert_eq!(listed, json!({"batches": stats(&server)["batches"]}));
    assert_eq!(
        listed["batches"][1],
        json!({"album": ALBUM, "batch": "tour", "tickets": 5, "issued": 3, "redeemed": 1, "revoked": 1})
    );
    for query in ["?batch=", "?batch=a&batch=b", "?bacth=tour", "?batch=%00"] {
        server.send(&get(&format!("/admin/stats{query}"))).problem(400, "bad_request");
    }
}

/// However many batches there are, an answer has as many as are asked for, and says how to go on.
#[test]
fn batches_come_in_pages() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    for number in 0..7 {
        let album = if number % 2 == 0 { ALBUM } else { "other/é&?" };
        shop.ticket_with(|key| Ticket::new(key).of_album(album).of_batch(&format!("batch {number}")));
    }
    let whole = server.send(&get("/admin/batches")).expect(200).json();
    assert_eq!(whole["batches"].as_array().map(Vec::len), Some(7));
    assert!(whole.get("next").is_none(), "{whole}");
    for limit in [1, 3, 7] {
        let (mut listed, mut target) = (Vec::new(), format!("/admin/batches?limit={limit}"));
        loop {
            let page = server.send(&get(&target)).expect(200).json();
            let batches = page["batches"].as_array().expect("batches");
            assert!(batches.len() <= limit, "{page}");
            listed.extend(batches.iter().cloned());
            let Some(next) = page.get("next") else { break };
            // As it is: there is nothing in it that a URL would change.
            target = format!("/admin/batches?limit={limit}&cursor={}", next.as_str().expect("a text"));
        }
        assert_eq!(listed, *whole["batches"].as_array().expect("batches"), "{limit} at a time");
    }
    for query in
        ["?limit=0", "?limit=10001", "?limit=x", "?cursor=x", "?cursor=", "?limit=1&limit=2", "?page=2"]
    {
        server.send(&get(&format!("/admin/batches{query}"))).problem(400, "bad_request");
    }
}

/// Answers are for programs and for nobody on the way.
#[test]
fn every_answer_is_json_and_is_kept_nowhere() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let key = shop.ticket();
    for request in every_request(&key) {
        let answer = server.send(&with_token(request, TOKEN).accept(BROWSER));
        assert!(matches!(answer.status, 200 | 201), "{answer}");
        assert_eq!(answer.media_type(), JSON, "{answer}");
        assert_eq!(answer.required_header("cache-control"), "no-store");
        assert!(answer.header("access-control-allow-origin").is_none(), "{answer}");
    }
}

/// As when a Secret changes: no server is started anew.
#[test]
fn a_token_can_be_replaced_while_servers_run() {
    let shop = Shop::new();
    // Or else asking so often would be guessing.
    let plenty = ["--unknown-burst", "100000"];
    let servers = [serve(&shop, &plenty), serve(&shop, &plenty)];
    let ask =
        |server: &Server, token: &str| server.send(&with_token(Request::get("/admin/stats"), token)).status;
    for server in &servers {
        assert_eq!((ask(server, TOKEN), ask(server, OTHER_TOKEN)), (200, 401));
    }
    write_token(&shop, OTHER_TOKEN);
    eventually("the new token counts", || (ask(&servers[0], OTHER_TOKEN) == 200).then_some(()));
    assert_eq!(ask(&servers[0], TOKEN), 401);
    // Nobody has shown the new one to the other server.
    eventually("the old token ends", || (ask(&servers[1], TOKEN) == 401).then_some(()));
    assert_eq!(ask(&servers[1], OTHER_TOKEN), 200);
    fs::remove_file(token_file(&shop)).expect("the token's file");
    let unchanged = || assert_eq!((ask(&servers[0], OTHER_TOKEN), ask(&servers[0], TOKEN)), (200, 401));
    eventually("the server notices that the file is gone", || {
        unchanged();
        servers[0].log().contains("the admin token could not be read again").then_some(())
    });
    unchanged();
}

/// "Refuse at start …, saying what to do", and without showing it.
#[test]
fn a_token_that_could_be_guessed_or_not_be_sent_is_refused_at_the_start() {
    let shop = Shop::new();
    let start = |content: &str| {
        fs::write(token_file(&shop), content).expect("the token's file");
        let mut command = shop.serve_command(
            tickey(shop.folder()),
            &["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"],
        );
        command.env("TICKEY_ADMIN_TOKEN_FILE", token_file(&shop));
        Outcome::of(command, "").expect(1)
    };
    for content in [
        "",
        "hunter2",
        "hunter2-hunter2-hunter2-hunter2",
        "hunter2 hunter2 hunter2 hunter2 hunter2",
        "hünter2-hünter2-hünter2-hünter2-hünter2",
    ] {
        let refused = start(content);
        assert!(refused.stderr.contains("openssl rand -base64 32"), "{}", refused.all());
        assert!(!refused.all().contains("nter2"), "{}", refused.all());
    }
    fs::remove_file(token_file(&shop)).expect("the token's file");
    let mut command = shop
        .serve_command(tickey(shop.folder()), &["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command.arg("--admin-token-file").arg(token_file(&shop));
    assert!(Outcome::of(command, "").expect(1).stderr.contains("admin-token"), "it does not say which file");
}

#[test]
fn doctor_looks_at_the_token() {
    let shop = Shop::new();
    shop.ticket();
    drop(serve(&shop, &[]));
    let (keys, token) =
        (shop.path("link-keys").display().to_string(), token_file(&shop).display().to_string());
    let doctor = ["doctor", "--link-keys-file", &keys, "--admin-token-file", &token];
    let well = shop.tool(&doctor).expect(0);
    assert!(well.stdout.contains("admin") && !well.all().contains(TOKEN), "{}", well.all());
    fs::set_permissions(token_file(&shop), fs::Permissions::from_mode(0o644)).expect("its rights");
    let open = shop.tool(&doctor).expect(1);
    assert!(open.stdout.contains("chmod 600"), "{}", open.all());
    write_token(&shop, "short");
    let short = shop.tool(&doctor).expect(1);
    assert!(short.stdout.contains("openssl rand"), "{}", short.all());
}

/// Where there is an admin interface it is described, with the way in.
#[test]
fn the_admin_interface_is_described() {
    let shop = Shop::new();
    let description = serve(&shop, &[]).get("/openapi.json").expect(200).json();
    let schemes = &description["components"]["securitySchemes"];
    let (name, scheme) = schemes.as_object().and_then(|schemes| schemes.iter().next()).expect("a scheme");
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
    let routes = [
        ("/admin/batches", "get"),
        ("/admin/batches", "post"),
        ("/admin/batches/{batch}/revoke", "post"),
        ("/admin/tickets/lookup", "post"),
        ("/admin/tickets/{id}", "get"),
        ("/admin/tickets/{id}/revoke", "post"),
        ("/admin/tickets/{id}/reinstate", "post"),
        ("/admin/stats", "get"),
    ];
    for (path, method) in routes {
        let operation = &description["paths"][path][method];
        assert_eq!(operation["security"], json!([{name.clone(): []}]), "{method} {path}: {operation}");
        assert!(operation["responses"]["401"].is_object(), "{method} {path}: {operation}");
    }
    assert!(description["paths"]["/redemptions"]["post"]["security"].is_null());
    crate::contract::service::every_reference_leads_somewhere(&description);
}

/// Neither tokens, right or wrong, nor keys are anywhere; what was done is, with who did it.
#[test]
fn the_log_says_what_was_done_and_holds_no_secret() {
    for level in ["info", "trace"] {
        let shop = Shop::new();
        write_token(&shop, TOKEN);
        let path = token_file(&shop).display().to_string();
        let flags = ["--admin-token-file", &path, "--trusted-proxies", "127.0.0.0/8"];
        let mut command = shop.serve_command(tickey(shop.folder()), &flags);
        command.env("TICKEY_LOG", level);
        let server = Server::start(command);
        let send = |request: Request| server.send(&request.forwarded_for("203.0.113.77"));
        let mut secrets: Vec<Key> = Vec::new();
        for accept in [JSON, "text/csv"] {
            let answer = send(post("/admin/batches", &mint_body("canaries", 3)).accept(accept));
            let minted = answer.expect(201).text();
            secrets.extend(minted.split(['"', ',', '\n']).filter_map(Key::read));
        }
        assert_eq!(secrets.len(), 6);
        let (key, id) = (secrets[0].dashed(), secrets[0].id());
        send(post("/admin/tickets/lookup", &json!({"key": key}))).expect(200);
        send(post("/admin/tickets/lookup", &json!({"key": [key]}))).expect(400);
        send(post(&format!("/admin/tickets/{key}/revoke"), &json!({}))).expect(404);
        send(get(&format!("/admin/tickets/{key}"))).expect(404);
        send(get(&format!("/admin/stats?batch={key}"))).expect(200);
        send(get(&format!("/admin/stats?token={TOKEN}"))).expect(400);
        send(with_token(Request::get("/admin/stats"), OTHER_TOKEN)).expect(401);
        send(with_token(Request::get("/admin/stats"), &key)).expect(401);
        send(post(&format!("/admin/tickets/{id}/revoke"), &json!({}))).expect(200);
        let because = json!({"because": format!("the card of {key} was scratched")});
        send(post(&format!("/admin/tickets/{id}/reinstate"), &because)).expect(200);
        send(post("/admin/batches/canaries/revoke", &json!({}))).expect(200);
        let metrics = server.metrics();
        let log = server.stop_and_read_log();
        for text in [&log, &metrics] {
            let squeezed: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
            let squeezed = squeezed.to_ascii_uppercase();
            for secret in &secrets {
                assert!(!squeezed.contains(&secret.symbols()), "{secret:?} is in {text}");
            }
            for secret in [TOKEN, OTHER_TOKEN, "203.0.113.77"] {
                assert!(!text.contains(secret), "{secret} is in {text}");
            }
        }
        let events: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let told = |message: &str| -> Vec<&Value> {
            let told = events.iter().filter(|event| event["fields"]["message"] == message);
            told.inspect(|event| assert_eq!(event["level"], "INFO")).map(|event| &event["fields"]).collect()
        };
        let minted = told("admin: tickets minted");
        assert_eq!(minted.len(), 2, "{log}");
        assert_eq!((&minted[0]["batch"], &minted[0]["count"]), (&json!("canaries"), &json!(3)));
        assert_eq!(minted[0]["client"], "203.0.113.0/24");
        let changed = told("admin: ticket changed");
        let what: Vec<(&Value, &Value)> =
            changed.iter().map(|event| (&event["what"], &event["ticket"])).collect();
        assert_eq!(what, [(&json!("revoked"), &json!(id)), (&json!("reinstated"), &json!(id))]);
        let batch = told("admin: batch revoked");
        assert_eq!((&batch[0]["batch"], &batch[0]["revoked"]), (&json!("canaries"), &json!(6)));
        assert!(batch[0]["client"] == "203.0.113.0/24" && changed[0]["client"] == "203.0.113.0/24");
    }
}

/// A ticket is prolonged, voided with a reason and given back once, however often it is asked for.
#[test]
fn a_ticket_is_prolonged_and_its_record_says_why_it_was_voided() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let key = shop.ticket_with(|key| Ticket::new(key).expiring("2090-01-01T00:00:00Z".parse().unwrap()));
    let path = |what: &str| format!("/admin/tickets/{}/{what}", key.id());
    let past = server.send(&post(&path("extend"), &json!({"expires_at": "2020-01-01"})));
    assert!(past.problem(400, "bad_request")["detail"].as_str().unwrap_or_default().contains("future"));
    let body = json!({"expires_at": "2100-01-01", "because": "a reprint"});
    let extended = server.send(&post(&path("extend"), &body)).expect(200).json();
    assert_eq!(extended["expires_at"], "2100-01-01T00:00:00Z");
    assert_eq!(extended["extended"]["because"], "a reprint");
    let earlier =
        server.send(&post(&path("extend"), &json!({"expires_at": "2095-01-01"}))).expect(200).json();
    assert_eq!(earlier["expires_at"], "2100-01-01T00:00:00Z", "nothing is shortened");

    let revoked = server.send(&post(&path("revoke"), &json!({"because": "a leak"}))).expect(200).json();
    assert_eq!(revoked["revoked"]["because"], "a leak");
    let without_body = server.send(&with_token(Request::new("POST", &path("revoke")), TOKEN));
    assert_eq!(without_body.expect(200).json()["revoked"], revoked["revoked"], "a body is not needed");
    server
        .send(&with_token(Request::new("POST", &path("revoke")).body("text/plain", "why"), TOKEN))
        .problem(415, "unsupported_media_type");

    let body = json!({"because": "found again", "times": 1});
    assert_eq!(server.send(&post(&path("reinstate"), &body)).expect(200).json()["status"], "issued");
    server.redeemed(&key);
    let again = server.send(&post(&path("reinstate"), &body)).expect(200).json();
    assert_eq!(again["status"], "redeemed", "sent twice, it gives back once");
}

/// The revocation of a batch is undone: who had redeemed has a good receipt again.
#[test]
fn a_batch_is_prolonged_revoked_and_given_back() {
    let shop = Shop::new();
    let server = serve(&shop, &[]);
    let end = "2090-01-01T00:00:00Z".parse().unwrap();
    let key = |_| shop.ticket_with(|key| Ticket::new(key).of_batch("tour").expiring(end));
    let keys: Vec<Key> = (0..3).map(key).collect();
    let redeemed = server.redeemed(&keys[0]);
    let send = |what: &str, body: Value| server.send(&post(&format!("/admin/batches/tour/{what}"), &body));
    let extended = send("extend", json!({"expires_at": "2100-01-01"})).expect(200).json();
    let to = "2100-01-01T00:00:00Z";
    let expected = json!({"expires_at": to, "extended": 2, "unchanged": 0, "redeemed": 1, "revoked": 0});
    assert_eq!(extended, expected);
    assert_eq!(
        send("revoke", json!({"because": "a leak"})).expect(200).json(),
        json!({"revoked": 3, "unchanged": 0})
    );
    server.follow(&redeemed.receipt_url).problem(410, "revoked");
    send("reinstate", json!({})).problem(400, "bad_request");
    let before = |since: &str| json!({"because": "the wrong batch", "revoked_since": since});
    send("reinstate", before("yesterday")).problem(400, "bad_request");
    let later = send("reinstate", before("2100-01-01")).expect(200).json();
    assert_eq!(
        later,
        json!({"reinstated": 0, "redeemed": 0, "unchanged": 3}),
        "nothing was revoked since then"
    );
    let restored = send("reinstate", before("2020-01-01")).expect(200).json();
    assert_eq!(restored, json!({"reinstated": 3, "redeemed": 1, "unchanged": 0}));
    server.follow(&redeemed.receipt_url).expect(200);
    server.redeem(&keys[0]).problem(409, "already_redeemed");
    server.redeemed(&keys[1]);
}
