//! What people are told when the store loses replies, lags, reports conflicts of writes that it made, or is away.
//!
//! Each test reads as a story: what happens to the writes and reads of one redemption, and what the person sees. The
//! real thing does not do these on demand, so a wrapper around the real store does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/store/mod.rs"]
#[allow(dead_code, reason = "this target uses only a part of what the tests of stores share")]
mod store;

mod faults {
    mod creating;
}

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use store::faulty::ReadFault::{Held, Slow, Stale, Unavailable as ReadUnavailable};
use store::faulty::WriteFault::{
    Duplicate, FalseConflict, Late, LostReply, LostRequest, Unavailable as WriteUnavailable,
};
use store::faulty::{FaultyStore, ReadFault, WriteFault};
use tickey::client::TrustedProxies;
use tickey::environment::{Clock, Entropy, EntropyError};
use tickey::library::{Library, LibraryLocation};
use tickey::lifecycle::Leaving;
use tickey::redemption::change::{ChangeError, change};
use tickey::redemption::holder::RENEWAL_PAUSE;
use tickey::redemption::key::DownloadKey;
use tickey::redemption::link::{KeyRing, LinkLifetimes};
use tickey::redemption::metrics::Metrics;
use tickey::redemption::store::location::{IfMissing, StoreLocation};
use tickey::redemption::store::{SharedStore, TicketStore as _, Version, Versioned};
use tickey::redemption::ticket::{IdempotencyKey, Redeem, RedemptionId, Ticket};
use tickey::redemption::web::{self as redemptions, DownloadLimits, Parts, Settings, State};
use tickey::redemption::write::WriteError;
use tickey::telemetry::{self, RequestMetrics};
use tickey::web::Site;
use tickey::web::attempts::Allowance;
use tickey::web::envelope::{Envelope, EnvelopeSettings};
use tokio::time::Instant;
use tower::ServiceExt as _;

/// How long a request may take in these tests.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// A time that a test decides.
#[derive(Clone)]
struct TestClock(Arc<std::sync::Mutex<Timestamp>>);

impl TestClock {
    fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Different numbers each time, the same in every run.
struct Counting(std::sync::atomic::AtomicU64);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_le_bytes();
        buffer.iter_mut().zip(number.iter().cycle()).for_each(|(byte, value)| *byte = *value);
        Ok(())
    }
}

/// A server on a store with faults, and one ticket in it.
struct World {
    router: Router,
    store: Arc<FaultyStore>,
    clock: TestClock,
    key: DownloadKey,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location: StoreLocation =
            format!("sqlite:{}/tickets.db", folder.path().display()).parse().unwrap();
        let store = Arc::new(FaultyStore::new(location.open(IfMissing::Create, Arc::new(())).await.unwrap()));
        let clock = TestClock(Arc::new(std::sync::Mutex::new("2026-11-21T10:00:00Z".parse().unwrap())));
        let key = DownloadKey::from_random(&[7; 23]);
        let ticket = Ticket::issue("slow-tide".parse().unwrap(), "faults".parse().unwrap(), clock.now());
        store.create(vec![(key.id(), ticket)]).await.unwrap();
        let mut registry = telemetry::registry();
        let metrics = Arc::new(Metrics::register(&mut registry));
        let entropy = Arc::new(Counting(1.into()));
        let requests = RequestMetrics::register(&mut registry);
        let envelope = Envelope::new(envelope_settings(), Arc::clone(&entropy) as _, requests, None);
        let parts = Parts {
            store: Arc::clone(&store) as SharedStore,
            library: Library::open(&LibraryLocation::Demo).await.unwrap(),
            keys: KeyRing::parse(&KeyRing::line(clock.now(), &[1; 32])).unwrap(),
            clock: Box::new(clock.clone()),
            entropy,
            metrics,
        };
        let contexts = vec![redemptions::part(&State::new(parts, settings()), None)];
        let site = Site::new(&envelope, contexts, registry, Leaving::default());
        Self { router: site.public, store, clock, key, _folder: folder }
    }

    fn writes(&self, faults: impl IntoIterator<Item = WriteFault>) -> &Self {
        self.store.fail_writes(faults);
        self
    }

    fn reads(&self, faults: impl IntoIterator<Item = ReadFault>) -> &Self {
        self.store.fail_reads(faults);
        self
    }

    async fn redeem_as(&self, idempotency_key: &str) -> Answer {
        let request = Request::post("/redemptions")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("idempotency-key", idempotency_key)
            .body(Body::from(format!("key={}", self.key.reveal())));
        self.send(request.unwrap()).await
    }

    async fn send(&self, mut request: Request<Body>) -> Answer {
        request.headers_mut().insert("host", "localhost".parse().unwrap());
        let started = Instant::now();
        let answer = Answer::read(self.router.clone().oneshot(request).await.unwrap()).await;
        let took = started.elapsed();
        assert!(took < REQUEST_TIMEOUT * 2, "answered after {took:?}, long past the deadline");
        answer
    }

    async fn get(&self, url: &str) -> Answer {
        let path = url.strip_prefix("http://localhost").unwrap_or(url);
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Every fault that was set has happened: the story was told to its end.
    fn told(&self) {
        assert_eq!(self.store.faults_left(), 0, "faults that never happened");
    }
}

fn envelope_settings() -> EnvelopeSettings {
    EnvelopeSettings {
        public_url: None,
        trusted_proxies: TrustedProxies::default(),
        body_timeout: REQUEST_TIMEOUT,
    }
}

fn settings() -> Settings {
    Settings {
        link_lifetimes: LinkLifetimes::default(),
        max_renewals: 2,
        unknown: Allowance { burst: 30.try_into().unwrap(), per_minute: 10.try_into().unwrap() },
        downloads: DownloadLimits::default(),
        request_timeout: REQUEST_TIMEOUT,
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    replayed: bool,
    retry_after: bool,
    idempotency_key: Option<String>,
    bytes: Vec<u8>,
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        Self {
            status: response.status().as_u16(),
            replayed: header("idempotency-replayed").as_deref() == Some("true"),
            retry_after: header("retry-after").is_some(),
            idempotency_key: header("idempotency-key"),
            bytes: response.into_body().collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    fn redeemed(&self) -> Value {
        assert_eq!(self.status, 201, "{}", self.json());
        self.json()
    }

    fn refused(&self, status: u16, reason: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status, body["reason"].as_str()), (status, Some(reason)), "{body}");
        assert_eq!(self.retry_after, status == 503 || reason == "renewals_used_up", "{body}");
        body
    }
}

#[tokio::test]
async fn a_lost_reply_is_settled_within_the_request() {
    let world = World::new().await;
    let answer = world.writes([LostReply]).redeem_as("mine").await;
    answer.redeemed();
    assert!(!answer.replayed, "this very request redeemed");
    world.told();
    assert_eq!(world.redeem_as("mine").await.bytes, answer.bytes);
    world.redeem_as("yours").await.refused(409, "already_redeemed");
}

#[tokio::test]
async fn a_lost_request_is_sent_again() {
    let world = World::new().await;
    world.writes([LostRequest, LostRequest]).redeem_as("mine").await.redeemed();
    world.told();
}

#[tokio::test]
async fn a_conflict_reported_of_our_own_write_is_no_refusal() {
    for fault in [FalseConflict, Duplicate] {
        let world = World::new().await;
        let answer = world.writes([fault]).redeem_as("mine").await;
        answer.redeemed();
        world.told();
        world.redeem_as("yours").await.refused(409, "already_redeemed");
        assert_eq!(world.redeem_as("mine").await.bytes, answer.bytes);
    }
}

#[tokio::test]
async fn a_write_that_was_not_made_is_told_as_such_and_uses_nothing_up() {
    let world = World::new().await;
    world.writes([WriteUnavailable]).redeem_as("mine").await.refused(503, "store_unavailable");
    world.told();
    world.redeem_as("yours").await.redeemed();
}

#[tokio::test]
async fn a_store_that_is_away_uses_nothing_up() {
    let world = World::new().await;
    world.reads([ReadUnavailable]).redeem_as("mine").await.refused(503, "store_unavailable");
    world.reads([Slow(REQUEST_TIMEOUT * 3)]).redeem_as("mine").await.refused(503, "store_unavailable");
    world.told();
    world.redeem_as("yours").await.redeemed();
}

#[tokio::test]
async fn while_a_write_is_in_doubt_a_store_that_is_away_is_asked_again() {
    let world = World::new().await;
    // The first read is that of the request; the others come after the reply was lost.
    world.reads([Slow(Duration::ZERO), ReadUnavailable, ReadUnavailable]).writes([LostReply]);
    world.redeem_as("mine").await.redeemed();
    world.told();
}

#[tokio::test]
async fn doubt_that_lasts_is_its_own_outcome_and_the_same_request_settles_it() {
    let world = World::new().await;
    world.reads([Slow(Duration::ZERO), Slow(REQUEST_TIMEOUT * 3)]).writes([LostReply]);
    world.redeem_as("mine").await.refused(503, "outcome_unknown");
    world.told();
    let settled = world.redeem_as("mine").await;
    settled.redeemed();
    assert!(settled.replayed, "the earlier request had redeemed after all");
    world.redeem_as("yours").await.refused(409, "already_redeemed");
}

#[tokio::test]
async fn who_sent_no_idempotency_key_is_told_the_one_that_settles_it() {
    let world = World::new().await;
    world.reads([Slow(Duration::ZERO), Slow(REQUEST_TIMEOUT * 3)]).writes([LostReply]);
    let request = Request::post("/redemptions")
        .header("content-type", "application/json")
        .body(Body::from(format!("{{\"key\":\"{}\"}}", world.key.reveal())));
    let answer = world.send(request.unwrap()).await;
    answer.refused(503, "outcome_unknown");
    let settled = world.redeem_as(&answer.idempotency_key.unwrap()).await;
    settled.redeemed();
    assert!(settled.replayed);
}

#[tokio::test]
async fn a_write_after_a_conflict_in_doubt_is_never_called_unused() {
    let world = World::new().await;
    // The write is made and called a conflict; then the store is away until the deadline.
    world.reads([Slow(Duration::ZERO), Slow(REQUEST_TIMEOUT * 3)]).writes([FalseConflict]);
    world.redeem_as("mine").await.refused(503, "outcome_unknown");
    world.redeem_as("mine").await.redeemed();
}

#[tokio::test]
async fn a_late_write_that_lands_after_its_retry_changes_nothing() {
    let world = World::new().await;
    let answer = world.writes([Late(Duration::from_millis(300))]).redeem_as("mine").await;
    answer.redeemed();
    world.store.late_write().await;
    assert_eq!(world.redeem_as("mine").await.bytes, answer.bytes);
}

#[tokio::test]
async fn a_late_write_of_somebody_who_gave_up_wins_or_loses_as_a_whole() {
    let world = World::new().await;
    let gave_up = Late(Duration::from_millis(200));
    world.reads([Slow(Duration::ZERO), Slow(REQUEST_TIMEOUT * 3)]).writes([gave_up]);
    world.redeem_as("mine").await.refused(503, "outcome_unknown");
    world.store.late_write().await;
    world.redeem_as("yours").await.refused(409, "already_redeemed");
    world.redeem_as("mine").await.redeemed();
}

#[tokio::test]
async fn links_are_renewed_once_for_everybody_and_only_so_often() {
    let world = World::new().await;
    let first = world.redeem_as("mine").await.redeemed();
    let receipt = first["redemption"]["receipt_url"].as_str().unwrap().to_owned();
    world.clock.advance(599);
    assert_eq!(world.get(&receipt).await.json(), first, "links that live are left alone");
    for renewal in 1..=2 {
        world.clock.advance(600);
        let (a, b) = tokio::join!(world.get(&receipt), world.get(&receipt));
        assert_eq!(a.bytes, b.bytes, "two at once renew once (renewal {renewal})");
        assert_eq!(a.status, 200);
    }
    world.clock.advance(600);
    world.get(&receipt).await.refused(403, "renewals_used_up");
    world.redeem_as("mine").await.refused(403, "renewals_used_up");
    world.redeem_as("yours").await.refused(409, "already_redeemed");
}

/// A bound against receipts that are passed on to everybody may slow one down, and never ends it.
#[tokio::test]
async fn a_receipt_is_slowed_down_and_never_ends() {
    let world = World::new().await;
    let first = world.redeem_as("mine").await.redeemed();
    let receipt = first["redemption"]["receipt_url"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        world.clock.advance(601);
        assert_eq!(world.get(&receipt).await.status, 200);
    }
    let pause = RENEWAL_PAUSE.as_secs();
    for _ in 0..5 {
        world.clock.advance(pause - 1);
        world.get(&receipt).await.refused(403, "renewals_used_up");
        world.clock.advance(1);
        let renewed = world.get(&receipt).await;
        assert_eq!(renewed.status, 200);
        assert_eq!(world.get(renewed.json()["files"][0]["url"].as_str().unwrap()).await.status, 200);
    }
}

#[tokio::test]
async fn a_renewal_survives_a_lost_reply_without_being_counted_twice() {
    let world = World::new().await;
    let first = world.redeem_as("mine").await.redeemed();
    let receipt = first["redemption"]["receipt_url"].as_str().unwrap().to_owned();
    world.clock.advance(600);
    let renewed = world.writes([LostReply]).get(&receipt).await;
    assert_eq!(renewed.status, 200);
    world.told();
    let ticket = world.store.get(world.key.id()).await.unwrap().unwrap().value;
    assert_eq!(ticket.redemption().unwrap().renewals, 1);
    // The same redemption by its key has the links of the renewal.
    let replay = world.redeem_as("mine").await;
    assert_eq!((replay.status, replay.json()), (201, renewed.json()));
}

#[tokio::test]
async fn a_head_renews_nothing() {
    let world = World::new().await;
    let first = world.redeem_as("mine").await.redeemed();
    let path = first["redemption"]["receipt_url"].as_str().unwrap().replace("http://localhost", "");
    world.clock.advance(600);
    let head = world.send(Request::head(&path).body(Body::empty()).unwrap()).await;
    assert_eq!(head.status, 200);
    let ticket = world.store.get(world.key.id()).await.unwrap().unwrap().value;
    assert_eq!(ticket.redemption().unwrap().renewals, 0);
}

#[tokio::test]
async fn the_span_of_validity_is_kept_to_the_second() {
    let world = World::new().await;
    let found = world.store.get(world.key.id()).await.unwrap().unwrap();
    let from = world.clock.now().checked_add(SignedDuration::from_secs(10)).unwrap();
    let end = world.clock.now().checked_add(SignedDuration::from_secs(20)).unwrap();
    let ticket = Ticket { valid_from: Some(from), expires_at: Some(end), ..found.value };
    world.store.put_if(world.key.id(), found.version, ticket).await;
    let early = world.redeem_as("mine").await.refused(403, "not_yet_valid");
    assert_eq!(early["valid_from"], "2026-11-21T10:00:10Z");
    world.clock.advance(20);
    let late = world.redeem_as("mine").await.refused(410, "expired");
    assert_eq!(late["expired_at"], "2026-11-21T10:00:20Z");
    world.clock.advance(-1);
    world.redeem_as("mine").await.redeemed();
    world.clock.advance(100);
    world.redeem_as("mine").await.redeemed();
}

impl World {
    /// What a copy says that was left behind when the ticket was as it is now.
    async fn snapshot(&self) -> ReadFault {
        Stale(self.store.get(self.key.id()).await.unwrap().map(Box::new))
    }

    /// What a primary says that was cut off with a renewal, made now, that never came to be acknowledged.
    async fn renewal_never_acknowledged(&self) -> ReadFault {
        let found = self.store.get(self.key.id()).await.unwrap().unwrap();
        let version = Version { sequence: found.version.sequence + 1, ..found.version };
        let (value, _) = found.value.renew(self.clock.now()).unwrap();
        Stale(Some(Box::new(Versioned { version, value })))
    }

    async fn renewals(&self) -> u32 {
        let found = self.store.get(self.key.id()).await.unwrap().unwrap();
        found.value.redemption().unwrap().renewals
    }

    /// What a primary says that was cut off with a write of somebody that never came to be acknowledged.
    async fn never_acknowledged(&self, idempotency_key: &str) -> ReadFault {
        let found = self.store.get(self.key.id()).await.unwrap().unwrap();
        let key = IdempotencyKey::parse(idempotency_key.as_bytes()).unwrap();
        let redemption_id = RedemptionId::derive(&self.key.id(), 0, &key);
        let Ok(Redeem::Now(value, _)) = found.value.redeem(redemption_id, self.clock.now()) else {
            panic!("the ticket was redeemed before");
        };
        let version = Version { sequence: found.version.sequence + 1, ..found.version };
        Stale(Some(Box::new(Versioned { version, value })))
    }
}

#[tokio::test]
async fn nobody_is_sent_away_by_a_write_that_never_came_to_be() {
    let world = World::new().await;
    let dirty = world.never_acknowledged("yours").await;
    world.reads([dirty]).redeem_as("mine").await.redeemed();
    world.told();
}

#[tokio::test]
async fn nobody_is_given_an_album_by_a_write_that_never_came_to_be() {
    let world = World::new().await;
    let dirty = world.never_acknowledged("mine").await;
    let answer = world.reads([dirty]).redeem_as("mine").await;
    answer.redeemed();
    world.told();
    assert!(!answer.replayed, "the redemption that was read was none");
    world.redeem_as("yours").await.refused(409, "already_redeemed");
}

#[tokio::test]
async fn nobody_is_given_links_by_a_renewal_that_never_came_to_be() {
    let world = World::new().await;
    world.redeem_as("mine").await.redeemed();
    world.clock.advance(600);
    // The first read is that of redeeming, the second that of renewing.
    let dirty = world.renewal_never_acknowledged().await;
    world.writes([LostRequest]).reads([Slow(Duration::ZERO), Slow(Duration::ZERO), dirty]);
    let own = world.redeem_as("mine").await.redeemed();
    world.told();
    assert_eq!(world.renewals().await, 1, "the links that were given are those of the ticket");
    assert_eq!(world.redeem_as("mine").await.json(), own);
}

#[tokio::test]
async fn nobody_who_redeems_is_given_links_by_the_renewal_of_another_that_never_came_to_be() {
    let world = World::new().await;
    world.redeem_as("mine").await.redeemed();
    world.clock.advance(600);
    let dirty = world.renewal_never_acknowledged().await;
    world.reads([Slow(Duration::ZERO), dirty]).redeem_as("mine").await.redeemed();
    world.told();
    assert_eq!(world.renewals().await, 1, "the links that were given are those of the ticket");
}

#[tokio::test]
async fn nobody_is_sent_away_by_a_copy_that_was_left_behind() {
    let world = World::new().await;
    let issued = world.snapshot().await;
    world.redeem_as("yours").await.redeemed();
    let redeemed = world.snapshot().await;
    let void = |ticket: Ticket| ticket.revoke(None, world.clock.now());
    change(&*world.store, world.key.id(), Instant::now() + REQUEST_TIMEOUT, void).await.unwrap();
    let revoked = world.snapshot().await;
    let back = |ticket: Ticket| ticket.reinstate("given back".parse().unwrap(), world.clock.now());
    change(&*world.store, world.key.id(), Instant::now() + REQUEST_TIMEOUT, back).await.unwrap();
    // A write on the version of an earlier round fails; whether it was made and taken back nobody can see any more.
    world.reads([issued]).redeem_as("mine").await.refused(503, "outcome_unknown");
    world.reads([Stale(None), redeemed, revoked]).redeem_as("mine").await.redeemed();
    world.told();
}

#[tokio::test]
async fn an_unknown_key_that_was_only_not_seen_yet_does_not_count_as_a_guess() {
    let world = World::new().await;
    for _ in 0..40 {
        world.reads([Stale(None)]);
        world.redeem_as("mine").await.redeemed();
    }
    world.told();
}

#[tokio::test]
async fn holders_and_operators_are_not_sent_away_by_stale_copies_either() {
    let world = World::new().await;
    let issued = world.snapshot().await;
    let first = world.redeem_as("mine").await.redeemed();
    let receipt = first["redemption"]["receipt_url"].as_str().unwrap();
    for stale in [Stale(None), issued.clone()] {
        world.reads([stale]);
        assert_eq!(world.get(receipt).await.status, 200);
    }
    world.reads([issued]);
    let nothing_to_do = |ticket: Ticket| ticket.reinstate("given back".parse().unwrap(), world.clock.now());
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let changed = change(&*world.store, world.key.id(), deadline, nothing_to_do).await.unwrap();
    assert!(changed.changed, "a stale copy said that there was nothing to give back");
    world.told();
}

#[tokio::test]
async fn a_store_that_never_confirms_is_told_as_away() {
    let world = World::new().await;
    let dirty = world.never_acknowledged("yours").await;
    // More of the same than fit into a request.
    world.reads(vec![dirty; 100]).redeem_as("mine").await.refused(503, "store_unavailable");
    assert!(world.store.faults_left() > 0);
}

#[tokio::test]
async fn a_ticket_is_not_given_back_twice_when_the_first_time_was_not_heard_of() {
    let world = World::new().await;
    world.redeem_as("mine").await.redeemed();
    let back = |ticket: Ticket| ticket.reinstate("given back".parse().unwrap(), world.clock.now());
    // The reply is lost; while the store is away somebody else redeems the ticket.
    world.writes([LostReply]).reads([Slow(Duration::ZERO), Held]);
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let (changed, yours) = tokio::join!(change(&*world.store, world.key.id(), deadline, back), async {
        world.store.held().await;
        let yours = world.redeem_as("yours").await;
        world.store.let_go();
        yours
    });
    yours.redeemed();
    assert!(changed.unwrap().changed);
    assert_eq!(world.redeem_as("yours").await.bytes, yours.bytes, "it was taken away again");
    world.told();
}

#[tokio::test]
async fn a_change_that_may_have_been_undone_is_not_made_again() {
    let world = World::new().await;
    let back = |ticket: Ticket| ticket.reinstate("given back".parse().unwrap(), world.clock.now());
    let lost = || {
        world.writes([LostReply]).reads([Slow(Duration::ZERO), Held]);
    };
    let undone = async || {
        world.store.held().await;
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let undone = change(&*world.store, world.key.id(), deadline, back).await.unwrap();
        world.store.let_go();
        undone
    };
    lost();
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let revoke =
        change(&*world.store, world.key.id(), deadline, |ticket| ticket.revoke(None, world.clock.now()));
    let (revoked, _) = tokio::join!(revoke, undone());
    assert!(matches!(revoked, Err(ChangeError::Write(WriteError::OutcomeUnknown(_)))), "{revoked:?}");
    lost();
    let (redeemed, _) = tokio::join!(world.redeem_as("mine"), undone());
    redeemed.refused(503, "outcome_unknown");
    world.redeem_as("yours").await.redeemed();
    world.told();
}

#[tokio::test]
async fn undoing_a_revocation_is_done_once_also_when_its_reply_is_lost() {
    let world = World::new().await;
    world.redeem_as("mine").await.redeemed();
    let deadline = || Instant::now() + REQUEST_TIMEOUT;
    let void = |ticket: Ticket| ticket.revoke(None, world.clock.now());
    change(&*world.store, world.key.id(), deadline(), void).await.unwrap();
    world.writes([LostReply]);
    let undo = |ticket: Ticket| ticket.restore(None, "the wrong batch".parse().unwrap(), world.clock.now());
    let undone = change(&*world.store, world.key.id(), deadline(), undo).await.unwrap();
    assert!(undone.changed);
    assert_eq!((undone.ticket.reinstatements(), undone.ticket.generation()), (1, 0));
    world.redeem_as("yours").await.refused(409, "already_redeemed");
    world.redeem_as("mine").await.redeemed();
    world.told();
}
