//! A hundred times `kill -9` under load, and the promise of the contract after each: what was acknowledged is there,
//! nothing was given twice, and whoever got no answer can ask again.
//!
//! Every key is fought over by two people, each with an `Idempotency-Key` of their own. A person whose connection broke
//! asks again in the next round; one who has an answer goes on asking for it again now and then.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says that something is wrong by panicking, and so do its helpers"
)]

#[allow(dead_code, reason = "this target uses only a part of what the tests share")]
mod support;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use support::http::{Answer, Request};
use support::key::Key;
use support::redeemed::Redeemed;
use support::shop::Shop;

const ROUNDS: usize = 100;
const CLIENTS: usize = 8;
const KEYS_A_ROUND: usize = 60;

/// The links must not change with the port that a restarted server gets.
const FLAGS: [&str; 2] = ["--public-url", "https://tickets.example"];

/// One person's claim to one key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Claim {
    key: usize,
    rival: usize,
}

impl Claim {
    fn send(self, address: SocketAddr, keys: &[Key]) -> io::Result<Answer> {
        let idempotency_key = format!("person-{}-{}", self.key, self.rival);
        Request::redeem(&keys[self.key].dashed()).idempotency_key(idempotency_key).send(address)
    }
}

/// What was said about a claim, for good.
#[derive(Clone, PartialEq, Eq)]
enum Verdict {
    Given { redemption: String, body: Vec<u8> },
    Refused,
}

/// All that is known from outside.
#[derive(Default)]
struct Ledger {
    /// Claims to be made, in this order.
    fresh: Vec<Claim>,
    /// Claims that got no answer, or one that says that the outcome is open.
    unsettled: Vec<Claim>,
    settled: HashMap<Claim, Verdict>,
    /// The same claims in the order in which they were settled, to ask again.
    history: Vec<Claim>,
    asked_again: usize,
}

impl Ledger {
    /// What to ask next: first what is open, then what is new, then what has been answered already.
    fn next(&mut self) -> Option<Claim> {
        self.unsettled.pop().or_else(|| self.fresh.pop()).or_else(|| {
            self.asked_again += 1;
            // A stride that is prime to most lengths visits all of them in no simple order.
            self.history.get(self.asked_again * 7919 % self.history.len().max(1)).copied()
        })
    }

    /// Takes note of an answer, which must agree with all that was said before. False when there was none.
    fn note(&mut self, claim: Claim, answer: io::Result<Answer>) -> bool {
        let settled_before = self.settled.get(&claim);
        let verdict = match answer {
            Ok(answer) if answer.status == 201 => {
                let redemption = Redeemed::read(&answer, 201).id;
                assert!(
                    settled_before.is_none() || answer.header("idempotency-replayed") == Some("true"),
                    "{claim:?} was redeemed a second time: {answer}"
                );
                Verdict::Given { redemption, body: answer.body }
            }
            Ok(answer) if answer.status == 503 => {
                answer.problem_of_any_reason(503);
                self.reopen(claim);
                return true;
            }
            Ok(answer) => {
                answer.problem(409, "already_redeemed");
                Verdict::Refused
            }
            Err(_) => {
                self.reopen(claim);
                return false;
            }
        };
        if let Some(before) = settled_before {
            assert!(*before == verdict, "{claim:?} got another answer than before");
        } else {
            self.settled.insert(claim, verdict);
            self.history.push(claim);
        }
        true
    }

    fn reopen(&mut self, claim: Claim) {
        if !self.settled.contains_key(&claim) {
            self.unsettled.push(claim);
        }
    }
}

/// Lets the clients ask until the server is killed, which happens after this time.
fn round(shop: &Shop, keys: &[Key], ledger: &Mutex<Ledger>, life: Duration) {
    let server = shop.serve_with(&FLAGS);
    let address = server.address;
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let claim = ledger.lock().expect("no client has failed").next();
                    // Nothing to ask is only at the very beginning, when the others hold all there is.
                    let Some(claim) = claim else { break };
                    let answer = claim.send(address, keys);
                    if !ledger.lock().expect("no client has failed").note(claim, answer) {
                        break;
                    }
                }
            });
        }
        // The moment of death is what is varied here.
        thread::sleep(life);
        server.kill();
    });
}

#[test]
fn no_acknowledged_redemption_is_lost_or_doubled_by_a_hundred_kills() {
    let shop = Shop::new();
    let keys = shop.tickets(ROUNDS * KEYS_A_ROUND);
    let ledger = Mutex::new(Ledger::default());
    for number in 0..ROUNDS {
        let keys_of_round = number * KEYS_A_ROUND..(number + 1) * KEYS_A_ROUND;
        let claims = keys_of_round.flat_map(|key| [0, 1].map(|rival| Claim { key, rival }));
        ledger.lock().expect("no client has failed").fresh.extend(claims);
        round(&shop, &keys, &ledger, Duration::from_millis(10 + (number as u64 * 37) % 150));
    }

    let mut ledger = ledger.into_inner().expect("no client has failed");
    let killed_in_flight = ledger.unsettled.len();
    let server = shop.serve_with(&FLAGS);
    let open: Vec<Claim> =
        ledger.unsettled.drain(..).chain(ledger.fresh.drain(..).collect::<Vec<_>>()).collect();
    for claim in open.into_iter().chain(ledger.history.clone()) {
        assert!(ledger.note(claim, claim.send(server.address, &keys)), "{claim:?} got no answer");
    }
    assert!(ledger.unsettled.is_empty(), "{:?} is still open", ledger.unsettled);
    assert_eq!(ledger.settled.len(), 2 * keys.len());
    for key in 0..keys.len() {
        let given =
            [0, 1].map(|rival| matches!(ledger.settled[&Claim { key, rival }], Verdict::Given { .. }));
        assert_ne!(
            given[0],
            given[1],
            "key {key} was given {} times",
            given.iter().filter(|given| **given).count()
        );
    }
    println!("{} claims, the last {killed_in_flight} of them cut off by the last kill", ledger.settled.len());
}
