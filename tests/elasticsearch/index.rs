//! The whole cluster, and the index on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tickey::redemption::redeem::RedeemError;
use tickey::redemption::store::elasticsearch::ElasticsearchStore;
use tickey::redemption::store::location::IfMissing;
use tickey::redemption::store::{SharedStore, StoreError, TicketStore as _, Version, WriteOutcome};
use tickey::redemption::ticket::State;
use tickey::redemption::write::WriteError;

use super::world::{World, fresh_key, issued, node_url, open, proxy, settings};
use crate::support::elasticsearch::Elasticsearch;

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_there_everything_is_refused_in_time() {
    let nobody = proxy().await.close().await;
    let store = open(&settings(vec![nobody]));
    let id = fresh_key().id();
    let started = Instant::now();
    let version = Version { sequence: 1, term: 1 };
    let (get, put, confirm, ping, stats) = tokio::join!(
        store.get(id),
        store.put_if(id, version, issued()),
        store.confirm(id, None),
        store.ping(),
        store.stats(None, None, 10)
    );
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    for error in [get.unwrap_err(), confirm.unwrap_err(), ping.unwrap_err(), stats.unwrap_err()] {
        assert!(error.to_string().contains("cannot be reached"), "{error}");
    }
    assert!(matches!(put, WriteOutcome::Unavailable(_)), "{put:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_index_refuses_changes_with_a_reason_and_recovers_by_itself() {
    let world = World::new().await;
    let id = world.ticket().await;
    let cluster = Elasticsearch::shared();
    let path = format!("/{}/_settings", world.settings.index);
    for block in ["index.blocks.read_only_allow_delete", "index.blocks.write"] {
        let (status, _) = cluster.request("PUT", &path, Some(&json!({block: true})));
        assert_eq!(status, 200);
        let refused = world.redeem(id, "a").await;
        let Err(RedeemError::Write(WriteError::StoreUnavailable(error))) = refused else {
            panic!("{refused:?}")
        };
        assert!(error.to_string().contains("make room"), "{error}");
        assert!(world.store.ping().await.is_err(), "a cluster that takes no writes is not ready");
        let (status, _) = cluster.request("PUT", &path, Some(&json!({block: null})));
        assert_eq!(status, 200);
        world.store.ping().await.unwrap();
    }
    world.redeem(id, "a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_vanishes_is_not_made_anew_behind_everybodys_back() {
    let world = World::new().await;
    let id = world.ticket().await;
    let path = format!("/{}", world.settings.index);
    assert_eq!(Elasticsearch::shared().request("DELETE", &path, None).0, 200);
    let refused = world.redeem(id, "a").await;
    let Err(RedeemError::Write(WriteError::StoreUnavailable(error))) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("restore the index"), "{error}");
    assert!(world.store.ping().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_index_is_refused_and_left_alone() {
    let settings = settings(vec![node_url()]);
    let cluster = Elasticsearch::shared();
    let path = format!("/{}", settings.index);
    let foreign = json!({"mappings": {"properties": {"album": {"type": "text"}}}});
    assert_eq!(cluster.request("PUT", &path, Some(&foreign)).0, 200);
    let before = cluster.request("GET", &path, None);
    let store = ElasticsearchStore::new(settings, IfMissing::Create, Arc::new(())).unwrap();
    let Err(StoreError::Corrupt(says)) = store.prepare().await else { panic!("it was taken for ours") };
    assert!(says.contains("not one of this version's"), "{says}");
    assert!(store.get(fresh_key().id()).await.is_err());
    assert_eq!(cluster.request("GET", &path, None), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_is_made_as_it_should_be_and_only_once() {
    let settings = settings(vec![node_url()]);
    let stores: Vec<SharedStore> = (0..4).map(|_| open(&settings)).collect();
    let pings = futures_util::future::join_all(stores.iter().map(|store| store.ping())).await;
    assert!(pings.iter().all(Result::is_ok), "{pings:?}");
    let (_, found) = Elasticsearch::shared().request("GET", &format!("/{}", settings.index), None);
    let index = &found[settings.index.as_str()];
    assert_eq!(index["mappings"]["dynamic"], "strict");
    assert_eq!(index["settings"]["index"]["auto_expand_replicas"], "0-1");
    assert_eq!(index["settings"]["index"]["number_of_shards"], "1");
    let tool =
        ElasticsearchStore::new(super::world::settings(vec![node_url()]), IfMissing::Fail, Arc::new(()))
            .unwrap();
    let missing = tool.prepare().await.unwrap_err();
    assert!(missing.to_string().contains("there is no index"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_file_written_by_hand_is_understood() {
    let settings = settings(vec![node_url()]);
    let store = open(&settings);
    store.ping().await.unwrap();
    let seed = include_str!("../../seed/ticket-data.json");
    let path = format!("/{}/_bulk?refresh=true", settings.index);
    let (status, answer) = Elasticsearch::shared().request_lines("POST", &path, seed);
    assert_eq!((status, &answer["errors"]), (200, &json!(false)), "{answer}");
    let page = store.page(None, None, 1000).await.unwrap();
    assert_eq!(page.tickets.len(), seed.lines().count() / 2);
    let redeemed = page.tickets.iter().filter(|(_, found)| matches!(found.value.state, State::Redeemed(_)));
    assert!(redeemed.count() > 0);
}
