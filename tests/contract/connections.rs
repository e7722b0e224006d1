//! Connections that want more than their share: of the connections themselves, of time, of memory, of the log.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::metrics::{becomes, sum};
use crate::support::http::{Answer, Request, connect, target_of};
use crate::support::server::Server;
use crate::support::shop::{ALBUM, PLAIN_FILE, Shop, content_of};
use crate::support::time::{PATIENCE, eventually};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const NEXT_DOOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// A file that no buffer of any system holds.
const LARGE_FILE: &str = "large.bin";
const LARGE_FILE_BYTES: u64 = 64 << 20;

/// Opens a connection from this address.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into())?;
    socket.connect(&to.into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Asks whether the server is alive, from this address, on a connection of its own.
fn ask_from(from: Ipv4Addr, to: SocketAddr) -> io::Result<Answer> {
    let mut stream = connect_from(from, to)?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Answer::read(&bytes, false)
}

/// A connection that the server has answered on, and keeps.
fn answered(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = connect_from(from, to)?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    assert!(start.ends_with(b" 200"), "{}", String::from_utf8_lossy(&start));
    Ok(stream)
}

/// As many connections from this address as it gets, of so many.
fn flood(from: Ipv4Addr, to: SocketAddr, connections: usize) -> Vec<TcpStream> {
    (0..connections).filter_map(|_| answered(from, to).ok()).collect()
}

/// Sends many requests at once, whose answers no buffer of any system holds, and reads nothing. Gives the connection.
fn pipeline(to: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = connect(to)?;
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(PIPELINED_REQUESTS);
    stream.write_all(requests.as_bytes())?;
    Ok(stream)
}

/// Answers of some 30 KB each.
const PIPELINED_REQUESTS: usize = 300;

/// A shop with a large file, and a server that gives it.
fn with_large_file(flags: &[&str]) -> (Shop, Server, String) {
    let shop = Shop::new();
    shop.add_hole(ALBUM, LARGE_FILE, LARGE_FILE_BYTES);
    let server = shop.serve_with(flags);
    let redeemed = server.redeemed(&shop.ticket());
    let target = target_of(&redeemed.file(LARGE_FILE).url).to_owned();
    (shop, server, target)
}

/// Begins a download and reads the start of it.
#[track_caller]
fn begin(server: &Server, target: &str) -> TcpStream {
    let mut stream = connect(server.address).expect("a connection");
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("it is read");
    let mut start = [0; 15];
    stream.read_exact(&mut start).expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    stream
}

/// The fields of the log lines with this message.
fn logged(server: &Server, message: &str) -> Vec<serde_json::Value> {
    let log = server.log();
    let events = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    events.map(|event| event["fields"].clone()).filter(|fields| fields["message"] == message).collect()
}

/// Waits for the log line of a download that has ended, and gives it.
#[track_caller]
fn logged_download(server: &Server) -> serde_json::Value {
    eventually("the download is logged", || logged(server, "download").pop())
}

#[test]
fn one_address_leaves_connections_to_its_neighbours_and_one_network_to_others() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--max-connections", "64"]);
    let held = flood(HERE, server.address, 64);
    assert_eq!(held.len(), 16, "a quarter");
    assert!(ask_from(HERE, server.address).is_err(), "it has its share");
    ask_from(NEXT_DOOR, server.address).expect("a neighbour finds room").expect(200);
    let network = flood(NEXT_DOOR, server.address, 64);
    assert!(held.len() + network.len() <= 32, "{} and {}: half at most", held.len(), network.len());
    ask_from(ELSEWHERE, server.address).expect("another network finds room").expect(200);
    let why = ["why=\"too_many_connections\""];
    assert!(sum(&server, "tickey_http_rejected_total", &why) >= 48.0, "{}", server.metrics());
    drop(held);
    eventually("what was closed is free again", || ask_from(HERE, server.address).ok());
}

/// Everybody comes through the proxy, so there are no networks to be told apart.
#[test]
fn a_trusted_proxy_gets_all_connections() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--max-connections", "64", "--trusted-proxies", "127.0.0.1"]);
    let of_proxy = flood(HERE, server.address, 60);
    assert_eq!(of_proxy.len(), 60);
    let others = flood(ELSEWHERE, server.address, 4);
    assert_eq!(others.len(), 1, "half of what is left, and half of that");
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--write-timeout-seconds", "1"]);
    let stream = pipeline(server.address).expect("a connection");
    becomes(&server, "tickey_http_rejected_total", &["why=\"too_slow\""], 1.0);
    drop(stream);
}

/// A byte now and then does not count as taking the answers.
#[test]
fn a_client_that_takes_a_byte_now_and_then_is_given_up() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--write-timeout-seconds", "1"]);
    let mut stream = pipeline(server.address).expect("a connection");
    eventually("it is given up", || {
        // What has come before the end can still be read.
        let _ = stream.read(&mut [0]);
        (sum(&server, "tickey_http_rejected_total", &["why=\"too_slow\""]) > 0.5).then_some(())
    });
}

/// Slow, but not too slow on average: several times the time in which a client that takes nothing is given up.
#[test]
fn a_slow_client_that_keeps_up_gets_all_of_its_file() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--write-timeout-seconds", "2"]);
    let redeemed = server.redeemed(&shop.ticket());
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // Little fits in here, so that what the server sends is what is read.
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&server.address.into()).expect("a connection");
    let mut stream = TcpStream::from(socket);
    let target = target_of(&redeemed.file(PLAIN_FILE).url);
    stream
        .write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .expect("sent");
    let (start, mut bytes) = (Instant::now(), Vec::new());
    while start.elapsed() < Duration::from_secs(8) {
        let mut some = [0; 2048];
        let read = stream.read(&mut some).expect("it goes on");
        bytes.extend_from_slice(&some[..read]);
        thread::sleep(Duration::from_millis(250));
    }
    stream.read_to_end(&mut bytes).expect("the rest");
    let answer = Answer::read(&bytes, false).expect("a whole answer");
    assert!(answer.expect(200).body == content_of(PLAIN_FILE));
    assert!(sum(&server, "tickey_http_rejected_total", &[]) < 0.5);
}

/// The attack: one address opens as many connections as it can, sends requests on all of them, reads nothing, and
/// replaces those that end. Whoever comes from elsewhere is answered all the same, and so are the operators' probes.
#[test]
fn a_flood_from_one_address_locks_nobody_else_out() {
    const CONNECTIONS: usize = 4200;
    allow_many_open_files();
    let shop = Shop::new();
    let server = shop.serve();
    let is_over = AtomicBool::new(false);
    let slowest = thread::scope(|scope| {
        let _ends = EndsFlood(&is_over);
        scope.spawn(|| {
            let mut held = VecDeque::new();
            while !is_over.load(Ordering::Relaxed) {
                // Those that it is refused are tried again at once.
                held.extend(pipeline(server.address));
                if held.len() > CONNECTIONS {
                    held.pop_front();
                }
            }
        });
        let refused = || sum(&server, "tickey_http_rejected_total", &["why=\"too_many_connections\""]);
        eventually("the flood has its share of the connections", || (refused() > 100.0).then_some(()));
        let slowest = (0..20).map(|_| {
            let began = Instant::now();
            ask_from(NEXT_DOOR, server.address).expect("an answer").expect(200);
            server.send_to_ops(&Request::get("/healthz")).expect(200);
            began.elapsed()
        });
        slowest.max()
    });
    eprintln!("the slowest of 20 answers at both addresses took {slowest:?}");
}

/// Ends a flood when it is dropped, also by a test that fails: its thread is waited for.
struct EndsFlood<'a>(&'a AtomicBool);

impl Drop for EndsFlood<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As many open files as the system allows, for whoever holds thousands of connections.
fn allow_many_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).expect("what is allowed");
}

#[test]
fn operators_have_an_address_of_their_own_for_health() {
    let shop = Shop::new();
    let server = shop.serve();
    for path in ["/healthz", "/readyz"] {
        let (public, of_operators) = (server.get(path), server.send_to_ops(&Request::get(path)));
        assert_eq!(public.expect(200).text(), of_operators.expect(200).text());
    }
}

#[test]
fn what_is_no_request_is_counted_and_logged() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--head-timeout-seconds", "1"]);
    let mut open = Vec::new();
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    for (bytes, why) in [
        ("\x16\x03\x01\x02\x00\x01\x00", "bad_request"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "bad_request"),
        (long.as_str(), "head_too_large"),
        ("GET / HTTP/1.1\r\nHost: x\r\n", "head_timeout"),
    ] {
        let mut stream = connect(server.address).expect("a connection");
        // The server may have answered and closed before it has read everything.
        let _ = stream.write_all(bytes.as_bytes());
        open.push(stream);
        let told = || logged(&server, "rejected").iter().filter(|line| line["why"] == why).count();
        let (expected, lines) =
            if bytes.starts_with("GET") && why == "bad_request" { (2.0, 2) } else { (1.0, 1) };
        becomes(&server, "tickey_http_rejected_total", &[&format!("why=\"{why}\"")], expected);
        eventually("it is logged", || (told() == lines).then_some(()));
    }
    assert_eq!(logged(&server, "rejected")[0]["client"], "127.0.0.0/24");
}

/// Browsers keep connections that they may need again, and close them when they do not.
#[test]
fn a_connection_that_idles_or_is_closed_is_not_counted() {
    let shop = Shop::new();
    let server = shop.serve_with(&["--head-timeout-seconds", "1"]);
    drop(answered(HERE, server.address).expect("an answer"));
    drop(connect(server.address).expect("a connection"));
    let mut stream = answered(HERE, server.address).expect("an answer");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the server closes it in the end");
    assert!(sum(&server, "tickey_http_rejected_total", &[]) < 0.5, "{}", server.metrics());
}

#[test]
fn a_flood_does_not_fill_the_log() {
    let shop = Shop::new();
    let server = shop.serve();
    let rubbish = |_| {
        let mut stream = connect(server.address).expect("a connection");
        stream.write_all(b"rubbish\r\n\r\n").expect("it is read");
        stream
    };
    let _open: Vec<_> = (0..200).map(rubbish).collect();
    becomes(&server, "tickey_http_rejected_total", &["why=\"bad_request\""], 200.0);
    let lines = logged(&server, "rejected").len();
    assert!((1..=60).contains(&lines), "{lines} lines");
}

#[test]
fn a_download_that_the_client_ends_is_told_as_cut_off() {
    let (_shop, server, target) = with_large_file(&[]);
    drop(begin(&server, &target));
    let line = logged_download(&server);
    assert_eq!(line["outcome"], "cut_off", "{line}");
    assert_eq!((line["album"].as_str(), line["file"].as_str()), (Some(ALBUM), Some(LARGE_FILE)));
    assert_eq!(line["bytes_wanted"], LARGE_FILE_BYTES);
    assert!(line["bytes"].as_u64().is_some_and(|bytes| bytes < LARGE_FILE_BYTES), "{line}");
    assert!(line["request_id"].is_string() && line["client"] == "127.0.0.0/24", "{line}");
    becomes(&server, "tickey_downloads_total", &["outcome=\"cut_off\""], 1.0);
    becomes(&server, "tickey_downloads_total", &[], 1.0);
}

#[test]
fn a_download_that_is_too_slow_is_told_so() {
    let (_shop, server, target) = with_large_file(&["--write-timeout-seconds", "1"]);
    let stream = begin(&server, &target);
    assert_eq!(logged_download(&server)["outcome"], "too_slow");
    becomes(&server, "tickey_downloads_total", &["outcome=\"too_slow\""], 1.0);
    becomes(&server, "tickey_http_rejected_total", &["why=\"too_slow\""], 1.0);
    drop(stream);
}

#[test]
fn a_download_that_the_servers_end_cuts_off_is_told_so() {
    let (_shop, server, target) =
        with_large_file(&["--drain-delay-seconds", "0", "--shutdown-grace-seconds", "0"]);
    let stream = begin(&server, &target);
    let log = server.stop_and_read_log();
    assert!(log.contains("\"outcome\":\"stopped\""), "{log}");
    drop(stream);
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_a_failure() {
    let (shop, server, target) = with_large_file(&[]);
    let mut stream = begin(&server, &target);
    let path = shop.path("library").join(ALBUM).join(LARGE_FILE);
    std::fs::File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(1000))
        .expect("a shorter file");
    let mut rest = Vec::new();
    // The server ends the connection, so that nobody takes what came for the whole file.
    let _ = stream.read_to_end(&mut rest);
    assert!((rest.len() as u64) < LARGE_FILE_BYTES);
    assert_eq!(logged_download(&server)["outcome"], "failed");
    becomes(&server, "tickey_downloads_total", &["outcome=\"failed\""], 1.0);
}

#[test]
fn whole_downloads_and_parts_are_told_with_their_bytes() {
    let shop = Shop::new();
    let server = shop.serve();
    let redeemed = server.redeemed(&shop.ticket());
    let target = target_of(&redeemed.file(PLAIN_FILE).url);
    let bytes = content_of(PLAIN_FILE).len() as u64;
    server.get(target).expect(200);
    becomes(&server, "tickey_downloads_total", &["outcome=\"whole\""], 1.0);
    let line = logged_download(&server);
    assert_eq!((line["outcome"].as_str(), line["bytes"].as_u64()), (Some("whole"), Some(bytes)), "{line}");
    server.send(&Request::get(target).header("Range", "bytes=100-199")).expect(206);
    becomes(&server, "tickey_downloads_total", &["outcome=\"part\""], 1.0);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    becomes(&server, "tickey_download_bytes_total", &[], (bytes + 100) as f64);
}

#[test]
fn a_link_is_downloaded_so_many_times_at_once_from_one_network() {
    let (_shop, server, target) =
        with_large_file(&["--link-downloads", "2", "--trusted-proxies", "127.0.0.1"]);
    let held = [begin(&server, &target), begin(&server, &target)];
    let refused = server.get(&target);
    refused.problem(429, "too_many_downloads");
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{refused}");
    becomes(&server, "tickey_downloads_total", &["outcome=\"too_many\""], 1.0);
    // A part counts as much, since that is how download programs come; HEAD sends nothing.
    server.send(&Request::get(&target).header("Range", "bytes=0-9")).problem(429, "too_many_downloads");
    server.send(&Request::new("HEAD", &target)).expect(200);
    let elsewhere = Request::get(&target).header("Range", "bytes=0-9").forwarded_for("198.51.100.7");
    server.send(&elsewhere).expect(206);
    drop(held);
    eventually("others can have it again", || {
        let part = Request::get(&target).header("Range", "bytes=0-9");
        (server.send(&part).status == 206).then_some(())
    });
}

#[test]
fn a_network_downloads_so_much_at_once() {
    let (shop, server, target) = with_large_file(&["--network-downloads", "2"]);
    let _held = [begin(&server, &target), begin(&server, &target)];
    let other = server.redeemed(&shop.ticket());
    server.follow(&other.file(PLAIN_FILE).url).problem(429, "too_many_downloads");
}

/// A thousand people who paused their downloads need little memory: what the chart gives for each connection is enough.
#[test]
fn open_downloads_need_no_more_memory_than_the_chart_gives_them() {
    const DOWNLOADS: usize = 1000;
    allow_many_open_files();
    let flags = ["--link-downloads", "1000", "--network-downloads", "1000", "--trusted-proxies", "127.0.0.1"];
    let (_shop, server, target) = with_large_file(&flags);
    let before = memory_bytes(&server);
    let held: Vec<_> = (0..DOWNLOADS).map(|_| begin(&server, &target)).collect();
    // They go on until the system takes no more; so the memory is looked at when it does not grow any more.
    let mut last = 0;
    let now = eventually("it sends no more", || {
        let now = memory_bytes(&server);
        let settled = now == std::mem::replace(&mut last, now);
        thread::sleep(Duration::from_millis(200));
        settled.then_some(now)
    });
    let each = now.saturating_sub(before) / DOWNLOADS;
    eprintln!("{each} bytes for each open download");
    assert!(
        each <= tickey::lifecycle::BYTES_PER_CONNECTION / 2,
        "{each} bytes, without what the system needs"
    );
    drop(held);
}

/// What the process has in memory.
fn memory_bytes(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero()));
    let status = status.expect("the server's status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
    kilobytes.expect("a number") * 1024
}
