//! Section 3, `GET /redemptions/{receipt}`: "the holder's page or JSON, with links that work: expired ones are renewed
//! here without staff, a limited number of times (default 10; then 403 `renewals_used_up`); 404 `receipt_unknown`; 410
//! `revoked`"; and section 4, what `revoke` and `reinstate` do to a receipt.

use crate::support::http::{BROWSER, Request, target_of};
use crate::support::key::Key;
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::{Shop, file_names};
use crate::support::time::{eventually, now};

/// Links that die within the patience of a test.
const SHORT_LIVES: [&str; 4] = ["--link-min-seconds", "1", "--link-max-seconds", "2"];

/// While the links live a receipt is what the 201 was, to the byte.
#[test]
fn a_receipt_is_the_answer_to_the_redemption_again() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    for _ in 0..3 {
        let receipt = Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
        assert_eq!(receipt.files, redeemed.files);
        assert_eq!((receipt.id, receipt.receipt_url), (redeemed.id.clone(), redeemed.receipt_url.clone()));
        assert_eq!((receipt.redeemed_at, receipt.album), (redeemed.redeemed_at, redeemed.album.clone()));
    }
}

#[test]
fn a_receipt_is_a_page_for_a_browser_and_links_for_plain_text() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    let ask = |accept| server.send(&Request::get(target_of(&redeemed.receipt_url)).accept(accept));
    let page = ask(BROWSER).expect(200).page().visible_text();
    for name in file_names() {
        assert!(page.contains(name), "{page}");
    }
    let plain = ask("text/plain");
    assert_eq!(plain.expect(200).media_type(), "text/plain");
    let urls: Vec<&str> = redeemed.files.iter().map(|file| file.url.as_str()).collect();
    assert_eq!(plain.text().lines().collect::<Vec<_>>(), urls);
}

/// A receipt is as good as the keys of the links are: it outlives the server that gave it.
#[test]
fn a_receipt_outlives_a_restart() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    server.kill();
    let receipt = Redeemed::read(&shop.serve().follow(&redeemed.receipt_url), 200);
    assert_eq!(receipt.id, redeemed.id);
}

#[test]
fn a_receipt_that_was_never_given_is_unknown() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    let long = "A".repeat(2000);
    for receipt in ["x", "no-such-receipt", "%00", "%FF", "..%2F..%2Fetc%2Fpasswd", &redeemed.id, &long] {
        let target = format!("/redemptions/{receipt}");
        server.get(&target).problem(404, "receipt_unknown");
        let page = server.send(&Request::get(&target).accept(BROWSER));
        page.expect(404).page();
    }
}

/// A receipt is a secret: nothing that only looks like one is one. The neighbours of each character are tried too,
/// because a decoder that is not strict ignores the last bits of the last one.
#[test]
fn a_receipt_with_any_character_changed_is_unknown() {
    const BASE64URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    let receipt = redeemed.receipt();
    let mut forgeries = vec![
        receipt[1..].to_owned(),
        receipt[..receipt.len() - 1].to_owned(),
        format!("{receipt}A"),
        format!("{receipt}="),
        format!("{receipt}%00"),
        format!("{receipt}%20"),
        receipt.to_uppercase(),
        receipt.to_lowercase(),
    ];
    forgeries.retain(|forgery| forgery != receipt);
    for place in 0..receipt.len() {
        let value = BASE64URL.iter().position(|symbol| *symbol == receipt.as_bytes()[place]);
        for difference in [1, 2, 3, 32] {
            let other = value.map_or(b'A', |value| BASE64URL[value ^ difference]);
            let mut forgery = receipt.as_bytes().to_owned();
            forgery[place] = other;
            forgeries.push(String::from_utf8(forgery).expect("ASCII"));
        }
    }
    for forgery in forgeries {
        server.get(&format!("/redemptions/{forgery}")).problem(404, "receipt_unknown");
    }
    Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
}

/// The receipts of other keys, stores and servers are not valid here.
#[test]
fn a_receipt_of_another_server_is_unknown() {
    let (mine, other) = (Shop::new(), Shop::new());
    let (key, same_key) = (mine.ticket(), other.ticket());
    assert_eq!(key, same_key);
    let (mine, other) = (mine.serve(), other.serve());
    let redeemed = Redeemed::read(&mine.redeem_as(&key, "the-same"), 201);
    other.redeem_as(&key, "the-same").expect(201);
    other.follow(&redeemed.receipt_url).problem(404, "receipt_unknown");
    other.follow(&redeemed.files[0].url).problem(403, "link_invalid");
}

/// Waits until the links of this answer are dead.
fn let_die(server: &Server, redeemed: &Redeemed) {
    for file in &redeemed.files {
        eventually("the link dies", || (server.follow(&file.url).status == 410).then_some(()));
    }
}

#[test]
fn dead_links_are_renewed_by_asking_for_the_receipt_again() {
    let shop = Shop::new();
    let server = shop.serve_with(&SHORT_LIVES);
    let redeemed = server.redeemed(&shop.ticket());
    let_die(&server, &redeemed);
    let renewed = Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
    assert_eq!((renewed.id, renewed.redeemed_at), (redeemed.id, redeemed.redeemed_at));
    assert_eq!(renewed.receipt_url, redeemed.receipt_url);
    for file in &renewed.files {
        assert!(file.expires_at >= now(), "{file:?}");
        server.follow(&file.url).expect(200);
    }
    // The old links stay dead.
    server.follow(&redeemed.files[0].url).problem(410, "link_expired");
}

/// Only dead links cost a renewal: looking at the page while they live is free. And when none is left, the receipt
/// says so in each form, again and again, also after a restart.
#[test]
fn links_are_renewed_a_limited_number_of_times() {
    let shop = Shop::new();
    let flags = [&SHORT_LIVES[..], &["--max-renewals", "2"]].concat();
    let server = shop.serve_with(&flags);
    let mut redeemed = server.redeemed(&shop.ticket());
    for _ in 0..2 {
        let_die(&server, &redeemed);
        redeemed = Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
    }
    let_die(&server, &redeemed);
    for _ in 0..2 {
        server.follow(&redeemed.receipt_url).problem(403, "renewals_used_up");
    }
    let page = server.send(&Request::get(target_of(&redeemed.receipt_url)).accept(BROWSER));
    page.expect(403).page();
    assert!(server.stop().success());
    shop.serve_with(&flags).follow(&redeemed.receipt_url).problem(403, "renewals_used_up");
}

#[test]
fn looking_at_a_receipt_while_its_links_live_costs_nothing() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--max-renewals", "1"]);
    let redeemed = server.redeemed(&shop.ticket());
    for _ in 0..20 {
        assert_eq!(Redeemed::read(&server.follow(&redeemed.receipt_url), 200).files, redeemed.files);
    }
}

/// Two people who look at the same page at the same moment cost one renewal, not two.
#[test]
fn a_renewal_that_two_ask_for_at_once_is_one_renewal() {
    let shop = Shop::new();
    let server = shop.serve_with(&[&SHORT_LIVES[..], &["--max-renewals", "1"]].concat());
    let redeemed = server.redeemed(&shop.ticket());
    let_die(&server, &redeemed);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..8).map(|_| scope.spawn(|| server.follow(&redeemed.receipt_url).status)).collect();
        asking.into_iter().map(|asking| asking.join().expect("it asks")).collect()
    });
    assert_eq!(answers, [200; 8]);
}

/// Section 4: "`revoke` also ends the receipt of a redeemed ticket".
#[test]
fn revoking_a_redeemed_ticket_ends_its_receipt() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let redeemed = Redeemed::read(&server.redeem_as(&key, "mine"), 201);
    revoke(&shop, &key);
    server.follow(&redeemed.receipt_url).problem(410, "revoked");
    let page = server.send(&Request::get(target_of(&redeemed.receipt_url)).accept(BROWSER));
    page.expect(410).page();
    server.redeem_as(&key, "mine").problem(410, "revoked");
    server.redeem(&key).problem(410, "revoked");
}

/// Section 4: "`reinstate` makes a redeemed or revoked ticket `issued` again, with its old receipt void".
#[test]
fn a_reinstated_ticket_is_redeemed_anew_and_its_old_receipt_is_void() {
    let shop = Shop::new();
    let server = shop.serve();
    for revoked_before in [false, true] {
        for idempotency_key in ["mine", "another"] {
            let key = shop.ticket();
            let first = Redeemed::read(&server.redeem_as(&key, "mine"), 201);
            if revoked_before {
                revoke(&shop, &key);
            }
            reinstate(&shop, &key);
            server.follow(&first.receipt_url).problem(404, "receipt_unknown");

            let answer = server.redeem_as(&key, idempotency_key);
            assert!(answer.header("idempotency-replayed").is_none(), "{answer}");
            let second = Redeemed::read(&answer, 201);
            assert_ne!(first.id, second.id);
            assert_ne!(first.receipt_url, second.receipt_url);
            server.follow(&first.receipt_url).problem(404, "receipt_unknown");
            assert_eq!(Redeemed::read(&server.follow(&second.receipt_url), 200).id, second.id);
            let again = server.redeem_as(&key, idempotency_key);
            assert_eq!(again.header("idempotency-replayed"), Some("true"));
            assert_eq!(again.expect(201).body, second.body);
        }
    }
}

/// The renewals of a life that is over do not count in the next.
#[test]
fn a_reinstated_ticket_has_all_its_renewals_again() {
    let shop = Shop::new();
    let server = shop.serve_with(&[&SHORT_LIVES[..], &["--max-renewals", "1"]].concat());
    let key = shop.ticket();
    for _ in 0..2 {
        let redeemed = server.redeemed(&key);
        let_die(&server, &redeemed);
        let renewed = Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
        let_die(&server, &renewed);
        server.follow(&redeemed.receipt_url).problem(403, "renewals_used_up");
        reinstate(&shop, &key);
    }
}

#[track_caller]
fn revoke(shop: &Shop, key: &Key) {
    shop.tool_reading(&["revoke", "-"], &key.dashed()).expect(0);
}

#[track_caller]
fn reinstate(shop: &Shop, key: &Key) {
    shop.tool_reading(&["reinstate", "-", "--because", "the download failed"], &key.dashed()).expect(0);
}
