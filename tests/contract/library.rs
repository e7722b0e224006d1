//! Albums that are new, replaced or linked while a server runs, as people and operators see it.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::http::{Request, target_of};
use crate::support::shop::{ALBUM, PLAIN_FILE, Shop, Ticket, content_of};
use crate::support::time::eventually;

/// A manifest that gives no digests.
fn write_manifest(shop: &Shop, id: &str, file: &str) {
    let manifest = format!("id = '{id}'\ntitle = 'T'\nartist = 'A'\nfiles = ['{file}']\n");
    fs::write(shop.path("library").join(id).join("album.toml"), manifest).expect("a manifest");
}

/// Gigabytes take a while to be read: their own people are told to come back, and nobody else notices.
#[test]
fn an_album_whose_files_are_being_read_keeps_nobody_else_waiting() {
    const LARGE: &str = "large";
    let shop = Shop::new();
    let server = shop.serve();
    fs::create_dir(shop.path("library").join(LARGE)).expect("a folder");
    let file = fs::File::create(shop.path("library").join(LARGE).join("disc.flac")).expect("a file");
    file.set_len(1 << 40).expect("a hole");
    write_manifest(&shop, LARGE, "disc.flac");
    let key = shop.ticket_with(|key| Ticket::new(key).of_album(LARGE));
    for other in shop.tickets(3) {
        let answer = server.redeem(&key);
        answer.problem(503, "album_unavailable");
        answer.retry_after();
        server.redeemed(&other);
    }
    server.redeem(&key).problem(503, "album_unavailable");
    file.set_len(1).expect("a small file");
    let redeemed = eventually("the album is read", || {
        let answer = server.redeem_as(&key, "mine");
        (answer.status == 201).then_some(answer)
    });
    assert_eq!(redeemed.json()["files"][0]["bytes"], 1);
}

/// A strong tag is a promise about bytes, whatever the manifest still says.
#[test]
fn a_file_that_is_replaced_in_place_has_another_etag_and_is_not_put_together_with_the_old_one() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    let link = target_of(&redeemed.file(PLAIN_FILE).url).to_owned();
    let old = server.get(&link).expect(200).required_header("etag").to_owned();
    let new_content: Vec<u8> = content_of(PLAIN_FILE).iter().map(|byte| !byte).collect();
    let path = shop.path("library").join(ALBUM).join(PLAIN_FILE);
    let again = || server.send(&Request::get(&link).header("Range", "bytes=100-").header("If-Range", &old));
    // Again, until the clock of the file system has ticked.
    let answer = eventually("the tag changes", || {
        fs::write(&path, &new_content).expect("it is replaced");
        let answer = again();
        (answer.status == 200).then_some(answer)
    });
    assert!(answer.body == new_content);
    assert_ne!(answer.required_header("etag"), old);
}

/// Links are not followed, which those who made them are told.
#[test]
fn a_linked_album_is_named_by_the_tools() {
    let shop = Shop::new();
    fs::create_dir(shop.path("elsewhere")).expect("a folder");
    fs::write(shop.path("elsewhere/1.flac"), "x").expect("a file");
    fs::write(
        shop.path("elsewhere/album.toml"),
        "id = 'jp'\ntitle = 'T'\nartist = 'A'\nfiles = ['1.flac']\n",
    )
    .expect("a manifest");
    symlink("../elsewhere", shop.path("library/jp")).expect("a link");
    let key = shop.ticket_with(|key| Ticket::new(key).of_album("jp"));
    let said = "`jp` is a symbolic link, which is not followed";
    for tool in ["albums", "doctor"] {
        let outcome = shop.tool(&[tool]).expect(1);
        assert!(outcome.all().contains(said), "{tool}: {}", outcome.all());
        assert!(!outcome.all().contains("the library has no album `jp`"), "{tool}: {}", outcome.all());
    }
    let server = shop.serve();
    server.redeem(&key).problem(503, "album_unavailable");
    assert!(server.stop_and_read_log().contains(said));
}
