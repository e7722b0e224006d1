//! What all requests have in common: an id, a client, a form of answer; headers that keep browsers safe; one log line and
//! one measurement.
//!
//! Knows no route and nothing of what is answered: what a context wants told comes as an extension of its answer.

use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, uri::Authority};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;

use super::client::TrustedProxies;
use super::failure::RequestFailure;
use super::log::{LogFields, Outcome, RequestLine};
use super::negotiation::Format;
use super::public_url::PublicUrl;
use super::render::render;
use super::request::{RequestId, RequestInfo, X_REQUEST_ID};
use crate::environment::Entropy;
use crate::lifecycle::Peer;
use crate::telemetry::{self, RequestMetrics};

/// What an operator decides about all requests.
#[derive(Clone, Debug)]
pub struct EnvelopeSettings {
    /// The origin under which people reach the server; each request's own `Host` when absent.
    pub public_url: Option<PublicUrl>,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// The time that a request's body has to arrive.
    pub body_timeout: Duration,
}

/// What is around every route.
pub struct Envelope {
    settings: EnvelopeSettings,
    entropy: Arc<dyn Entropy>,
    metrics: RequestMetrics,
    /// The content security policy of every answer.
    policy: HeaderValue,
}

/// A year: browsers that have once been here by TLS come by nothing else.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

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

    /// Puts the envelope around routes: those of people and programs.
    pub fn around(self: &Arc<Self>, routes: Router) -> Router {
        routes.layer(from_fn_with_state(Arc::clone(self), wrap))
    }

    /// Puts around routes what is left of it for operators, whose requests are neither logged nor counted.
    pub(crate) fn around_ops(self: &Arc<Self>, routes: Router) -> Router {
        routes.layer(from_fn_with_state(Arc::clone(self), wrap_quietly))
    }

    fn look_at(&self, request: &Request) -> RequestInfo {
        let headers = request.headers();
        // Absent only when a router is called without a connection.
        let peer = request.extensions().get::<Peer>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
        let settings = &self.settings;
        let origin = match &settings.public_url {
            Some(url) => Arc::clone(url.origin()),
            None => own_origin(headers, settings.trusted_proxies.is_https(peer, headers)),
        };
        RequestInfo {
            id: RequestId::of(headers, &*self.entropy),
            client: settings.trusted_proxies.client(peer, headers),
            format: Format::wanted(headers),
            origin,
            body_timeout: settings.body_timeout,
        }
    }

    fn harden(&self, headers: &mut HeaderMap, request: &RequestInfo) {
        headers.insert(X_REQUEST_ID, request.id.header());
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // The addresses of some pages are secrets, so no other site is told where its visitors come from.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        if self.settings.public_url.as_ref().is_some_and(PublicUrl::is_https) {
            headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
        }
    }
}

/// Wraps every route.
async fn wrap(State(envelope): State<Arc<Envelope>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = counted(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (response, info) = answer(&envelope, request, next).await;
    let line = RequestLine {
        request_id: info.id.as_str(),
        client: info.client,
        method: method.as_str(),
        route: route.as_ref().map_or("none", MatchedPath::as_str),
        status: response.status().as_u16(),
        outcome: response.extensions().get::<Outcome>().map(|outcome| outcome.0),
        duration: started.elapsed(),
    };
    envelope.metrics.request(method, line.route, line.status, line.duration);
    line.write(response.extensions().get::<LogFields>());
    response
}

async fn wrap_quietly(State(envelope): State<Arc<Envelope>>, request: Request, next: Next) -> Response {
    answer(&envelope, request, next).await.0
}

async fn answer(envelope: &Envelope, mut request: Request, next: Next) -> (Response, RequestInfo) {
    let info = envelope.look_at(&request);
    request.extensions_mut().insert(info.clone());
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered
        .unwrap_or_else(|_| RequestFailure::Internal("a handler panicked".to_owned()).into_response());
    render(&mut response, &info);
    envelope.harden(response.headers_mut(), &info);
    (response, info)
}

/// The origin by which the client called us. It decides only what this very client is told.
fn own_origin(headers: &HeaderMap, https: bool) -> Arc<str> {
    let scheme = if https { "https" } else { "http" };
    let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    match host.filter(|host| !host.as_str().contains('@')) {
        Some(host) => format!("{scheme}://{host}").into(),
        None => format!("{scheme}://localhost").into(),
    }
}

/// The content security policy: nothing but our own files, nothing inline, nowhere to send a form but here. Only
/// pictures may also come from one other origin.
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
