//! One node: its health, and the check that it can be reached.
//!
//! Knows nothing of requests. A node that fails, or answers 429 or 5xx, is not asked for a while. Before it is asked
//! again, and also before the first request and after a silence, it must accept a TCP connection. The client of the
//! crate `elasticsearch` has no connect timeout: a write to a node whose packets are dropped would end with an unknown
//! outcome, although it was never sent.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long a failed node rests; doubled with each further failure in a row.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_secs(15);
/// The timeout for name resolution and connection together. A node that does not accept a connection by then is down:
/// nothing was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// After this long without an answer a node must accept a connection before it is asked again.
const SILENCE: Duration = Duration::from_secs(10);

/// A node of the cluster.
pub(super) struct Node {
    pub(super) url: Url,
    /// Calls under way. They pile up on a node that hangs, so it is asked less.
    under_way: AtomicUsize,
    /// The generation of the password that it accepted last.
    pub(super) password: AtomicU64,
    health: Mutex<Health>,
}

#[derive(Clone, Copy)]
struct Health {
    /// Failures in a row.
    failures: u32,
    /// The end of its rest.
    rests_until: Instant,
    /// When it last answered or accepted a connection.
    heard_at: Option<Instant>,
}

impl Node {
    /// A node whose state is not known yet.
    pub(super) fn new(url: Url) -> Self {
        let health = Health { failures: 0, rests_until: Instant::now(), heard_at: None };
        Self { url, under_way: AtomicUsize::new(0), password: AtomicU64::new(0), health: Mutex::new(health) }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cost of asking it: its remaining rest, then its calls under way. Lower is better.
    pub(super) fn load(&self, now: Instant) -> (Duration, usize) {
        let rest = self.health().rests_until.saturating_duration_since(now);
        (rest, self.under_way.load(Ordering::Relaxed))
    }

    /// Counts a call for as long as the result lives.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    /// Records that the node has answered.
    pub(super) fn answered(&self) {
        let now = Instant::now();
        let mut health = self.health();
        if health.failures > 0 {
            tracing::info!(node = %self.url, "a node of Elasticsearch answers again");
        }
        *health = Health { failures: 0, rests_until: now, heard_at: Some(now) };
    }

    /// Records that the node did not answer, or answered 429 or 5xx.
    pub(super) fn failed(&self, why: &dyn Display) {
        let mut health = self.health();
        let rest = FIRST_REST.saturating_mul(1 << health.failures.min(10)).min(LONGEST_REST);
        if health.failures == 0 {
            tracing::warn!(node = %self.url, error = %why, "a node of Elasticsearch fails");
        }
        let failures = health.failures.saturating_add(1);
        *health = Health { failures, rests_until: Instant::now() + rest, heard_at: None };
    }

    /// Lets one call try a node that has rested, while other calls still avoid it for a moment.
    pub(super) fn begin_trial(&self, now: Instant) {
        let mut health = self.health();
        if health.failures > 0 {
            health.rests_until = health.rests_until.max(now + FIRST_REST);
        }
    }

    /// Connects to the node, if it has been silent for a while. The error says why that failed.
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
        // An IPv6 address is in brackets in a URL, but not here.
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
