//! `tickey serve`: the server.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpListener;

use super::link_keys;
use super::options::{AdminTokenOption, LibraryOption, LinkKeysOption, StoreOption};
use super::outcome::{Outcome, WrongUsage};
use crate::client::TrustedProxies;
use crate::environment::{SystemClock, SystemEntropy};
use crate::library::Library;
use crate::lifecycle::{
    self, Completion, ConnectionLimits, ConnectionMetrics, Leaving, Listener, ShutdownTimes,
};
use crate::redemption::link::LinkLifetimes;
use crate::redemption::metrics::Metrics;
use crate::redemption::store::SharedStore;
use crate::redemption::web::admin::{Admin, AdminToken, open_to_others};
use crate::redemption::web::{self as redemptions, DownloadLimits, Parts, Settings, State};
use crate::telemetry::{self, Registry, RequestMetrics};
use crate::web::Site;
use crate::web::attempts::Allowance;
use crate::web::envelope::{Envelope, EnvelopeSettings};
use crate::web::public_url::PublicUrl;

mod warnings;

/// The most open connections of operators: a few probes and metrics scrapers, which must find room whatever happens at
/// the other address.
const MAX_OPS_CONNECTIONS: usize = 128;
/// The number of open files besides those of connections: of the store, the operators and the library.
const OTHER_OPEN_FILES: u64 = 512;

/// Serve the page and the interface that redeem keys
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  tickey serve --library file:/srv/albums --public-url https://music.example
  tickey serve --library file:/srv/albums --store https://elasticsearch-master:9200")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    library: LibraryOption,
    #[command(flatten)]
    link_keys: LinkKeysOption,
    #[command(flatten)]
    admin_token: AdminTokenOption,
    #[command(flatten)]
    server: ServerArgs,
}

/// The sections of `--help`.
const ADDRESSES: &str = "Addresses";
const LINKS: &str = "Links";
const LIMITS: &str = "Limits";

/// The options that `serve` and `demo` share.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// The address to listen on for people and programs
    #[arg(long, help_heading = ADDRESSES, env = "TICKEY_LISTEN", value_name = "ADDRESS",
        default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The address to listen on for operators (/metrics, /healthz, /readyz)
    #[arg(long, help_heading = ADDRESSES, env = "TICKEY_OPS_LISTEN", value_name = "ADDRESS",
        default_value = "127.0.0.1:9090")]
    ops_listen: SocketAddr,
    /// The address that people reach the server by, such as `https://music.example`; by default the host
    /// of each request
    #[arg(long, help_heading = ADDRESSES, env = "TICKEY_PUBLIC_URL", value_name = "URL")]
    public_url: Option<PublicUrl>,
    /// Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by commas
    #[arg(long, help_heading = ADDRESSES, env = "TICKEY_TRUSTED_PROXIES", value_name = "NETWORKS",
        value_delimiter = ',', value_parser = parse_network)]
    trusted_proxies: Vec<IpNet>,
    #[command(flatten)]
    links: LinkArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct LinkArgs {
    /// Seconds that a link to a small file lives
    #[arg(long, help_heading = LINKS, hide_short_help = true, env = "TICKEY_LINK_MIN_SECONDS", value_name = "SECONDS",
        default_value_t = LinkLifetimes::default().min_seconds,
        value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    link_min_seconds: u32,
    /// Seconds that a link to a large file lives at most (in between: as long as 50 KiB/s take)
    #[arg(long, help_heading = LINKS, hide_short_help = true, env = "TICKEY_LINK_MAX_SECONDS", value_name = "SECONDS",
        default_value_t = LinkLifetimes::default().max_seconds,
        value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    link_max_seconds: u32,
    /// Renewals of a receipt's expired links that may follow each other at once; after that there is one an hour
    #[arg(long, help_heading = LINKS, hide_short_help = true, env = "TICKEY_MAX_RENEWALS", value_name = "N",
        default_value_t = 10)]
    max_renewals: u32,
}

#[derive(Clone, Debug, clap::Args)]
struct LimitArgs {
    /// Unknown keys that a network (/24 or /56) can try at once, and likewise wrong admin tokens
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_UNKNOWN_BURST", value_name = "N",
        default_value = "30")]
    unknown_burst: NonZeroU32,
    /// Unknown keys that it can try each minute after that
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_UNKNOWN_PER_MINUTE", value_name = "N",
        default_value = "10")]
    unknown_per_minute: NonZeroU32,
    /// Connections that are open at once; further ones wait. A network (/24 or /56) gets half of what the others leave,
    /// and one address half of that; trusted proxies are not limited
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_MAX_CONNECTIONS", value_name = "N",
        default_value = "4096")]
    max_connections: NonZeroU32,
    /// Downloads by one link from one network that go on at once
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_LINK_DOWNLOADS", value_name = "N",
        default_value_t = DownloadLimits::default().of_a_link)]
    link_downloads: NonZeroU32,
    /// Downloads from one network that go on at once
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_NETWORK_DOWNLOADS", value_name = "N",
        default_value_t = DownloadLimits::default().of_a_network)]
    network_downloads: NonZeroU32,
    /// Seconds for a request's head to arrive, and for a connection to idle
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_HEAD_TIMEOUT_SECONDS",
        value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    head_timeout_seconds: u64,
    /// Seconds for a request's body to arrive
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_BODY_TIMEOUT_SECONDS",
        value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    body_timeout_seconds: u64,
    /// Seconds after which a request is answered, whatever the store does
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_REQUEST_TIMEOUT_SECONDS",
        value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    request_timeout_seconds: u64,
    /// Seconds for which a client may take nothing of its answers, or fall behind 1 KiB/s on average, before it
    /// is given up
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_WRITE_TIMEOUT_SECONDS",
        value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    write_timeout_seconds: u64,
    /// Seconds after SIGTERM during which /readyz says 503 and everything is still served
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_DRAIN_DELAY_SECONDS",
        value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=3600))]
    drain_delay_seconds: u64,
    /// Seconds after that in which requests in flight may finish
    #[arg(long, help_heading = LIMITS, hide_short_help = true, env = "TICKEY_SHUTDOWN_GRACE_SECONDS",
        value_name = "SECONDS", default_value_t = 25, value_parser = clap::value_parser!(u64).range(0..=3600))]
    shutdown_grace_seconds: u64,
}

/// A network, or an address, which is a network of one.
fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| "give networks such as 10.0.0.0/8 or fd00::/8, or addresses".to_owned())
}

impl LinkArgs {
    fn lifetimes(&self) -> Outcome<LinkLifetimes> {
        if self.link_min_seconds > self.link_max_seconds {
            return Err(
                WrongUsage("--link-min-seconds must not be more than --link-max-seconds".to_owned()).into()
            );
        }
        Ok(LinkLifetimes { min_seconds: self.link_min_seconds, max_seconds: self.link_max_seconds })
    }
}

impl ServerArgs {
    fn settings(&self) -> Outcome<Settings> {
        let limits = &self.limits;
        Ok(Settings {
            link_lifetimes: self.links.lifetimes()?,
            max_renewals: self.links.max_renewals,
            unknown: Allowance { burst: limits.unknown_burst, per_minute: limits.unknown_per_minute },
            downloads: DownloadLimits {
                of_a_link: limits.link_downloads,
                of_a_network: limits.network_downloads,
            },
            request_timeout: Duration::from_secs(limits.request_timeout_seconds),
        })
    }

    fn envelope_settings(&self) -> EnvelopeSettings {
        EnvelopeSettings {
            public_url: self.public_url.clone(),
            trusted_proxies: TrustedProxies::new(self.trusted_proxies.clone()),
            body_timeout: Duration::from_secs(self.limits.body_timeout_seconds),
        }
    }

    fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            head_timeout: Duration::from_secs(self.limits.head_timeout_seconds),
            write_timeout: Duration::from_secs(self.limits.write_timeout_seconds),
            trusted_proxies: TrustedProxies::new(self.trusted_proxies.clone()),
        }
    }

    fn max_connections(&self) -> usize {
        usize::try_from(self.limits.max_connections.get()).unwrap_or(usize::MAX)
    }

    fn shutdown_times(&self) -> ShutdownTimes {
        ShutdownTimes {
            drain_delay: Duration::from_secs(self.limits.drain_delay_seconds),
            grace: Duration::from_secs(self.limits.shutdown_grace_seconds),
        }
    }
}

pub(super) async fn run(args: Args) -> Outcome {
    // Before any file is created.
    args.server.settings()?;
    let admin_token = args.admin_token.admin_token_file.as_deref().map(open_admin_token).transpose()?;
    let mut registry = telemetry::registry();
    let metrics = Arc::new(Metrics::register(&mut registry));
    let store = args.store.open_for_serving(Arc::clone(&metrics) as _).await?;
    let library = args.library.open().await?;
    let tickets = Tickets { store, library, metrics, registry };
    let server = Server::prepare(&args.server, args.link_keys.link_keys_file, admin_token, tickets).await?;
    server.run().await
}

fn open_admin_token(path: &Path) -> Outcome<AdminToken> {
    let token = AdminToken::open(path)?;
    if let Some(mode) = open_to_others(path) {
        tracing::warn!(
            file = %path.display(),
            mode = format!("{mode:o}"),
            "the admin token can be read or changed by others: remove their permissions"
        );
    }
    Ok(token)
}

/// The tickets and albums of a server, with its metrics.
pub(super) struct Tickets {
    pub(super) store: SharedStore,
    pub(super) library: Library,
    pub(super) metrics: Arc<Metrics>,
    pub(super) registry: Registry,
}

/// A server with open sockets that has not begun to serve.
pub(super) struct Server {
    listeners: Vec<Listener>,
    pub(super) address: SocketAddr,
    ops_address: SocketAddr,
    limits: ConnectionLimits,
    shutdown: ShutdownTimes,
    leaving: Leaving,
    underway: Vec<Completion>,
    metrics: ConnectionMetrics,
}

impl Server {
    /// Reads the keys, combines the parts, and opens the sockets.
    pub(super) async fn prepare(
        args: &ServerArgs,
        link_keys_file: PathBuf,
        admin_token: Option<AdminToken>,
        tickets: Tickets,
    ) -> Outcome<Self> {
        warn_of_few_open_files(lifecycle::raise_open_files_limit(), args.limits.max_connections.get());
        let made = !link_keys_file.exists();
        let keys = link_keys::read_or_make(&link_keys_file, &SystemClock, &SystemEntropy)?;
        let Tickets { store, library, metrics, mut registry } = tickets;
        let (leaving, entropy, settings) = (Leaving::default(), Arc::new(SystemEntropy), args.settings()?);
        let admin = admin_token.map(|token| Admin::new(token, &settings));
        let envelope = Envelope::new(
            args.envelope_settings(),
            Arc::clone(&entropy) as _,
            RequestMetrics::register(&mut registry),
            library.origin().as_deref(),
        );
        let connection_metrics = ConnectionMetrics::register(&mut registry);
        let clock = Box::new(SystemClock);
        let state = State::new(Parts { store, library, keys, clock, entropy, metrics }, settings);
        let (looked_at, new_link_keys) = (Arc::clone(&state), made.then_some(link_keys_file));
        tokio::spawn(async move { warnings::log(&looked_at, new_link_keys).await });
        let contexts = vec![redemptions::part(&state, admin)];
        let site = Site::new(&envelope, contexts, registry, leaving.clone());
        let socket = listen(args.listen, "--listen").await?;
        let ops_socket = listen(args.ops_listen, "--ops-listen").await?;
        Ok(Self {
            address: socket.local_addr()?,
            ops_address: ops_socket.local_addr()?,
            listeners: vec![
                Listener { socket, router: site.public, max_connections: args.max_connections() },
                Listener { socket: ops_socket, router: site.ops, max_connections: MAX_OPS_CONNECTIONS },
            ],
            limits: args.connection_limits(),
            shutdown: args.shutdown_times(),
            leaving,
            underway: site.underway,
            metrics: connection_metrics,
        })
    }

    /// Serves until told to stop.
    pub(super) async fn run(self) -> Outcome {
        tracing::info!(
            address = %self.address, ops_address = %self.ops_address, version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        let Self { listeners, limits, shutdown, leaving, underway, metrics, .. } = self;
        Ok(lifecycle::serve(listeners, limits, shutdown, leaving, metrics, underway).await?)
    }
}

/// Warns of a low limit: without free file descriptors no connection is accepted, including the operators' probes.
fn warn_of_few_open_files(open_files: u64, max_connections: u32) {
    let needed = 2 * u64::from(max_connections) + OTHER_OPEN_FILES;
    if open_files < needed {
        tracing::warn!(
            open_files,
            needed,
            "the system allows too few open files for --max-connections, of which each can need two: raise the hard \
             limit (`ulimit -Hn`), or lower --max-connections"
        );
    }
}

async fn listen(address: SocketAddr, flag: &str) -> Outcome<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!(
                    "{address} is in use by another program: stop it, or give another address with {flag}"
                )
            }
            _ => format!("cannot listen on {address} ({flag}): {error}"),
        }
        .into()
    })
}
