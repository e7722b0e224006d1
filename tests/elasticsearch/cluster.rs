//! Clusters of three nodes of their own.

use std::time::{Duration, Instant};

use reqwest::Url;
use serde_json::json;
use tickey::redemption::key::TicketId;
use tickey::redemption::store::elasticsearch::{INDEX, Login, PasswordSource, Settings, check};
use tickey::redemption::store::{SharedStore, StoreError, Version, WriteOutcome};

use super::access::write;
use super::doctor::failed;
use super::world::{fresh_key, issued, login, open};
use crate::support::elasticsearch::{Cluster, Elasticsearch, Node};

/// Settings for a cluster of its own.
pub(crate) fn settings_of(cluster: &Cluster) -> Settings {
    let mut settings =
        Settings::new(cluster.access.urls.iter().map(|url| url.parse().unwrap()).collect(), INDEX);
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
