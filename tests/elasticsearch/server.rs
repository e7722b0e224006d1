//! The server, from outside.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::proxy::{Fault, Proxy};
use super::world::{node_url, proxy, unique};
use crate::support::elasticsearch::Elasticsearch;
use crate::support::http::{Answer, Request};
use crate::support::key::Key;
use crate::support::server::{Server, tickey};
use crate::support::time::eventually;

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
        let ticket = json!({
            "album": "slow-tide", "batch": "b", "status": "issued", "issued_at": "2026-11-21T10:00:00Z",
        });
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
