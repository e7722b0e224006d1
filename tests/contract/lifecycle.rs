//! Section 2, exit status 0, and section 3, `/readyz`, while a server stops.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use crate::support::http::connect;
use crate::support::redeemed::Redeemed;
use crate::support::shop::Shop;
use crate::support::time::{eventually, within};

/// First the load balancer is told, then the door is shut: nobody is sent to a server that is gone.
#[test]
fn a_server_that_is_asked_to_stop_is_not_ready_but_serves_until_it_goes() {
    let shop = Shop::new();
    let mut server = shop.serve_with(&["--drain-delay-seconds", "3"]);
    let key = shop.ticket();
    server.ask_to_stop();
    let answer = eventually("it is not ready any more", || {
        let answer = server.get("/readyz");
        (answer.status != 200).then_some(answer)
    });
    answer.expect(503);
    assert!(!answer.body.is_empty(), "no reason is given");
    // Who keeps connections is asked to open another for the next request, which then goes to another server.
    let alive = server.get("/healthz");
    assert_eq!(alive.expect(200).header("connection"), Some("close"));
    Redeemed::read(&server.redeem(&key), 201);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_server_that_is_asked_to_stop_ends_with_status_0() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--drain-delay-seconds", "0"]);
    assert_eq!(server.stop().code(), Some(0));
}

/// A request that has begun is answered, whatever happens meanwhile.
#[test]
fn a_request_that_is_under_way_is_answered_before_the_server_goes() {
    let shop = Shop::new();
    let mut server = shop.serve_with(&["--drain-delay-seconds", "1"]);
    let body = format!(r#"{{"key": "{:?}"}}"#, shop.ticket());
    let (first, rest) = body.split_at(5);
    let mut stream = connect(server.address).expect("a connection");
    let head = format!(
        "POST /redemptions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{first}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("it is read");
    server.ask_to_stop();
    eventually("it has noticed", || (server.get("/readyz").status == 503).then_some(()));
    stream.write_all(rest.as_bytes()).expect("it is read");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&status), "HTTP/1.1 201");
    drop(stream);
    assert_eq!(server.wait().code(), Some(0));
}

/// Connections that say nothing do not keep a server from going.
#[test]
fn idle_connections_do_not_keep_a_server_from_going() {
    let shop = Shop::new();
    let mut server = shop.serve_with(&["--drain-delay-seconds", "0"]);
    let idle: Vec<_> = (0..20).map(|_| connect(server.address).expect("a connection")).collect();
    server.get("/healthz").expect(200);
    server.ask_to_stop();
    assert_eq!(server.wait().code(), Some(0));
    drop(idle);
}

/// An address that is taken is a failure that says so, not a server that nobody can reach.
#[test]
fn a_server_that_cannot_listen_fails_with_status_1() {
    let shop = Shop::new();
    let server = shop.serve();
    let address = server.address.to_string();
    let mut command = shop.serve_command(crate::support::server::tickey(shop.folder()), &[]);
    command.args(["--listen", &address, "--ops-listen", "127.0.0.1:0"]);
    let outcome = crate::support::shop::Outcome::of(command, "").expect(1);
    assert!(outcome.stderr.contains(&address), "{}", outcome.all());
}

/// Every part of the log is for machines when nobody watches: one JSON object a line.
#[test]
fn the_log_is_json_lines_with_a_level_and_a_message() {
    let shop = Shop::new();
    let server = shop.serve();
    server.redeemed(&shop.ticket());
    let enough = within(Duration::from_secs(5), || (server.log().lines().count() > 1).then_some(()));
    assert!(enough.is_some(), "nothing but the first line: {}", server.log());
    for line in server.log().lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
        assert!(event["timestamp"].is_string() && event["level"].is_string(), "{line}");
        assert!(event["fields"]["message"].is_string(), "{line}");
    }
}
