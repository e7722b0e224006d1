//! A library on S3, against a real S3 server: what holders get, what is refused, and what happens while S3 is away.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

#[allow(dead_code, reason = "this target uses only a part of what the tests share")]
mod support;

mod s3 {
    pub(crate) mod server;
}

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use s3::server::{Bucket, Gate, S3, Way, follow};
use support::http::{BROWSER, Request, target_of};
use support::key::Key;
use support::redeemed::Redeemed;
use support::server::{Server, tickey};
use support::shop::{Outcome, Shop, Ticket, content, hexadecimal_sha256};
use support::time::{eventually, now};
use tickey::environment::Clock;
use tickey::library::s3::{Access, Periods, Settings};
use tickey::library::{Library, LibraryError, LibraryLocation};

const ALBUM: &str = "on-s3";
/// Folders whose names have every difficulty; one is what our own links begin with.
const PREFIX: &str = "Ü & co/files/music";
const PLAIN_FILE: &str = "01 First Ferry.flac";
const ODD_FILE: &str = "02 \"Über\" 100% 日本; a=b+c.mp3";
const COVER: &str = "cover.png";
const FILES: [(&str, usize); 3] = [(PLAIN_FILE, 300_007), (ODD_FILE, 70_001), (COVER, 1000)];

fn content_of(name: &str) -> Vec<u8> {
    content(name, FILES.iter().find(|(file, _)| *file == name).unwrap().1)
}

/// A store of tickets, and a bucket of albums.
struct World {
    shop: Shop,
    s3: &'static S3,
    bucket: Bucket,
    /// Where the program is told to find S3.
    endpoint: String,
}

impl World {
    /// With [`ALBUM`].
    fn new() -> Self {
        let world = Self::empty();
        world.add_album(ALBUM, &FILES.map(|(name, bytes)| (name, content(name, bytes))));
        world
    }

    fn empty() -> Self {
        let s3 = S3::shared();
        Self { shop: Shop::new(), s3, bucket: s3.bucket(), endpoint: s3.endpoint.clone() }
    }

    /// Reaches S3 through a gate from now on.
    fn gate(&mut self) -> Gate {
        let gate = Gate::before(self.s3.address());
        gate.endpoint.clone_into(&mut self.endpoint);
        gate
    }

    fn library(&self) -> String {
        format!("s3://{}/{PREFIX}", self.bucket.name)
    }

    fn key(folder: &str, name: &str) -> String {
        format!("{PREFIX}/{folder}/{name}")
    }

    fn add_album(&self, id: &str, files: &[(&str, Vec<u8>)]) {
        for (name, content) in files {
            self.bucket.put(&Self::key(id, name), content);
        }
        let files: Vec<(&str, String)> =
            files.iter().map(|(name, content)| (*name, hexadecimal_sha256(content))).collect();
        self.bucket.put(&Self::key(id, "album.toml"), manifest(id, &files).as_bytes());
    }

    /// The variables that the program reads.
    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", self.s3.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.s3.secret_access_key.clone()),
            ("AWS_REGION", self.s3.region.clone()),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
        ]
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tickey(self.shop.folder());
        command.args(arguments).envs(self.variables()).env("TICKEY_STORE", self.shop.store());
        command
            .env("TICKEY_LIBRARY", self.library())
            .env("TICKEY_LINK_KEYS_FILE", self.shop.path("link-keys"));
        command
    }

    #[track_caller]
    fn serve(&self, flags: &[&str]) -> Server {
        Server::start(self.command(&[&["serve"], flags].concat()))
    }

    #[track_caller]
    fn tool(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(arguments), "")
    }

    /// The doctor's opinion after a change of one variable.
    #[track_caller]
    fn doctor_with(&self, name: &str, value: &str) -> Outcome {
        let mut command = self.command(&["doctor"]);
        command.env(name, value);
        Outcome::of(command, "").expect(1)
    }

    fn ticket(&self) -> Key {
        self.ticket_of(ALBUM)
    }

    fn ticket_of(&self, album: &str) -> Key {
        self.shop.ticket_with(|key| Ticket::new(key).of_album(album))
    }

    fn settings(&self, periods: Periods, clock: Arc<dyn Clock>) -> Settings {
        let variables = self.variables();
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let place = self.library().strip_prefix("s3://").unwrap().parse().unwrap();
        Settings { place, access: Access::from_variables(variable).unwrap(), periods, clock }
    }
}

fn manifest(id: &str, files: &[(&str, String)]) -> String {
    let mut text = format!("id = {id:?}\ntitle = \"On S3\"\nartist = \"The Buckets\"\n");
    if files.iter().any(|(name, _)| *name == COVER) {
        writeln!(text, "cover = {COVER:?}").unwrap();
    }
    for (name, sha256) in files {
        write!(text, "\n[[files]]\nname = {name:?}\nsha256 = {sha256:?}\n").unwrap();
    }
    text
}

/// Our clock, or one that is wrong.
struct Ahead(SignedDuration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        now() + self.0
    }
}

fn right_clock() -> Arc<dyn Clock> {
    Arc::new(Ahead(SignedDuration::ZERO))
}

#[test]
fn a_key_becomes_a_download_from_s3() {
    let world = World::new();
    let server = world.serve(&[]);
    let redeemed = server.redeemed(&world.ticket());
    assert_eq!(redeemed.files.len(), FILES.len());
    for file in &redeemed.files {
        let bytes = content_of(&file.name);
        assert!(file.url.starts_with(&format!("{}/", world.endpoint)), "{}", file.url);
        assert_eq!((file.bytes, &file.sha256), (bytes.len() as u64, &hexadecimal_sha256(&bytes)));
        let answer = follow(&file.url, &[]);
        assert!(answer.expect(200).body == bytes, "{}", file.name);
        assert_eq!(answer.header("content-type"), Some(file.media_type.as_str()));
        assert!(
            answer.required_header("content-disposition").starts_with("attachment; filename=\""),
            "{answer}"
        );

        let part = follow(&file.url, &["Range: bytes=10-19"]);
        assert!(part.expect(206).body == bytes[10..20], "{part}");
        assert_eq!(part.required_header("content-range"), format!("bytes 10-19/{}", bytes.len()));
    }
    let odd = follow(&redeemed.file(ODD_FILE).url, &[]);
    assert_eq!(
        odd.required_header("content-disposition"),
        "attachment; filename=\"02 _Uber_ 100_ RiBen; a=b+c.mp3\"; \
         filename*=UTF-8''02%20%22%C3%9Cber%22%20100%25%20%E6%97%A5%E6%9C%AC%3B%20a%3Db+c.mp3"
    );
    assert_eq!(redeemed.file(PLAIN_FILE).expires_at, redeemed.redeemed_at + SignedDuration::from_secs(600));
}

/// Nothing of a link can be changed: neither what it is for, nor how long it lives, nor under which name it is saved.
#[test]
fn a_link_is_good_for_nothing_else() {
    let world = World::new();
    let redeemed = world.serve(&[]).redeemed(&world.ticket());
    let url = &redeemed.file(PLAIN_FILE).url;
    follow(url, &[]).expect(200);
    for (old, new) in [
        ("01%20First", "02%20First"),
        ("X-Amz-Expires=600", "X-Amz-Expires=6000"),
        ("attachment", "inline"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
    ] {
        assert!(url.contains(old), "{old} is not in {url}");
        let answer = follow(&url.replace(old, new), &[]);
        assert!(matches!(answer.status, 400 | 403), "{new}: {answer}");
    }
}

/// Links are signed with the time of the redemption, not with that of asking.
#[test]
fn every_server_gives_the_same_bytes_at_any_time() {
    let world = World::new();
    let servers = [
        world.serve(&["--public-url", "https://music.example"]),
        world.serve(&["--public-url", "https://music.example"]),
    ];
    let key = world.ticket();
    let first = Redeemed::read(&servers[0].redeem_as(&key, "mine"), 201);
    // Times are in whole seconds: one that passes shows whether the time of asking counts.
    eventually("the clock goes on", || {
        (now() > first.redeemed_at + SignedDuration::from_secs(1)).then_some(())
    });
    for server in &servers {
        let again = server.redeem_as(&key, "mine");
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert!(again.body == first.body, "{again}");
        let shown = server.get(&format!("/redemptions/{}", first.receipt()));
        assert!(shown.expect(200).body == first.body, "{shown}");
    }
    let signed_at = first.redeemed_at.strftime("%Y%m%dT%H%M%SZ").to_string();
    assert!(first.files[0].url.contains(&format!("X-Amz-Date={signed_at}&")), "{}", first.files[0].url);
}

#[test]
fn links_expire_and_the_receipt_renews_them() {
    let world = World::new();
    let server = world.serve(&["--link-min-seconds", "3", "--link-max-seconds", "3"]);
    let redeemed = server.redeemed(&world.ticket());
    let file = redeemed.file(PLAIN_FILE);
    assert_eq!(file.expires_at, redeemed.redeemed_at + SignedDuration::from_secs(3));
    follow(&file.url, &[]).expect(200);
    let refused = eventually("the link expires", || {
        let answer = follow(&file.url, &[]);
        (answer.status != 200).then_some(answer)
    });
    refused.expect(403);
    assert!(now() >= file.expires_at);
    let renewed = Redeemed::read(&server.get(&format!("/redemptions/{}", redeemed.receipt())), 200);
    assert_eq!(renewed.id, redeemed.id);
    assert_ne!(renewed.file(PLAIN_FILE).url, file.url);
    follow(&renewed.file(PLAIN_FILE).url, &[]).expect(200);
}

/// S3 takes seven days and no more.
#[test]
fn a_link_lives_for_seven_days_at_most() {
    let world = World::new();
    let server = world.serve(&["--link-min-seconds", "31536000", "--link-max-seconds", "31536000"]);
    let redeemed = server.redeemed(&world.ticket());
    for file in &redeemed.files {
        assert_eq!(file.expires_at, redeemed.redeemed_at + SignedDuration::from_hours(7 * 24));
        follow(&file.url, &[]).expect(200);
    }
}

#[test]
fn an_album_that_misses_a_file_uses_no_key_up() {
    let world = World::new();
    world.bucket.delete(&World::key(ALBUM, ODD_FILE));
    let server = world.serve(&[]);
    let key = world.ticket();
    let refused = server.redeem_as(&key, "first");
    refused.problem(503, "album_unavailable");
    assert!(
        server.log().contains(&format!("`{}` is not there: upload it", ODD_FILE.replace('"', "\\\""))),
        "{}",
        server.log()
    );
    // The same album without restarting, and for another person, as nothing was used up.
    world.bucket.put(&World::key(ALBUM, ODD_FILE), &content_of(ODD_FILE));
    let redeemed = eventually("the file is noticed", || {
        let answer = server.redeem_as(&key, "second");
        (answer.status != 503).then_some(answer)
    });
    let redeemed = Redeemed::read(&redeemed, 201);
    follow(&redeemed.file(ODD_FILE).url, &[]).expect(200);

    // And away again: who has it is told, and the next key is not used up either.
    world.bucket.put(&World::key(ALBUM, ODD_FILE), b"cut off");
    let next = world.ticket();
    world.bucket.delete(&World::key(ALBUM, PLAIN_FILE));
    eventually("the loss is noticed", || {
        (server.get(&format!("/redemptions/{}", redeemed.receipt())).status == 503).then_some(())
    });
    server.redeem(&next).problem(503, "album_unavailable");
    assert_eq!(world.tool(&["inspect", &next.dashed(), "--json"]).expect(0).json()["status"], "issued");
}

#[test]
fn albums_come_go_and_change_while_the_server_runs() {
    let world = World::empty();
    let server = world.serve(&[]);
    let key = world.ticket_of("late");
    server.redeem(&key).problem(503, "album_unavailable");
    world.add_album("late", &[("a.flac", b"late".to_vec())]);
    let answer = eventually("the album is noticed", || {
        let answer = server.redeem(&key);
        (answer.status != 503).then_some(answer)
    });
    let redeemed = Redeemed::read(&answer, 201);
    assert_eq!(redeemed.album["title"], "On S3");
    let changed = manifest("late", &[("a.flac", hexadecimal_sha256(b"late"))]).replace("On S3", "Retitled");
    world.bucket.put(&World::key("late", "album.toml"), changed.as_bytes());
    eventually("the title is noticed", || {
        let shown = server.get(&format!("/redemptions/{}", redeemed.receipt()));
        (shown.expect(200).json()["album"]["title"] == "Retitled").then_some(())
    });
}

/// How many looks have failed.
fn failed_looks(server: &Server) -> usize {
    server.log().matches("the library cannot be read").count()
}

/// Asks for a receipt, which needs a look when the last one is old, until this is so.
#[track_caller]
fn ask_until(what: &str, server: &Server, redeemed: &Redeemed, is_so: impl Fn() -> bool) {
    eventually(what, || {
        server.follow(&redeemed.receipt_url).expect(200);
        is_so().then_some(())
    });
}

/// The last look counts for a minute, so redemptions go on through a short failure; their links work as soon as S3
/// does.
#[test]
fn redemptions_go_on_through_a_short_failure_of_s3() {
    let mut world = World::new();
    let gate = world.gate();
    let server = world.serve(&[]);
    let keys = [world.ticket(), world.ticket(), world.ticket()];
    gate.set(Way::Closed);
    let while_closed = server.redeemed(&keys[0]);
    ask_until("a look fails", &server, &while_closed, || failed_looks(&server) > 0);
    let after_a_failed_look = server.redeemed(&keys[1]);
    gate.set(Way::Silent);
    ask_until("another look begins", &server, &while_closed, || gate.unanswered() > 0);
    let failed = failed_looks(&server);
    let while_silent = server.redeemed(&keys[2]);
    assert_eq!(failed_looks(&server), failed, "the redemption waited for the end of the look");
    gate.set(Way::Open);
    for redeemed in [while_closed, after_a_failed_look, while_silent] {
        follow(&redeemed.file(PLAIN_FILE).url, &[]).expect(200);
    }
}

const SHORT: Periods =
    Periods { look_again_after: Duration::from_millis(100), keep_look_for: Duration::from_secs(2) };

async fn open(world: &World, periods: Periods) -> Library {
    open_with(world, periods, right_clock()).await.unwrap()
}

async fn open_with(world: &World, periods: Periods, clock: Arc<dyn Clock>) -> Result<Library, LibraryError> {
    Library::open(&LibraryLocation::S3(Box::new(world.settings(periods, clock)))).await
}

/// Asks until the answer is of this kind.
async fn until(library: &Library, what: &str, is: impl Fn(&Result<(), LibraryError>) -> bool) -> Duration {
    let started = Instant::now();
    loop {
        let found = library.album(ALBUM).await.map(|_| ());
        if is(&found) {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{what}: still {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_unreadable(found: &Result<(), LibraryError>) -> bool {
    matches!(found, Err(LibraryError::Unreadable { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_s3_is_away_the_last_look_counts_for_a_while_and_no_longer() {
    let mut world = World::new();
    let gate = world.gate();
    for way in [Way::Closed, Way::Silent] {
        gate.set(Way::Open);
        let library = open(&world, SHORT).await;
        gate.set(way);
        // The age of the last look is what is tested here and below.
        tokio::time::sleep(SHORT.look_again_after).await;
        library.album(ALBUM).await.unwrap_or_else(|error| panic!("{way:?}: not kept: {error}"));
        let kept = until(&library, "kept for too long", is_unreadable).await;
        assert!(kept < Duration::from_secs(10), "{way:?}: kept for {kept:?}");
        // Nobody waits for long, however many ask.
        let started = Instant::now();
        assert!(is_unreadable(&library.album(ALBUM).await.map(|_| ())));
        assert!(started.elapsed() < Duration::from_secs(10), "{way:?}: {:?}", started.elapsed());
        gate.set(Way::Open);
        until(&library, "no recovery", Result::is_ok).await;
    }
}

/// That S3 is away passes; that it says no does not, so nothing is given on the strength of what it once said.
#[tokio::test(flavor = "multi_thread")]
async fn what_s3_refuses_ends_at_once() {
    let world = World::new();
    let library = open(&world, Periods { keep_look_for: Duration::from_hours(1), ..SHORT }).await;
    for (name, _) in FILES {
        world.bucket.delete(&World::key(ALBUM, name));
    }
    world.bucket.delete(&World::key(ALBUM, "album.toml"));
    world.bucket.remove();
    until(&library, "the bucket is missed", |found| {
        matches!(found, Err(LibraryError::Unreadable { why, .. }) if why.contains("there is no bucket"))
    })
    .await;
}

/// A server that nobody has asked for an hour looks before it answers.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_rest_s3_is_asked_first() {
    let world = World::new();
    let library = open(&world, SHORT).await;
    world.bucket.delete(&World::key(ALBUM, COVER));
    // The rest is what is tested.
    tokio::time::sleep(SHORT.keep_look_for).await;
    let found = library.album(ALBUM).await;
    assert!(matches!(found, Err(LibraryError::Incomplete { .. })), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_objects_than_a_page_holds_are_all_seen() {
    let world = World::empty();
    world.bucket.put_many(&World::key("a-large-folder", "x"), 1100);
    world.add_album(ALBUM, &[("a.flac", b"a".to_vec())]);
    let library = open(&world, SHORT).await;
    assert_eq!(library.album(ALBUM).await.unwrap().files.len(), 1);
    let listed = library.list().await.unwrap();
    let folders: Vec<&str> = listed.iter().map(|listed| listed.folder.as_str()).collect();
    assert_eq!(folders, ["a-large-folder", ALBUM]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_named() {
    let world = World::new();
    for (hours, said) in [(-1, "behind that of S3: set it"), (24 * 10, "ahead of that of S3: set it")] {
        let clock = Arc::new(Ahead(SignedDuration::from_hours(hours)));
        match open_with(&world, SHORT, clock).await {
            Err(error) => assert!(error.to_string().contains(said), "{error}"),
            // A signature from the future is not every server's concern.
            Ok(library) => assert!(
                library.remarks().iter().any(|remark| !remark.ok && remark.says.contains(said)),
                "{:?}",
                library.remarks()
            ),
        }
    }
}

#[test]
fn albums_says_what_is_there_and_what_is_wrong() {
    let world = World::new();
    let whole = world.tool(&["albums"]).expect(0);
    assert!(whole.stdout.contains("on-s3: On S3 by The Buckets (3 files, 371008 bytes)"), "{}", whole.all());
    let listed = world.tool(&["albums", "--json"]).expect(0).json();
    assert_eq!(listed[0]["files"][1]["sha256"], hexadecimal_sha256(&content_of(ODD_FILE)));

    // No digest; a digest that is not that of the file; a folder that is no album.
    world.bucket.put(&World::key("names-only", "a.flac"), b"a");
    world.bucket.put(
        &World::key("names-only", "album.toml"),
        b"id = 'n'\ntitle = 'N'\nartist = 'N'\nfiles = ['a.flac']\n",
    );
    world.bucket.put(&World::key("damaged", "a.flac"), b"damaged on the way");
    world.bucket.put(
        &World::key("damaged", "album.toml"),
        manifest("d", &[("a.flac", hexadecimal_sha256(b"whole"))]).as_bytes(),
    );
    world.bucket.put(&World::key("notes", "todo.txt"), b"write songs");
    let broken = world.tool(&["albums"]).expect(1).all();
    for said in [
        "names-only/:\n  not complete: `a.flac` has no sha256 in album.toml",
        "`sha256sum` prints",
        "d: On S3 by The Buckets (1 file, 18 bytes)\n  not complete: album `d` is not complete: `a.flac` differs from \
         its sha256",
        "notes/:\n  not complete: it has no album.toml",
        "3 of 4 albums not complete",
    ] {
        assert!(broken.contains(said), "{said:?} is not in {broken}");
    }
}

#[test]
fn the_doctor_says_what_to_do() {
    let world = World::new();
    let well = world.tool(&["doctor"]).expect(0);
    for said in [
        &*format!("s3://{}/{PREFIX}/ can be listed", world.bucket.name),
        "agree about the time",
        "on-s3: On S3",
    ] {
        assert!(well.stdout.contains(said), "{said:?} is not in {}", well.all());
    }
    let nobody = Gate::before(world.s3.address());
    nobody.set(Way::Closed);
    for (name, value, said) in [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "AWS_SECRET_ACCESS_KEY is not that of AWS_ACCESS_KEY_ID"),
        ("AWS_ACCESS_KEY_ID", "AKIDNOBODY", "does not know the access key: correct AWS_ACCESS_KEY_ID"),
        ("AWS_REGION", "eu-west-7", "set AWS_REGION to it"),
        ("AWS_ENDPOINT_URL", &nobody.endpoint, "did not answer"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "cannot be reached: "),
        ("AWS_ENDPOINT_URL", "nonsense", "AWS_ENDPOINT_URL is not an address such as"),
        ("AWS_ACCESS_KEY_ID", "", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("TICKEY_LIBRARY", "s3://tickey-test-nowhere/x", "there is no bucket `tickey-test-nowhere`"),
    ] {
        let ill = world.doctor_with(name, value);
        let finding = ill.stdout.lines().find(|line| line.starts_with("FAIL  library"));
        assert!(
            finding.is_some_and(|line| line.contains(said)),
            "{name}={value}: {said:?} is not in {}",
            ill.all()
        );
    }
    // What answers, and is not S3.
    let server = world.serve(&[]);
    let ill = world.doctor_with("AWS_ENDPOINT_URL", &format!("http://{}", server.address));
    assert!(ill.stdout.contains("correct AWS_ENDPOINT_URL"), "{}", ill.all());
}

#[test]
fn a_command_line_without_what_s3_needs_is_wrong_usage() {
    let world = World::empty();
    let mut command = world.command(&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    let outcome = Outcome::of(
        {
            command.env_remove("AWS_ACCESS_KEY_ID");
            command
        },
        "",
    )
    .expect(2);
    assert!(outcome.stderr.contains("AWS_ACCESS_KEY_ID"), "{}", outcome.all());
    for library in ["s3://", "s3:bucket", "s3:///x", "s3://b/../c"] {
        let outcome = world.tool(&["albums", "--library", library]).expect(2);
        assert!(outcome.stderr.contains("s3://BUCKET/PREFIX"), "{library}: {}", outcome.all());
    }
}

#[test]
fn secrets_are_in_no_log_at_any_level() {
    let mut world = World::new();
    let gate = world.gate();
    let mut command = world.command(&["serve"]);
    command.env("TICKEY_LOG", "trace");
    let server = Server::start(command);
    let redeemed = server.redeemed(&world.ticket());
    let page = server.send(&Request::get(target_of(&redeemed.receipt_url)).accept(BROWSER));
    assert!(!page.text().contains(&world.s3.secret_access_key));
    gate.set(Way::Closed);
    ask_until("a look fails", &server, &redeemed, || failed_looks(&server) > 0);
    server.redeem(&world.ticket());
    gate.set(Way::Silent);
    ask_until("another look fails", &server, &redeemed, || server.log().contains("no answer in time"));
    server.redeem(&world.ticket());
    let log = server.stop_and_read_log();
    let mut outputs = vec![("the log", log)];
    gate.set(Way::Open);
    for (name, value) in [
        ("AWS_SESSION_TOKEN", "canary-of-a-token"),
        ("AWS_REGION", "eu-west-7"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ] {
        let mut command = world.command(&["doctor"]);
        command.env(name, value).env("TICKEY_LOG", "trace");
        outputs.push((name, Outcome::of(command, "").expect(1).all()));
    }
    for (place, output) in outputs {
        for secret in [world.s3.secret_access_key.as_str(), "canary-of-a-token", "X-Amz-Signature"] {
            assert!(!output.contains(secret), "{secret} is in {place}: {output}");
        }
    }
}

/// The page may show the picture that lies on S3, and load nothing else from there.
#[test]
fn the_holders_page_shows_the_cover_from_s3() {
    let world = World::new();
    let server = world.serve(&[]);
    let redeemed = server.redeemed(&world.ticket());
    let answer = server.send(&Request::get(target_of(&redeemed.receipt_url)).accept(BROWSER));
    let policy = answer.expect(200).required_header("content-security-policy");
    assert!(policy.contains(&format!("; img-src 'self' {}; ", world.endpoint)), "{policy}");
    assert_eq!(policy.matches(&world.endpoint).count(), 1, "{policy}");
    let images = answer.page().tags("img");
    assert_eq!(images.len(), 1, "{answer}");
    let picture = follow(&images[0]["src"], &[]);
    assert_eq!(picture.expect(200).header("content-type"), Some("image/png"));
    assert!(picture.body == content_of(COVER));
    // The files of the page are asked for here, and given there.
    let links = answer.page().links();
    let files: Vec<&String> = links.iter().filter(|link| link.starts_with("/files/receipts/")).collect();
    assert_eq!(files.len(), FILES.len(), "{answer}");
    for file in files {
        let moved = server.get(file);
        let location = moved.expect(307).required_header("location").to_owned();
        assert!(location.starts_with(&world.endpoint), "{location}");
        follow(&location, &[]).expect(200);
    }
}

/// Links that were signed while the library was in a folder lead to S3 once it is there.
#[test]
fn links_from_before_the_library_moved_to_s3_still_lead_to_their_files() {
    let world = World::new();
    let files: Vec<(&str, Vec<u8>)> = FILES.iter().map(|(name, _)| (*name, content_of(name))).collect();
    world.shop.add_album(ALBUM, "In a folder", "The Buckets", &files);
    let link = {
        let server = world.shop.serve();
        let redeemed = server.redeemed(&world.ticket());
        target_of(&redeemed.file(ODD_FILE).url).to_owned()
    };
    let server = world.serve(&[]);
    let moved = server.get(&link);
    assert_eq!(moved.expect(307).header("cache-control"), Some("no-store"));
    assert!(follow(moved.required_header("location"), &[]).expect(200).body == content_of(ODD_FILE));
    let head = server.send(&Request::new("HEAD", &link));
    assert_eq!(head.expect(200).required_header("content-length"), "70001");
    server.get(&link.replace("signature=", "signature=A")).problem(403, "link_invalid");
    server.get("/files/on-s3/cover.png").problem(403, "link_invalid");
}
