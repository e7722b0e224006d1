//! What must hold when everybody comes at once: one ticket is one redemption.

use std::sync::Barrier;
use std::thread;

use crate::support::http::Answer;
use crate::support::key::Key;
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::Shop;

const KEYS: usize = 200;
const CLIENTS: usize = 32;

/// Lets so many clients redeem all the keys, each key by all of them at about the same moment, and gives every
/// client's answers in the order of the keys.
fn race(server: &Server, keys: &[Key], idempotency_key: impl Fn(usize) -> String + Sync) -> Vec<Vec<Answer>> {
    let start = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (start, idempotency_key) = (&start, &idempotency_key);
                scope.spawn(move || {
                    start.wait();
                    keys.iter().map(|key| server.redeem_as(key, &idempotency_key(client))).collect()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client gets its answers")).collect()
    })
}

/// Thirty-two people with the same two hundred keys: for each key one gets the album and the others learn that
/// somebody has. The one can ask again.
#[test]
fn of_many_people_with_the_same_key_exactly_one_gets_the_album() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys = shop.tickets(KEYS);
    let answers = race(&server, &keys, |client| format!("client-{client}"));
    for (number, key) in keys.iter().enumerate() {
        let mut winners = Vec::new();
        for (client, answers) in answers.iter().enumerate() {
            let answer = &answers[number];
            if answer.status == 201 {
                assert!(answer.header("idempotency-replayed").is_none(), "{answer}");
                winners.push(client);
            } else {
                answer.problem(409, "already_redeemed");
            }
        }
        assert_eq!(winners.len(), 1, "{key:?} was given to {winners:?}");
        let winner = winners[0];
        let again = server.redeem_as(key, &format!("client-{winner}"));
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{again}");
        assert!(again.expect(201).body == answers[winner][number].body, "{key:?}: not the winner's bytes");
    }
}

/// One impatient person thirty-two times at once: one redemption, of which all get the same bytes. A copy whose write
/// met another's cannot know whether that was its own, so more than one may believe to be the first.
#[test]
fn of_many_copies_of_the_same_request_all_get_the_same_bytes() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys = shop.tickets(KEYS / 4);
    let answers = race(&server, &keys, |_| "one-person".to_owned());
    for (number, key) in keys.iter().enumerate() {
        let of_key: Vec<&Answer> = answers.iter().map(|answers| &answers[number]).collect();
        let first = Redeemed::read(of_key[0], 201);
        assert!(of_key.iter().all(|answer| answer.status == 201 && answer.body == first.body), "{key:?}");
        let replays =
            of_key.iter().filter(|answer| answer.header("idempotency-replayed") == Some("true")).count();
        assert!(replays < CLIENTS, "{key:?}: somebody must have been the first");
        let later = server.redeem_as(key, "one-person");
        assert_eq!(later.header("idempotency-replayed"), Some("true"), "{later}");
    }
}

/// Two servers on one store are one service: the condition is in the write, not in a server's memory.
#[test]
fn two_servers_on_one_store_give_no_key_twice() {
    let shop = Shop::new();
    let servers = [shop.serve(), shop.serve()];
    let keys = shop.tickets(KEYS / 4);
    let winners: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let (servers, keys) = (&servers, &keys);
                scope.spawn(move || {
                    let name = format!("client-{client}");
                    let answers = keys.iter().map(|key| servers[client % 2].redeem_as(key, &name));
                    answers
                        .filter(|answer| {
                            assert!(matches!(answer.status, 201 | 409), "{answer}");
                            answer.status == 201
                        })
                        .count()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client gets its answers")).sum()
    });
    assert_eq!(winners, keys.len());
}
