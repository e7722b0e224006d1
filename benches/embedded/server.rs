//! The servers that are measured: ours, ours without batching, and one that does nothing. All of them have the same accept
//! loop, the same settings of connections, the same envelope around their routes and the same logging (level `info`,
//! a JSON object a line, to `/dev/null`), in the same process otherwise.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::post;
use bytes::Bytes;
use clap::ValueEnum;
use tickey::environment::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use tickey::library::{Library, LibraryLocation};
use tickey::lifecycle::{self, ConnectionLimits, Leaving, Listener, ShutdownTimes};
use tickey::redemption::link::{KeyRing, LinkLifetimes, SECRET_BYTES};
use tickey::store::location::IfMissing;
use tickey::store::sqlite::{self, SqliteStore};
use tickey::telemetry::{Metrics, parse_filter, start_logging};
use tickey::web::attempts::Allowance;
use tickey::web::client::TrustedProxies;
use tickey::web::{self, App, Settings, Shared};

use super::super::Outcome;
use super::process::Memory;
use super::wire::{Answer, Connection, Request};

/// As `tickey serve` has them by default.
const LIMITS: ConnectionLimits = ConnectionLimits {
    max_connections: 4096,
    head_timeout: Duration::from_secs(10),
    write_timeout: Duration::from_mins(1),
};
/// Nobody waits for a server of a benchmark to end.
const SHUTDOWN: ShutdownTimes = ShutdownTimes { drain_delay: Duration::ZERO, grace: Duration::ZERO };

/// What a server does with a redemption.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Variant {
    /// What `tickey serve` does.
    Batched,
    /// The same with a transaction for each operation.
    Unbatched,
    /// Answers, without looking at the request.
    Nothing,
}

/// Which server to be.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// What it does
    #[arg(long, value_enum)]
    variant: Variant,
    /// Its store
    #[arg(long)]
    data: PathBuf,
    /// The status of the answer that does nothing
    #[arg(long, default_value_t = 201)]
    answer_status: u16,
    /// The size of its body
    #[arg(long, default_value_t = 0)]
    answer_bytes: usize,
}

/// A server in a process of its own, which ends with this.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Ours, on a store.
    pub(crate) fn on_store(variant: Variant, data: &Path) -> Outcome<Self> {
        Self::start(variant, data, &[])
    }

    /// One that does nothing, and whose answers have this status and size.
    pub(crate) fn of_nothing(data: &Path, like: Answer) -> Outcome<Self> {
        let (status, bytes) = (like.status.to_string(), like.body_bytes.to_string());
        Self::start(Variant::Nothing, data, &["--answer-status", &status, "--answer-bytes", &bytes])
    }

    fn start(variant: Variant, data: &Path, arguments: &[&str]) -> Outcome<Self> {
        let name = variant.to_possible_value().ok_or("the variant has no name")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--variant", name.get_name(), "--data"])
            .arg(data)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().map_err(|_| format!("the server {name:?} did not start"));
        // From here on it ends with the value.
        let mut server = Self { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) };
        server.address = address?;
        Ok(server)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its memory.
    pub(crate) fn memory(&self) -> Outcome<Memory> {
        Memory::of(self.pid())
    }

    /// One request, to see what the answer is like.
    pub(crate) fn ask(&self, key: &[u8]) -> Outcome<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let request = Request::redeem(self.address, key);
        runtime.block_on(async { Connection::open(self.address).await?.exchange(&request).await })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, or there is nothing more to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The role of the process that [`Server::start`] starts.
pub(crate) fn serve(args: ServeArgs) -> Outcome {
    let _log = start_logging(parse_filter("info")?);
    // As `tickey serve` has it.
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve_variant(args))
}

async fn serve_variant(args: ServeArgs) -> Outcome {
    lifecycle::raise_open_files_limit();
    let leaving = Leaving::default();
    let app = app(&args, leaving.clone()).await?;
    let router = match args.variant {
        Variant::Batched | Variant::Unbatched => web::router(&app),
        Variant::Nothing => nothing(&app, args.answer_status, args.answer_bytes)?,
    };
    let socket = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(io::stdout(), "{}", socket.local_addr()?)?;
    Ok(lifecycle::serve(vec![Listener { socket, router }], LIMITS, SHUTDOWN, leaving).await?)
}

async fn app(args: &ServeArgs, leaving: Leaving) -> Outcome<Shared> {
    let metrics = Arc::new(Metrics::default());
    let mut store_settings = sqlite::Settings::default();
    if matches!(args.variant, Variant::Unbatched) {
        store_settings.max_batch = 1;
    }
    let store = SqliteStore::open(&args.data, IfMissing::Create, store_settings, Arc::clone(&metrics) as _)?;
    let mut secret = [0; SECRET_BYTES];
    SystemEntropy.fill(&mut secret)?;
    let keys = KeyRing::parse(&KeyRing::line(SystemClock.now(), &secret))?;
    let unlimited = Allowance { burst: NonZeroU32::MAX, per_minute: NonZeroU32::MAX };
    let settings = Settings {
        public_url: None,
        trusted_proxies: TrustedProxies::default(),
        link_lifetimes: LinkLifetimes::default(),
        max_renewals: 10,
        unknown_each: unlimited,
        unknown_all: unlimited,
        request_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
    };
    Ok(App::new(
        Arc::new(store),
        Library::open(&LibraryLocation::Demo).await?,
        keys,
        Box::new(SystemClock),
        Box::new(SystemEntropy),
        metrics,
        leaving,
        settings,
    ))
}

/// A handler that does nothing, in the envelope that all routes have.
fn nothing(app: &Shared, status: u16, bytes: usize) -> Outcome<Router> {
    let status = StatusCode::from_u16(status)?;
    let body = Bytes::from(vec![b'x'; bytes]);
    let handler = move || async move {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (status, headers, body).into_response()
    };
    Ok(web::with_envelope(Router::new().route("/redemptions", post(handler)), app))
}
