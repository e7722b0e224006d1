//! A client can go away at any moment. Whatever it leaves behind, a redemption is logged and counted once, and whoever
//! only has nothing more to send still gets the answer.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;

use crate::support::http::{Answer, FORM, connect, form};
use crate::support::key::Key;
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::Shop;
use crate::support::time::eventually;

/// How many of each kind, so that each comes at some different moments.
const CLIENTS: usize = 10;

/// The request, as bytes. It asks for the connection to stay open.
fn request(key: &Key) -> Vec<u8> {
    let body = form(&[("key", &key.dashed())]);
    let length = body.len();
    format!(
        "POST /redemptions HTTP/1.1\r\nHost: music.example\r\nContent-Type: {FORM}\r\nContent-Length: \
         {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends a request and gives the connection, from which nothing was read.
#[track_caller]
fn sent(server: &Server, key: &Key) -> TcpStream {
    let mut stream = connect(server.address).expect("a connection");
    stream.write_all(&request(key)).expect("the server reads");
    stream
}

/// Ends the connection at once, as when a process is killed with something unread, or a network breaks.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option of every socket");
    drop(stream);
}

/// The events of the log that are about this ticket.
fn events(server: &Server, key: &Key) -> Vec<Value> {
    let events = server.log();
    let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .map(|event| event["fields"].clone())
        .filter(|fields| fields["ticket"] == key.id().as_str())
        .collect()
}

/// The sum of all samples whose names and labels begin so.
fn counted(server: &Server, series: &str) -> u64 {
    let metrics = server.metrics();
    let values = metrics.lines().filter_map(|line| line.strip_prefix(series)?.rsplit(' ').next());
    // Sums of sizes are whole numbers, written as `10.0`.
    values.filter_map(|value| value.split('.').next()?.parse::<u64>().ok()).sum()
}

/// Fails unless each of the keys comes to be redeemed, once by all accounts: the store's, the log's and the metrics'.
#[track_caller]
fn are_redeemed_once(server: &Server, keys: &[Key]) {
    let redeemed = r#"tickey_redemptions_total{outcome="redeemed"}"#;
    eventually("all are counted", || (counted(server, redeemed) == keys.len() as u64).then_some(()));
    for key in keys {
        eventually("it is in the log", || (!events(server, key).is_empty()).then_some(()));
    }
    for key in keys {
        server.redeem(key).problem(409, "already_redeemed");
    }
    assert_eq!(counted(server, redeemed), keys.len() as u64);
    for key in keys {
        let (mut requests, mut unheard) = (0, 0);
        for event in events(server, key).iter().filter(|event| event["outcome"] == "redeemed") {
            assert!(event["redemption"].is_string() && event["request_id"].is_string(), "{event}");
            *if event["message"] == "request" { &mut requests } else { &mut unheard } += 1;
        }
        assert!(requests <= 1 && unheard <= 1 && requests + unheard >= 1, "{:?}", events(server, key));
    }
}

#[test]
fn a_client_that_closes_after_its_request() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys = shop.tickets(CLIENTS);
    for key in &keys {
        drop(sent(&server, key));
    }
    are_redeemed_once(&server, &keys);
}

/// What was not read before the reset is lost with it: such a key is as good as new.
#[test]
fn a_client_that_resets_its_connection_after_its_request() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys = shop.tickets(CLIENTS);
    for key in &keys {
        reset(sent(&server, key));
    }
    let mut used = Vec::new();
    for key in keys {
        // Queued behind whatever its first request has begun.
        match server.redeem_as(&key, "another-person") {
            answer if answer.status == 409 => used.push(key),
            answer => drop(Redeemed::read(&answer, 201)),
        }
    }
    for key in &used {
        eventually("it is in the log", || {
            let events = events(&server, key);
            events.iter().any(|event| event["outcome"] == "redeemed").then_some(())
        });
    }
}

#[test]
fn a_client_that_has_nothing_more_to_send_gets_its_answer() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys = shop.tickets(CLIENTS);
    for key in &keys {
        let mut stream = sent(&server, key);
        stream.shutdown(Shutdown::Write).expect("it is open");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        Redeemed::read(&Answer::read(&answer, false).expect("a whole answer"), 201);
    }
    are_redeemed_once(&server, &keys);
    assert_eq!(counted(&server, "tickey_redemptions_unheard_total"), 0);
}

/// The store is held up while clients go away in every manner, and goes on afterwards.
#[test]
fn clients_that_go_away_while_the_store_hangs() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys = shop.tickets(3 * CLIENTS);
    let file = shop.store().strip_prefix("sqlite:").expect("the embedded store").to_owned();
    let holding = rusqlite::Connection::open(file).expect("the store's file");
    holding.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let mut waiting = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        waiting.push((number, sent(&server, key)));
    }
    // Every request has been read, and is on its way to the store.
    eventually("all are being answered", || {
        let gets = counted(&server, r#"tickey_store_batch_size_sum{operation="get"}"#);
        (gets >= keys.len() as u64).then_some(())
    });
    let mut half_closed = Vec::new();
    for (number, stream) in waiting {
        match number % 3 {
            0 => drop(stream),
            1 => reset(stream),
            _ => {
                stream.shutdown(Shutdown::Write).expect("it is open");
                half_closed.push(stream);
            }
        }
    }
    holding.execute_batch("COMMIT").expect("nothing was changed");
    for mut stream in half_closed {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        Redeemed::read(&Answer::read(&answer, false).expect("a whole answer"), 201);
    }
    are_redeemed_once(&server, &keys);
    // A third of them asked for the answer and got it; of those that had reset their connections it is known that
    // nobody did.
    eventually("it is counted how many nobody heard", || {
        (counted(&server, "tickey_redemptions_unheard_total") >= CLIENTS as u64).then_some(())
    });
    assert!(counted(&server, "tickey_redemptions_unheard_total") <= 2 * CLIENTS as u64);
}

#[test]
fn a_client_that_goes_away_in_the_middle_of_its_answer() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys = shop.tickets(CLIENTS);
    for key in &keys {
        let mut stream = sent(&server, key);
        stream.read_exact(&mut [0; 20]).expect("the beginning of an answer");
        reset(stream);
    }
    are_redeemed_once(&server, &keys);
}

/// The second one of two requests that were sent together is another attempt, of another person.
#[test]
fn a_client_that_sends_two_requests_together_and_goes_away() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys = shop.tickets(2 * CLIENTS);
    for pair in keys.chunks(2) {
        let mut stream = connect(server.address).expect("a connection");
        let both = [request(&pair[0]), request(&pair[1])].concat();
        stream.write_all(&both).expect("the server reads");
        stream.shutdown(Shutdown::Write).expect("it is open");
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).expect("answers");
        assert_eq!(String::from_utf8_lossy(&answers).matches("HTTP/1.1 201").count(), 2);
    }
    are_redeemed_once(&server, &keys);
}

/// A request that never arrived whole was never made.
#[test]
fn a_client_that_goes_away_in_the_middle_of_its_request() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let request = request(&key);
    for cut in [10, request.len() / 2, request.len() - 1] {
        let mut stream = connect(server.address).expect("a connection");
        stream.write_all(&request[..cut]).expect("the server reads");
        drop(stream);
    }
    Redeemed::read(&server.redeem(&key), 201);
    assert_eq!(counted(&server, r#"tickey_redemptions_total{outcome="redeemed"}"#), 1);
}

/// Nobody waits for such a one, so the server that is asked to stop must.
#[test]
fn a_server_that_stops_finishes_what_was_begun_for_clients_that_are_gone() {
    let shop = Shop::new();
    let mut server = shop.serve();
    let keys = shop.tickets(CLIENTS);
    let file = shop.store().strip_prefix("sqlite:").expect("the embedded store").to_owned();
    let holding = rusqlite::Connection::open(file).expect("the store's file");
    holding.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let waiting: Vec<TcpStream> = keys.iter().map(|key| sent(&server, key)).collect();
    eventually("all are being answered", || {
        let gets = counted(&server, r#"tickey_store_batch_size_sum{operation="get"}"#);
        (gets >= keys.len() as u64).then_some(())
    });
    waiting.into_iter().for_each(reset);
    server.ask_to_stop();
    eventually("the server is leaving", || server.log().contains("SIGTERM").then_some(()));
    holding.execute_batch("COMMIT").expect("nothing was changed");
    assert!(server.wait().success());
    let log = server.log();
    for key in &keys {
        let redeemed = log.lines().filter(|line| line.contains(&key.id()) && line.contains("\"redeemed\""));
        assert!(redeemed.count() >= 1, "{log}");
    }
}

/// The page was opened anew, since the answer never came: what is said must lead out of it.
#[test]
fn whoever_lost_the_answer_is_told_the_way_back_for_a_while() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    server.redeem_as(&key, "the-page-where-the-button-was-pressed").expect(201);
    let refused = server.redeem_as(&key, "a-page-that-was-opened-anew");
    let problem = refused.problem(409, "already_redeemed");
    let detail = problem["detail"].as_str().expect("a text");
    for way in ["press it again", "same Idempotency-Key", "whoever sold it", "request id"] {
        assert!(detail.contains(way), "{way:?} is not said: {detail}");
    }
    assert!(problem["redeemed_at"].is_string(), "{refused}");
    let fields = [("key", &*key.dashed()), ("idempotency_key", "a-page-that-was-opened-anew")];
    let page = server.send(&crate::support::http::Request::redeem_by_form(&fields).accept("text/html"));
    let text = page.expect(409).page().visible_text();
    assert!(text.contains("press it again") && text.contains(page.required_header("x-request-id")), "{text}");
    server.redeem_as(&key, "the-page-where-the-button-was-pressed").expect(201);
}
