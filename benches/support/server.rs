//! Servers in processes of their own. All that are measured have the same accept loop, the same settings of
//! connections, the same envelope around their routes and the same logging (level `info`, a JSON object a line, to
//! `/dev/null`), in the same process otherwise. The real program can be started as well, where it is compared with
//! nothing but itself.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tickey::client::TrustedProxies;
use tickey::environment::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use tickey::library::{Library, LibraryLocation};
use tickey::lifecycle::{self, ConnectionLimits, ConnectionMetrics, Leaving, Listener, ShutdownTimes};
use tickey::redemption::link::{KeyRing, LinkLifetimes, SECRET_BYTES};
use tickey::redemption::metrics::Metrics;
use tickey::redemption::store::SharedStore;
use tickey::redemption::web::{self as redemptions, DownloadLimits, Parts, Settings, State};
use tickey::telemetry::{Registry, RequestMetrics, parse_filter, start_logging};
use tickey::web::Site;
use tickey::web::attempts::Allowance;
use tickey::web::envelope::{Envelope, EnvelopeSettings};

use super::Outcome;
use super::process::{Memory, free_address};
use super::wire::{Answer, Connection, Request};

/// As `tickey serve` has it by default.
const MAX_CONNECTIONS: usize = 4096;
/// Nobody waits for a server of a benchmark to end.
const SHUTDOWN: ShutdownTimes = ShutdownTimes { drain_delay: Duration::ZERO, grace: Duration::ZERO };

/// How long a start may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two questions whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// A server in a process of its own, which ends with this.
pub(crate) struct Server {
    child: Child,
    /// What it is called in errors.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where it listens for operators, if it does.
    pub(crate) ops_address: Option<SocketAddr>,
}

impl Server {
    /// Starts this program again, in a role that ends in [`listen`].
    pub(crate) fn start(name: &str, role: &mut Command) -> Outcome<Self> {
        let mut child = role.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        // From here on it ends with the value.
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut server = Self { child, name: name.to_owned(), address: nowhere, ops_address: None };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let mut addresses = line.split_whitespace().map(str::parse);
        server.address = addresses.next().ok_or_else(|| format!("the server {name} did not start"))??;
        server.ops_address = addresses.next().transpose()?;
        Ok(server)
    }

    /// Starts the real program, told to `serve` a store, and waits until it says that it is ready. Gives how long that
    /// took as well. What it logs goes nowhere. The file with the link keys is made if it is missing.
    pub(crate) fn start_program(serve: &mut Command, link_keys: &Path) -> Outcome<(Self, Duration)> {
        let (address, ops_address) = (free_address()?, free_address()?);
        serve.args(["--listen", &address.to_string(), "--ops-listen", &ops_address.to_string()]);
        serve.arg("--link-keys-file").arg(link_keys);
        // The load comes from one address, whose share of the connections is smaller than what it opens.
        serve.args(["--trusted-proxies", "127.0.0.0/8"]);
        let begun = Instant::now();
        let child = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut server =
            Self { child, name: "tickey serve".to_owned(), address, ops_address: Some(ops_address) };
        while !is_ready(address) {
            if begun.elapsed() > PATIENCE || server.child.try_wait()?.is_some() {
                return Err("the server does not get ready".into());
            }
            std::thread::sleep(ASK_EVERY);
        }
        Ok((server, begun.elapsed()))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its memory.
    pub(crate) fn memory(&self) -> Outcome<Memory> {
        Memory::of(self.pid())
    }

    /// The sum of its counters whose names and labels begin so.
    pub(crate) fn counted(&self, series: &str) -> Outcome<u64> {
        let address = self.ops_address.ok_or("the server does not listen for operators")?;
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let values = text.lines().filter(|line| line.starts_with(series));
        values.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<u64>()?)).sum()
    }

    /// One request, to see what the answer is like.
    pub(crate) fn ask(&self, key: &[u8]) -> Outcome<Answer> {
        self.ask_whole(key).map(|(answer, _)| answer)
    }

    /// The same with the body of the answer.
    pub(crate) fn ask_whole(&self, key: &[u8]) -> Outcome<(Answer, Vec<u8>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let request = Request::redeem(self.address, key);
        runtime.block_on(async {
            let mut connection = Connection::open(self.address).await?;
            let answer = connection.exchange(&request).await?;
            Ok((answer, connection.body().to_vec()))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, or there is nothing more to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start)
    });
    asked.is_ok_and(|start| start.ends_with(b" 200"))
}

/// Runs a server in this process, logging and runtime as `tickey serve` has them.
pub(crate) fn run(serve: impl Future<Output = Outcome>) -> Outcome {
    let _log = start_logging(parse_filter("info")?);
    let _ = lifecycle::raise_open_files_limit();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve)
}

/// Serves each router at an address of its own, and prints the addresses for [`Server::start`].
pub(crate) async fn listen(routers: Vec<Router>, leaving: Leaving) -> Outcome {
    let mut listeners = Vec::with_capacity(routers.len());
    let mut addresses = Vec::with_capacity(routers.len());
    for router in routers {
        let socket = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        addresses.push(socket.local_addr()?.to_string());
        listeners.push(Listener { socket, router, max_connections: MAX_CONNECTIONS });
    }
    writeln!(io::stdout(), "{}", addresses.join(" "))?;
    // As `tickey serve` has them by default, but that all clients are on this machine and share no connections.
    let limits = ConnectionLimits {
        head_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_mins(1),
        trusted_proxies: TrustedProxies::new(vec!["127.0.0.0/8".parse()?]),
    };
    let metrics = ConnectionMetrics::default();
    Ok(lifecycle::serve(listeners, limits, SHUTDOWN, leaving, metrics, Vec::new()).await?)
}

/// New keys for links.
pub(crate) fn link_keys() -> Outcome<KeyRing> {
    let mut secret = [0; SECRET_BYTES];
    SystemEntropy.fill(&mut secret)?;
    Ok(KeyRing::parse(&KeyRing::line(SystemClock.now(), &secret))?)
}

/// What `tickey serve` has around a store by default.
pub(crate) struct Around {
    /// Its routers.
    pub(crate) site: Site,
    /// What is around all of its routes.
    pub(crate) envelope: Arc<Envelope>,
}

/// Puts it around a store, with the built-in library, but for unknown keys, of which any number may be tried.
pub(crate) async fn around(
    store: SharedStore,
    metrics: Arc<Metrics>,
    mut registry: Registry,
    leaving: Leaving,
) -> Outcome<Around> {
    let unlimited = Allowance { burst: NonZeroU32::MAX, per_minute: NonZeroU32::MAX };
    let envelope_settings = EnvelopeSettings {
        public_url: None,
        trusted_proxies: TrustedProxies::default(),
        body_timeout: Duration::from_secs(10),
    };
    let settings = Settings {
        link_lifetimes: LinkLifetimes::default(),
        max_renewals: 10,
        unknown: unlimited,
        downloads: DownloadLimits::default(),
        request_timeout: Duration::from_secs(10),
    };
    let entropy = Arc::new(SystemEntropy);
    let requests = RequestMetrics::register(&mut registry);
    let envelope = Envelope::new(envelope_settings, Arc::clone(&entropy) as _, requests, None);
    let library = Library::open(&LibraryLocation::Demo).await?;
    let clock = Box::new(SystemClock);
    let parts = Parts { store, library, keys: link_keys()?, clock, entropy, metrics };
    let contexts = vec![redemptions::part(&State::new(parts, settings), None)];
    let site = Site::new(&envelope, contexts, registry, leaving);
    Ok(Around { site, envelope })
}
