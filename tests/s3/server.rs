//! A real S3 server for tests, buckets in it, and a way to take it away.
//!
//! Where it comes from: the address in `TICKEY_TEST_S3_ENDPOINT`, or else versitygw, see `tests/s3/assemble.sh`. If
//! there is neither the test fails and says what is missing. What is put into buckets is signed by curl, so that no
//! signature is checked by the code that made it.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use crate::support::http::Answer;
use crate::support::time::within;

/// What the server that is started here knows us by. Long enough to be found wherever they do not belong.
const ACCESS_KEY_ID: &str = "AKIDONLYFORTESTS";
const SECRET_ACCESS_KEY: &str = "canary/of+the+tests/THATnobodyMAYsee0123";
/// How long the server may take to answer, once it has been built.
const START: Duration = Duration::from_mins(1);

/// How to reach an S3 server.
#[derive(Clone, Debug)]
pub(crate) struct S3 {
    pub(crate) endpoint: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) region: String,
}

impl S3 {
    /// One server for all tests of this process, which ends with it.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<(S3, Option<Child>)> = OnceLock::new();
        &SHARED.get_or_init(|| given().unwrap_or_else(built)).0
    }

    /// A new bucket.
    pub(crate) fn bucket(&'static self) -> Bucket {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let bucket = Bucket { s3: self, name: format!("tickey-test-{}-{number}", std::process::id()) };
        bucket.ask(&["-X", "PUT"], "", 200);
        bucket
    }

    /// `host:port`
    pub(crate) fn address(&self) -> SocketAddr {
        let (_, authority) = self.endpoint.split_once("://").expect("an address");
        authority.trim_end_matches('/').to_socket_addrs().expect("host and port").next().expect("an address")
    }
}

/// A bucket, for one test.
pub(crate) struct Bucket {
    s3: &'static S3,
    pub(crate) name: String,
}

impl Bucket {
    /// Uploads an object, with its SHA-256 as modern clients do, so that the server knows that too.
    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.as_file().write_all(content).expect("it is written");
        let checksum = format!("x-amz-checksum-sha256: {}", base64(&Sha256::digest(content)));
        let path = file.path().to_str().expect("UTF-8");
        self.ask(&["-H", &checksum, "-T", path], &encode_path(key), 200);
    }

    /// Uploads so many small objects at once, whose keys are this and a number.
    pub(crate) fn put_many(&self, key: &str, count: usize) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.as_file().write_all(b"x").expect("it is written");
        let path = file.path().to_str().expect("UTF-8");
        self.ask(&["-T", path], &format!("{}[1-{count}]", encode_path(key)), 200);
    }

    pub(crate) fn delete(&self, key: &str) {
        self.ask(&["-X", "DELETE"], &encode_path(key), 204);
    }

    /// Removes the bucket itself, which must be empty.
    pub(crate) fn remove(&self) {
        self.ask(&["-X", "DELETE"], "", 204);
    }

    fn ask(&self, arguments: &[&str], path: &str, expected: u16) {
        let S3 { endpoint, access_key_id, secret_access_key, region } = self.s3;
        let output = curl(|curl| {
            curl.args(["--aws-sigv4", &format!("aws:amz:{region}:s3")])
                .args(["--user", &format!("{access_key_id}:{secret_access_key}")])
                .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-w", "\n%{http_code}\n"])
                .args(arguments)
                .arg(format!("{}/{}/{path}", endpoint.trim_end_matches('/'), self.name));
        });
        let text = String::from_utf8_lossy(&output.stdout);
        let statuses: Vec<&str> =
            text.lines().filter(|line| line.len() == 3 && line.parse::<u16>().is_ok()).collect();
        let expected = expected.to_string();
        assert!(
            !statuses.is_empty() && statuses.iter().all(|status| *status == expected),
            "{arguments:?} {path}: {}",
            text.chars().take(500).collect::<String>()
        );
    }
}

/// Follows a link as anybody can, with these headers.
pub(crate) fn follow(url: &str, headers: &[&str]) -> Answer {
    let output = curl(|curl| {
        curl.args(["--include", "--raw", "--globoff"])
            .args(headers.iter().flat_map(|header| ["-H", header]))
            .arg(url);
    });
    Answer::read(&output.stdout, false).unwrap_or_else(|error| panic!("no answer: {error}"))
}

fn curl(describe: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new("curl");
    command.args(["--silent", "--max-time", "30", "--http1.1"]);
    describe(&mut command);
    command.output().expect("curl runs: apt-get install curl")
}

/// As it is signed: everything but unreserved characters is escaped, and nothing else.
fn encode_path(key: &str) -> String {
    const SEGMENTS: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    utf8_percent_encode(key, SEGMENTS).to_string()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The one that whoever runs the tests has given.
fn given() -> Option<(S3, Option<Child>)> {
    let variable = |name: &str| std::env::var(format!("TICKEY_TEST_S3_{name}")).ok();
    let endpoint = variable("ENDPOINT")?;
    let needed = |name: &str| {
        variable(name).unwrap_or_else(|| {
            panic!("with TICKEY_TEST_S3_ENDPOINT, TICKEY_TEST_S3_{name} is needed as well")
        })
    };
    let given = S3 {
        endpoint,
        access_key_id: needed("ACCESS_KEY_ID"),
        secret_access_key: needed("SECRET_ACCESS_KEY"),
        region: variable("REGION").unwrap_or_else(|| "us-east-1".to_owned()),
    };
    Some((given, None))
}

/// One that is built from its sources.
fn built() -> (S3, Option<Child>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/s3/assemble.sh");
    let output = Command::new(script).stdin(Stdio::null()).output().expect("bash runs");
    assert!(
        output.status.success(),
        "no S3 server for the tests: TICKEY_TEST_S3_ENDPOINT is not set, and:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let program = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    // Outlives this function: the shell removes it.
    let folder = tempfile::Builder::new().prefix("tickey-s3-").tempdir().expect("a temporary folder").keep();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    // Ends with its standard input, and so with this process, however this ends.
    let script = "mkdir \"$1/data\" \"$1/meta\"; \
                  \"$0\" --port \"$2\" --quiet posix --sidecar \"$1/meta\" \"$1/data\" >\"$1/log\" 2>&1 </dev/null & \
                  server=$!; cat >/dev/null; kill $server; wait $server; rm -rf \"$1\"";
    let shell = Command::new("sh")
        .args(["-c", script, &program])
        .arg(&folder)
        .arg(address.to_string())
        .env("ROOT_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("ROOT_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("a shell starts");
    let ready = within(START, || TcpStream::connect(address).ok());
    assert!(
        ready.is_some(),
        "the S3 server did not start: {}",
        std::fs::read_to_string(folder.join("log")).unwrap_or_default()
    );
    let s3 = S3 {
        endpoint: format!("http://{address}"),
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        region: "us-east-1".to_owned(),
    };
    (s3, Some(shell))
}

/// What comes of connections to a [`Gate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Way {
    /// They reach the server.
    Open,
    /// They are closed at once.
    Closed,
    /// Nobody ever answers.
    Silent,
}

/// A way to the server that can be closed.
pub(crate) struct Gate {
    pub(crate) endpoint: String,
    way: Arc<AtomicU8>,
    unanswered: Arc<AtomicUsize>,
}

impl Gate {
    /// An open one.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let way = Arc::new(AtomicU8::new(Way::Open as u8));
        let unanswered = Arc::new(AtomicUsize::new(0));
        let (seen, counted) = (Arc::clone(&way), Arc::clone(&unanswered));
        // Both threads end with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (way, unanswered) = (Arc::clone(&seen), Arc::clone(&counted));
                thread::spawn(move || pass(client, server, &way, &unanswered));
            }
        });
        Self { endpoint, way, unanswered }
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.store(way as u8, Ordering::SeqCst);
    }

    /// How many requests came that nobody answers.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::SeqCst)
    }
}

/// Carries what the client asks to the server, and what that answers back.
fn pass(mut client: TcpStream, server: SocketAddr, way: &AtomicU8, unanswered: &AtomicUsize) -> Option<()> {
    let is = |expected: Way| way.load(Ordering::SeqCst) == expected as u8;
    let mut buffer = vec![0; 64 * 1024];
    client.set_read_timeout(Some(Duration::from_millis(20))).ok()?;
    let mut upstream = None;
    while !is(Way::Closed) {
        match client.read(&mut buffer) {
            Ok(0) => return None,
            // It was read, and that was all.
            Ok(_) if !is(Way::Open) => {
                unanswered.fetch_add(1, Ordering::SeqCst);
            }
            Ok(read) => {
                if upstream.is_none() {
                    upstream = Some(connect(server, &client)?);
                }
                upstream.as_mut()?.write_all(&buffer[..read]).ok()?;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => return None,
        }
    }
    None
}

/// A connection to the server, whose answers go to the client.
fn connect(server: SocketAddr, client: &TcpStream) -> Option<TcpStream> {
    let upstream = TcpStream::connect(server).ok()?;
    let (mut from, mut to) = (upstream.try_clone().ok()?, client.try_clone().ok()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    Some(upstream)
}
