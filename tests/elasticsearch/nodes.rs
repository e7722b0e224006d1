//! Several nodes, and requests that are shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tickey::redemption::key::TicketId;
use tickey::redemption::store::elasticsearch::ElasticsearchStore;
use tickey::redemption::store::location::IfMissing;
use tickey::redemption::store::{Operation, RequestOutcome, SharedStore, StoreObserver, WriteOutcome};

use super::proxy::Fault;
use super::world::{fresh_key, issued, node_url, open, proxy, redeemed, settings};

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
