//! Section 3, "the answer follows `Accept`".

use crate::support::http::{Answer, BROWSER, JSON, Request, target_of};
use crate::support::redeemed::Redeemed;
use crate::support::server::Server;
use crate::support::shop::{Shop, content_of, file_names};

/// JSON is for everyone who does not ask for something else.
#[test]
fn json_is_the_answer_unless_another_form_is_preferred() {
    let shop = Shop::new();
    let server = shop.serve();
    let accepts = [
        "*/*",
        "application/json",
        "application/*",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "text/html;q=0.5, application/json",
        "text/html;q=0.5, application/json;q=0.9, text/plain;q=0.7",
        "text/html;q=0, */*",
        "*/*;q=0.1, text/html;q=0, text/plain;q=0",
        "image/webp, application/json;q=0.1",
    ];
    for (accept, key) in accepts.into_iter().zip(shop.tickets(accepts.len())) {
        let answer = server.send(&Request::redeem(&key.dashed()).accept(accept));
        assert_eq!((answer.status, answer.media_type()), (201, JSON), "Accept: {accept}\n{answer}");
    }
    Redeemed::read(&server.redeem(&shop.ticket()), 201);
}

/// "`text/html` (303 to the receipt's page …)", for whatever a browser sends.
#[test]
fn a_browser_is_sent_to_the_receipts_page() {
    let shop = Shop::new();
    let server = shop.serve();
    let accepts = [
        "text/html",
        BROWSER,
        "text/html, application/json;q=0.9",
        "application/json;q=0.2, text/html;q=0.8",
        "text/plain;q=0.1, text/html",
        "text/html, */*;q=0.1",
    ];
    for (accept, key) in accepts.into_iter().zip(shop.tickets(accepts.len())) {
        let answer = server.send(&Request::redeem_by_form(&[("key", &key.dashed())]).accept(accept));
        let page = receipts_page(&server, &answer);
        let text = page.page().visible_text();
        for name in file_names() {
            assert!(text.contains(name), "Accept: {accept}: the page does not name {name:?}: {text}");
        }
    }
}

/// The receipt's page is where a person downloads from.
#[test]
fn the_links_of_the_receipts_page_download_the_files() {
    let shop = Shop::new();
    let server = shop.serve();
    let request = Request::redeem_by_form(&[("key", &shop.ticket().dashed())]).accept(BROWSER);
    let page = receipts_page(&server, &server.send(&request));
    let links = page.page().links();
    let links: Vec<&str> =
        links.iter().map(|link| target_of(link)).filter(|link| link.starts_with("/files/")).collect();
    let downloads: Vec<Vec<u8>> =
        links.iter().map(|link| server.get(link).expect(200).body.clone()).collect();
    for name in file_names() {
        assert!(downloads.contains(&content_of(name)), "no link of the page gives {name:?}: {links:?}");
    }
}

/// "`text/plain` (the links, one a line …)", in the order of the album.
#[test]
fn plain_text_is_the_links_one_a_line() {
    let shop = Shop::new();
    let server = shop.serve();
    let accepts = ["text/plain", "text/plain, */*;q=0.1", "application/json;q=0.5, text/plain", "Text/Plain"];
    for (accept, key) in accepts.into_iter().zip(shop.tickets(accepts.len())) {
        let answer = server.send(&Request::redeem(&key.dashed()).accept(accept));
        assert_eq!((answer.status, answer.media_type()), (201, "text/plain"), "Accept: {accept}\n{answer}");
        let text = answer.text();
        let downloads: Vec<Vec<u8>> =
            text.lines().map(|link| server.follow(link).expect(200).body.clone()).collect();
        let contents: Vec<Vec<u8>> = file_names().into_iter().map(content_of).collect();
        assert_eq!(downloads.len(), contents.len(), "{text}");
        assert!(downloads == contents, "the links are not those of the files in order: {text}");
        assert!(answer.required_header("location").contains("/redemptions/"), "{answer}");
    }
}

/// The form of an answer is no part of a redemption: who got a page can ask again for JSON.
#[test]
fn a_retry_may_ask_for_another_form_of_the_same_answer() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let request = |accept| Request::redeem(&key.dashed()).idempotency_key("the-same").accept(accept);
    let page = server.send(&request("text/html"));
    let json = server.send(&request("application/json"));
    let plain = server.send(&request("text/plain"));
    let redeemed = Redeemed::read(&json, 201);
    assert_eq!(target_of(page.expect(303).required_header("location")), target_of(&redeemed.receipt_url));
    let urls: Vec<&str> = redeemed.files.iter().map(|file| file.url.as_str()).collect();
    assert_eq!(plain.expect(201).text().lines().collect::<Vec<_>>(), urls);
}

/// Follows the 303 of a redemption to its page.
#[track_caller]
fn receipts_page(server: &Server, answer: &Answer) -> Answer {
    let location = answer.expect(303).required_header("location");
    assert!(target_of(location).starts_with("/redemptions/"), "{answer}");
    let page = server.send(&Request::get(target_of(location)).accept(BROWSER));
    page.expect(200);
    page
}
