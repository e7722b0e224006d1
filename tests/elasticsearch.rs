//! The Elasticsearch store against a real node, and against one behind a proxy that loses, delays and falsifies.
//!
//! That it keeps the contract of a store is tested in `tests/conformance.rs`; here is what each answer, and each missing
//! answer, of a cluster comes to.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

#[allow(dead_code, reason = "this target uses only a part of what the tests share")]
mod support;

#[path = "support/store/mod.rs"]
#[allow(dead_code, reason = "this target uses only a part of what the tests of stores share")]
mod store;

mod elasticsearch {
    pub(crate) mod proxy;
}

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use elasticsearch::proxy::{Fault, Proxy};
use reqwest::Url;
use serde_json::{Value, json};
use support::elasticsearch::{Cluster, Elasticsearch, Node};
use support::http::{Answer, Request};
use support::key::Key;
use support::server::{Server, tickey};
use support::time::eventually;
use tickey::redemption::key::{DownloadKey, TicketId};
use tickey::redemption::redeem::{RedeemError, Redeemed, redeem};
use tickey::redemption::store::elasticsearch::{
    Checkup, ElasticsearchStore, Login, PasswordSource, Settings, check,
};
use tickey::redemption::store::location::IfMissing;
use tickey::redemption::store::{
    Created, Operation, RequestOutcome, SharedStore, StoreError, StoreObserver, TicketStore as _, Version,
    WriteOutcome,
};
use tickey::redemption::ticket::{IdempotencyKey, Redeem, RedemptionId, Refusal, State, Ticket};

/// Names that no other test uses.
fn unique(prefix: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn login(username: &str, password: &str) -> Login {
    Login { username: username.to_owned(), password: PasswordSource::Given(password.to_owned().into()) }
}

/// Settings for these nodes, and an index of its own.
fn settings(urls: Vec<Url>) -> Settings {
    let cluster = Elasticsearch::shared();
    let mut settings = Settings::new(urls);
    settings.login = Some(login(&cluster.username, &cluster.password));
    settings.ca_file = Some(cluster.ca_file.clone());
    settings.index = unique("tickets").parse().unwrap();
    settings
}

fn node_url() -> Url {
    Elasticsearch::shared().urls[0].parse().unwrap()
}

fn open(settings: &Settings) -> SharedStore {
    Arc::new(ElasticsearchStore::new(settings.clone(), IfMissing::Create, Arc::new(())).unwrap())
}

async fn proxy() -> Proxy {
    let ca_pem = std::fs::read(&Elasticsearch::shared().ca_file).unwrap();
    Proxy::before(node_url(), &ca_pem).await
}

/// A store behind a proxy, with tickets in it.
struct World {
    proxy: Proxy,
    store: SharedStore,
    settings: Settings,
}

impl World {
    async fn new() -> Self {
        let proxy = proxy().await;
        let settings = settings(vec![proxy.url.clone()]);
        let store = open(&settings);
        store.ping().await.unwrap();
        Self { proxy, store, settings }
    }

    async fn tickets(&self, count: usize) -> Vec<TicketId> {
        let ids: Vec<TicketId> = (0..count).map(|_| fresh_key().id()).collect();
        let created = self.store.create(ids.iter().map(|id| (*id, issued())).collect()).await.unwrap();
        assert!(created.iter().all(|created| *created == Created::New));
        ids
    }

    async fn ticket(&self) -> TicketId {
        self.tickets(1).await[0]
    }

    async fn version(&self, id: TicketId) -> Version {
        self.store.get(id).await.unwrap().unwrap().version
    }

    async fn ticket_now(&self, id: TicketId) -> Ticket {
        self.store.get(id).await.unwrap().unwrap().value
    }

    /// Redeems as a request would that has ten seconds.
    async fn redeem(&self, id: TicketId, by: &str) -> Result<Redeemed<()>, RedeemError> {
        let key = IdempotencyKey::parse(by.as_bytes()).unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let find_album = |_| async { Ok(()) };
        redeem(&*self.store, id, &key, "2026-11-21T10:00:00Z".parse().unwrap(), deadline, find_album).await
    }
}

fn fresh_key() -> DownloadKey {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 23];
    for (place, byte) in random.iter_mut().enumerate() {
        *byte = u8::try_from(number >> (5 * place.min(10)) & 31).unwrap();
    }
    DownloadKey::from_random(&random)
}

fn issued() -> Ticket {
    Ticket::issue("album".parse().unwrap(), "batch".parse().unwrap(), "2026-11-21T09:00:00Z".parse().unwrap())
}

fn redeemed(id: &TicketId, by: &str) -> Ticket {
    let key = IdempotencyKey::parse(by.as_bytes()).unwrap();
    let now = "2026-11-21T10:00:00Z".parse().unwrap();
    match issued().redeem(RedemptionId::derive(id, 0, &key), now) {
        Ok(Redeem::Now(ticket, _)) => ticket,
        other => panic!("{other:?}"),
    }
}

fn says(outcome: &WriteOutcome) -> String {
    match outcome {
        WriteOutcome::Unavailable(error) => error.to_string(),
        WriteOutcome::Unknown(why) => why.clone(),
        other => panic!("{other:?}"),
    }
}

// What becomes of one write.

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

// Reads.

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
        doc["_source"]["redemption"] = json!({"id": "00000000-0000-8000-8000-000000000001", "at": "2026-11-21T09:59:00Z", "renewals": 0});
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

// The whole cluster.

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
        let Err(RedeemError::StoreUnavailable(error)) = refused else { panic!("{refused:?}") };
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
    let Err(RedeemError::StoreUnavailable(error)) = refused else { panic!("{refused:?}") };
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
        ElasticsearchStore::new(self::settings(vec![node_url()]), IfMissing::Fail, Arc::new(())).unwrap();
    let missing = tool.prepare().await.unwrap_err();
    assert!(missing.to_string().contains("there is no index"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_file_written_by_hand_is_understood() {
    let settings = settings(vec![node_url()]);
    let store = open(&settings);
    store.ping().await.unwrap();
    let seed = include_str!("../seed/ticket-data.json");
    let path = format!("/{}/_bulk?refresh=true", settings.index);
    let (status, answer) = Elasticsearch::shared().request_lines("POST", &path, seed);
    assert_eq!((status, &answer["errors"]), (200, &json!(false)), "{answer}");
    let page = store.page(None, None, 1000).await.unwrap();
    assert_eq!(page.tickets.len(), seed.lines().count() / 2);
    let redeemed = page.tickets.iter().filter(|(_, found)| matches!(found.value.state, State::Redeemed(_)));
    assert!(redeemed.count() > 0);
}

// Several nodes.

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_costs_at_most_a_retry() {
    let (dead, living) = (proxy().await.close().await, proxy().await);
    let store = open(&settings(vec![dead, living.url.clone()]));
    let ids: Vec<TicketId> = (0..20).map(|_| fresh_key().id()).collect();
    store.create(ids.iter().map(|id| (*id, issued())).collect()).await.unwrap();
    for id in ids {
        let started = Instant::now();
        let found = store.get(id).await.unwrap().unwrap();
        let outcome = store.put_if(id, found.version, redeemed(&id, "a")).await;
        assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_holds_up_only_what_was_sent_to_it() {
    let (hanging, living) = (proxy().await, proxy().await);
    let store = open(&settings(vec![hanging.url.clone(), living.url.clone()]));
    let ids: Vec<TicketId> = (0..200).map(|_| fresh_key().id()).collect();
    store.create(ids.iter().map(|id| (*id, issued())).collect()).await.unwrap();
    hanging.fail("_mget", vec![Fault::Hang; 10_000]);
    let started = Instant::now();
    let reads = ids.iter().enumerate().map(|(index, id)| {
        let store = Arc::clone(&store);
        async move {
            tokio::time::sleep(Duration::from_millis(10 * index as u64)).await;
            let asked = Instant::now();
            store.get(*id).await.unwrap().unwrap();
            asked.elapsed()
        }
    });
    let mut took = futures_util::future::join_all(reads).await;
    took.sort_unstable();
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let median = took[took.len() / 2];
    assert!(median < Duration::from_millis(300), "half of the reads took longer than {median:?}");
    assert!(hanging.seen("_mget").len() < 40, "a node that hangs is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_is_asked_again() {
    let (flaky, living) = (proxy().await, proxy().await);
    let store = open(&settings(vec![flaky.url.clone(), living.url.clone()]));
    let id = fresh_key().id();
    store.create(vec![(id, issued())]).await.unwrap();
    flaky.fail("_mget", vec![Fault::LoseRequest; 1]);
    while flaky.seen("_mget").is_empty() {
        store.get(id).await.unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while flaky.seen("_mget").len() < 2 {
        assert!(Instant::now() < deadline, "a node that failed once was never asked again");
        store.get(id).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

// Batching.

#[derive(Default)]
struct Counting {
    requests: AtomicUsize,
    items: AtomicUsize,
}

impl StoreObserver for Counting {
    fn request(&self, operation: Operation, outcome: RequestOutcome, items: usize) {
        if matches!(operation, Operation::Get | Operation::Put) {
            assert_eq!(outcome, RequestOutcome::Done);
            self.requests.fetch_add(1, Ordering::Relaxed);
            self.items.fetch_add(items, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_share_their_requests() {
    let counting = Arc::new(Counting::default());
    let settings = settings(vec![node_url()]);
    let store = ElasticsearchStore::new(settings, IfMissing::Create, Arc::clone(&counting) as _).unwrap();
    let store: SharedStore = Arc::new(store);
    let ids: Vec<TicketId> = (0..4096).map(|_| fresh_key().id()).collect();
    store.create(ids.iter().map(|id| (*id, issued())).collect()).await.unwrap();
    let in_flight = Arc::new(tokio::sync::Semaphore::new(256));
    let redemptions = ids.into_iter().map(|id| {
        let (store, in_flight) = (Arc::clone(&store), Arc::clone(&in_flight));
        tokio::spawn(async move {
            let _turn = in_flight.acquire().await.unwrap();
            let found = store.get(id).await.unwrap().unwrap();
            let outcome = store.put_if(id, found.version, redeemed(&id, "a")).await;
            assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
        })
    });
    for redemption in redemptions.collect::<Vec<_>>() {
        redemption.await.unwrap();
    }
    let requests = counting.requests.load(Ordering::Relaxed);
    assert_eq!(counting.items.load(Ordering::Relaxed), 2 * 4096);
    assert!(requests * 10 <= 4096, "{requests} requests for 4096 redemptions");
}

// Passwords, certificates, roles.

fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::write(path, content).unwrap();
}

/// A user with the role of the documentation, for this index.
fn make_user(index: &str, password: &str) -> String {
    let cluster = Elasticsearch::shared();
    let mut role: Value = serde_json::from_str(include_str!("../docs/elasticsearch-role.json")).unwrap();
    role["indices"][0]["names"] = json!([index]);
    let name = unique("user");
    assert_eq!(cluster.request("PUT", &format!("/_security/role/{name}"), Some(&role)).0, 200);
    let user = json!({"password": password, "roles": [name]});
    assert_eq!(cluster.request("PUT", &format!("/_security/user/{name}"), Some(&user)).0, 200);
    name
}

fn set_password(user: &str, password: &str) {
    let path = format!("/_security/user/{user}/_password");
    let answer = Elasticsearch::shared().request("PUT", &path, Some(&json!({"password": password})));
    assert_eq!(answer.0, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let mut settings = settings(vec![node_url()]);
    let user = make_user(settings.index.as_str(), "the-first-one");
    write(&path, "the-first-one\n");
    settings.login = Some(Login { username: user.clone(), password: PasswordSource::File(path.clone()) });
    let store = open(&settings);
    store.ping().await.unwrap();
    for password in ["the-second-one", "the-third-one"] {
        set_password(&user, password);
        let refused = store.ping().await.unwrap_err();
        assert!(refused.to_string().contains("401"), "{refused}");
        write(&path, password);
        store.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_some_nodes_take_the_old_password_and_some_the_new_one_both_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let (old, new) = (proxy().await, proxy().await);
    let mut settings = settings(vec![old.url.clone(), new.url.clone()]);
    let user = make_user(settings.index.as_str(), "the-old-one");
    write(&path, "the-old-one");
    settings.login = Some(Login { username: user.clone(), password: PasswordSource::File(path.clone()) });
    let store = open(&settings);
    store.ping().await.unwrap();
    // One of the proxies now stands for a node that has been restarted with the new password.
    write(&path, "the-new-one");
    let refuse = Fault::Answer(401, String::new());
    new.fail("_mget", [refuse]);
    tokio::time::sleep(Duration::from_millis(600)).await;
    for _ in 0..50 {
        // The real node still takes only the old one; wherever the new one is tried it is refused, and the old one follows.
        store.get(fresh_key().id()).await.unwrap();
    }
    new.told();
    let tried: std::collections::BTreeSet<_> =
        new.seen("_mget").into_iter().filter_map(|seen| seen.authorization).collect();
    assert_eq!(tried.len(), 2, "both passwords were tried where the first was refused");
    let last = new.seen("_mget").len();
    assert!(last < 60, "{last} requests for half of 50 reads: the password that works is remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_file_that_changes_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    let right = std::fs::read(&Elasticsearch::shared().ca_file).unwrap();
    write(&path, other_ca(folder.path()));
    let mut settings = settings(vec![node_url()]);
    settings.ca_file = Some(path.clone());
    let store = open(&settings);
    let refused = store.ping().await.unwrap_err();
    assert!(refused.to_string().contains("is not trusted"), "{refused}");
    write(&path, right);
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = store.ping().await {
        assert!(Instant::now() < deadline, "{error}");
    }
}

/// A CA that has signed nothing.
fn other_ca(folder: &Path) -> Vec<u8> {
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=another", "-days", "2", "-keyout", "other.key", "-out", "other.crt"])
        .current_dir(folder)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{made:?}");
    std::fs::read(folder.join("other.crt")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing-here");
    let refused =
        |settings: Settings| match ElasticsearchStore::new(settings, IfMissing::Create, Arc::new(())) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("it was taken"),
        };
    let mut without_ca = settings(vec![node_url()]);
    without_ca.ca_file = Some(path.clone());
    assert!(refused(without_ca.clone()).contains("nothing-here"));
    write(&path, "no certificate");
    assert!(refused(without_ca).contains("no certificate in PEM form"));
    let mut without_password = settings(vec![node_url()]);
    let empty = folder.path().join("empty");
    write(&empty, "\n");
    let password = PasswordSource::File(empty);
    without_password.login = Some(Login { username: "elastic".to_owned(), password });
    assert!(refused(without_password).contains("is empty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_role_is_enough_for_everything() {
    let mut settings = settings(vec![node_url()]);
    let user = make_user(settings.index.as_str(), "least-privilege");
    settings.login = Some(login(&user, "least-privilege"));
    store::conformance::run(&open(&settings)).await;
    assert_eq!(failed(&check(&settings).await), [""; 0]);
    // And it is not more than enough: the user cannot delete a ticket, or the index.
    let id = TicketId::from_bytes([1; TicketId::BYTES]);
    let cluster = Elasticsearch::shared();
    for path in [format!("/{}/_doc/{id}", settings.index), format!("/{}", settings.index)] {
        assert_eq!(cluster.request_as(&user, "least-privilege", "DELETE", &path, None).0, 403, "{path}");
    }
}

// What `doctor` says.

fn failed(checkup: &Checkup) -> Vec<&str> {
    checkup.checks.iter().filter(|check| !check.ok).map(|check| check.says.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tells_one_trouble_from_another() {
    let well = settings(vec![node_url()]);
    open(&well).ping().await.unwrap();
    assert_eq!(failed(&check(&well).await), [""; 0]);

    let dead = proxy().await.close().await;
    let found = check(&settings(vec![dead])).await;
    assert!(failed(&found)[0].contains("cannot be reached"), "{found:?}");

    let mut wrong_password = well.clone();
    wrong_password.login = Some(login("elastic", "wrong"));
    let found = check(&wrong_password).await;
    assert!(failed(&found)[0].contains("refuses the user name or the password"), "{found:?}");

    let mut no_password = well.clone();
    no_password.login = None;
    let found = check(&no_password).await;
    assert!(failed(&found)[0].contains("asks for a user name"), "{found:?}");

    let folder = tempfile::tempdir().unwrap();
    let mut wrong_ca = well.clone();
    other_ca(folder.path());
    wrong_ca.ca_file = Some(folder.path().join("other.crt"));
    let found = check(&wrong_ca).await;
    assert!(failed(&found)[0].contains("is not trusted"), "{found:?}");

    let foreign = settings(vec![node_url()]);
    let mapping = json!({"mappings": {"properties": {"album": {"type": "text"}}}});
    Elasticsearch::shared().request("PUT", &format!("/{}", foreign.index), Some(&mapping));
    let found = check(&foreign).await;
    assert!(failed(&found)[0].contains("not one of this version's"), "{found:?}");

    let mut poor = well.clone();
    let user = make_user("another-index", "poor-user");
    poor.login = Some(login(&user, "poor-user"));
    let found = check(&poor).await;
    assert!(failed(&found).iter().any(|says| says.contains("lacks read")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_knows_old_versions_other_products_and_red_indices() {
    for (hello, says) in [
        (json!({"version": {"number": "7.17.9"}}), "upgrade it"),
        (json!({"version": {"number": "2.11.0", "distribution": "opensearch"}}), "never tried"),
        (json!({"hello": "world"}), "does not answer as Elasticsearch does"),
    ] {
        let proxy = proxy().await;
        proxy.fail("/", [Fault::Answer(200, hello.to_string())]);
        let found = check(&settings(vec![proxy.url.clone()])).await;
        assert!(failed(&found)[0].contains(says), "{found:?}");
    }
    let proxy = proxy().await;
    let red = settings(vec![proxy.url.clone()]);
    // An index whose only shard may be on no node.
    let body = json!({"settings": {"index.routing.allocation.require._name": "nobody"}});
    let path = format!("/{}?wait_for_active_shards=0", red.index);
    assert_eq!(Elasticsearch::shared().request("PUT", &path, Some(&body)).0, 200);
    let found = check(&red).await;
    assert!(failed(&found).iter().any(|says| says.contains("red")), "{found:?}");
}

/// Settings for a cluster of its own.
fn settings_of(cluster: &Cluster) -> Settings {
    let mut settings = Settings::new(cluster.access.urls.iter().map(|url| url.parse().unwrap()).collect());
    settings.login = Some(login(&cluster.access.username, &cluster.access.password));
    settings.ca_file = Some(cluster.access.ca_file.clone());
    settings
}

/// Everything that a person waits for, refused because the store cannot be used, and soon.
async fn refused_in_time(store: &SharedStore, id: TicketId, version: Version) {
    let started = Instant::now();
    let (get, ping, confirm, put) = tokio::join!(
        store.get(id),
        store.ping(),
        store.confirm(id, None),
        store.put_if(id, version, issued())
    );
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    assert!(matches!(get, Err(StoreError::Unavailable(_))), "{get:?}");
    assert!(matches!(ping, Err(StoreError::Unavailable(_))), "{ping:?}");
    assert!(matches!(confirm, Err(StoreError::Unavailable(_))), "{confirm:?}");
    assert!(matches!(put, WriteOutcome::Unavailable(_) | WriteOutcome::Unknown(_)), "{put:?}");
}

async fn recovers(store: &SharedStore, id: TicketId) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Err(error) = store.ping().await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(store.get(id).await.unwrap().unwrap().value, issued());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_red_or_hangs_answers_in_time_and_recovers_by_itself() {
    let mut cluster = Cluster::start(3);
    let settings = settings_of(&cluster);
    let store = open(&settings);
    let id = fresh_key().id();
    store.create(vec![(id, issued())]).await.unwrap();
    let version = store.get(id).await.unwrap().unwrap().version;
    // Red: the only copy of the index is on a node that dies.
    let single = json!({"index": {"auto_expand_replicas": false, "number_of_replicas": 0}});
    assert_eq!(cluster.access.request("PUT", "/tickets/_settings", Some(&single)).0, 200);
    let (_, shards) = cluster.access.request("GET", "/_cat/shards/tickets?format=json&h=node", None);
    let home = shards[0]["node"].as_str().unwrap().to_owned();
    cluster.node(&home).kill();
    tokio::time::sleep(Duration::from_secs(3)).await;
    refused_in_time(&store, id, version).await;
    let found = check(&settings).await;
    assert!(failed(&found).iter().any(|says| says.contains("cannot be reached")), "{found:?}");
    assert!(failed(&found).iter().any(|says| says.contains("red")), "{found:?}");
    cluster.node(&home).start();
    recovers(&store, id).await;
    // All of it hangs.
    cluster.nodes.iter().for_each(Node::pause);
    refused_in_time(&store, id, version).await;
    cluster.nodes.iter().for_each(Node::resume);
    recovers(&store, id).await;
}

/// One address for all nodes, each connection to the next of them, as the address of a service is.
async fn balancer(nodes: Vec<String>) -> Url {
    // On the address of one of them, since the certificate has no other names.
    let (address, _) = nodes[0].rsplit_once(':').unwrap();
    let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let mut turn = 0;
        while let Ok((mut client, _)) = listener.accept().await {
            turn += 1;
            let node = nodes[turn % nodes.len()].clone();
            tokio::spawn(async move {
                if let Ok(mut node) = tokio::net::TcpStream::connect(node).await {
                    // Either side may break off.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut node).await;
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_take_different_passwords_are_all_used() {
    let mut cluster = Cluster::start(3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    write(&path, &cluster.access.password);
    let mut settings = settings_of(&cluster);
    settings.login =
        Some(Login { username: "elastic".to_owned(), password: PasswordSource::File(path.clone()) });
    let mut behind_one_address = settings.clone();
    behind_one_address.urls =
        vec![balancer(cluster.nodes.iter().map(|node| node.http().to_owned()).collect()).await];
    let stores = [open(&settings), open(&behind_one_address)];
    let id = fresh_key().id();
    stores[0].create(vec![(id, issued())]).await.unwrap();
    stores[1].ping().await.unwrap();

    // The secret changes, and a node is restarted: it takes only the new password, the others only the old one.
    write(&path, "the-new-password");
    let restarted = &mut cluster.nodes[2];
    restarted.kill();
    restarted.set_password("the-new-password");
    restarted.start();
    let new = Elasticsearch {
        urls: vec![format!("https://{}", restarted.http())],
        password: "the-new-password".to_owned(),
        ..cluster.access.clone()
    };
    new.wait(3, || Ok(()));
    assert_eq!(new.request_as("elastic", &cluster.access.password, "GET", "/", None).0, 401);
    assert_eq!(cluster.access.request("GET", "/", None).0, 200);
    assert_eq!(cluster.access.request_as("elastic", "the-new-password", "GET", "/", None).0, 401);

    for store in &stores {
        let reads = (0..300).map(|_| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            store.get(id).await
        });
        for read in futures_util::future::join_all(reads).await {
            assert_eq!(read.unwrap().unwrap().value, issued());
        }
        for _ in 0..30 {
            store.ping().await.unwrap();
        }
    }
    // A server that starts now has only the new one, and finds the node that takes it.
    for settings in [settings, behind_one_address] {
        open(&settings).ping().await.unwrap();
    }
}

// The server, from outside.

/// A request to a server and its answer, while everything else goes on.
fn send(server: &Server, request: &Request) -> Answer {
    tokio::task::block_in_place(|| {
        let started = Instant::now();
        let answer = server.send(request);
        assert!(started.elapsed() < Duration::from_secs(12), "answered after {:?}", started.elapsed());
        answer
    })
}

fn becomes_ready(server: &Server) {
    let ready = || (send(server, &Request::get("/readyz")).status == 200).then_some(());
    eventually("the server is ready", ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_without_its_cluster_and_survives_what_befalls_it() {
    let cluster = Elasticsearch::shared();
    let ca_pem = std::fs::read(&cluster.ca_file).unwrap();
    let address = proxy().await.close().await.authority().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let index = unique("tickets");
    let configure = |mut command: std::process::Command| {
        command
            .env("TICKEY_STORE", format!("http://{address}"))
            .env("TICKEY_ELASTICSEARCH_USERNAME", &cluster.username)
            .env("TICKEY_ELASTICSEARCH_PASSWORD", &cluster.password)
            .env("TICKEY_ELASTICSEARCH_INDEX", &index);
        command
    };
    let mut serve = configure(tickey(folder.path()));
    serve.args(["serve", "--link-keys-file", "link-keys"]);
    let server = tokio::task::block_in_place(|| Server::start(serve));
    let keys: Vec<Key> = (0..10).map(Key::numbered).collect();
    let redeem = |key: usize| Request::redeem(&keys[key].dashed()).idempotency_key(format!("person-{key}"));

    // Down.
    let answer = send(&server, &Request::get("/readyz"));
    answer.problem(503, "store_unavailable");
    let answer = send(&server, &redeem(0));
    answer.problem(503, "store_unavailable");
    assert!(answer.header("retry-after").is_some());

    // There.
    let proxy = Proxy::before_at(node_url(), &ca_pem, &address).await;
    becomes_ready(&server);
    let lines = keys.iter().map(|key| {
        let ticket = json!({"album": "slow-tide", "batch": "b", "status": "issued", "issued_at": "2026-11-21T10:00:00Z"});
        format!("{}\n{ticket}\n", json!({"create": {"_id": key.id()}}))
    });
    let path = format!("/{index}/_bulk");
    assert_eq!(cluster.request_lines("POST", &path, &lines.collect::<String>()).1["errors"], false);
    send(&server, &redeem(0)).expect(201);

    // Slow, but not too slow; and then too slow.
    proxy.fail("_bulk", [Fault::DelayReply(Duration::from_secs(3))]);
    send(&server, &redeem(1)).expect(201);
    proxy.fail("_mget", vec![Fault::Hang; 50]);
    let answer = send(&server, &redeem(2));
    answer.problem(503, "store_unavailable");
    // Whoever hangs is not answered any more.
    proxy.close().await;
    let proxy = Proxy::before_at(node_url(), &ca_pem, &address).await;
    becomes_ready(&server);
    send(&server, &redeem(2)).expect(201);

    // Answers that never come, to writes that are made: unknown, and settled by asking again.
    proxy.fail("_bulk", [Fault::LoseReply]).fail("_mget", [Fault::Pass]).fail("_mget", vec![Fault::Hang; 20]);
    let answer = send(&server, &redeem(3));
    answer.problem(503, "outcome_unknown");
    proxy.close().await;
    let _proxy = Proxy::before_at(node_url(), &ca_pem, &address).await;
    becomes_ready(&server);
    let settled = send(&server, &redeem(3));
    assert_eq!(settled.expect(201).header("idempotency-replayed"), Some("true"));

    // Full.
    let path = format!("/{index}/_settings");
    let block = |on: Value| json!({"index.blocks.read_only_allow_delete": on});
    assert_eq!(cluster.request("PUT", &path, Some(&block(json!(true)))).0, 200);
    send(&server, &redeem(4)).problem(503, "store_unavailable");
    send(&server, &redeem(0)).problem(503, "store_unavailable");
    send(&server, &Request::get("/readyz")).problem(503, "store_unavailable");
    assert_eq!(cluster.request("PUT", &path, Some(&block(Value::Null))).0, 200);
    send(&server, &redeem(4)).expect(201);
    becomes_ready(&server);
}
