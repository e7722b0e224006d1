//! What becomes of reads.

use serde_json::{Value, json};
use tickey::redemption::store::StoreError;

use super::proxy::Fault;
use super::world::{World, issued};
use crate::support::elasticsearch::Elasticsearch;

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_is_asked_again() {
    let world = World::new().await;
    let id = world.ticket().await;
    for fault in [
        Fault::LoseReply,
        Fault::Answer(503, String::new()),
        Fault::Answer(429, String::new()),
        Fault::Answer(200, "{".to_owned()),
        Fault::Change(|answer| answer["docs"][0]["_id"] = json!("somebody-else")),
        Fault::Change(|answer| {
            let id = answer["docs"][0]["_id"].clone();
            let error = json!({"type": "no_shard_available_action_exception", "reason": "falsified"});
            answer["docs"][0] = json!({"_id": id, "error": error});
        }),
    ] {
        world.proxy.fail("_mget", [fault]);
        assert_eq!(world.ticket_now(id).await, issued());
        world.proxy.told();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_no_ticket_is_named_and_harms_no_other() {
    let world = World::new().await;
    let ids = world.tickets(2).await;
    let path = format!("/{}/_doc/{}?refresh=true", world.settings.index, ids[0]);
    let foreign = json!({"album": "", "batch": "b", "status": "sold", "issued_at": "2026-11-21T10:00:00Z"});
    let (status, _) = Elasticsearch::shared().request("PUT", &path, Some(&foreign));
    assert_eq!(status, 200);
    let (bad, good) = tokio::join!(world.store.get(ids[0]), world.store.get(ids[1]));
    assert_eq!(good.unwrap().unwrap().value, issued());
    let Err(StoreError::Corrupt(says)) = bad else { panic!("{bad:?}") };
    assert!(says.contains(&ids[0].to_string()), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dirty_read_neither_refuses_nor_redeems() {
    let world = World::new().await;
    // What a primary says that was cut off with a write that never came to be.
    let dirty: fn(&mut Value) = |answer| {
        let doc = &mut answer["docs"][0];
        doc["_seq_no"] = json!(doc["_seq_no"].as_u64().unwrap() + 7);
        doc["_source"]["status"] = json!("redeemed");
        doc["_source"]["redemption"] = json!({
            "id": "00000000-0000-8000-8000-000000000001", "at": "2026-11-21T09:59:00Z", "renewals": 0,
        });
    };
    let id = world.ticket().await;
    world.proxy.fail("_mget", [Fault::Change(dirty)]);
    let redeemed = world.redeem(id, "a").await.unwrap();
    assert_eq!(world.ticket_now(id).await.redemption(), Some(&redeemed.redemption));
    let missing: fn(&mut Value) = |answer| {
        let id = answer["docs"][0]["_id"].clone();
        answer["docs"][0] = json!({"_id": id, "found": false});
    };
    let id = world.ticket().await;
    world.proxy.fail("_mget", [Fault::Change(missing)]);
    world.redeem(id, "a").await.unwrap();
    world.proxy.told();
}
