//! New tickets: replies that are lost, and an index that vanishes meanwhile.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tickey::redemption::create::create;
use tickey::redemption::key::TicketId;
use tickey::redemption::store::Created;
use tickey::redemption::store::elasticsearch::check;
use tickey::redemption::ticket::Ticket;

use super::access::make_user;
use super::proxy::Fault;
use super::world::{World, fresh_key, issued, login, node_url, open, settings};
use crate::support::elasticsearch::Elasticsearch;
use crate::support::key::Key;
use crate::support::server::tickey;
use crate::support::time::eventually;

fn new_tickets(count: usize) -> Vec<(TicketId, Ticket)> {
    (0..count).map(|_| (fresh_key().id(), issued())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_new_tickets_is_doubt_and_settled_by_reading() {
    let world = World::new().await;
    for faults in [
        vec![Fault::LoseReply],
        vec![Fault::LoseRequest],
        vec![Fault::LoseReply, Fault::LoseReply],
        vec![Fault::Answer(503, String::new()), Fault::LoseReply],
        vec![Fault::RejectItems(vec![0, 2]), Fault::LoseReply],
    ] {
        let loses_a_reply = faults.iter().any(|fault| matches!(fault, Fault::LoseReply));
        let tickets = new_tickets(5);
        world.proxy.fail("_bulk", faults.clone());
        let told = world.store.create(tickets.clone()).await.unwrap();
        assert!(told.iter().all(|told| *told != Created::Present), "{told:?}");
        let doubt = told.iter().any(|told| matches!(told, Created::Unknown(_)));
        assert_eq!(doubt, loses_a_reply, "{told:?}");

        let tickets = new_tickets(5);
        world.proxy.fail("_bulk", faults);
        let creation = create(&*world.store, tickets.clone(), None).await.unwrap();
        assert_eq!((creation.new, creation.present, creation.unknown), (5, 0, 0));
        for (id, ticket) in tickets {
            assert_eq!(world.ticket_now(id).await, ticket);
        }
        world.proxy.told();
    }
}

/// The program on the index of a world.
fn command(world: &World, folder: &std::path::Path) -> Command {
    let cluster = Elasticsearch::shared();
    let mut command = tickey(folder);
    command
        .env("TICKEY_STORE", world.proxy.url.as_str())
        .env("TICKEY_ELASTICSEARCH_USERNAME", &cluster.username)
        .env("TICKEY_ELASTICSEARCH_PASSWORD", &cluster.password)
        .env("TICKEY_ELASTICSEARCH_INDEX", world.settings.index.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn csv(keys: std::ops::Range<u64>) -> String {
    keys.flat_map(|number| [Key::numbered(number).dashed(), ",slow-tide,b,,\n".to_owned()]).collect()
}

const HEADER: &str = "key,album,batch,valid_from,expires_at\n";

#[tokio::test(flavor = "multi_thread")]
async fn tools_count_tickets_whose_reply_was_lost_as_new() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys.csv"), format!("{HEADER}{}", csv(0..3))).unwrap();
    world.proxy.fail("_bulk", [Fault::LoseReply]);
    let loaded = tokio::task::block_in_place(|| {
        command(&world, folder.path()).args(["load", "keys.csv"]).output().unwrap()
    });
    world.proxy.told();
    assert!(loaded.status.success(), "{loaded:?}");
    let says = String::from_utf8_lossy(&loaded.stdout).into_owned();
    assert!(says.contains("3 new, 0 present"), "{says}");
    world.proxy.fail("_bulk", [Fault::LoseReply]);
    let minted = tokio::task::block_in_place(|| {
        command(&world, folder.path())
            .args(["mint", "--album", "slow-tide", "--batch", "m", "--count", "4", "-o", "minted.csv"])
            .output()
            .unwrap()
    });
    world.proxy.told();
    assert!(minted.status.success(), "{minted:?}");
    assert!(!String::from_utf8_lossy(&minted.stdout).contains("4 present"), "{minted:?}");
}

// An index that vanishes.

fn delete_index(world: &World) {
    let path = format!("/{}", world.settings.index);
    assert_eq!(Elasticsearch::shared().request("DELETE", &path, None).0, 200);
}

fn is_gone(world: &World) -> bool {
    Elasticsearch::shared().request("GET", &format!("/{}", world.settings.index), None).0 == 404
}

fn says_what_to_do(ended: &Output) {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let says = String::from_utf8_lossy(&ended.stderr);
    assert!(says.contains("index_not_found_exception") && says.contains("restore the index"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_vanishes_is_not_made_anew_by_new_tickets() {
    let world = World::new().await;
    world.tickets(3).await;
    delete_index(&world);
    let refused = world.store.create(new_tickets(3)).await.unwrap_err();
    assert!(refused.to_string().contains("restore the index"), "{refused}");
    assert!(is_gone(&world), "Elasticsearch has made it anew");
    // Nor by somebody else's bulk.
    let ticket = json!({"album": "a", "batch": "b", "status": "issued", "issued_at": "2026-11-21T10:00:00Z"});
    let lines = format!("{}\n{ticket}\n", json!({"create": {"_id": fresh_key().id()}}));
    let path = format!("/{}/_bulk", world.settings.index);
    let (_, answer) = Elasticsearch::shared().request_lines("POST", &path, &lines);
    assert_eq!(answer["errors"], true, "{answer}");
    assert!(is_gone(&world));
    // A server that starts makes it as it should be.
    open(&world.settings).ping().await.unwrap();
    let (_, answer) = Elasticsearch::shared().request_lines("POST", &path, &lines);
    assert_eq!(answer["errors"], false, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_vanishes_while_a_file_is_loaded_ends_the_load() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut loading =
        command(&world, folder.path()).args(["load", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let ended = tokio::task::block_in_place(|| {
        let mut input = loading.stdin.take().unwrap();
        input.write_all(format!("{HEADER}{}", csv(0..10_000)).as_bytes()).unwrap();
        input.flush().unwrap();
        let path = format!("/{}/_count", world.settings.index);
        eventually("the first part is loaded", || {
            Elasticsearch::shared().request("POST", &format!("/{}/_refresh", world.settings.index), None);
            let (_, found) = Elasticsearch::shared().request("GET", &path, None);
            (found["count"] == 10_000).then_some(())
        });
        delete_index(&world);
        input.write_all(csv(10_000..25_000).as_bytes()).unwrap();
        drop(input);
        loading.wait_with_output().unwrap()
    });
    says_what_to_do(&ended);
    assert!(is_gone(&world), "Elasticsearch has made it anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_vanishes_while_keys_are_minted_ends_the_mint_and_no_key_is_lost() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mint = || {
        let mut mint = command(&world, folder.path());
        mint.args(["mint", "--album", "slow-tide", "--batch", "m", "--count", "5000", "-o", "keys.csv"]);
        mint
    };
    world.proxy.fail("_bulk", vec![Fault::DelayRequest(Duration::from_secs(2)); 2]);
    let minting = mint().spawn().unwrap();
    let ended = tokio::task::block_in_place(|| {
        eventually("it sends tickets", || (!world.proxy.seen("_bulk").is_empty()).then_some(()));
        delete_index(&world);
        minting.wait_with_output().unwrap()
    });
    says_what_to_do(&ended);
    assert!(is_gone(&world), "Elasticsearch has made it anew");
    let again = tokio::task::block_in_place(|| mint().output().unwrap());
    assert!(again.status.success(), "{again:?}");
    assert_eq!(world.store.stats(None, None, 10).await.unwrap()[0].issued, 5000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_store_the_template_is_served_and_the_doctor_says_so() {
    let mut settings = settings(vec![node_url()]);
    let user = make_user(settings.index.as_str(), "no-templates");
    let cluster = Elasticsearch::shared();
    let (_, role) = cluster.request("GET", &format!("/_security/role/{user}"), None);
    let mut role: Value = role[&user].clone();
    for computed in ["metadata", "transient_metadata", "applications", "run_as", "description", "global"] {
        role.as_object_mut().unwrap().remove(computed);
    }
    role["cluster"] = json!(["monitor"]);
    assert_eq!(cluster.request("PUT", &format!("/_security/role/{user}"), Some(&role)).0, 200);
    settings.login = Some(login(&user, "no-templates"));
    let store = open(&settings);
    store.ping().await.unwrap();
    let id = fresh_key().id();
    assert_eq!(store.create(vec![(id, issued())]).await, Ok(vec![Created::New]));
    let checkup = check(&settings).await;
    assert!(checkup.checks.iter().all(|check| check.ok), "{checkup:?}");
    let says = |words: &str| checkup.checks.iter().any(|check| check.says.contains(words));
    assert!(says("manage_index_templates"), "{checkup:?}");
    // With the privilege it is stored, and an index of that name is not made by a write.
    settings.login = Some(login(&make_user(settings.index.as_str(), "with-templates"), "with-templates"));
    open(&settings).ping().await.unwrap();
    let path = format!("/_index_template/tickey-{}", settings.index);
    let (status, found) = cluster.request("GET", &path, None);
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["index_templates"][0]["index_template"]["allow_auto_create"], false);
}
