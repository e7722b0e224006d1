//! Section 3, "only POST redeems: no GET or HEAD ever does". Link previews, prefetchers and virus scanners open every
//! URL they see.

use crate::support::http::{BROWSER, Request};
use crate::support::key::Key;
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::Shop;

#[test]
fn no_other_method_redeems() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH"] {
        for request in attempts(method, &key) {
            let answer = server.send(&request);
            allows_only_post(&answer.expect(405).required_header("allow").to_uppercase());
            if method != "HEAD" {
                answer.problem_of_any_reason(405);
            }
        }
        let by_browser = Request::redeem(&key.dashed()).with_method(method).accept(BROWSER);
        server.send(&by_browser).expect(405);
    }
    for request in attempts("OPTIONS", &key) {
        let answer = server.send(&request);
        assert!(matches!(answer.status, 200 | 204 | 405), "{answer}");
        allows_only_post(&answer.required_header("allow").to_uppercase());
    }
    still_good(&server, &key);
}

/// Every way in which a request of this method could carry the key.
fn attempts(method: &str, key: &Key) -> Vec<Request> {
    vec![
        Request::redeem(&key.dashed()).with_method(method),
        Request::redeem_by_form(&[("key", &key.dashed())]).with_method(method),
        Request::new(method, &format!("/redemptions?key={key:?}")),
    ]
}

#[track_caller]
fn allows_only_post(allow: &str) {
    let methods: Vec<&str> = allow.split(',').map(str::trim).collect();
    assert!(methods.contains(&"POST"), "{allow}");
    assert!(!methods.contains(&"GET") && !methods.contains(&"PUT"), "{allow}");
}

/// The key in a URL of the form's page does nothing, and neither does it in any other URL.
#[test]
fn no_url_with_a_key_in_it_redeems() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    for place in ["/?key=", "/#", "/", "/redemptions/", "/redemptions?key=", "/files/"] {
        for method in ["GET", "HEAD"] {
            for accept in ["*/*", BROWSER] {
                let answer = server.send(&Request::new(method, &format!("{place}{key:?}")).accept(accept));
                assert!(matches!(answer.status, 200 | 400 | 403 | 404 | 405), "{answer}");
            }
        }
    }
    still_good(&server, &key);
}

/// Neither do the ways in which a GET is passed off as something else, nor a POST to somewhere else.
#[test]
fn no_method_in_disguise_redeems() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let request = Request::redeem(&key.dashed()).with_method("GET");
        server.send(&request.header(name, "POST")).expect(405);
    }
    server.send(&Request::redeem(&key.dashed()).with_method("post")).problem_of_any_reason(405);
    server.send(&Request::redeem(&key.dashed()).with_target("/")).problem_of_any_reason(405);
    let empty = Request::redeem_by_form(&[]).with_target(&format!("/redemptions?key={key:?}"));
    server.send(&empty.accept("*/*")).problem(400, "bad_request");
    still_good(&server, &key);
}

#[track_caller]
fn still_good(server: &Server, key: &Key) {
    let answer = server.redeem(key);
    assert!(answer.header("idempotency-replayed").is_none(), "{answer}");
    Redeemed::read(&answer, 201);
}
