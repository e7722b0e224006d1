//! Section 3: "requests that are not redemptions at all (bad JSON, wrong media type, over 4 KiB) get 400, 415, 413".

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::http::{FORM, JSON, Request, connect, exchange};
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::Shop;

/// The largest body that is read.
const LIMIT: usize = 4096;

fn post(media_type: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", "/redemptions").body(media_type, body)
}

#[test]
fn a_json_body_that_is_no_redemption_is_a_bad_request() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let bodies = [
        String::new(),
        " ".to_owned(),
        "{".to_owned(),
        "not JSON".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        json!([key.dashed()]).to_string(),
        json!([{"key": key.dashed()}]).to_string(),
        json!(key.dashed()).to_string(),
        "{}".to_owned(),
        json!({"KEY": key.dashed()}).to_string(),
        json!({"key": null}).to_string(),
        json!({"key": 5}).to_string(),
        json!({"key": true}).to_string(),
        json!({"key": [key.dashed()]}).to_string(),
        json!({"key": {"key": key.dashed()}}).to_string(),
        format!(r#"{{"key": "{key:?}", "key": "{key:?}"}}"#),
        format!(r#"{{"key": "{key:?}"}} {{"key": "{key:?}"}}"#),
        format!(r#"{{"key": "{key:?}",}}"#),
        format!(r"{{'key': '{key:?}'}}"),
        format!(r#"{{"key": "{key:?}\ud800"}}"#),
        format!("key={key:?}"),
    ];
    for body in bodies {
        let answer = server.send(&post(JSON, body.as_str()));
        assert_eq!(answer.status, 400, "{body}");
        answer.problem(400, "bad_request");
    }
    Redeemed::read(&server.redeem(&key), 201);
}

#[test]
fn a_body_that_is_not_utf_8_is_a_bad_request() {
    let shop = Shop::new();
    let server = shop.serve();
    let mut body = json!({"key": shop.ticket().dashed()}).to_string().into_bytes();
    body[10] = 0xFF;
    server.send(&post(JSON, body)).problem(400, "bad_request");
    server.send(&post(JSON, &b"\xff\xfe{\x00}\x00"[..])).problem(400, "bad_request");
}

/// A parser that recurses for each bracket is felled by brackets alone.
#[test]
fn deep_nesting_is_a_bad_request_and_nothing_worse() {
    let shop = Shop::new();
    let server = shop.serve();
    let deep =
        |before: &str, open: &str| format!("{before}{}", open.repeat((LIMIT - before.len()) / open.len()));
    for body in [deep("", "["), deep(r#"{"key":"#, "["), deep("", r#"{"a":"#), deep(r#"{"x":"#, r#"{"key":"#)]
    {
        server.send(&post(JSON, body)).problem(400, "bad_request");
    }
    Redeemed::read(&server.redeem(&shop.ticket()), 201);
}

#[test]
fn a_form_that_is_no_redemption_is_a_bad_request() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    for body in
        [String::new(), "kye=1".to_owned(), format!("KEY={key:?}"), format!("key={key:?}&key={key:?}")]
    {
        server.send(&post(FORM, body).accept("*/*")).problem(400, "bad_request");
    }
    Redeemed::read(&server.redeem(&key), 201);
}

/// Escapes that stand for nothing are a bad request, or else are read as they stand, and then are no key.
#[test]
fn a_form_with_bad_escapes_redeems_nothing() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    for escape in ["%", "%4", "%ZZ", "%FF%FE", "%C3", "%u0041", "%00"] {
        let answer = server.send(&post(FORM, format!("key={key:?}{escape}")).accept("*/*"));
        let reason = answer.problem_of_any_reason(answer.status)["reason"].clone();
        let refused = (answer.status == 400 && reason == "bad_request")
            || (answer.status == 422 && reason == "malformed");
        assert!(refused, "{escape}: {answer}");
    }
    Redeemed::read(&server.redeem(&key), 201);
}

#[test]
fn a_body_of_another_media_type_or_of_none_is_unsupported() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let body = json!({"key": key.dashed()}).to_string();
    let media_types = [
        "text/plain",
        "text/json",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "json",
        "",
    ];
    for media_type in media_types {
        server.send(&post(media_type, body.clone())).problem(415, "unsupported_media_type");
    }
    let untyped = Request::new("POST", "/redemptions").body_of_no_type(body);
    server.send(&untyped).problem(415, "unsupported_media_type");
    let nothing = Request::new("POST", "/redemptions").header("Content-Length", "0");
    server.send(&nothing).problem(415, "unsupported_media_type");
    Redeemed::read(&server.redeem(&key), 201);
}

/// A key among so many dashes that the body is as large as this, as JSON and as a form.
fn bodies_of(shop: &Shop, size: usize) -> [Request; 2] {
    let padded = |before: &str, after: &str| {
        let key = shop.ticket().dashed();
        let dashes = "-".repeat(size - before.len() - key.len() - after.len());
        format!("{before}{key}{dashes}{after}")
    };
    [post(JSON, padded(r#"{"key":""#, r#""}"#)), post(FORM, padded("key=", "")).accept("*/*")]
}

#[test]
fn a_body_of_4_kib_is_read() {
    let shop = Shop::new();
    let server = shop.serve();
    for request in bodies_of(&shop, LIMIT) {
        Redeemed::read(&server.send(&request), 201);
    }
    for request in bodies_of(&shop, LIMIT) {
        Redeemed::read(&server.send(&request.chunked()), 201);
    }
}

#[test]
fn a_body_over_4_kib_is_too_large_whether_it_says_so_beforehand_or_not() {
    let shop = Shop::new();
    let server = shop.serve();
    for size in [LIMIT + 1, 3 * LIMIT] {
        for request in bodies_of(&shop, size) {
            server.send(&request).problem(413, "too_large");
            server.send(&request.chunked()).problem(413, "too_large");
        }
    }
}

/// Nobody has to send ten gigabytes to learn that they are too many.
#[test]
fn a_body_that_announces_to_be_too_large_is_refused_before_it_is_sent() {
    let shop = Shop::new();
    let server = shop.serve();
    let mut stream = connect(server.address).expect("a connection");
    let head = "POST /redemptions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: \
        10000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it is read");
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/problem+json"), "{head}");
}

/// A connection that is closed while its client still sends is reset, and the reset can overtake the answer: a proxy
/// would tell its client 502 instead of what was wrong.
#[test]
fn a_body_somewhat_too_large_is_taken_to_its_end_so_that_its_refusal_arrives() {
    let shop = Shop::new();
    let server = shop.serve();
    let rest = "-".repeat(2 * LIMIT);
    let announced = (format!("Content-Length: {}", LIMIT + rest.len()), "-".repeat(LIMIT), rest.clone());
    let chunk = |bytes: &str| format!("{:x}\r\n{bytes}\r\n", bytes.len());
    let chunked =
        ("Transfer-Encoding: chunked".to_owned(), chunk(&"-".repeat(LIMIT + 1)), chunk(&rest) + "0\r\n\r\n");
    for (length, first, rest) in [announced, chunked] {
        let head =
            format!("POST /redemptions HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n{length}\r\n\r\n");
        let mut stream = connect(server.address).expect("a connection");
        for part in
            [head, first, rest, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned()]
        {
            // Long enough for a refusal to be on its way, if it did not wait.
            thread::sleep(Duration::from_millis(50));
            stream.write_all(part.as_bytes()).expect("the server takes it");
        }
        let mut answers = String::new();
        stream.read_to_string(&mut answers).expect("the connection is not reset");
        assert!(answers.starts_with("HTTP/1.1 413"), "{answers}");
        assert!(answers.contains("HTTP/1.1 200"), "the connection was not kept: {answers}");
    }
}

/// Who breaks off in the middle of the body has asked for nothing.
#[test]
fn a_body_that_breaks_off_redeems_nothing() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let body = json!({ "key": key.dashed() }).to_string();
    let request = format!(
        "POST /redemptions HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len() + 1
    );
    let mut stream = connect(server.address).expect("a connection");
    stream.write_all(request.as_bytes()).expect("it is read");
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server closes the connection");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    let redeemed = server.redeem(&key);
    assert!(redeemed.header("idempotency-replayed").is_none());
    Redeemed::read(&redeemed, 201);
}

/// Whatever is no HTTP is refused or hung up on, and the next one is served.
#[test]
fn what_is_no_http_harms_nobody() {
    let shop = Shop::new();
    let server = shop.serve();
    let long_header = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many_headers = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20));
    let nonsense: [&[u8]; 8] = [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST /redemptions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /redemptions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        long_header.as_bytes(),
        many_headers.as_bytes(),
        long_target.as_bytes(),
    ];
    for bytes in nonsense {
        // The server may hang up while the rest is still on its way, which is as good as an answer.
        if let Ok(answer) = exchange_and_half_close(&server, bytes) {
            let text = String::from_utf8_lossy(&answer);
            let refused =
                text.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 505");
            assert!(refused, "{text}");
        }
        Redeemed::read(&server.redeem(&shop.ticket()), 201);
    }
}

fn exchange_and_half_close(server: &Server, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(server.address)?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Hundreds of connections that send a request drop by drop take nothing from those who send it whole.
#[test]
fn slow_clients_do_not_hold_up_quick_ones() {
    let shop = Shop::new();
    let server = shop.serve();
    let slow: Vec<TcpStream> = (0..300)
        .map(|number| {
            let mut stream = connect(server.address).expect("a connection");
            let part = if number % 2 == 0 {
                "POST /redemptions HTTP/1.1\r\nHost: x\r\nContent-Ty"
            } else {
                "POST /redemptions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: \
                 100\r\n\r\n{"
            };
            stream.write_all(part.as_bytes()).expect("it is read");
            stream
        })
        .collect();
    for key in shop.tickets(20) {
        Redeemed::read(&server.redeem(&key), 201);
    }
    assert_eq!(slow.len(), 300);
}

/// Requests on one connection are answered one by one, each with its own answer.
#[test]
fn requests_sent_all_at_once_on_one_connection_are_all_answered_in_order() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys = shop.tickets(5);
    let mut bytes = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let body = json!({ "key": key.dashed() }).to_string();
        let last = if number + 1 == keys.len() { "Connection: close\r\n" } else { "" };
        let length = body.len();
        let head = format!(
            "POST /redemptions HTTP/1.1\r\nHost: x\r\nX-Request-Id: request-{number}\r\nContent-Type: \
             {JSON}\r\n{last}Content-Length: {length}\r\n\r\n"
        );
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(body.as_bytes());
    }
    let answers = String::from_utf8(exchange(server.address, &bytes).expect("answers")).expect("text");
    let answers: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), keys.len(), "{answers:?}");
    for (number, answer) in answers.iter().enumerate() {
        assert!(answer.starts_with("201") && answer.contains(&format!("request-{number}\r\n")), "{answer}");
    }
}

/// Reads the head of an answer from a connection that may stay open.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer comes before the body has been sent");
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}
