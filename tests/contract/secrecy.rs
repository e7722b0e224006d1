//! Section 1: "a key never appears in a URL's path or query, a log line, a metric, an error report …", and only its
//! digest "is ever stored". The same goes for receipts, for the signatures of links and for whole client addresses.
//!
//! The log is looked at in its most talkative form.

use std::fs;

use serde_json::json;

use crate::support::http::{Answer, BROWSER, FORM, JSON, Request, target_of};
use crate::support::key::Key;
use crate::support::redeemed::Redeemed;
use crate::support::server::{Server, tickey};
use crate::support::shop::{Outcome, Shop, Ticket};

/// The clients' addresses, which the proxy on this machine passes on.
const ADDRESSES: [&str; 2] = ["203.0.113.177", "2001:db8:5:4f3::177"];

/// Everything that must be nowhere.
#[derive(Default)]
struct Secrets {
    /// What was typed in, right or wrong: only letters and digits, in upper case.
    typed: Vec<String>,
    /// Receipts, signatures and addresses, as they are.
    exact: Vec<String>,
}

impl Secrets {
    fn add_key(&mut self, key: &Key) {
        self.typed.push(key.symbols());
    }

    fn add_redemption(&mut self, redeemed: &Redeemed) {
        self.exact.push(redeemed.receipt().to_owned());
        for file in &redeemed.files {
            let signatures = signatures(&file.url, &file.sha256);
            assert!(!signatures.is_empty(), "nothing in this link looks like a signature: {}", file.url);
            self.exact.extend(signatures);
        }
    }

    /// Fails if any secret is in these bytes, in whatever way a key can be written.
    #[track_caller]
    fn are_not_in(&self, bytes: &[u8], place: &str) {
        let text = String::from_utf8_lossy(bytes);
        let squeezed = squeezed(&text);
        for typed in &self.typed {
            if let Some(at) = squeezed.find(typed) {
                panic!("{typed} is in {place}, after …{}", &squeezed[at.saturating_sub(200)..at]);
            }
        }
        for exact in &self.exact {
            if let Some((before, _)) = text.split_once(exact.as_str()) {
                let context: String =
                    before.chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
                panic!("{exact} is in {place}, after …{context}");
            }
        }
    }
}

/// The letters and digits alone, in upper case.
fn squeezed(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_uppercase()).collect()
}

/// The parts of a link that are long enough to be secrets and are nothing that is known otherwise.
fn signatures(url: &str, sha256: &str) -> Vec<String> {
    target_of(url)
        .split(['/', '?', '&', '=', '.', '~'])
        .filter(|part| part.len() >= 20 && !part.contains('%') && *part != sha256)
        .map(str::to_owned)
        .collect()
}

fn serve(shop: &Shop, level: &str) -> Server {
    let mut command = shop.serve_command(tickey(shop.folder()), &["--trusted-proxies", "127.0.0.0/8"]);
    command.env("TICKEY_LOG", level);
    Server::start(command)
}

/// A request that comes from one of the secret addresses.
fn from_a_client(request: Request, number: usize) -> Request {
    request.forwarded_for(ADDRESSES[number % ADDRESSES.len()])
}

/// Sends all sorts of requests that hold secrets, checks their answers, and gives the secrets.
fn provoke(shop: &Shop, server: &Server) -> Secrets {
    let mut secrets = Secrets::default();
    redeem_in_each_form(shop, server, &mut secrets);
    be_refused_for_each_reason(shop, server, &mut secrets);
    put_keys_in_odd_places(shop, server, &mut secrets);
    secrets.exact.extend(ADDRESSES.map(str::to_owned));
    secrets
}

fn redeem_in_each_form(shop: &Shop, server: &Server, secrets: &mut Secrets) {
    for (number, accept) in [JSON, BROWSER, "text/plain", JSON].into_iter().enumerate() {
        let key = shop.ticket();
        secrets.add_key(&key);
        let request = Request::redeem_by_form(&[("key", &key.dashed())]).idempotency_key("mine");
        let answer = server.send(&from_a_client(request.clone().accept(accept), number));
        assert!(matches!(answer.status, 201 | 303), "{answer}");
        let keys = Secrets { typed: secrets.typed.clone(), exact: Vec::new() };
        keys.are_not_in(answer.head().as_bytes(), "the answer's head");
        keys.are_not_in(&answer.body, "the answer");
        let redeemed = Redeemed::read(&server.send(&from_a_client(request.accept(JSON), number)), 201);
        let receipt = server.send(&from_a_client(Request::get(target_of(&redeemed.receipt_url)), number));
        receipt.expect(200);
        for file in &redeemed.files {
            server.send(&from_a_client(Request::get(target_of(&file.url)), number)).expect(200);
            let forged = format!("{}x", target_of(&file.url));
            server.send(&from_a_client(Request::get(&forged), number)).expect(403);
        }
        let forged = format!("{}x", target_of(&redeemed.receipt_url));
        server.send(&from_a_client(Request::get(&forged), number)).expect(404);
        secrets.add_redemption(&redeemed);
    }
}

fn be_refused_for_each_reason(shop: &Shop, server: &Server, secrets: &mut Secrets) {
    let redeemed = shop.ticket();
    server.redeemed(&redeemed);
    let revoked = shop.ticket();
    shop.tool_reading(&["revoke", "-"], &revoked.dashed()).expect(0);
    let early = shop.ticket_with(|key| Ticket::new(key).valid_from("2099-01-01T00:00:00Z".parse().unwrap()));
    let late = shop.ticket_with(|key| Ticket::new(key).expiring("2020-01-01T00:00:00Z".parse().unwrap()));
    let stranded = shop.ticket_with(|key| Ticket::new(key).of_album("nowhere"));
    let unknown = shop.key();
    let mut swapped = Key::holding("7X", 5000).symbols();
    let place = (0..24)
        .find(|place| swapped.as_bytes()[*place] != swapped.as_bytes()[place + 1])
        .expect("two symbols");
    let pair: String = swapped[place..place + 2].chars().rev().collect();
    swapped.replace_range(place..place + 2, &pair);
    let mut typed: Vec<String> =
        [&redeemed, &revoked, &early, &late, &stranded, &unknown].map(Key::dashed).to_vec();
    typed.extend([swapped, format!("{:?}U", shop.key()), shop.key().symbols()[..24].to_owned()]);
    for (number, typed) in typed.iter().enumerate() {
        secrets.typed.push(squeezed(typed));
        for accept in [JSON, "text/plain", BROWSER] {
            let answer = server.send(&from_a_client(Request::redeem(typed).accept(accept), number));
            assert!(answer.status >= 400, "{answer}");
            tells_nothing(secrets, &answer);
        }
    }
}

/// A page may show a person what they typed; nothing else may hold it.
#[track_caller]
fn tells_nothing(secrets: &Secrets, answer: &Answer) {
    secrets.are_not_in(answer.head().as_bytes(), "the answer's head");
    if answer.media_type() != "text/html" {
        secrets.are_not_in(&answer.body, "the answer");
    }
}

fn put_keys_in_odd_places(shop: &Shop, server: &Server, secrets: &mut Secrets) {
    let key = shop.ticket();
    let dashed = key.dashed();
    secrets.add_key(&key);
    let mut requests = Vec::new();
    for place in
        ["/?key=", "/", "/redemptions?key=", "/redemptions/", "/files/", "/files/x?key=", "/x?signature="]
    {
        requests.push(Request::get(&format!("{place}{dashed}")));
        requests.push(Request::get(&format!("{place}{}", key.symbols())).accept("text/plain"));
    }
    requests.push(Request::new(&key.symbols(), "/redemptions"));
    let headers = [
        "X-Request-Id",
        "User-Agent",
        "Referer",
        "Cookie",
        "Authorization",
        "traceparent",
        "Accept",
        "X-Forwarded-For",
    ];
    for header in headers {
        requests.push(Request::get("/").header(header, &dashed));
        requests.push(Request::redeem("too short").header(header, &dashed));
    }
    requests.push(Request::redeem("too short").idempotency_key(&dashed));
    requests.push(Request::redeem("too short").idempotency_key(format!("not valid: {dashed}")));
    let post = |media_type: &str, body: String| Request::new("POST", "/redemptions").body(media_type, body);
    requests.extend([
        post(JSON, json!({"key": [dashed]}).to_string()),
        post(JSON, json!({"key": {dashed.clone(): 1}}).to_string()),
        post(JSON, json!(dashed).to_string()),
        post(JSON, json!({dashed.clone(): dashed}).to_string()),
        post(JSON, format!(r#"{{"key": "{dashed}", "key": "{dashed}"}}"#)),
        post(JSON, format!("key={dashed}")),
        post(FORM, format!("key={dashed}&key={dashed}")).accept(JSON),
        post(FORM, format!("{dashed}={dashed}")).accept(JSON),
        post("text/plain", dashed.clone()),
        post(&format!("text/{dashed}"), dashed.clone()),
    ]);
    for (number, request) in requests.into_iter().enumerate() {
        tells_nothing(secrets, &server.send(&from_a_client(request, number)));
    }
    // And once where it is right, with itself in every other place as well.
    let everywhere = Request::redeem(&dashed).with_target(&format!("/redemptions?key={dashed}"));
    let everywhere =
        everywhere.header("X-Request-Id", &dashed).header("User-Agent", &dashed).header("Referer", &dashed);
    let answer = server.send(&everywhere.idempotency_key(&dashed));
    secrets.add_redemption(&Redeemed::read(&answer, 201));
    let without_key = Secrets { typed: vec![key.symbols()], exact: Vec::new() };
    without_key.are_not_in(answer.head().as_bytes(), "the answer's head");
    without_key.are_not_in(&answer.body, "the answer");
}

/// The store's files, whatever they are called, and all else that is not the library or the keys of the links.
fn everything_written(shop: &Shop) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(shop.folder()).expect("the shop's folder");
    let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    files
        .filter(|path| !path.ends_with("link-keys"))
        .map(|path| (path.display().to_string(), fs::read(&path).expect("a file")))
        .collect()
}

/// The helper finds what it looks for: without this, the other tests here could pass by finding nothing ever.
#[test]
fn a_secret_would_be_found_however_it_was_written() {
    let key = Key::numbered(0);
    let mut secrets = Secrets::default();
    secrets.add_key(&key);
    secrets.exact.push(ADDRESSES[0].to_owned());
    let spellings = [
        key.dashed(),
        format!("…{}…", key.symbols().to_lowercase()),
        key.dashed().replace('-', "%20"),
        format!("client={}", ADDRESSES[0]),
    ];
    for (number, spelling) in spellings.iter().enumerate() {
        let found = std::panic::catch_unwind(|| secrets.are_not_in(spelling.as_bytes(), "a test")).is_err();
        // An escaped space has digits of its own between the symbols; no part of the program writes keys like that.
        assert_eq!(found, number != 2, "{spelling}");
    }
}

#[test]
fn no_secret_is_in_the_log_the_metrics_or_the_store() {
    for level in ["info", "trace"] {
        let shop = Shop::new();
        let server = serve(&shop, level);
        let secrets = provoke(&shop, &server);
        secrets.are_not_in(server.metrics().as_bytes(), "the metrics");
        let running = everything_written(&shop);
        assert!(running.iter().any(|(name, _)| name.ends_with("tickets.db")), "the store is somewhere else");
        let log = server.stop_and_read_log();
        assert!(log.lines().count() > 1, "nothing was logged: {log}");
        secrets.are_not_in(log.as_bytes(), &format!("the log at {level}"));
        for (name, bytes) in running.into_iter().chain(everything_written(&shop)) {
            secrets.are_not_in(&bytes, &name);
        }
    }
}

/// Neither do the tools tell, however talkative they are made.
#[test]
fn no_tool_tells_a_key() {
    let shop = Shop::new();
    let key = shop.ticket();
    let mistyped =
        format!("{}{}", &key.symbols()[..24], if key.symbols().ends_with('7') { '8' } else { '7' });
    let secrets = Secrets { typed: vec![key.symbols(), mistyped.clone()], exact: Vec::new() };
    let row = |key: &str| {
        format!("key,album,batch,valid_from,expires_at\n{key},a,b,,\n{key},a,b,nonsense,\n{key}\n")
    };
    for input in [row(&key.dashed()), row(&mistyped)] {
        secrets.are_not_in(talkative(&shop, &["load", "-"], &input).all().as_bytes(), "what load says");
    }
    for typed in [key.dashed(), mistyped] {
        let commands: [&[&str]; 8] = [
            &["inspect", "-"],
            &["inspect", &typed],
            &["revoke", "-"],
            &["revoke", &typed],
            &["reinstate", "-", "--because", "a test"],
            &["reinstate", &typed, "--because", "a test"],
            &["export"],
            &["stats", "--json"],
        ];
        for command in commands {
            secrets.are_not_in(talkative(&shop, command, &typed).all().as_bytes(), command[0]);
        }
    }
    for (name, bytes) in everything_written(&shop) {
        secrets.are_not_in(&bytes, &name);
    }
}

fn talkative(shop: &Shop, arguments: &[&str], input: &str) -> Outcome {
    let mut command = tickey(shop.folder());
    command.args(arguments).env("TICKEY_STORE", shop.store()).env("TICKEY_LOG", "trace");
    Outcome::of(command, input)
}

/// "A QR code carries it in the fragment, which browsers do not send": the page must not send it on either.
#[test]
fn no_page_lets_its_address_be_passed_on() {
    let shop = Shop::new();
    let server = serve(&shop, "info");
    let redeemed = server.redeemed(&shop.ticket());
    for target in ["/", target_of(&redeemed.receipt_url)] {
        let page = server.send(&Request::get(target).accept(BROWSER));
        let policy = page.expect(200).header("referrer-policy").unwrap_or_default();
        assert!(matches!(policy, "no-referrer" | "same-origin" | "strict-origin" | "origin"), "{page}");
    }
}

/// Answers that hold a receipt or links belong to one person, so nothing on the way may keep them.
#[test]
fn no_cache_keeps_what_belongs_to_one_person() {
    let shop = Shop::new();
    let server = serve(&shop, "info");
    let answer = server.redeem(&shop.ticket());
    let redeemed = Redeemed::read(&answer, 201);
    let receipt = server.follow(&redeemed.receipt_url);
    let page = server.send(&Request::get(target_of(&redeemed.receipt_url)).accept(BROWSER));
    for answer in [answer, receipt, page] {
        assert!(answer.required_header("cache-control").contains("no-store"), "{answer}");
    }
}
