//! Everything HTTP. Read [`router`] as the table of routes.
//!
//! A handler reads its request into types that cannot be wrong, calls a use case, and turns the result into an answer;
//! every way to fail goes through the one table in `problem`. What all requests have in common is in
//! `envelope`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderValue, Uri};
use axum::routing::{get, post};

use crate::environment::{Clock, Entropy};
use crate::library::Library;
use crate::lifecycle::Leaving;
use crate::redemption::link::{KeyRing, LinkLifetimes};
use crate::redemption::store::SharedStore;
use crate::telemetry::Metrics;

pub(crate) mod assets;
pub mod attempts;
pub(crate) mod body;
pub mod client;
pub(crate) mod envelope;
pub(crate) mod health;
pub(crate) mod negotiation;
pub(crate) mod occupancy;
pub mod openapi;
pub(crate) mod problem;
pub(crate) mod sending;

use crate::redemption::web::admin::Admin;
use crate::redemption::web::{admin, album, files, redemptions};
use attempts::{Allowance, Attempts};
use client::TrustedProxies;

/// What handlers share.
pub type Shared = Arc<App>;

/// Everything that an answer can depend on.
pub struct App {
    pub(crate) store: SharedStore,
    pub(crate) library: Library,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) entropy: Box<dyn Entropy>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) leaving: Leaving,
    pub(crate) attempts: Attempts,
    pub(crate) latest_files: album::LatestFiles,
    pub(crate) downloads: files::Downloads,
    pub(crate) settings: Settings,
    /// The content security policy of every answer.
    pub(crate) policy: HeaderValue,
}

/// What an operator can decide about the server's answers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The origin under which people reach the server; each request's own `Host` when absent.
    pub public_url: Option<PublicUrl>,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// How long links live.
    pub link_lifetimes: LinkLifetimes,
    /// How often a holder can renew expired links.
    pub max_renewals: u32,
    /// Unknown keys from one neighbourhood; so many wrong admin tokens, too.
    pub unknown_each: Allowance,
    /// Unknown keys from everybody together; so many wrong admin tokens, too.
    pub unknown_all: Allowance,
    /// Downloads that may go on at once.
    pub downloads: DownloadLimits,
    /// The time that a request has from when it is understood to its answer's head.
    pub request_timeout: Duration,
    /// The time that a request's body has to arrive.
    pub body_timeout: Duration,
}

/// How many downloads may go on at once.
#[derive(Clone, Copy, Debug)]
pub struct DownloadLimits {
    /// By one link from one network: programs that download in pieces open some.
    pub of_a_link: NonZeroU32,
    /// From one network, which can be a venue with many people.
    pub of_a_network: NonZeroU32,
}

impl Default for DownloadLimits {
    fn default() -> Self {
        const OF_A_LINK: NonZeroU32 = NonZeroU32::new(16).unwrap();
        const OF_A_NETWORK: NonZeroU32 = NonZeroU32::new(512).unwrap();
        Self { of_a_link: OF_A_LINK, of_a_network: OF_A_NETWORK }
    }
}

/// `scheme://host[:port]`, without a path and without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl std::str::FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str =
            "give the address that people type, such as https://music.example, without a path";
        let url: Uri = text.parse().map_err(|_| WRONG)?;
        let scheme = url.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or(WRONG)?;
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(WRONG)?;
        let bare = url.path() == "/" && url.query().is_none() && !text.contains('#');
        if bare { Ok(Self(format!("{scheme}://{authority}"))) } else { Err(WRONG) }
    }
}

impl App {
    /// Puts a server's parts together.
    #[must_use]
    #[expect(
        clippy::too_many_arguments,
        reason = "each of them is a part, and this is the one place that names all"
    )]
    pub fn new(
        store: SharedStore,
        library: Library,
        keys: KeyRing,
        clock: Box<dyn Clock>,
        entropy: Box<dyn Entropy>,
        metrics: Arc<Metrics>,
        leaving: Leaving,
        settings: Settings,
    ) -> Shared {
        let attempts = Attempts::new(settings.unknown_each, settings.unknown_all, Instant::now());
        let policy = envelope::policy(library.origin().as_deref());
        Arc::new(Self {
            store,
            library,
            keys,
            clock,
            entropy,
            metrics,
            leaving,
            attempts,
            latest_files: album::LatestFiles::default(),
            downloads: files::Downloads::new(settings.downloads),
            settings,
            policy,
        })
    }

    /// When a request that begins to use the store now must be answered, whatever the store does.
    pub(crate) fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.settings.request_timeout
    }
}

/// The server that people and programs use.
pub fn router(app: &Shared) -> Router {
    let routes = routes().route("/openapi.json", get(openapi::document));
    with_envelope(with_fallbacks(routes), app)
}

/// The same, and `/admin` for whoever has the token.
pub fn router_with_admin(app: &Shared, admin: Arc<Admin>) -> Router {
    let routes = routes().route("/openapi.json", get(openapi::document_with_admin));
    with_envelope(with_fallbacks(routes.merge(admin::routes(app, admin))), app)
}

fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(redemptions::form))
        .route("/redemptions", post(redemptions::redeem))
        .route("/redemptions/{receipt}", get(redemptions::show))
        .route("/files/{album}/{name}", get(files::download))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/static/{name}", get(assets::serve))
}

fn with_fallbacks(routes: Router<Shared>) -> Router<Shared> {
    routes.fallback(problem::no_such_route).method_not_allowed_fallback(problem::no_such_method)
}

/// Puts around routes what all requests have in common. Public for the benchmarks, which measure what that costs.
pub fn with_envelope(routes: Router<Shared>, app: &Shared) -> Router {
    routes
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), envelope::wrap))
        .with_state(Arc::clone(app))
}

/// The server that only operators reach.
pub fn ops_router(app: &Shared) -> Router {
    let health = Router::new().route("/healthz", get(health::alive)).route("/readyz", get(health::ready));
    with_envelope(health, app).route("/metrics", get(health::metrics).with_state(Arc::clone(app)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin() {
        for (text, origin) in [
            ("https://music.example", "https://music.example"),
            ("https://music.example/", "https://music.example"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(text.parse(), Ok(PublicUrl(origin.to_owned())), "{text}");
        }
        for text in [
            "",
            "music.example",
            "ftp://music.example",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://a/#b",
            "https://u:p@a",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
