//! Every store there is, held to the one contract.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use tickey::store::conformance;
use tickey::store::faulty::FaultyStore;
use tickey::store::location::{IfMissing, StoreLocation};
use tickey::store::{SharedStore, sqlite};

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
