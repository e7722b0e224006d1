//! Every store there is, held to the one contract.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

#[allow(dead_code, reason = "this target uses only a part of what the tests share")]
mod support;

#[path = "support/store/mod.rs"]
#[allow(dead_code, reason = "this target uses only a part of what the tests of stores share")]
mod store;

use std::sync::Arc;

use store::conformance;
use store::faulty::FaultyStore;
use support::elasticsearch::{Cluster, Elasticsearch};
use tickey::redemption::store::elasticsearch::{
    Batching, ElasticsearchStore, INDEX, Login, PasswordSource, Settings,
};
use tickey::redemption::store::location::{IfMissing, StoreLocation};
use tickey::redemption::store::{SharedStore, sqlite};

async fn sqlite_in(folder: &tempfile::TempDir) -> SharedStore {
    let location: StoreLocation = format!("sqlite:{}/tickets.db", folder.path().display()).parse().unwrap();
    location.open(IfMissing::Create, Arc::new(())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    conformance::run(&sqlite_in(&folder).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract_without_batching() {
    let folder = tempfile::tempdir().unwrap();
    let settings = sqlite::Settings { max_batch: 1, ..sqlite::Settings::default() };
    let path = folder.path().join("tickets.db");
    let store = sqlite::SqliteStore::open(&path, IfMissing::Create, settings, Arc::new(())).unwrap();
    let store: SharedStore = Arc::new(store);
    conformance::run(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_worth_of_connections_share_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (sqlite_in(&folder).await, sqlite_in(&folder).await);
    tokio::join!(conformance::run(&a), conformance::run(&b));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapper_without_faults_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store: SharedStore = Arc::new(FaultyStore::new(sqlite_in(&folder).await));
    conformance::run(&store).await;
}

fn elasticsearch(cluster: &Elasticsearch, index: &str, batching: Batching) -> SharedStore {
    let mut settings = Settings::new(cluster.urls.iter().map(|url| url.parse().unwrap()).collect(), INDEX);
    let password = PasswordSource::Given(cluster.password.clone().into());
    settings.login = Some(Login { username: cluster.username.clone(), password });
    settings.ca_file = Some(cluster.ca_file.clone());
    settings.index = format!("{index}-{}", std::process::id()).parse().unwrap();
    settings.batching = batching;
    Arc::new(ElasticsearchStore::new(settings, IfMissing::Create, Arc::new(())).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_keeps_the_contract() {
    conformance::run(&elasticsearch(Elasticsearch::shared(), "tickets", Batching::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_keeps_the_contract_without_batching() {
    let batching = Batching { max_batch: 1, lanes: 64, ..Batching::default() };
    conformance::run(&elasticsearch(Elasticsearch::shared(), "unbatched", batching)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elasticsearch_of_three_nodes_keeps_the_contract_for_two_servers_at_once() {
    let cluster = Cluster::start(3);
    let [a, b] = [(), ()].map(|()| elasticsearch(&cluster.access, "tickets", Batching::default()));
    tokio::join!(conformance::run(&a), conformance::run(&b));
}
