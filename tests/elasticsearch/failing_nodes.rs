//! Nodes that answer at once that they cannot, and nodes that swallow packets.

use std::time::{Duration, Instant};

use tickey::redemption::key::TicketId;
use tickey::redemption::store::WriteOutcome;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::proxy::Fault;
use super::world::{fresh_key, issued, open, proxy, redeemed, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_answers_fast_that_it_cannot_is_left_alone() {
    for status in [429, 500, 502, 503] {
        let (failing, living) = (proxy().await, proxy().await);
        let store = open(&settings(vec![failing.url.clone(), living.url.clone()]));
        let id = fresh_key().id();
        store.create(vec![(id, issued())]).await.unwrap();
        failing.fail("_mget", vec![Fault::Answer(status, String::new()); 10_000]);
        for _ in 0..200 {
            store.get(id).await.unwrap().unwrap();
        }
        let asked = failing.seen("_mget").len();
        assert!(asked < 20, "a node that answers {status} was asked {asked} times for 200 reads");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_writes_are_refused_fast_is_left_alone_as_well() {
    let (failing, living) = (proxy().await, proxy().await);
    let store = open(&settings(vec![failing.url.clone(), living.url.clone()]));
    let ids: Vec<TicketId> = (0..50).map(|_| fresh_key().id()).collect();
    store.create(ids.iter().map(|id| (*id, issued())).collect()).await.unwrap();
    failing.fail("_bulk", vec![Fault::Answer(429, String::new()); 10_000]);
    for id in ids {
        let version = store.get(id).await.unwrap().unwrap().version;
        let outcome = store.put_if(id, version, redeemed(&id, "a")).await;
        assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
    }
    let asked = failing.seen("_bulk").len();
    assert!(asked < 10, "a node that answers 429 was asked {asked} times for 50 writes");
}

/// An address that takes no connection and refuses none: its queue of connections is full.
async fn swallowing() -> (TcpSocketKept, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 100, "the queue never fills");
    }
    ((listener, waiting), format!("http://{address}/"))
}

type TcpSocketKept = (tokio::net::TcpListener, Vec<TcpStream>);

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_not_sent_to_a_node_that_swallows_it() {
    let ((_kept, url), living) = (swallowing().await, proxy().await);
    let store = open(&settings(vec![url.parse().unwrap(), living.url.clone()]));
    let ids: Vec<TicketId> = (0..10).map(|_| fresh_key().id()).collect();
    store.create(ids.iter().map(|id| (*id, issued())).collect()).await.unwrap();
    for id in ids {
        let version = store.get(id).await.unwrap().unwrap().version;
        let began = Instant::now();
        let outcome = store.put_if(id, version, redeemed(&id, "a")).await;
        assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}
