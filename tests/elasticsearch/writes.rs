//! What becomes of one write.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickey::redemption::redeem::RedeemError;
use tickey::redemption::store::{Version, WriteOutcome};
use tickey::redemption::ticket::Refusal;

use super::proxy::Fault;
use super::world::{World, issued, redeemed, says};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_leaves_the_outcome_unknown_and_the_write_made() {
    let world = World::new().await;
    let id = world.ticket().await;
    let version = world.version(id).await;
    world.proxy.fail("_bulk", [Fault::LoseReply]);
    let outcome = world.store.put_if(id, version, redeemed(&id, "a")).await;
    assert!(matches!(outcome, WriteOutcome::Unknown(_)), "{outcome:?}");
    assert_eq!(world.ticket_now(id).await, redeemed(&id, "a"));
    world.proxy.told();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_request_leaves_the_outcome_unknown_and_is_not_repeated_blindly() {
    let world = World::new().await;
    let id = world.ticket().await;
    let version = world.version(id).await;
    let before = world.proxy.seen("_bulk").len();
    world.proxy.fail("_bulk", [Fault::LoseRequest]);
    let outcome = world.store.put_if(id, version, redeemed(&id, "a")).await;
    assert!(matches!(outcome, WriteOutcome::Unknown(_)), "{outcome:?}");
    assert_eq!(world.proxy.seen("_bulk").len(), before + 1);
    assert_eq!(world.ticket_now(id).await, issued());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_is_not_waited_for_long() {
    let world = World::new().await;
    let id = world.ticket().await;
    let version = world.version(id).await;
    world.proxy.fail("_bulk", [Fault::Hang]);
    let started = Instant::now();
    let outcome = world.store.put_if(id, version, redeemed(&id, "a")).await;
    assert!(matches!(outcome, WriteOutcome::Unknown(_)), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_make_no_sense_leave_the_outcome_unknown() {
    let world = World::new().await;
    let nonsense: [Fault; 7] = [
        Fault::Answer(200, "<html>hello</html>".to_owned()),
        Fault::Answer(200, r#"{"items": []}"#.to_owned()),
        Fault::Answer(500, String::new()),
        Fault::Answer(502, "bad gateway".to_owned()),
        Fault::Answer(
            503,
            r#"{"error": {"type": "unavailable_shards_exception", "reason": "r"}}"#.to_owned(),
        ),
        Fault::Change(|answer| answer["items"][0]["index"]["_id"] = json!("somebody-else")),
        Fault::Change(|answer| answer["items"][0]["index"]["_seq_no"] = Value::Null),
    ];
    for fault in nonsense {
        let id = world.ticket().await;
        let version = world.version(id).await;
        world.proxy.fail("_bulk", [fault]);
        let outcome = world.store.put_if(id, version, redeemed(&id, "a")).await;
        assert!(matches!(outcome, WriteOutcome::Unknown(_)), "{outcome:?}");
        world.proxy.told();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_bulk_only_the_rejected_items_are_sent_again() {
    let world = World::new().await;
    let ids = world.tickets(20).await;
    let versions: Vec<Version> =
        futures_util::future::join_all(ids.iter().map(|id| world.version(*id))).await;
    // One is under way and hangs a little, so that the others come together.
    let first = world.ticket().await;
    let first_version = world.version(first).await;
    let before = world.proxy.seen("_bulk").len();
    let slow = Fault::DelayReply(Duration::from_millis(60));
    world.proxy.fail("_bulk", [slow.clone(), slow, Fault::RejectItems(vec![1, 3, 5])]);
    let head: Vec<_> = (0..2)
        .map(|_| {
            let put = world.store.put_if(first, first_version, redeemed(&first, "a"));
            tokio::spawn(put)
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let puts =
        ids.iter().zip(&versions).map(|(id, version)| world.store.put_if(*id, *version, redeemed(id, "a")));
    let outcomes = futures_util::future::join_all(puts).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, WriteOutcome::Written(_))), "{outcomes:?}");
    for put in head {
        put.await.unwrap();
    }
    world.proxy.told();
    let sent: usize =
        world.proxy.seen("_bulk")[before..].iter().map(|seen| seen.body.lines().count() / 2).sum();
    assert!(sent <= 2 + 20 + 3, "{sent} items were sent for 20 writes of which 3 were rejected once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_that_lasts_is_told_as_such_and_nothing_was_changed() {
    let world = World::new().await;
    let id = world.ticket().await;
    let version = world.version(id).await;
    let busy = r#"{"error": {"type": "es_rejected_execution_exception", "reason": "too much"}}"#;
    world.proxy.fail("_bulk", vec![Fault::Answer(429, busy.to_owned()); 1000]);
    let started = Instant::now();
    let outcome = world.store.put_if(id, version, redeemed(&id, "a")).await;
    assert!(matches!(outcome, WriteOutcome::Unavailable(_)), "{outcome:?}");
    assert!(says(&outcome).contains("429"), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let sent = world.proxy.seen("_bulk").len();
    assert!(sent < 40, "{sent} tries in two seconds are a hammer");
    assert_eq!(world.ticket_now(id).await, issued());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_of_what_was_made_after_all_is_not_called_unmade() {
    let world = World::new().await;
    let id = world.ticket().await;
    let version = world.version(id).await;
    // The cluster makes the write and then, on a repetition of its own, says that it has too much to do.
    let falsify: fn(&mut Value) = |answer| {
        let id = answer["items"][0]["index"]["_id"].clone();
        let error = json!({"type": "cluster_block_exception", "reason": "falsified"});
        answer["items"][0]["index"] = json!({"_id": id, "status": 403, "error": error});
    };
    world.proxy.fail("_bulk", [Fault::Change(falsify)]);
    let outcome = world.store.put_if(id, version, redeemed(&id, "a")).await;
    assert!(matches!(outcome, WriteOutcome::Unknown(_)), "{outcome:?}");
    world.proxy.told();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_was_none_is_found_to_be_ours() {
    let world = World::new().await;
    let id = world.ticket().await;
    let conflict: fn(&mut Value) = |answer| {
        let id = answer["items"][0]["index"]["_id"].clone();
        let error = json!({"type": "version_conflict_engine_exception", "reason": "falsified"});
        answer["items"][0]["index"] = json!({"_id": id, "status": 409, "error": error});
    };
    world.proxy.fail("_bulk", [Fault::Change(conflict)]);
    let redeemed = world.redeem(id, "a").await.unwrap();
    world.proxy.told();
    assert_eq!(world.ticket_now(id).await.redemption(), Some(&redeemed.redemption));
    let refused = world.redeem(id, "b").await;
    assert!(matches!(refused, Err(RedeemError::Refused(Refusal::AlreadyRedeemed { .. }))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redemption_survives_lost_replies_and_lost_requests() {
    let world = World::new().await;
    for faults in [
        vec![Fault::LoseReply],
        vec![Fault::LoseRequest],
        vec![Fault::LoseRequest, Fault::LoseReply],
        vec![Fault::LoseReply, Fault::Answer(500, String::new())],
    ] {
        let id = world.ticket().await;
        world.proxy.fail("_bulk", faults);
        let redeemed = world.redeem(id, "a").await.unwrap();
        assert_eq!(world.ticket_now(id).await.redemption(), Some(&redeemed.redemption));
        world.proxy.told();
    }
}
