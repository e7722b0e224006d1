//! A server with a bug planted in its store: the same application as the real one, put together by hand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tickey::client::TrustedProxies;
use tickey::environment::{SystemClock, SystemEntropy};
use tickey::library::{Library, LibraryLocation};
use tickey::lifecycle::{self, ConnectionLimits, ConnectionMetrics, Leaving, Listener, ShutdownTimes};
use tickey::redemption::link::{KeyRing, LinkLifetimes};
use tickey::redemption::metrics::Metrics;
use tickey::redemption::store::elasticsearch::{Login, PasswordSource};
use tickey::redemption::store::location::StoreLocation;
use tickey::redemption::web::{self as redemptions, DownloadLimits, Parts, Settings, State};
use tickey::telemetry::{self, RequestMetrics};
use tickey::web::Site;
use tickey::web::attempts::Allowance;
use tickey::web::envelope::{Envelope, EnvelopeSettings};
use tokio::net::TcpListener;

use super::history::{LINK_LIFE, MAX_RENEWALS};
use super::planted::{Bug, PlantedStore};
use super::servers::REQUEST_TIMEOUT_SECONDS;

/// What the server is told. The variables are those of the real one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    planted: Bug,
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    link_keys_file: PathBuf,
    #[arg(long, env = "TICKEY_STORE")]
    location: StoreLocation,
    #[arg(long, env = "TICKEY_ELASTICSEARCH_USERNAME")]
    elasticsearch_username: Option<String>,
    #[arg(long, env = "TICKEY_ELASTICSEARCH_PASSWORD_FILE")]
    elasticsearch_password_file: Option<PathBuf>,
    #[arg(long, env = "TICKEY_ELASTICSEARCH_CA_FILE")]
    elasticsearch_ca_file: Option<PathBuf>,
    #[arg(long, env = "TICKEY_ELASTICSEARCH_INDEX", default_value = "tickets")]
    elasticsearch_index: String,
}

/// Serves until it is killed.
pub(crate) async fn serve(args: Args) {
    let mut location = args.location;
    if let StoreLocation::Elasticsearch(settings) = &mut location {
        let login = args.elasticsearch_username.zip(args.elasticsearch_password_file);
        settings.login =
            login.map(|(username, file)| Login { username, password: PasswordSource::File(file) });
        settings.ca_file = args.elasticsearch_ca_file;
        settings.index = args.elasticsearch_index.parse().expect("an index's name");
    }
    let store = location.open_for_serving(Arc::new(())).await.expect("the store can be opened");
    let keys = std::fs::read_to_string(args.link_keys_file).expect("the link keys can be read");
    let leaving = Leaving::default();
    let mut registry = telemetry::registry();
    let metrics = Arc::new(Metrics::register(&mut registry));
    let entropy = Arc::new(SystemEntropy);
    let requests = RequestMetrics::register(&mut registry);
    let envelope = Envelope::new(envelope_settings(), Arc::clone(&entropy) as _, requests, None);
    let parts = Parts {
        store: Arc::new(PlantedStore::new(store, args.planted)),
        library: Library::open(&LibraryLocation::Demo).await.expect("the demonstration albums"),
        keys: KeyRing::parse(&keys).expect("link keys"),
        clock: Box::new(SystemClock),
        entropy,
        metrics,
    };
    let contexts = vec![redemptions::part(&State::new(parts, settings()), None)];
    let connections = ConnectionMetrics::register(&mut registry);
    let site = Site::new(&envelope, contexts, registry, leaving.clone());
    let socket = TcpListener::bind(args.listen).await.expect("the address is free");
    let limits = ConnectionLimits {
        head_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_mins(1),
        trusted_proxies: TrustedProxies::default(),
    };
    let shutdown = ShutdownTimes { drain_delay: Duration::ZERO, grace: Duration::ZERO };
    let listener = Listener { socket, router: site.public, max_connections: 4096 };
    let listeners = vec![listener];
    let served = lifecycle::serve(listeners, limits, shutdown, leaving, connections, site.underway).await;
    served.expect("the server serves");
}

fn envelope_settings() -> EnvelopeSettings {
    EnvelopeSettings {
        public_url: Some("http://proof.example".parse().expect("an origin")),
        trusted_proxies: TrustedProxies::default(),
        body_timeout: Duration::from_secs(REQUEST_TIMEOUT_SECONDS.into()),
    }
}

fn settings() -> Settings {
    let plenty = 1_000_000_000.try_into().expect("not zero");
    let seconds = u32::try_from(LINK_LIFE).expect("a short life");
    Settings {
        link_lifetimes: LinkLifetimes { min_seconds: seconds, max_seconds: seconds },
        max_renewals: MAX_RENEWALS,
        unknown: Allowance { burst: plenty, per_minute: plenty },
        downloads: DownloadLimits::default(),
        request_timeout: Duration::from_secs(REQUEST_TIMEOUT_SECONDS.into()),
    }
}
