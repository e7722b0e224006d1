//! What the holder of a receipt can do for as long as they have it, and that nothing which only looks at a receipt uses
//! up what they are allowed.

use crate::support::http::{BROWSER, JSON, Request, target_of};
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::{Shop, content_of, file_names};
use crate::support::time::{eventually, now};

/// Links that die within the patience of a test, and one renewal.
const SHORT_LIVES: [&str; 6] = ["--link-min-seconds", "1", "--link-max-seconds", "1", "--max-renewals", "1"];

fn let_die(server: &Server, redeemed: &Redeemed) {
    for file in &redeemed.files {
        eventually("the link dies", || (server.follow(&file.url).status == 410).then_some(()));
    }
}

/// A redemption whose links are dead, and whose receipt has one renewal left.
fn expired(shop: &Shop) -> (Server, Redeemed) {
    let server = shop.serve_with(&SHORT_LIVES);
    let redeemed = server.redeemed(&shop.ticket());
    let_die(&server, &redeemed);
    (server, redeemed)
}

/// The links of the holder's page.
fn files_of_page(server: &Server, redeemed: &Redeemed) -> Vec<String> {
    let page = server.send(&Request::get(target_of(&redeemed.receipt_url)).accept(BROWSER));
    let links = page.expect(200).page().links();
    links.into_iter().filter(|link| link.contains("/files/")).collect()
}

#[test]
fn what_only_looks_at_a_receipt_uses_up_nothing() {
    let shop = Shop::new();
    let (server, redeemed) = expired(&shop);
    let receipt = target_of(&redeemed.receipt_url);
    let page = || Request::get(receipt).accept(BROWSER);
    for look in [
        page().header("Sec-Purpose", "prefetch"),
        page().header("Sec-Purpose", "prefetch;prerender"),
        page().header("Purpose", "prefetch"),
        page().header("X-Moz", "prefetch"),
        page(),
        Request::get(receipt).accept("*/*").header("User-Agent", "ChatPreview/1.0"),
        Request::get(receipt).accept(JSON).header("Sec-Purpose", "prefetch"),
    ] {
        server.send(&look).expect(200);
    }
    server.send(&Request::new("HEAD", receipt)).expect(200);
    let renewed = Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
    assert!(renewed.files.iter().all(|file| file.expires_at >= now()));
}

#[test]
fn a_program_that_takes_anything_is_told_how_fresh_links_are_made() {
    let shop = Shop::new();
    let (server, redeemed) = expired(&shop);
    let look = || {
        let look = Request::get(target_of(&redeemed.receipt_url)).accept("*/*");
        look.header("User-Agent", "Mozilla/5.0 (compatible; SomeBot/2.1)")
    };
    let looked = server.send(&look());
    let renewal_url = looked.expect(200).json()["redemption"]["renewal_url"].clone();
    let renewal_url = renewal_url.as_str().expect("it is told").to_owned();
    let fresh = server.send(&Request::new("POST", target_of(&renewal_url)));
    let fresh = Redeemed::read(fresh.expect(200), 200);
    server.follow(&fresh.files[0].url).expect(200);
    let again = server.send(&look());
    assert!(again.json()["redemption"].get("renewal_url").is_none(), "its links live: {again}");
    let browser = server.send(&Request::new("POST", target_of(&renewal_url)).accept(BROWSER));
    assert_eq!(browser.expect(303).header("location"), Some(target_of(&redeemed.receipt_url)));
}

#[test]
fn the_files_of_the_page_outlive_its_links() {
    let shop = Shop::new();
    let (server, redeemed) = expired(&shop);
    let files = files_of_page(&server, &redeemed);
    assert_eq!(files.len(), file_names().len());
    for (file, name) in files.iter().zip(file_names()) {
        let answer = server.send(&Request::get(file).accept(BROWSER));
        assert_eq!(answer.expect(200).body, content_of(name), "{name}");
    }
    // All of them for one renewal, since the links of the others are as fresh as that of the first.
    Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
}

#[test]
fn a_download_that_was_paused_resumes_after_the_links_have_expired() {
    let shop = Shop::new();
    let server = shop.serve_with(&SHORT_LIVES);
    let redeemed = server.redeemed(&shop.ticket());
    let file = files_of_page(&server, &redeemed).remove(0);
    let whole = server.send(&Request::get(&file));
    let etag = whole.expect(200).required_header("etag").to_owned();
    let_die(&server, &redeemed);
    let rest = Request::get(&file).header("Range", "bytes=10-").header("If-Range", &etag);
    let rest = server.send(&rest);
    assert_eq!(rest.expect(206).body, whole.body[10..]);
}

#[test]
fn a_file_that_is_loaded_in_advance_or_asked_about_renews_nothing() {
    let shop = Shop::new();
    let (server, redeemed) = expired(&shop);
    let file = files_of_page(&server, &redeemed).remove(0);
    server.send(&Request::new("HEAD", &file)).expect(200);
    let advance = server.send(&Request::get(&file).header("Sec-Purpose", "prefetch"));
    advance.problem(403, "loaded_in_advance");
    server.send(&Request::get(&file)).expect(200);
    let advance = server.send(&Request::get(&file).header("Sec-Purpose", "prefetch"));
    advance.expect(200);
}

#[test]
fn a_file_of_a_receipt_that_nobody_made_is_unknown() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    let file = files_of_page(&server, &redeemed).remove(0);
    let forged = file.replacen("/receipts/", "/receipts/A", 1);
    server.get(&forged).problem(404, "receipt_unknown");
    let (folder, _) = file.rsplit_once('/').expect("a name");
    server.get(&format!("{folder}/no-such-file")).problem(503, "album_unavailable");
}

/// A name that the album does not have is nobody's wish for its files.
#[test]
fn a_file_that_there_is_not_renews_nothing() {
    let shop = Shop::new();
    let (server, redeemed) = expired(&shop);
    let file = files_of_page(&server, &redeemed).remove(0);
    let (folder, _) = file.rsplit_once('/').expect("a name");
    for _ in 0..3 {
        server.get(&format!("{folder}/no-such-file")).problem(503, "album_unavailable");
    }
    Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
}

#[test]
fn whoever_opens_an_expired_link_from_the_receipt_is_led_back_to_it() {
    let shop = Shop::new();
    let (server, redeemed) = expired(&shop);
    let receipt = target_of(&redeemed.receipt_url);
    let link = Request::get(target_of(&redeemed.files[0].url)).accept(BROWSER);
    let led = server.send(&link.clone().header("Referer", &redeemed.receipt_url));
    assert!(led.expect(410).page().links().iter().any(|link| link == receipt), "{led}");
    for elsewhere in ["https://elsewhere.example/redemptions/x", "nonsense", receipt] {
        let page = server.send(&link.clone().header("Referer", elsewhere));
        assert!(!page.expect(410).page().links().iter().any(|link| link.contains("/redemptions/")), "{page}");
    }
}

#[test]
fn a_receipt_that_has_to_wait_says_until_when() {
    let shop = Shop::new();
    let (server, redeemed) = expired(&shop);
    let renewed = Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
    let_die(&server, &renewed);
    let refused = server.follow(&redeemed.receipt_url);
    refused.problem(403, "renewals_used_up");
    assert!((1..=3600).contains(&refused.retry_after()), "{refused}");
    let page = server.send(&Request::get(target_of(&redeemed.receipt_url)).accept(BROWSER));
    assert_eq!(page.expect(403).page().tags("time").len(), 1, "{page}");
}

/// Whoever helps a fan sees in the log whether the receipt was opened and which files were asked for.
#[test]
fn the_log_names_the_ticket_of_a_receipt_that_is_opened() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let redeemed = server.redeemed(&key);
    let file = files_of_page(&server, &redeemed).remove(0);
    server.get(&file).expect(200);
    for route in ["/redemptions/{receipt}", "/files/receipts/{receipt}/{name}"] {
        let named = |line: &str| line.contains(&format!("\"route\":\"{route}\"")) && line.contains(&key.id());
        eventually("it is logged", || server.log().lines().any(named).then_some(()));
    }
}
