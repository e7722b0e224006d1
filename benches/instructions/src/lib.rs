//! What is counted: the steps of a redemption, and the whole of it with everything that the server has around a
//! handler, on a store that answers at once. So what is missing from a real one is the store's work, the
//! system's calls, and the connection.

use std::collections::HashMap;
use std::future::ready;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, header};
use jiff::Timestamp;
use tickey::environment::{Clock, Entropy, EntropyError};
use tickey::library::{Library, LibraryLocation};
use tickey::lifecycle::Leaving;
use tickey::redemption::key::{DownloadKey, TicketId};
use tickey::redemption::link::{KeyRing, LinkLifetimes};
use tickey::redemption::ticket::{Name, Ticket};
use tickey::redemption::store::{
    BatchCount, BatchPlace, Created, Cursor, Page, StoreError, StoreFuture, TicketStore, Version, Versioned,
    WriteOutcome,
};
use tickey::redemption::metrics::Metrics;
use tickey::redemption::web::{self as redemptions, DownloadLimits, Parts, Settings, State};
use tickey::telemetry::{self, RequestMetrics};
use tickey::web::Site;
use tickey::web::attempts::Allowance;
use tickey::client::TrustedProxies;
use tickey::web::envelope::{Envelope, EnvelopeSettings};
use tower::ServiceExt as _;

/// The moment at which everything happens.
const NOW: Timestamp = Timestamp::constant(1_795_000_000, 0);

/// A key, different for each number.
#[must_use]
pub fn key(number: u8) -> DownloadKey {
    DownloadKey::from_random(&[number; 23])
}

/// The same keys for links whenever it is counted.
#[must_use]
pub fn link_keys() -> KeyRing {
    KeyRing::parse(&KeyRing::line(NOW, &[7; 32])).expect("a line that was just made")
}

/// A name of an album or a batch.
#[must_use]
pub fn name(text: &str) -> Name {
    text.parse().unwrap_or_else(|_| panic!("{text} is no name"))
}

/// A ticket that nobody has used.
#[must_use]
pub fn ticket() -> Ticket {
    Ticket::issue(name("slow-tide"), name("vinyl"), NOW)
}

/// The moment at which everything happens.
#[must_use]
pub fn now() -> Timestamp {
    NOW
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

impl Entropy for Still {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(42);
        Ok(())
    }
}

/// Tickets in memory.
#[derive(Default)]
pub struct MemoryStore(Mutex<HashMap<TicketId, Versioned<Ticket>>>);

impl MemoryStore {
    /// Adds a ticket that nobody has used.
    pub fn issue(&self, id: TicketId) {
        let fresh = Versioned { version: Version { sequence: 1, term: 1 }, value: ticket() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, fresh);
    }
}

impl TicketStore for MemoryStore {
    fn get(&self, id: TicketId) -> StoreFuture<Result<Option<Versioned<Ticket>>, StoreError>> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        Box::pin(ready(Ok(found)))
    }

    fn put_if(&self, id: TicketId, version: Version, ticket: Ticket) -> StoreFuture<WriteOutcome> {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match tickets.get_mut(&id) {
            Some(found) if found.version == version => {
                found.version.sequence += 1;
                found.value = ticket;
                WriteOutcome::Written(found.version)
            }
            _ => WriteOutcome::Conflict,
        };
        Box::pin(ready(outcome))
    }

    fn confirm(&self, id: TicketId, version: Option<Version>) -> StoreFuture<Result<bool, StoreError>> {
        let tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(ready(Ok(tickets.get(&id).map(|found| found.version) == version)))
    }

    fn create(&self, _: Vec<(TicketId, Ticket)>) -> StoreFuture<Result<Vec<Created>, StoreError>> {
        unreachable!("no redemption does this")
    }

    fn page(&self, _: Option<Name>, _: Option<Cursor>, _: usize) -> StoreFuture<Result<Page, StoreError>> {
        unreachable!("no redemption does this")
    }

    fn stats(
        &self,
        _: Option<Name>,
        _: Option<BatchPlace>,
        _: usize,
    ) -> StoreFuture<Result<Vec<BatchCount>, StoreError>> {
        unreachable!("no redemption does this")
    }

    fn ping(&self) -> StoreFuture<Result<(), StoreError>> {
        unreachable!("no redemption does this")
    }
}

/// A server without connections, and its runtime.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    router: Router,
    store: Arc<MemoryStore>,
}

impl Server {
    /// As `tickey serve` has it, with log lines as JSON that nobody reads.
    #[must_use]
    pub fn start() -> Self {
        tracing_subscriber::fmt().json().flatten_event(false).with_writer(std::io::sink).init();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime without threads");
        let store = Arc::new(MemoryStore::default());
        let many = NonZeroU32::MAX;
        let unlimited = Allowance { burst: many, per_minute: many };
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
        let mut registry = telemetry::registry();
        let metrics = Arc::new(Metrics::register(&mut registry));
        let requests = RequestMetrics::register(&mut registry);
        let envelope = Envelope::new(envelope_settings, Arc::new(Still), requests, None);
        let library = runtime.block_on(Library::open(&LibraryLocation::Demo));
        let parts = Parts {
            store: Arc::clone(&store) as _,
            library: library.expect("what is built in is there"),
            keys: link_keys(),
            clock: Box::new(Still),
            entropy: Arc::new(Still),
            metrics,
        };
        let contexts = vec![redemptions::part(&State::new(parts, settings), None)];
        let site = Site::new(&envelope, contexts, registry, Leaving::default());
        Self { runtime, router: site.public, store }
    }

    /// A server that has done all of it once, and a request that redeems another key.
    #[must_use]
    pub fn with_redemption() -> (Self, Request<Body>) {
        let server = Self::start();
        for number in [1, 2] {
            server.store.issue(key(number).id());
        }
        assert_eq!(server.answer(redemption(&key(1).reveal())).status(), 201);
        (server, redemption(&key(2).reveal()))
    }

    /// The same with a key that lacks its last symbol.
    #[must_use]
    pub fn with_malformed_key() -> (Self, Request<Body>) {
        let server = Self::start();
        let malformed = &key(1).reveal()[..28];
        assert_eq!(server.answer(redemption(malformed)).status(), 422);
        (server, redemption(malformed))
    }

    /// Answers a request.
    #[must_use]
    pub fn answer(&self, request: Request<Body>) -> Response<Body> {
        let answer = self.runtime.block_on(self.router.clone().oneshot(request));
        answer.unwrap_or_else(|never| match never {})
    }
}

/// As curl sends it.
fn redemption(key: &str) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri("/redemptions")
        .header(header::HOST, "localhost:8080")
        .header(header::ACCEPT, "*/*")
        .header(header::USER_AGENT, "curl/8")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(format!("key={key}")))
        .expect("a request that is well-formed")
}
