//! Passwords, certificates, roles.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickey::redemption::key::TicketId;
use tickey::redemption::store::elasticsearch::{ElasticsearchStore, Login, PasswordSource, Settings, check};
use tickey::redemption::store::location::IfMissing;

use super::doctor::failed;
use super::proxy::Fault;
use super::world::{fresh_key, login, node_url, open, proxy, settings, unique};
use crate::support::elasticsearch::Elasticsearch;

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::write(path, content).unwrap();
}

/// A user with the role of the documentation, for this index.
pub(crate) fn make_user(index: &str, password: &str) -> String {
    let cluster = Elasticsearch::shared();
    let mut role: Value = serde_json::from_str(include_str!("../../docs/elasticsearch-role.json")).unwrap();
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
        // The real node still takes only the old one; wherever the new one is tried it is refused, and the old one
        // follows.
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
pub(crate) fn other_ca(folder: &Path) -> Vec<u8> {
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
    crate::store::conformance::run(&open(&settings)).await;
    assert_eq!(failed(&check(&settings).await), [""; 0]);
    // And it is not more than enough: the user cannot delete a ticket, or the index.
    let id = TicketId::from_bytes([1; TicketId::BYTES]);
    let cluster = Elasticsearch::shared();
    for path in [format!("/{}/_doc/{id}", settings.index), format!("/{}", settings.index)] {
        assert_eq!(cluster.request_as(&user, "least-privilege", "DELETE", &path, None).0, 403, "{path}");
    }
}
