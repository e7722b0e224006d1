//! What `doctor` says.

use serde_json::json;
use tickey::redemption::store::elasticsearch::{Checkup, check};

use super::access::{make_user, other_ca};
use super::proxy::Fault;
use super::world::{login, node_url, open, proxy, settings};
use crate::support::elasticsearch::Elasticsearch;

pub(crate) fn failed(checkup: &Checkup) -> Vec<&str> {
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
