//! What all requests have in common: an id, a client, a form of answer; headers that keep browsers safe; one log line and
//! one measurement.

use std::fmt;
use std::future::ready;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, uri::Authority};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt as _;

use super::Shared;
use super::client::ClientPrefix;
use super::negotiation::Format;
use super::problem::{Failure, answer};
use crate::lifecycle::Peer;
use crate::redemption::key::{KEY_SYMBOLS, TicketId};
use crate::redemption::ticket::RedemptionId;
use crate::telemetry;

/// Where the id of a request stands, on the way in and out.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The content security policy: nothing but our own files, nothing inline, nowhere to send a form but here. Only
/// pictures may also come from the origin that gives the library's files.
pub(crate) fn policy(files_origin: Option<&str>) -> HeaderValue {
    let policy = |pictures: &str| {
        HeaderValue::from_str(&format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'{pictures}; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'"
        ))
    };
    let with_pictures = files_origin.and_then(|origin| policy(&format!(" {origin}")).ok());
    with_pictures.or_else(|| policy("").ok()).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// What a handler may know of its request besides the request itself.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) request_id: RequestId,
    pub(crate) client: ClientPrefix,
    pub(crate) format: Format,
    /// `scheme://host[:port]` under which the client reaches us.
    pub(crate) origin: Arc<str>,
}

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = std::convert::Infallible;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send {
        #[expect(
            clippy::expect_used,
            reason = "a route outside of the envelope is a mistake in the table of routes"
        )]
        ready(Ok(parts.extensions.get::<Self>().expect("the envelope wraps every route").clone()))
    }
}

/// Names a request in logs and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The longest that is taken over from a client, in bytes.
    const MAX_BYTES: usize = 64;

    /// The client's own, if it is one that can safely be logged, or a new one.
    fn of(headers: &HeaderMap, app: &Shared) -> Self {
        match headers.get(X_REQUEST_ID) {
            Some(given) if is_harmless(given.as_bytes()) => Self(given.clone()),
            _ => Self::random(app),
        }
    }

    fn random(app: &Shared) -> Self {
        let mut random = [0; 16];
        if let Err(error) = app.entropy.fill(&mut random) {
            // Only a name: an answer without a unique one is better than none.
            tracing::error!(%error, "request ids are not unique");
        }
        let id = uuid::Builder::from_random_bytes(random).into_uuid().hyphenated().to_string();
        Self(HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("none")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("none")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a client's request id is short, plain, and nothing that a key could hide in: hexadecimal as UUIDs and trace
/// ids are (which a key of 25 symbols out of 32 never is), or too short to hold most of one.
fn is_harmless(id: &[u8]) -> bool {
    let plain = (1..=RequestId::MAX_BYTES).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    let hexadecimal = id.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let symbols = id.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    plain && (hexadecimal || symbols < KEY_SYMBOLS / 2)
}

/// Wraps every route.
pub(crate) async fn wrap(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = counted(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let context = context(&app, &request);
    request.extensions_mut().insert(context.clone());
    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => answer(&context, &Failure::Internal("a handler panicked".to_owned())),
    };
    harden(response.headers_mut(), &app, &context);
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    report(&app, &context, method, route, &response, started.elapsed());
    response
}

fn context(app: &Shared, request: &Request) -> Context {
    let headers = request.headers();
    // Absent only when a router is called without a connection.
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
    let settings = &app.settings;
    let origin = match &settings.public_url {
        Some(url) => url.0.as_str().into(),
        None => own_origin(headers, settings.trusted_proxies.is_https(peer, headers)),
    };
    Context {
        request_id: RequestId::of(headers, app),
        client: settings.trusted_proxies.client(peer, headers),
        format: Format::wanted(headers),
        origin,
    }
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

fn harden(headers: &mut HeaderMap, app: &Shared, context: &Context) {
    headers.insert(X_REQUEST_ID, context.request_id.0.clone());
    headers.insert(CONTENT_SECURITY_POLICY, app.policy.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The address of a receipt is a secret, so no other site is told where its visitors come from.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.append(VARY, HeaderValue::from_static("accept"));
}

fn report(
    app: &Shared,
    context: &Context,
    method: telemetry::Method,
    route: &str,
    response: &Response,
    duration: Duration,
) {
    let status = response.status().as_u16();
    app.metrics.request(method, route, status, duration);
    let redemption = response.extensions().get::<LoggedRedemption>();
    tracing::info!(
        request_id = context.request_id.as_str(),
        client = %context.client,
        method = method.as_str(),
        route,
        status,
        outcome = response.extensions().get::<Outcome>().map(|outcome| outcome.0),
        ticket = redemption.map(|redemption| tracing::field::display(redemption.ticket)),
        redemption = redemption.map(|redemption| tracing::field::display(redemption.id)),
        album = redemption.map(|redemption| redemption.album.as_str()),
        milliseconds = duration.as_secs_f64() * 1000.0,
        "request"
    );
}

/// What came of a request, for its log line: an extension of the answer.
#[derive(Clone, Copy)]
pub(crate) struct Outcome(pub(crate) &'static str);

/// What was redeemed, for the same line: an extension of the answer. One line a request is both easier to follow and
/// cheaper than two: writing them is the largest part of what a redemption costs outside of the store and the system.
#[derive(Clone)]
pub(crate) struct LoggedRedemption {
    pub(crate) ticket: TicketId,
    pub(crate) id: RedemptionId,
    /// Its id.
    pub(crate) album: String,
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

    #[test]
    fn request_ids_that_could_be_secrets_are_not_taken_over() {
        assert!(is_harmless(b"3f2504e0-4f89-11d3-9a0c-0305e82c3301"));
        assert!(is_harmless(b"build_17.try-2"));
        assert!(!is_harmless(b""));
        assert!(!is_harmless(&[b'a'; 65]));
        assert!(!is_harmless(b"with space"));
        assert!(!is_harmless(b"M9S34-6Q3D2-5VT4F-5V37E-3S3NJ"));
        assert!(!is_harmless(b"m9s346q3d25vt4f5v37e3s3nk"));
        assert!(!is_harmless(b"key_M9S34-6Q3D2-5VT4F-5V37E-3S3NJ"));
        assert!(!is_harmless(b"M9S34-6Q3D2-5VT4F-5V37E-3S3NJ-1"));
    }
}
