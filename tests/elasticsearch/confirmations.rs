//! What confirmations cost, and that sharing them tells nothing that is old.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tickey::redemption::redeem::RedeemError;
use tickey::redemption::store::{SharedStore, WriteOutcome};
use tickey::redemption::ticket::Refusal;

use super::proxy::{Fault, Seen};
use super::world::{World, issued, node_url, open, redeemed};
use crate::support::elasticsearch::Elasticsearch;

/// Writes of the index so far, by Elasticsearch's own count.
fn writes(world: &World) -> u64 {
    let path = format!("/{}/_stats/indexing", world.settings.index);
    let (_, stats) = Elasticsearch::shared().request("GET", &path, None);
    stats["_all"]["primaries"]["indexing"]["index_total"].as_u64().unwrap()
}

fn items(seen: &[Seen]) -> usize {
    seen.iter().map(|seen| seen.body.lines().count() / 2).sum()
}

async fn all_refused(world: &World, id: tickey::redemption::key::TicketId, people: usize) {
    let asked = (0..people).map(|person| async move { world.redeem(id, &format!("person-{person}")).await });
    for refused in join_all(asked).await {
        assert!(matches!(refused, Err(RedeemError::Refused(Refusal::AlreadyRedeemed { .. }))), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_key_that_a_thousand_clients_hammer_costs_no_write_and_few_requests() {
    let world = World::new().await;
    let id = world.ticket().await;
    world.redeem(id, "holder").await.unwrap();
    let (written, version) = (writes(&world), world.version(id).await);
    let (before, began) = (world.proxy.seen("_bulk").len(), Instant::now());
    for _ in 0..5 {
        all_refused(&world, id, 1000).await;
        // A replay is confirmed in the same way.
        assert!(world.redeem(id, "holder").await.unwrap().replayed);
    }
    let most = began.elapsed().as_millis() / 10 + 10;
    let sent = items(&world.proxy.seen("_bulk")[before..]);
    assert!(sent as u128 <= most, "{sent} confirmations in {:?}", began.elapsed());
    assert!(sent < 1000, "{sent} confirmations for 5005 answers are not shared");
    assert_eq!(writes(&world), written, "answers about a used ticket are writes");
    assert_eq!(world.version(id).await, version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_another_server_redeemed_is_written_once_and_then_only_looked_at() {
    let world = World::new().await;
    let id = world.ticket().await;
    let other = open(&world.settings);
    let version = world.version(id).await;
    assert!(matches!(other.put_if(id, version, redeemed(&id, "a")).await, WriteOutcome::Written(_)));
    let written = writes(&world);
    all_refused(&world, id, 1000).await;
    all_refused(&world, id, 1000).await;
    assert_eq!(writes(&world), written + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_are_asked_about_one_used_ticket_write_it_once_a_second_each() {
    let world = World::new().await;
    let id = world.ticket().await;
    world.redeem(id, "holder").await.unwrap();
    let other = open(&world.settings);
    let (written, began) = (writes(&world), Instant::now());
    let mut asked = 0_u64;
    while began.elapsed() < Duration::from_secs(3) {
        for store in [&world.store, &other] {
            // Another one's rewriting in between is a conflict, after which a server reads anew.
            let found = store.get(id).await.unwrap().unwrap();
            store.confirm(id, Some(found.version)).await.unwrap();
            asked += 1;
        }
    }
    let (written, seconds) = (writes(&world) - written, began.elapsed().as_secs() + 1);
    assert!(written <= 2 * seconds, "{written} writes in {seconds} s for {asked} questions");
}

/// Another server changes the ticket.
async fn change(other: &SharedStore, id: tickey::redemption::key::TicketId) {
    let found = other.get(id).await.unwrap().unwrap();
    let outcome = other.put_if(id, found.version, issued()).await;
    assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_confirmed_a_moment_ago_is_not_confirmed_after_a_change() {
    let world = World::new().await;
    let id = world.ticket().await;
    world.redeem(id, "a").await.unwrap();
    let version = world.version(id).await;
    assert_eq!(world.store.confirm(id, Some(version)).await, Ok(true));
    change(&open(&world.settings), id).await;
    assert_eq!(world.store.confirm(id, Some(version)).await, Ok(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_has_begun_does_not_answer_who_asks_later() {
    let world = World::new().await;
    let id = world.ticket().await;
    world.redeem(id, "a").await.unwrap();
    let version = world.version(id).await;
    let before = world.proxy.seen("_bulk").len();
    world.proxy.fail("_bulk", [Fault::DelayReply(Duration::from_secs(1))]);
    let early = tokio::spawn(world.store.confirm(id, Some(version)));
    while world.proxy.seen("_bulk").len() == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The node has answered by then, and the answer is on its way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut direct = world.settings.clone();
    direct.urls = vec![node_url()];
    change(&open(&direct), id).await;
    assert!(!early.is_finished(), "the first confirmation is still under way");
    assert_eq!(
        world.store.confirm(id, Some(version)).await,
        Ok(false),
        "the ticket was changed before the question"
    );
    assert_eq!(early.await.unwrap(), Ok(true), "it was so when it was asked");
}

// The last look of a conditional write that was refused.

/// The node carries the write out, and says that it was refused.
fn refused_after_all(answer: &mut Value) {
    let id = answer["items"][0]["index"]["_id"].clone();
    let error = json!({"type": "cluster_block_exception", "reason": "falsified"});
    answer["items"][0]["index"] = json!({"_id": id, "status": 403, "error": error});
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_read_does_not_make_a_refused_write_certainly_unmade() {
    let world = World::new().await;
    let id = world.ticket().await;
    let version = world.version(id).await;
    // What a copy that was left behind says: the ticket as it was before.
    let stale: fn(&mut Value) = |answer| {
        let doc = &mut answer["docs"][0];
        doc["_seq_no"] = json!(doc["_seq_no"].as_u64().unwrap() - 1);
        doc["_source"]["status"] = json!("issued");
        doc["_source"].as_object_mut().unwrap().remove("redemption");
    };
    world.proxy.fail("_bulk", [Fault::Change(refused_after_all)]).fail("_mget", [Fault::Change(stale)]);
    let outcome = world.store.put_if(id, version, redeemed(&id, "a")).await;
    assert!(matches!(outcome, WriteOutcome::Unknown(_)), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_said_to_be_unmade_can_never_come_to_be() {
    let world = World::new().await;
    let id = world.ticket().await;
    let version = world.version(id).await;
    let error = json!({"type": "cluster_block_exception", "reason": "falsified"});
    let refusal = json!({"items": [{"index": {"_id": id, "status": 403, "error": error}}]});
    world.proxy.fail("_bulk", [Fault::Answer(200, refusal.to_string())]);
    let outcome = world.store.put_if(id, version, redeemed(&id, "a")).await;
    assert!(matches!(outcome, WriteOutcome::Unavailable(_)), "{outcome:?}");
    // The same write, late.
    let late = open(&world.settings).put_if(id, version, redeemed(&id, "a")).await;
    assert_eq!(late, WriteOutcome::Conflict);
    assert_eq!(world.ticket_now(id).await, issued());
}
