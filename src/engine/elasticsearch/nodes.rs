//! The nodes of the cluster: which one is asked, and which calls are retried on another.
//!
//! Knows HTTP as a client, and nothing of documents. A call ends in an answer, or in one of two kinds of failure that
//! must never be confused: it was not sent, or its outcome is unknown.

use std::error::Error as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::Method;
use elasticsearch::http::response::Response;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT,
};
use reqwest::{StatusCode, Url};
use tokio::time::Instant;

use super::credentials::{Credentials, Login, Password};
use super::node::Node;
use super::transports::Transports;
use crate::outbound;

/// The fewest tries of a call that may be repeated, even with only one node.
const MIN_TRIES: usize = 2;
/// The most tries with other passwords on one node. One address may stand for several nodes, each of which
/// accepts another password.
const MAX_PASSWORD_TRIES: usize = 4;
/// The longest answer that is accepted, in bytes: many times the answer to the largest request.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// A request to any node.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: &'a str,
    pub(super) body: Body,
    /// The timeout of each try.
    pub(super) timeout: Duration,
    pub(super) repeat: Repeat,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Json(Bytes),
    /// Lines of JSON, for `_bulk`.
    Lines(Bytes),
}

/// When a call is retried, on another node if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// After every failure: a repetition is harmless.
    WheneverFailed,
    /// Only when it was certainly not sent.
    OnlyUnsent,
}

/// The answer of a node.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Why there is no answer. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// The request was not sent, or was rejected before anything was done.
    #[error("{0}")]
    NotSent(String),
    /// The request may have been carried out.
    #[error("{0}")]
    Unknown(String),
}

/// The configured nodes.
pub(super) struct Nodes {
    all: Vec<Node>,
    transports: Transports,
    credentials: Option<Credentials>,
    turn: AtomicUsize,
}

impl Nodes {
    /// Takes at least one URL. The error names the file that cannot be used.
    pub(super) fn new(urls: &[Url], ca_file: Option<&Path>, login: Option<Login>) -> Result<Self, String> {
        Ok(Self {
            all: urls.iter().cloned().map(Node::new).collect(),
            transports: Transports::new(urls, ca_file)?,
            credentials: login.map(Credentials::new).transpose()?,
            turn: AtomicUsize::new(0),
        })
    }

    /// The URLs of the nodes.
    pub(super) fn urls(&self) -> impl Iterator<Item = &Url> {
        self.all.iter().map(|node| &node.url)
    }

    /// Asks one node after the other until one answers, as far as the call may be repeated. A node that answers 429
    /// or 5xx rests like a dead one, however fast it answers: otherwise it would attract more calls, since it has
    /// none under way.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let mut tried = Vec::with_capacity(self.all.len());
        let max_calls = (self.all.len() + 1).max(MIN_TRIES);
        loop {
            let index = self.pick(&tried);
            let node = &self.all[index];
            tried.push(index);
            let is_last = tried.len() >= max_calls;
            match self.ask(index, call).await {
                Ok(answer) if says_it_cannot(answer.status) => {
                    node.failed(&format_args!("it answered {}", answer.status));
                    if is_last || call.repeat != Repeat::WheneverFailed {
                        return Ok(answer);
                    }
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

    /// Asks exactly this node, once.
    pub(super) async fn call_node(&self, url: &Url, call: &Call<'_>) -> Result<Answer, CallError> {
        match self.all.iter().position(|node| node.url == *url) {
            Some(index) => self.ask(index, call).await,
            None => Err(CallError::NotSent(format!("{url} is none of the nodes"))),
        }
    }

    /// The next node: one that is not tried yet and does not rest, with the fewest calls under way.
    fn pick(&self, tried: &[usize]) -> usize {
        let count = self.all.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let rank = |index: &usize| {
            let times_tried = tried.iter().filter(|tried| *tried == index).count();
            (times_tried, self.all[*index].load(now))
        };
        let index = (0..count).map(|offset| (turn + offset) % count).min_by_key(rank).unwrap_or_default();
        self.all[index].begin_trial(now);
        index
    }

    /// Asks a node, with another password when it rejects the first.
    async fn ask(&self, index: usize, call: &Call<'_>) -> Result<Answer, CallError> {
        let node = &self.all[index];
        let _under_way = node.begin();
        if let Err(why) = node.prove_reachable().await {
            return Err(CallError::NotSent(format!("{} cannot be reached: {why}", node.url)));
        }
        let Some(credentials) = &self.credentials else {
            return match self.exchange(index, call, None, false).await? {
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
            // Once all passwords were rejected on one connection, a new one may lead to another node behind
            // the same address.
            let close = tries >= candidates.len();
            let answer = self.exchange(index, call, Some(&password), close).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                node.password.store(password.generation, Ordering::Relaxed);
                return Ok(answer);
            }
            if let Some(new) = credentials.reload().await {
                candidates.insert(tries % candidates.len() + 1, new);
            }
        }
        Err(CallError::NotSent(format!(
            "{} refuses the user name or the password (401): check TICKEY_ELASTICSEARCH_USERNAME and the password \
             (file)",
            node.url
        )))
    }

    async fn exchange(
        &self,
        index: usize,
        call: &Call<'_>,
        password: Option<&Password>,
        close: bool,
    ) -> Result<Answer, CallError> {
        let node = &self.all[index];
        let (headers, body) = (headers(call, password, close), call.body.bytes());
        let transports = self.transports.current();
        let sent =
            transports[index].send(call.method, call.path, headers, None::<&()>, body, Some(call.timeout));
        let response = match sent.await {
            Ok(response) => response,
            Err(error) => return Err(self.failure(node, &error).await),
        };
        let status = response.status_code();
        let body = read_body(response)
            .await
            .map_err(|why| CallError::Unknown(format!("{} broke off its answer: {why}", node.url)))?;
        Ok(Answer { status, body })
    }

    /// The meaning of a failed exchange.
    async fn failure(&self, node: &Node, error: &elasticsearch::Error) -> CallError {
        let url = &node.url;
        let Some(error) = error.source().and_then(|source| source.downcast_ref::<reqwest::Error>()) else {
            return CallError::NotSent(format!("the request to {url} could not be made: {error}"));
        };
        let cause = outbound::root_cause(error);
        if let Some(why) = outbound::certificate_error(error) {
            let again = if self.transports.reload().await { " (the CA file was read again)" } else { "" };
            return CallError::NotSent(format!(
                "the certificate of {url} is not trusted ({why}){again}: give the CA that signed it (ca.crt) with \
                 --elasticsearch-ca-file, and a name that the certificate has"
            ));
        }
        if error.is_connect() || error.is_builder() {
            return CallError::NotSent(format!("{url} cannot be reached: {cause}"));
        }
        let why = if error.is_timeout() { "no answer in time".to_owned() } else { cause };
        let hint = if url.scheme() == "http" { "; or does it speak https only?" } else { "" };
        CallError::Unknown(format!("{url} did not answer: {why}{hint}"))
    }
}

impl Body {
    fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::None => None,
            Self::Json(bytes) | Self::Lines(bytes) => Some(bytes.clone()),
        }
    }
}

fn headers(call: &Call<'_>, password: Option<&Password>, close: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(USER_AGENT, HeaderValue::from_static(outbound::USER_AGENT));
    // Otherwise the client would ask for gzip, and the length of an answer would not be known.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if matches!(call.body, Body::Lines(_)) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    }
    if let Some(password) = password {
        headers.insert(AUTHORIZATION, password.header.clone());
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers
}

/// The body of an answer. Without a stated length it is bounded only by the call's deadline.
async fn read_body(response: Response) -> Result<Bytes, String> {
    if response.content_length().is_some_and(|bytes| bytes > MAX_ANSWER_BYTES) {
        return Err(format!("it has more than {MAX_ANSWER_BYTES} bytes"));
    }
    response.bytes().await.map_err(|error| {
        match error.source().and_then(|source| source.downcast_ref::<reqwest::Error>()) {
            Some(error) => outbound::root_cause(error),
            None => error.to_string(),
        }
    })
}

/// Whether another node, or the same one later, may succeed.
fn says_it_cannot(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}
