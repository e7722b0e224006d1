//! Section 3, the routes that are not about one redemption: the hello, the description, the states for operators, and
//! what every answer has in common.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::http::{BROWSER, JSON, Request};
use crate::support::shop::Shop;

/// "`GET /`: the form for browsers; otherwise a JSON hello with `service`, `version` and how to redeem".
#[test]
fn the_root_says_hello_to_programs_and_shows_the_form_to_people() {
    let shop = Shop::new();
    let server = shop.serve();
    for request in [Request::get("/"), Request::get("/").accept("*/*"), Request::get("/").accept(JSON)] {
        let answer = server.send(&request);
        assert_eq!(answer.expect(200).media_type(), JSON);
        let hello = answer.json();
        assert!(hello["service"].as_str().is_some_and(|service| !service.is_empty()), "{hello}");
        assert_eq!(hello["version"], env!("CARGO_PKG_VERSION"));
        assert!(answer.text().contains("/redemptions"), "no word of how to redeem: {hello}");
    }
    for accept in ["text/html", BROWSER] {
        let page = server.send(&Request::get("/").accept(accept));
        assert!(page.expect(200).page().has_redemption_form(), "{page}");
    }
}

/// "OpenAPI 3.1 of all of this".
#[test]
fn the_description_is_openapi_3_1_and_names_every_route_and_reason() {
    let shop = Shop::new();
    let server = shop.serve();
    let answer = server.get("/openapi.json");
    assert_eq!(answer.expect(200).media_type(), JSON);
    let description = answer.json();
    assert!(
        description["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")),
        "{description}"
    );
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));

    let paths = description["paths"].as_object().expect("paths");
    for path in ["/", "/redemptions", "/redemptions/{receipt}", "/healthz", "/readyz", "/openapi.json"] {
        assert!(paths.contains_key(path), "{path} is not among {:?}", paths.keys());
    }
    let files = paths.iter().find(|(path, _)| path.starts_with("/files/")).expect("a path for files").1;
    assert!(files["get"].is_object() && files["head"].is_object(), "{files}");
    let redeem = &paths["/redemptions"]["post"];
    for status in ["201", "303", "400", "403", "404", "409", "410", "413", "415", "422", "429", "503"] {
        assert!(redeem["responses"][status].is_object(), "POST /redemptions says nothing of {status}");
    }
    let text = answer.text();
    let reasons = [
        "malformed",
        "mistyped",
        "unknown",
        "already_redeemed",
        "not_yet_valid",
        "expired",
        "revoked",
        "too_many_attempts",
        "store_unavailable",
        "outcome_unknown",
        "bad_request",
        "unsupported_media_type",
        "too_large",
        "renewals_used_up",
        "receipt_unknown",
        "link_invalid",
        "link_expired",
    ];
    for reason in reasons {
        assert!(text.contains(reason), "{reason} is not described");
    }
    assert!(text.contains("Idempotency-Key"), "the Idempotency-Key is not described");
}

/// Whoever is refused finds there what to do.
#[test]
fn the_page_of_refusals_names_every_reason_of_the_description() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/refusals.md"));
    let page = page.expect("the page");
    let shop = Shop::new();
    let description = shop.serve().get("/openapi.json").json();
    let operations = description["paths"].as_object().expect("paths").values();
    let operations = operations.flat_map(|path| path.as_object().expect("a path").values());
    let responses = operations.filter_map(|operation| operation["responses"].as_object()).flatten();
    let refusals = responses.filter(|(status, _)| *status >= &"400".to_owned());
    let words: BTreeSet<String> = refusals
        .flat_map(|(_, refusal)| {
            refusal["description"].as_str().expect("a description").split('`').skip(1).step_by(2)
        })
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .map(str::to_owned)
        .collect();
    assert!(words.contains("already_redeemed"), "{words:?}");
    for reason in words {
        assert!(
            page.contains(&format!("| `{reason}` |")),
            "docs/refusals.md does not say what to do about {reason}"
        );
    }
}

/// A reference that leads nowhere makes the whole description useless to the tools that read it.
#[test]
fn every_reference_in_the_description_leads_somewhere() {
    let shop = Shop::new();
    let description = shop.serve().get("/openapi.json").json();
    every_reference_leads_somewhere(&description);
}

#[track_caller]
pub(crate) fn every_reference_leads_somewhere(description: &Value) {
    let mut references = BTreeSet::new();
    collect_references(description, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("references within the document");
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect_references(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect_references(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, references)),
        _ => {}
    }
}

#[test]
fn a_healthy_server_is_alive_and_ready() {
    let shop = Shop::new();
    let server = shop.serve();
    server.get("/healthz").expect(200);
    server.get("/readyz").expect(200);
}

/// Whatever is not there is refused in the form that was asked for.
#[test]
fn a_route_that_is_not_there_is_a_problem_or_a_page() {
    let shop = Shop::new();
    let server = shop.serve();
    for target in
        ["/nowhere", "/redemptions/a/b", "/.env", "/metrics", "/healthz/", "//", "/%2e%2e/etc/passwd"]
    {
        server.get(target).problem_of_any_reason(404);
        let page = server.send(&Request::get(target).accept(BROWSER));
        assert!(!page.expect(404).page().visible_text().is_empty(), "{target}");
    }
}

/// A proxy's request id is taken over, so that one id is in everybody's log.
#[test]
fn a_request_id_is_taken_over_into_the_answer() {
    let shop = Shop::new();
    let server = shop.serve();
    for id in ["abc-123", "7c9a0b1e-95a4-4a5e-8c1d-1f6f3d1f7a10", "trace_1.2"] {
        let ok = server.send(&Request::get("/").header("X-Request-Id", id));
        assert_eq!(ok.header("x-request-id"), Some(id));
        let refused = server.send(&Request::redeem("too short").header("X-Request-Id", id));
        assert_eq!(refused.problem(422, "malformed")["request_id"], id);
    }
}

/// One that is absent, endless or not what an id looks like is replaced by a new one.
#[test]
fn a_request_id_is_made_up_when_there_is_none_or_an_ugly_one() {
    let shop = Shop::new();
    let server = shop.serve();
    let endless = "x".repeat(2000);
    let ugly: [&[u8]; 6] = [
        b"",
        b"two words",
        b"<script>alert(1)</script>",
        endless.as_bytes(),
        "ümläut".as_bytes(),
        b"\xff\xfe",
    ];
    let mut ids = BTreeSet::new();
    for id in ugly {
        let answer = server.send(&Request::redeem("too short").header("X-Request-Id", id));
        let given = answer.problem(422, "malformed")["request_id"].as_str().expect("an id").to_owned();
        assert_ne!(given.as_bytes(), id);
        assert!(given.len() < 100 && !given.contains(['<', ' ']), "{given:?}");
        assert!(ids.insert(given), "an id was given twice");
    }
    for _ in 0..5 {
        let answer = server.get("/healthz");
        assert!(ids.insert(answer.required_header("x-request-id").to_owned()), "an id was given twice");
    }
}

/// The id of an answer is in the log too, or it helps nobody.
#[test]
fn a_request_can_be_found_in_the_log_by_its_id() {
    let shop = Shop::new();
    let server = shop.serve();
    let answer = server.send(&Request::redeem(&shop.key().dashed()).header("X-Request-Id", "find-me-4711"));
    answer.problem(404, "unknown");
    crate::support::time::eventually("the id is in the log", || {
        server.log().contains("find-me-4711").then_some(())
    });
}
