//! A real disk that stops answering, and what a server still does then. Needs FUSE: /dev/fuse, and root or fusermount3.
//! Not part of a plain `cargo test`, since not every machine has that: `cargo test --test hanging_disk`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says that something is wrong by panicking, and so do its helpers"
)]

#[allow(dead_code, reason = "this target uses only a part of what the tests share")]
mod support;

mod hanging_disk {
    pub(crate) mod disk;
}

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use hanging_disk::disk::Disk;
use support::http::{Answer, Request, target_of};
use support::key::Key;
use support::redeemed::Redeemed;
use support::server::Server;
use support::shop::{PLAIN_FILE, Shop, Ticket, content, content_of, hexadecimal_sha256};
use support::time::eventually;

/// The album on the disk that hangs.
const HUNG: &str = "hung";
const SONG: &str = "song.flac";
const CLIENTS: usize = 200;
const REQUESTS_EACH: usize = 5;
/// Keys of another album that are redeemed meanwhile.
const MEANWHILE: usize = 20;
/// The threads that one album's folder may occupy, some for what else is done at the same time.
const MAX_MORE_THREADS: usize = 16 + 8;

fn song() -> Vec<u8> {
    content(SONG, 200_000)
}

/// Mounts the album into the shop's library.
fn mount(shop: &Shop) -> Disk {
    let folder = shop.path("library").join(HUNG);
    fs::create_dir_all(&folder).expect("a folder for the album");
    let manifest = format!(
        "id = '{HUNG}'\ntitle = 'T'\nartist = 'A'\nfiles = [{{ name = '{SONG}', sha256 = '{}' }}]\n",
        hexadecimal_sha256(&song())
    );
    Disk::mount(&folder, vec![("album.toml".to_owned(), manifest.into_bytes()), (SONG.to_owned(), song())])
}

fn key_of_hung(shop: &Shop) -> Key {
    shop.ticket_with(|key| Ticket::new(key).of_album(HUNG))
}

fn threads(server: &Server) -> usize {
    let path = format!("/proc/{}/task", server.pid().as_raw_nonzero());
    fs::read_dir(path).expect("it is running").count()
}

#[track_caller]
fn is_unavailable(answer: &Answer) {
    answer.problem(503, "album_unavailable");
    assert!(answer.retry_after() > 0);
}

#[test]
fn a_disk_that_hangs_costs_a_few_threads_and_its_own_albums_only() {
    let shop = Shop::new();
    let server = shop.serve();
    let disk = mount(&shop);
    let (key, other) = (key_of_hung(&shop), key_of_hung(&shop));
    let hung = server.redeemed(&other);
    let link = target_of(&hung.file(SONG).url).to_owned();
    assert!(server.get(&link).expect(200).body == song());
    let well = server.redeemed(&shop.ticket());
    let before = threads(&server);
    // Before it hangs, since the program that loads tickets looks into the library, too.
    let mut meanwhile = (0..MEANWHILE).map(|_| shop.ticket()).collect::<Vec<_>>();

    disk.hang();
    // What was seen last counts for a second.
    thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let address = server.address;
            let request = if number % 2 == 0 { Request::redeem(&key.dashed()) } else { Request::get(&link) };
            thread::spawn(move || {
                (0..REQUESTS_EACH).map(|_| request.send(address).expect("an answer")).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut most_threads = 0;
    while clients.iter().any(|client| !client.is_finished()) {
        most_threads = most_threads.max(threads(&server));
        // Meanwhile everything else is as it was.
        if let Some(fresh) = meanwhile.pop() {
            server.redeemed(&fresh);
        }
        server.get("/healthz").expect(200);
        server.get(target_of(&well.receipt_url)).expect(200);
        assert!(server.follow(&well.file(PLAIN_FILE).url).expect(200).body == content_of(PLAIN_FILE));
        server.metrics();
    }
    for client in clients {
        client.join().expect("it only asks").iter().for_each(is_unavailable);
    }
    println!(
        "{} requests were refused in {:?}; {before} threads before, at most {most_threads} meanwhile",
        CLIENTS * REQUESTS_EACH,
        began.elapsed()
    );
    assert!(most_threads <= before + MAX_MORE_THREADS, "{most_threads} threads, and {before} before");
    is_unavailable(&server.redeem(&key));

    disk.answer();
    eventually("the album is back", || (server.redeem_as(&key, "mine").status == 201).then_some(()));
    let mine = Redeemed::read(&server.redeem_as(&key, "mine"), 201);
    assert!(server.follow(&mine.file(SONG).url).expect(200).body == song());
    eventually("the threads come back", || (threads(&server) <= before + 8).then_some(()));
    server.stop();
}

#[test]
fn a_server_starts_and_stops_beside_a_disk_that_hangs() {
    let shop = Shop::new();
    let disk = mount(&shop);
    // Before it hangs, since the program that loads tickets looks into the library, too.
    let (key, other) = (shop.ticket(), key_of_hung(&shop));
    disk.hang();
    // In this order: a server that a test leaves behind cannot end before the disk answers.
    let mut beside = (disk, shop.serve());
    let (disk, server) = &mut beside;
    server.redeemed(&key);
    is_unavailable(&server.redeem(&other));
    server.ask_to_stop();
    // The server has closed its doors; what the disk has taken ends with the disk alone.
    eventually("it stops to serve", || Request::get("/healthz").send(server.address).is_err().then_some(()));
    disk.answer();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_token_on_a_disk_that_hangs_stays_good_and_holds_nobody_up() {
    const TOKEN: &str = "a-token-of-32-visible-characters";
    let shop = Shop::new();
    let folder = shop.path("secrets");
    fs::create_dir(&folder).expect("a folder for the token");
    let disk = Disk::mount(&folder, vec![("token".to_owned(), TOKEN.into())]);
    let file = folder.join("token");
    let server = shop.serve_with(&["--admin-token-file", file.to_str().expect("UTF-8")]);
    let beside = (disk, server);
    let (disk, server) = &beside;
    let stats = |token: &str| {
        server.send(&Request::get("/admin/stats").header("Authorization", format!("Bearer {token}")))
    };
    stats(TOKEN).expect(200);
    let before = threads(server);
    disk.hang();
    // Longer than the server believes what it has read last.
    thread::sleep(Duration::from_secs(1));
    for _ in 0..5 {
        stats(TOKEN).expect(200);
        stats("another-one-of-more-than-32-visible-characters").expect(401);
        server.redeemed(&shop.ticket());
        thread::sleep(Duration::from_millis(500));
    }
    assert!(threads(server) <= before + 8, "{} threads, and {before} before", threads(server));
    disk.answer();
    stats(TOKEN).expect(200);
}
