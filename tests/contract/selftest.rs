//! `selftest` and `healthcheck`: what an operator, or the container that the server runs in, asks a server that runs.

use std::net::TcpListener;

use crate::support::shop::{ALBUM, Outcome, Shop};

fn selftest(shop: &Shop, url: &str) -> Outcome {
    let link_keys = shop.path("link-keys");
    let link_keys = link_keys.to_str().expect("a path in UTF-8");
    shop.tool(&["selftest", "--url", url, "--link-keys-file", link_keys])
}

/// How many tickets the batch of the test has, and how many of them are void.
fn tickets_of_tests(shop: &Shop) -> (u64, u64) {
    let counts = shop.tool(&["stats", "--batch", "selftest", "--json"]).expect(0).json();
    (counts["tickets"].as_u64().expect("a number"), counts["revoked"].as_u64().expect("a number"))
}

#[test]
fn it_redeems_for_real_and_leaves_one_void_ticket_however_often_it_is_run() {
    let shop = Shop::new();
    let server = shop.serve();
    for _ in 0..3 {
        let said = selftest(&shop, &format!("http://{}", server.address)).expect(0);
        assert!(said.stdout.contains(&format!("the key was redeemed, for album {ALBUM}")), "{}", said.all());
        assert!(said.stdout.contains("a second person was refused"), "{}", said.all());
        assert_eq!(tickets_of_tests(&shop), (1, 1));
    }
}

/// The public address need not be one that the test can reach.
#[test]
fn links_to_the_public_address_are_followed_at_the_one_that_was_given() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--public-url", "https://music.invalid"]);
    selftest(&shop, &format!("http://{}", server.address)).expect(0);
}

#[test]
fn it_says_what_is_wrong_and_its_ticket_stays_void() {
    let shop = Shop::new();
    let server = shop.serve();
    let url = format!("http://{}", server.address);
    selftest(&shop, &url).expect(0);

    let file = shop.path("library").join(ALBUM);
    let victim = std::fs::read_dir(&file)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "flac"))
        .expect("a file of the album");
    let whole = std::fs::read(&victim).expect("a file");
    std::fs::write(&victim, &whole[1..]).expect("a file");
    let said = selftest(&shop, &url).expect(1);
    assert!(!said.stderr.is_empty(), "no reason is given");
    std::fs::write(&victim, whole).expect("a file");

    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let said = selftest(&shop, &format!("http://{nobody}")).expect(1);
    assert!(said.stderr.contains(&nobody.to_string()), "{}", said.all());
    assert_eq!(tickets_of_tests(&shop), (1, 1));
    selftest(&shop, "ftp://music.example").expect(2);
}

#[test]
fn a_container_can_ask_whether_its_server_is_alive() {
    let shop = Shop::new();
    let server = shop.serve();
    let address = server.address.to_string();
    shop.tool(&["healthcheck", "--listen", &address]).expect(0);
    drop(server);
    let said = shop.tool(&["healthcheck", "--listen", &address]).expect(1);
    assert!(said.stderr.contains(&address), "{}", said.all());
}
