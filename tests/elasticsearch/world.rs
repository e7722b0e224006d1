//! A store behind a proxy with tickets in it, and what all of these tests make.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Url;
use tickey::redemption::key::{DownloadKey, TicketId};
use tickey::redemption::redeem::{RedeemError, Redeemed, redeem};
use tickey::redemption::store::elasticsearch::{ElasticsearchStore, Login, PasswordSource, Settings};
use tickey::redemption::store::location::IfMissing;
use tickey::redemption::store::{Created, SharedStore, Version, WriteOutcome};
use tickey::redemption::ticket::{IdempotencyKey, Redeem, RedemptionId, Ticket};

use super::proxy::Proxy;
use crate::support::elasticsearch::Elasticsearch;

/// Names that no other test uses.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn login(username: &str, password: &str) -> Login {
    Login { username: username.to_owned(), password: PasswordSource::Given(password.to_owned().into()) }
}

/// Settings for these nodes, and an index of its own.
pub(crate) fn settings(urls: Vec<Url>) -> Settings {
    let cluster = Elasticsearch::shared();
    let mut settings = Settings::new(urls, unique("tickets").parse().unwrap());
    settings.login = Some(login(&cluster.username, &cluster.password));
    settings.ca_file = Some(cluster.ca_file.clone());
    settings
}

pub(crate) fn node_url() -> Url {
    Elasticsearch::shared().urls[0].parse().unwrap()
}

pub(crate) fn open(settings: &Settings) -> SharedStore {
    Arc::new(ElasticsearchStore::new(settings.clone(), IfMissing::Create, Arc::new(())).unwrap())
}

pub(crate) async fn proxy() -> Proxy {
    let ca_pem = std::fs::read(&Elasticsearch::shared().ca_file).unwrap();
    Proxy::before(node_url(), &ca_pem).await
}

/// A store behind a proxy, with tickets in it.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    pub(crate) store: SharedStore,
    pub(crate) settings: Settings,
}

impl World {
    pub(crate) async fn new() -> Self {
        let proxy = proxy().await;
        let settings = settings(vec![proxy.url.clone()]);
        let store = open(&settings);
        store.ping().await.unwrap();
        Self { proxy, store, settings }
    }

    pub(crate) async fn tickets(&self, count: usize) -> Vec<TicketId> {
        let ids: Vec<TicketId> = (0..count).map(|_| fresh_key().id()).collect();
        let created = self.store.create(ids.iter().map(|id| (*id, issued())).collect()).await.unwrap();
        assert!(created.iter().all(|created| *created == Created::New));
        ids
    }

    pub(crate) async fn ticket(&self) -> TicketId {
        self.tickets(1).await[0]
    }

    pub(crate) async fn version(&self, id: TicketId) -> Version {
        self.store.get(id).await.unwrap().unwrap().version
    }

    pub(crate) async fn ticket_now(&self, id: TicketId) -> Ticket {
        self.store.get(id).await.unwrap().unwrap().value
    }

    /// Redeems as a request would that has ten seconds.
    pub(crate) async fn redeem(&self, id: TicketId, by: &str) -> Result<Redeemed<()>, RedeemError> {
        let key = IdempotencyKey::parse(by.as_bytes()).unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let find_album = |_| async { Ok(()) };
        redeem(&*self.store, id, &key, "2026-11-21T10:00:00Z".parse().unwrap(), deadline, find_album).await
    }
}

pub(crate) fn fresh_key() -> DownloadKey {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 23];
    for (place, byte) in random.iter_mut().enumerate() {
        *byte = u8::try_from(number >> (5 * place.min(10)) & 31).unwrap();
    }
    DownloadKey::from_random(&random)
}

pub(crate) fn issued() -> Ticket {
    Ticket::issue("album".parse().unwrap(), "batch".parse().unwrap(), "2026-11-21T09:00:00Z".parse().unwrap())
}

pub(crate) fn redeemed(id: &TicketId, by: &str) -> Ticket {
    let key = IdempotencyKey::parse(by.as_bytes()).unwrap();
    let now = "2026-11-21T10:00:00Z".parse().unwrap();
    match issued().redeem(RedemptionId::derive(id, 0, &key), now) {
        Ok(Redeem::Now(ticket, _)) => ticket,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn says(outcome: &WriteOutcome) -> String {
    match outcome {
        WriteOutcome::Unavailable(error) => error.to_string(),
        WriteOutcome::Unknown(why) => why.clone(),
        other => panic!("{other:?}"),
    }
}
