//! The nodes of the cluster: which of them is asked, and what is asked again elsewhere.
//!
//! Knows HTTP as a client, and nothing of tickets. A call ends in an answer, or in one of two kinds of failure that must never
//! be confused: it did not leave, or nobody knows what became of it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use tokio::time::Instant;

use super::client::Client;
use super::credentials::{Credentials, Password};
use crate::outbound;

/// How often a call is made at least, if it may be made again, even when there is only one node.
const MIN_TRIES: usize = 2;
/// How often a node is asked with other passwords. Behind one address there may be several nodes of which each takes
/// another one.
const MAX_PASSWORD_TRIES: usize = 4;
/// How long a node that failed is left alone; doubled with each failure in a row.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_secs(15);
/// The largest answer that is read, in bytes: many times what the largest request can bring about.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// A request to whichever node will answer.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Path and query, without a slash at the beginning.
    pub(super) path: &'a str,
    pub(super) body: Body,
    /// For each try.
    pub(super) timeout: Duration,
    pub(super) repeat: Repeat,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Json(Bytes),
    /// Lines of JSON, as `_bulk` takes them.
    Lines(Bytes),
}

/// When a call is made again, on another node if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Whenever it has failed: making it twice does no harm.
    WheneverFailed,
    /// Only when it certainly did not leave.
    OnlyUnsent,
}

/// What a node answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Why there is no answer. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// It did not leave, or was turned away before anything was done.
    #[error("{0}")]
    NotSent(String),
    /// It may have been carried out.
    #[error("{0}")]
    Unknown(String),
}

/// The nodes that were given.
pub(super) struct Nodes {
    all: Vec<Node>,
    client: Client,
    credentials: Option<Credentials>,
    turn: AtomicUsize,
}

struct Node {
    url: Url,
    /// Calls under way. A node that hangs collects them, and so is asked less.
    under_way: AtomicUsize,
    /// The generation of the password that it took last.
    password: AtomicU64,
    health: Mutex<Health>,
}

#[derive(Clone, Copy)]
struct Health {
    failures: u32,
    /// Until when it is left alone.
    rests_until: Instant,
}

impl Nodes {
    /// At least one URL.
    pub(super) fn new(urls: Vec<Url>, client: Client, credentials: Option<Credentials>) -> Self {
        let nodes = urls.into_iter().map(|url| Node {
            url,
            under_way: AtomicUsize::new(0),
            password: AtomicU64::new(0),
            health: Mutex::new(Health { failures: 0, rests_until: Instant::now() }),
        });
        Self { all: nodes.collect(), client, credentials, turn: AtomicUsize::new(0) }
    }

    /// The URLs of the nodes.
    pub(super) fn urls(&self) -> impl Iterator<Item = &Url> {
        self.all.iter().map(|node| &node.url)
    }

    /// Asks one node after the other until one answers, as far as the call may be repeated.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let mut tried = Vec::with_capacity(self.all.len());
        let max_calls = (self.all.len() + 1).max(MIN_TRIES);
        loop {
            let index = self.pick(&tried);
            let node = &self.all[index];
            tried.push(index);
            let is_last = tried.len() >= max_calls;
            match self.ask(node, call).await {
                Ok(answer)
                    if is_overwhelmed(answer.status) && call.repeat == Repeat::WheneverFailed && !is_last => {
                }
                Ok(answer) => {
                    node.answered();
                    return Ok(answer);
                }
                Err(error) => {
                    node.failed(&error);
                    let may_repeat =
                        call.repeat == Repeat::WheneverFailed || matches!(error, CallError::NotSent(_));
                    if is_last || !may_repeat {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Asks this very node, once.
    pub(super) async fn call_node(&self, url: &Url, call: &Call<'_>) -> Result<Answer, CallError> {
        match self.all.iter().find(|node| node.url == *url) {
            Some(node) => self.ask(node, call).await,
            None => Err(CallError::NotSent(format!("{url} is none of the nodes"))),
        }
    }

    /// The next node: one that was not tried yet and does not rest, with the fewest calls under way.
    fn pick(&self, tried: &[usize]) -> usize {
        let count = self.all.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let rank = |index: &usize| {
            let node = &self.all[*index];
            let times_tried = tried.iter().filter(|tried| *tried == index).count();
            let rest = node.health().rests_until.saturating_duration_since(now);
            (times_tried, rest, node.under_way.load(Ordering::Relaxed))
        };
        let index = (0..count).map(|offset| (turn + offset) % count).min_by_key(rank).unwrap_or_default();
        self.all[index].begin_trial(now);
        index
    }

    /// Asks a node, with another password when it does not take the first.
    async fn ask(&self, node: &Node, call: &Call<'_>) -> Result<Answer, CallError> {
        let _under_way = UnderWay::new(node);
        let Some(credentials) = &self.credentials else {
            return match self.exchange(node, call, None, false).await? {
                answer if answer.status == StatusCode::UNAUTHORIZED => Err(CallError::NotSent(format!(
                    "{} asks for a user name and password: set TICKEY_ELASTICSEARCH_USERNAME and a password",
                    node.url
                ))),
                answer => Ok(answer),
            };
        };
        let mut candidates = credentials.candidates(node.password.load(Ordering::Relaxed));
        for tries in 0..MAX_PASSWORD_TRIES {
            let password = candidates[tries % candidates.len()].clone();
            // Once all were refused on a connection, another one may lead to another node behind the same address.
            let close = tries >= candidates.len();
            let answer = self.exchange(node, call, Some(&password), close).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                node.password.store(password.generation, Ordering::Relaxed);
                return Ok(answer);
            }
            if let Some(new) = credentials.reload().await {
                candidates.insert(tries % candidates.len() + 1, new);
            }
        }
        Err(CallError::NotSent(format!(
            "{} refuses the user name or the password (401): check TICKEY_ELASTICSEARCH_USERNAME and the password (file)",
            node.url
        )))
    }

    async fn exchange(
        &self,
        node: &Node,
        call: &Call<'_>,
        password: Option<&Password>,
        close: bool,
    ) -> Result<Answer, CallError> {
        let url = node.url.join(call.path).map_err(|error| CallError::NotSent(error.to_string()))?;
        let mut request = self.client.current().request(call.method.clone(), url).timeout(call.timeout);
        request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
        request = match &call.body {
            Body::None => request,
            Body::Json(bytes) => request.header(CONTENT_TYPE, "application/json").body(bytes.clone()),
            Body::Lines(bytes) => request.header(CONTENT_TYPE, "application/x-ndjson").body(bytes.clone()),
        };
        if let Some(password) = password {
            request = request.header(AUTHORIZATION, password.header.clone());
        }
        if close {
            request = request.header(CONNECTION, HeaderValue::from_static("close"));
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.failure(node, &error).await),
        };
        let status = response.status();
        let body = outbound::read_body(response, MAX_ANSWER_BYTES)
            .await
            .map_err(|why| CallError::Unknown(format!("{} broke off its answer: {why}", node.url)))?;
        Ok(Answer { status, body })
    }

    /// What a failed exchange means.
    async fn failure(&self, node: &Node, error: &reqwest::Error) -> CallError {
        let url = &node.url;
        let cause = outbound::root_cause(error);
        if let Some(why) = outbound::certificate_error(error) {
            let again = if self.client.reload().await { " (the CA file was read again)" } else { "" };
            return CallError::NotSent(format!(
                "the certificate of {url} is not trusted ({why}){again}: give the CA that signed it (ca.crt) with \
                 --elasticsearch-ca-file, and a name that the certificate has"
            ));
        }
        if error.is_connect() || error.is_builder() {
            let why = if error.is_timeout() { "no connection in time".to_owned() } else { cause };
            return CallError::NotSent(format!("{url} cannot be reached: {why}"));
        }
        let why = if error.is_timeout() { "no answer in time".to_owned() } else { cause };
        let hint = if url.scheme() == "http" { "; or does it speak https only?" } else { "" };
        CallError::Unknown(format!("{url} did not answer: {why}{hint}"))
    }
}

impl Node {
    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) {
        let mut health = self.health();
        if health.failures > 0 {
            *health = Health { failures: 0, rests_until: Instant::now() };
            tracing::info!(node = %self.url, "a node of Elasticsearch answers again");
        }
    }

    fn failed(&self, error: &CallError) {
        let mut health = self.health();
        let rest = FIRST_REST.saturating_mul(1 << health.failures.min(10)).min(LONGEST_REST);
        if health.failures == 0 {
            tracing::warn!(node = %self.url, %error, "a node of Elasticsearch fails");
        }
        health.failures = health.failures.saturating_add(1);
        health.rests_until = Instant::now() + rest;
    }

    /// A node that has rested is tried by one call, while others still leave it alone for a moment.
    fn begin_trial(&self, now: Instant) {
        let mut health = self.health();
        if health.failures > 0 {
            health.rests_until = health.rests_until.max(now + FIRST_REST);
        }
    }
}

/// Counts a call for as long as it lives.
struct UnderWay<'a>(&'a Node);

impl<'a> UnderWay<'a> {
    fn new(node: &'a Node) -> Self {
        node.under_way.fetch_add(1, Ordering::Relaxed);
        Self(node)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether another node, or the same one later, may well answer better.
fn is_overwhelmed(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}
