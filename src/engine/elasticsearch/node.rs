//! One node: how it does, and the proof that it can be reached.
//!
//! Knows nothing of requests. A node that fails, or answers that it cannot, is left alone for a while. Before it is asked
//! again, and also before the first request and after a silence, it must take a TCP connection: the client of the
//! crate `elasticsearch` has no limit for connecting, and a write to a node whose packets vanish would end as one of
//! unknown outcome, though it never left.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long a node that failed is left alone; doubled with each failure in a row.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_secs(15);
/// For name and connection together. A node that does not take one by then is not there: nothing was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// After this long without an answer a node must take a connection before it is asked again.
const SILENCE: Duration = Duration::from_secs(10);

/// A node of the cluster.
pub(super) struct Node {
    pub(super) url: Url,
    /// Calls under way. A node that hangs collects them, and so is asked less.
    under_way: AtomicUsize,
    /// The generation of the password that it took last.
    pub(super) password: AtomicU64,
    health: Mutex<Health>,
}

#[derive(Clone, Copy)]
struct Health {
    /// In a row.
    failures: u32,
    /// Until when it is left alone.
    rests_until: Instant,
    /// When it last answered, or took a connection.
    heard_at: Option<Instant>,
}

impl Node {
    /// A node of which nothing is known yet.
    pub(super) fn new(url: Url) -> Self {
        let health = Health { failures: 0, rests_until: Instant::now(), heard_at: None };
        Self { url, under_way: AtomicUsize::new(0), password: AtomicU64::new(0), health: Mutex::new(health) }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much there is against asking it: how long it still rests, and how many calls are under way.
    pub(super) fn load(&self, now: Instant) -> (Duration, usize) {
        let rest = self.health().rests_until.saturating_duration_since(now);
        (rest, self.under_way.load(Ordering::Relaxed))
    }

    /// Counts a call for as long as the result lives.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    /// It has answered what was asked.
    pub(super) fn answered(&self) {
        let now = Instant::now();
        let mut health = self.health();
        if health.failures > 0 {
            tracing::info!(node = %self.url, "a node of Elasticsearch answers again");
        }
        *health = Health { failures: 0, rests_until: now, heard_at: Some(now) };
    }

    /// It did not answer, or that it cannot.
    pub(super) fn failed(&self, why: &dyn Display) {
        let mut health = self.health();
        let rest = FIRST_REST.saturating_mul(1 << health.failures.min(10)).min(LONGEST_REST);
        if health.failures == 0 {
            tracing::warn!(node = %self.url, error = %why, "a node of Elasticsearch fails");
        }
        let failures = health.failures.saturating_add(1);
        *health = Health { failures, rests_until: Instant::now() + rest, heard_at: None };
    }

    /// A node that has rested is tried by one call, while others still leave it alone for a moment.
    pub(super) fn begin_trial(&self, now: Instant) {
        let mut health = self.health();
        if health.failures > 0 {
            health.rests_until = health.rests_until.max(now + FIRST_REST);
        }
    }

    /// Connects, if nothing was heard of the node of late. The error says why that is not possible.
    pub(super) async fn prove_reachable(&self) -> Result<(), String> {
        let heard_at = self.health().heard_at;
        if heard_at.is_some_and(|at| at.elapsed() < SILENCE) {
            return Ok(());
        }
        match timeout(CONNECT_TIMEOUT, self.connect()).await {
            Ok(Ok(_)) => {
                self.health().heard_at = Some(Instant::now());
                Ok(())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no connection in time".to_owned()),
        }
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        // An IPv6 address stands in brackets in a URL, and in none here.
        TcpStream::connect((host.trim_matches(['[', ']']), port)).await
    }
}

/// Counts a call for as long as it lives.
pub(super) struct UnderWay<'a>(&'a Node);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
