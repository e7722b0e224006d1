//! Common handling of all requests: an id, a client, a form of answer; one log line and one measurement.
//!
//! Knows no route and no content of answers: a context passes its data for the log as an extension of its answer.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use tower::{Layer, Service, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::on_early_drop::OnEarlyDropGuard;

use super::failure::RequestFailure;
use super::hardening::{Hardening, refuse_other_sites};
use super::host::{self, HostError};
use super::log::{LogFields, Outcome, RequestLine};
use super::negotiation::Format;
use super::public_url::PublicUrl;
use super::render::render;
use super::request::{RequestFacts, RequestId, RequestInfo};
use crate::client::TrustedProxies;
use crate::environment::Entropy;
use crate::lifecycle::Peer;
use crate::telemetry::{self, RequestMetrics};

/// The operator's settings for all requests.
#[derive(Clone, Debug)]
pub struct EnvelopeSettings {
    /// The origin under which people reach the server; each request's own `Host` when absent.
    pub public_url: Option<PublicUrl>,
    /// The proxies whose `X-Forwarded-*` headers are trusted.
    pub trusted_proxies: TrustedProxies,
    /// The time that a request's body has to arrive.
    pub body_timeout: Duration,
}

/// The common wrapper of every route.
pub struct Envelope {
    settings: EnvelopeSettings,
    entropy: Arc<dyn Entropy>,
    metrics: RequestMetrics,
    /// The content security policy of every answer.
    policy: HeaderValue,
}

impl Envelope {
    /// An envelope. `pictures_from` is the one other origin that pages may take pictures from.
    #[must_use]
    pub fn new(
        settings: EnvelopeSettings,
        entropy: Arc<dyn Entropy>,
        metrics: RequestMetrics,
        pictures_from: Option<&str>,
    ) -> Arc<Self> {
        Arc::new(Self { settings, entropy, metrics, policy: policy(pictures_from) })
    }

    /// Puts the envelope around the routes of people and programs.
    pub fn around(self: &Arc<Self>, routes: Router) -> Router {
        let wrap = Wrap { envelope: Arc::clone(self), log: Log::Written };
        let refuse = refuse_other_sites(self.settings.public_url.as_ref());
        self.hardening().around(routes, ServiceBuilder::new().layer(wrap).layer(refuse))
    }

    /// Puts the operators' part of the envelope around routes: their requests are counted and not logged, since
    /// probes are frequent.
    pub(crate) fn around_ops(self: &Arc<Self>, routes: Router) -> Router {
        let wrap = Wrap { envelope: Arc::clone(self), log: Log::Quiet };
        let panicked: fn(_) -> Response = |_| panicked();
        let catch = CatchPanicLayer::custom(panicked);
        self.hardening().around(routes, ServiceBuilder::new().layer(wrap).layer(catch))
    }

    fn hardening(&self) -> Hardening {
        Hardening {
            entropy: Arc::clone(&self.entropy),
            policy: self.policy.clone(),
            https: self.settings.public_url.as_ref().is_some_and(PublicUrl::is_https),
        }
    }

    /// The facts about a request, and whether its `Host` is valid.
    fn look_at(&self, request: &Request) -> (RequestInfo, Result<(), HostError>) {
        let headers = request.headers();
        // Absent only when a router is called without a connection.
        let peer = request.extensions().get::<Peer>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
        let settings = &self.settings;
        let host = host::named(request.uri(), request.version(), headers);
        let origin = match (&settings.public_url, host) {
            (Some(url), _) => Arc::clone(url.origin()),
            (None, Ok(Some(host))) => {
                let https = settings.trusted_proxies.is_https(peer, headers);
                [if https { "https://" } else { "http://" }, host].concat().into()
            }
            (None, Ok(None) | Err(_)) => "".into(),
        };
        let facts = RequestFacts {
            id: RequestId::of(headers),
            client: settings.trusted_proxies.client(peer, headers),
            format: Format::wanted(headers),
            origin,
            body_timeout: settings.body_timeout,
        };
        (facts.into(), host.map(|_| ()))
    }

    /// Reports a request to the log and the metrics.
    fn report(&self, request: &Underway, log: Log, answer: Option<&Response>) {
        let duration = request.started.elapsed();
        let outcome = |answer: &Response| answer.extensions().get::<Outcome>().map(|outcome| outcome.0);
        let line = RequestLine {
            request_id: request.info.id.as_str(),
            client: request.info.client,
            method: request.method.as_str(),
            route: request.route.as_ref().map_or("none", MatchedPath::as_str),
            status: answer.map_or(ABANDONED, |answer| answer.status().as_u16()),
            outcome: answer.map_or(Some("abandoned"), outcome),
            duration,
        };
        self.metrics.request(request.method, line.route, line.status, duration);
        if log == Log::Written {
            line.write(answer.and_then(|answer| answer.extensions().get::<LogFields>()));
        }
    }
}

/// The status in logs and metrics when the client went away before its answer: nginx's number for the same.
const ABANDONED: u16 = 499;

/// A request that is being answered.
#[derive(Clone)]
struct Underway {
    started: Instant,
    method: telemetry::Method,
    route: Option<MatchedPath>,
    info: RequestInfo,
}

/// Whether requests have a log line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Log {
    Written,
    Quiet,
}

/// The layer. Not `axum::middleware::from_fn`, which needs three more heap blocks for each request.
#[derive(Clone)]
struct Wrap {
    envelope: Arc<Envelope>,
    log: Log,
}

impl<S> Layer<S> for Wrap {
    type Service = Wrapped<S>;

    fn layer(&self, inner: S) -> Wrapped<S> {
        Wrapped { wrap: self.clone(), inner }
    }
}

/// A wrapped route.
#[derive(Clone)]
struct Wrapped<S> {
    wrap: Wrap,
    inner: S,
}

impl<S, Answer> Service<Request> for Wrapped<S>
where
    S: Service<Request, Response = Answer, Error = Infallible>,
    S::Future: Send + 'static,
    Answer: IntoResponse,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let started = Instant::now();
        let Wrap { envelope, log } = self.wrap.clone();
        let (info, named) = envelope.look_at(&request);
        let (method, route) = (counted(request.method()), request.extensions().get::<MatchedPath>().cloned());
        request.extensions_mut().insert(info.clone());
        let underway = Underway { started, method, route, info };
        let answering = named.map(|()| self.inner.call(request));
        Box::pin(async move { Ok(envelope.answer(underway, log, answering).await) })
    }
}

impl Envelope {
    /// The answer of a route, or the refusal of a request whose `Host` is invalid.
    async fn answer<Answer: IntoResponse>(
        self: Arc<Self>,
        underway: Underway,
        log: Log,
        answering: Result<impl Future<Output = Result<Answer, Infallible>>, HostError>,
    ) -> Response {
        // The server drops this future when its connection ends before the answer.
        let mut abandoned = OnEarlyDropGuard::new({
            let (envelope, underway) = (Arc::clone(&self), underway.clone());
            move || envelope.report(&underway, log, None)
        });
        let mut response = match answering {
            // Not tower-http's layer, as on the operators' routes: it boxes the body of every answer.
            Ok(answering) => match AssertUnwindSafe(answering).catch_unwind().await {
                Ok(Ok(answer)) => answer.into_response(),
                Err(_) => panicked(),
            },
            Err(error) => RequestFailure::BadRequest(error.to_string()).into_response(),
        };
        abandoned.completed();
        render(&mut response, &underway.info);
        self.report(&underway, log, Some(&response));
        response
    }
}

fn panicked() -> Response {
    RequestFailure::Internal("a handler panicked".to_owned()).into_response()
}

/// The content security policy: only our own files, nothing inline, forms only to this server. Pictures may also come
/// from one other origin.
fn policy(pictures_from: Option<&str>) -> HeaderValue {
    let policy = |pictures: &str| {
        HeaderValue::from_str(&format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'{pictures}; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'"
        ))
    };
    let with_pictures = pictures_from.and_then(|origin| policy(&format!(" {origin}")).ok());
    with_pictures.or_else(|| policy("").ok()).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn counted(method: &Method) -> telemetry::Method {
    match *method {
        Method::GET => telemetry::Method::Get,
        Method::HEAD => telemetry::Method::Head,
        Method::POST => telemetry::Method::Post,
        _ => telemetry::Method::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_from_where_the_files_are_and_everything_else_from_here() {
        let policy = |origin| policy(origin).to_str().unwrap().to_owned();
        assert!(policy(None).contains("; img-src 'self'; "));
        let elsewhere = policy(Some("https://s3.example:9000"));
        assert_eq!(elsewhere.replace(" https://s3.example:9000", ""), policy(None));
        assert!(elsewhere.contains("; img-src 'self' https://s3.example:9000; "), "{elsewhere}");
        assert!(policy(Some("a\nb")).contains("; img-src 'self'; "));
    }
}
