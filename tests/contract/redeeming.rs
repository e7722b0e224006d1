//! Section 3, `POST /redemptions` when all goes well: the 201, what is in it, and that what it promises is there.

use serde_json::json;

use crate::support::http::{FORM, JSON, Request};
use crate::support::redeemed::Redeemed;
use crate::support::shop::{
    ALBUM, ARTIST, PLAIN_FILE, Shop, TITLE, Ticket, content_of, file_names, hexadecimal_sha256,
};
use crate::support::time::now;

/// The shape to the letter is checked by [`Redeemed::read`]; here it is what stands in it.
#[test]
fn a_good_key_is_answered_with_the_album_and_a_link_for_each_file() {
    let shop = Shop::new();
    let server = shop.serve();
    let key = shop.ticket();
    let before = now();
    let answer = server.redeem(&key);
    let redeemed = Redeemed::read(&answer, 201);

    assert!((before..=now()).contains(&redeemed.redeemed_at), "redeemed_at is not the time of the request");
    assert_eq!(redeemed.album, json!({"id": ALBUM, "title": TITLE, "artist": ARTIST}));
    let names: Vec<&str> = redeemed.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, file_names());
    for file in &redeemed.files {
        let content = content_of(&file.name);
        assert_eq!((file.bytes, &file.sha256), (content.len() as u64, &hexadecimal_sha256(&content)));
        let download = server.follow(&file.url);
        assert_eq!(download.expect(200).body, content, "{}", file.name);
        assert_eq!(download.media_type(), file.media_type);
    }
    assert_eq!(redeemed.file(PLAIN_FILE).media_type, "audio/flac");
}

/// "`Location` is the receipt URL", which is `http://…/redemptions/<receipt>` of the server itself.
#[test]
fn the_location_is_the_receipts_url_and_leads_back_to_the_same_album() {
    let shop = Shop::new();
    let server = shop.serve();
    let answer = server.redeem(&shop.ticket());
    let redeemed = Redeemed::read(&answer, 201);
    assert_eq!(answer.header("location"), Some(redeemed.receipt_url.as_str()));
    assert_eq!(redeemed.receipt_url, format!("http://{}/redemptions/{}", server.address, redeemed.receipt()));
    let receipt = Redeemed::read(&server.follow(&redeemed.receipt_url), 200);
    assert_eq!((receipt.id, receipt.files), (redeemed.id, redeemed.files));
}

/// Section 2, `--public-url`: the name that people know the server by.
#[test]
fn all_urls_of_an_answer_begin_with_the_public_url() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--public-url", "https://tickets.example"]);
    let redeemed = server.redeemed(&shop.ticket());
    assert!(redeemed.receipt_url.starts_with("https://tickets.example/redemptions/"), "{redeemed:?}");
    for file in &redeemed.files {
        assert!(file.url.starts_with("https://tickets.example/files/"), "{file:?}");
        server.follow(&file.url).expect(200);
    }
}

/// "as JSON or `key=…` as a form"; parameters and the case of a media type mean nothing.
#[test]
fn json_and_forms_redeem_alike() {
    let shop = Shop::new();
    let server = shop.serve();
    let bodies = |key: &str| (json!({ "key": key }).to_string(), format!("key={key}"));
    for media_type in [JSON, "application/json; charset=utf-8", "Application/JSON"] {
        let (body, _) = bodies(&shop.ticket().dashed());
        let request = Request::new("POST", "/redemptions").body(media_type, body);
        Redeemed::read(&server.send(&request), 201);
    }
    for media_type in [FORM, "application/x-www-form-urlencoded; charset=UTF-8"] {
        let (_, body) = bodies(&shop.ticket().dashed());
        let request = Request::new("POST", "/redemptions").body(media_type, body).accept(JSON);
        Redeemed::read(&server.send(&request), 201);
    }
}

/// Form encoding has its own way to write a space, which must not be taken for a symbol of the key.
#[test]
fn a_form_may_write_spaces_as_plus_signs() {
    let shop = Shop::new();
    let server = shop.serve();
    let body = format!("key=+{}+", shop.ticket().dashed().replace('-', "+"));
    let request = Request::new("POST", "/redemptions").body(FORM, body).accept(JSON);
    Redeemed::read(&server.send(&request), 201);
}

/// A link lives as long as its file takes at 50 KiB/s, but no less than ten minutes and no more than three hours.
#[test]
fn a_link_lives_as_long_as_a_slow_download_of_its_file() {
    const MIB: u64 = 1 << 20;
    let shop = Shop::new();
    shop.add_album("long-songs", "Long Songs", "Slow", &[]);
    shop.add_hole("long-songs", "middling.flac", 40 * MIB);
    shop.add_hole("long-songs", "endless.flac", 540 * MIB);
    let server = shop.serve();
    let lifetimes = |redeemed: Redeemed| -> Vec<i64> {
        redeemed
            .files
            .iter()
            .map(|file| file.expires_at.duration_since(redeemed.redeemed_at).as_secs())
            .collect()
    };
    let long = lifetimes(server.redeemed(&shop.ticket_with(|key| Ticket::new(key).of_album("long-songs"))));
    let short = lifetimes(server.redeemed(&shop.ticket()));
    let middling = 40 * 1024 / 50;
    assert!((middling..=middling + 2).contains(&long[0]), "{long:?}");
    assert!((3 * 60 * 60..=3 * 60 * 60 + 2).contains(&long[1]), "{long:?}");
    assert!(short.iter().all(|seconds| (600..=602).contains(seconds)), "{short:?}");
}

/// Section 2, "limits and lifetimes": both bounds of a link's life can be set.
#[test]
fn the_bounds_of_a_links_life_can_be_set() {
    let shop = Shop::new();
    let lifetimes = |flags: &[&str]| -> Vec<i64> {
        let redeemed = shop.serve_with(flags).redeemed(&shop.ticket());
        redeemed
            .files
            .iter()
            .map(|file| file.expires_at.duration_since(redeemed.redeemed_at).as_secs())
            .collect()
    };
    let long = lifetimes(&["--link-min-seconds", "5000"]);
    assert!(long.iter().all(|seconds| (5000..=5002).contains(seconds)), "{long:?}");
    let short = lifetimes(&["--link-min-seconds", "1", "--link-max-seconds", "3"]);
    assert!(short.iter().all(|seconds| (1..=4).contains(seconds)), "{short:?}");
}

/// A ticket's dates are bounds, not riddles: within them it is as good as any other.
#[test]
fn a_ticket_within_its_dates_can_be_redeemed() {
    let shop = Shop::new();
    let server = shop.serve();
    let day = jiff::SignedDuration::from_hours(24);
    let key = shop.ticket_with(|key| Ticket::new(key).valid_from(now() - day).expiring(now() + day));
    Redeemed::read(&server.redeem(&key), 201);
}
