//! What nobody waits for any more is not begun.

use std::sync::Arc;
use std::time::Duration;

use tickey::redemption::key::TicketId;
use tickey::redemption::store::elasticsearch::{Batching, ElasticsearchStore};
use tickey::redemption::store::location::IfMissing;
use tickey::redemption::store::{SharedStore, Version};

use super::proxy::{Fault, Proxy};
use super::world::{World, fresh_key, redeemed};

/// Requests of a store with one lane that can be under way, the slow ones among them.
const MOST_UNDER_WAY: usize = 15;

/// The same index through a store that sends one operation a request.
fn one_by_one(world: &World) -> SharedStore {
    let mut settings = world.settings.clone();
    settings.batching = Batching { max_batch: 1, lanes: 1, ..Batching::default() };
    Arc::new(ElasticsearchStore::new(settings, IfMissing::Create, Arc::new(())).unwrap())
}

async fn until_seen(proxy: &Proxy, endpoint: &str, count: usize) {
    while proxy.seen(endpoint).len() < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn was_sent(proxy: &Proxy, endpoint: &str, id: TicketId) -> bool {
    proxy.seen(endpoint).iter().any(|seen| seen.body.contains(&id.to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_nobody_waits_for_is_not_sent() {
    let world = World::new().await;
    let store = one_by_one(&world);
    store.ping().await.unwrap();
    let before = world.proxy.seen("_mget").len();
    world.proxy.fail("_mget", vec![Fault::DelayReply(Duration::from_secs(1)); MOST_UNDER_WAY]);
    let slow: Vec<_> = (0..MOST_UNDER_WAY).map(|_| tokio::spawn(store.get(fresh_key().id()))).collect();
    until_seen(&world.proxy, "_mget", before + MOST_UNDER_WAY).await;
    let (left, stayed) = (fresh_key().id(), fresh_key().id());
    let abandoned = tokio::spawn(store.get(left));
    let waited_for = tokio::spawn(store.get(stayed));
    tokio::time::sleep(Duration::from_millis(50)).await;
    abandoned.abort();
    for read in slow {
        read.await.unwrap().unwrap();
    }
    waited_for.await.unwrap().unwrap();
    assert!(was_sent(&world.proxy, "_mget", stayed));
    assert!(!was_sent(&world.proxy, "_mget", left), "it was read for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_or_a_confirmation_that_nobody_waits_for_is_not_sent() {
    let world = World::new().await;
    let store = one_by_one(&world);
    store.ping().await.unwrap();
    let nowhere = Version { sequence: 1, term: 1 };
    let before = world.proxy.seen("_bulk").len();
    world.proxy.fail("_bulk", vec![Fault::DelayReply(Duration::from_secs(1)); MOST_UNDER_WAY]);
    let put = |id: TicketId| tokio::spawn(store.put_if(id, nowhere, redeemed(&id, "a")));
    let slow: Vec<_> = (0..MOST_UNDER_WAY).map(|_| put(fresh_key().id())).collect();
    until_seen(&world.proxy, "_bulk", before + MOST_UNDER_WAY).await;
    let [left, asked, stayed] = [(); 3].map(|()| fresh_key().id());
    let abandoned = [put(left).abort_handle(), tokio::spawn(confirm(&store, asked)).abort_handle()];
    let waited_for = put(stayed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    abandoned.iter().for_each(tokio::task::AbortHandle::abort);
    for write in slow {
        write.await.unwrap();
    }
    waited_for.await.unwrap();
    assert!(was_sent(&world.proxy, "_bulk", stayed));
    assert!(!was_sent(&world.proxy, "_bulk", left), "it was written for nobody");
    assert!(!was_sent(&world.proxy, "_bulk", asked), "it was confirmed for nobody");
}

fn confirm(store: &SharedStore, id: TicketId) -> impl Future<Output = ()> + use<> {
    let confirming = store.confirm(id, None);
    async move { drop(confirming.await) }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_counts_that_nobody_waits_for_go_no_further() {
    let world = World::new().await;
    world.proxy.fail("_refresh", vec![Fault::DelayReply(Duration::from_millis(300)); 2]);
    let list = tokio::spawn(world.store.page(None, None, 10));
    let count = tokio::spawn(world.store.stats(None, None, 10));
    until_seen(&world.proxy, "_refresh", 2).await;
    list.abort();
    count.abort();
    tokio::time::sleep(Duration::from_millis(600)).await;
    world.proxy.told();
    assert_eq!(world.proxy.seen("_pit").len() + world.proxy.seen("_search").len(), 0);
    // And what somebody waits for goes on.
    assert_eq!(world.store.page(None, None, 10).await.unwrap().tickets, []);
}
