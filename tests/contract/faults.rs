//! Section 3, `store_unavailable` and `outcome_unknown`: what is said when the disk is full, and what is true then.
//!
//! The full disk is a limit on the size of the files that the server may write, which a test can set and lift while it
//! runs.

use rustix::process::{Resource, Rlimit, prlimit};

use crate::support::http::{BROWSER, Request};
use crate::support::redeemed::Redeemed;
use crate::support::server::{Server, tickey_that_survives_a_full_disk};
use crate::support::shop::Shop;
use crate::support::time::eventually;

fn serve(shop: &Shop) -> Server {
    Server::start(shop.serve_command(tickey_that_survives_a_full_disk(shop.folder()), &[]))
}

fn set_room(server: &Server, bytes: Option<u64>) {
    prlimit(Some(server.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None })
        .expect("our own child");
}

/// The heart of it: a full disk leaves no doubt, so the answer says "nothing was used up", and another person has the
/// key.
#[test]
fn a_full_disk_is_a_503_that_uses_nothing_up() {
    let shop = Shop::new();
    let server = serve(&shop);
    let keys = shop.tickets(3);
    set_room(&server, Some(0));
    let refused: Vec<_> = keys.iter().map(|key| server.redeem_as(key, "first-person")).collect();
    set_room(&server, None);
    for (key, refused) in keys.iter().zip(refused) {
        refused.problem(503, "store_unavailable");
        let answer = eventually("the store recovers", || {
            let answer = server.redeem_as(key, "second-person");
            (answer.status != 503).then_some(answer)
        });
        Redeemed::read(&answer, 201);
        server.redeem_as(key, "first-person").problem(409, "already_redeemed");
    }
}

/// People are told in their own form, and told to come back.
#[test]
fn a_full_disk_is_explained_to_people_too() {
    let shop = Shop::new();
    let server = serve(&shop);
    let keys = shop.tickets(2);
    set_room(&server, Some(0));
    let page = server.send(&Request::redeem(&keys[0].dashed()).accept(BROWSER));
    assert!(page.expect(503).page().has_redemption_form(), "{page}");
    page.retry_after();
    let sentence = server.send(&Request::redeem(&keys[1].dashed()).accept("text/plain"));
    assert_eq!((sentence.status, sentence.media_type()), (503, "text/plain"), "{sentence}");
    sentence.retry_after();
}

/// What was acknowledged before, during and after the disk was full is there after a crash.
#[test]
fn what_was_acknowledged_around_a_full_disk_outlives_a_crash() {
    let shop = Shop::new();
    let server = serve(&shop);
    let keys = shop.tickets(40);
    let mut acknowledged = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        match number {
            20 => set_room(&server, Some(0)),
            23 => set_room(&server, None),
            _ => {}
        }
        let answer = server.redeem_as(key, "mine");
        if answer.status == 201 {
            acknowledged.push((key, Redeemed::read(&answer, 201).id));
        }
    }
    assert!(acknowledged.len() >= 20, "a store with room takes writes");
    server.kill();
    let server = shop.serve();
    for (key, id) in acknowledged {
        let answer = server.redeem_as(key, "mine");
        assert_eq!(answer.header("idempotency-replayed"), Some("true"), "{answer}");
        assert_eq!(Redeemed::read(&answer, 201).id, id);
    }
}

/// A log that cannot be written any more, because its disk is full or its reader has died, is no reason to use a key up
/// and say nothing.
#[test]
fn a_log_that_cannot_be_written_keeps_nobody_from_redeeming() {
    let shop = Shop::new();
    let mut server = shop.serve();
    server.hang_up_on_the_log();
    for key in shop.tickets(3) {
        Redeemed::read(&server.redeem(&key), 201);
    }
    server.redeem(&shop.key()).problem(404, "unknown");
    server.get("/readyz").expect(200);
    server.ask_to_stop();
    assert_eq!(server.wait().code(), Some(0));
}
