//! The layers around every route, of people and of operators: request ids, security headers, and hiding secret values
//! from debug output.
//!
//! Answers are not compressed, though tower-http could: pages and JSON hold secrets (receipts, signed links)
//! beside text that another site may choose, and the length of a compressed answer reveals both (BREACH). Albums
//! are already compressed.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::Route;
use tower::util::MapRequestLayer;
use tower::{Layer, Service, ServiceBuilder};
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::sensitive_headers::{SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use super::failure::RequestFailure;
use super::public_url::PublicUrl;
use super::request::{NewRequestId, keep_harmless_id};
use crate::environment::Entropy;

/// One year: a browser that has been here once by TLS uses only TLS.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// A header that is as secret as the key beside it: a client with both can repeat the redemption as the same person.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The settings of the layers.
pub(crate) struct Hardening {
    pub(crate) entropy: Arc<dyn Entropy>,
    /// The content security policy.
    pub(crate) policy: HeaderValue,
    /// Whether people reach the server by TLS.
    pub(crate) https: bool,
}

impl Hardening {
    /// Puts the layers around routes, with further ones inside. All are one layer, since a router boxes each.
    pub(crate) fn around<L>(self, routes: Router, inside: L) -> Router
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let set = SetResponseHeaderLayer::overriding;
        let layers = ServiceBuilder::new()
            .layer(MapRequestLayer::new(keep_harmless_id))
            .layer(SetRequestIdLayer::x_request_id(NewRequestId(self.entropy)))
            .layer(PropagateRequestIdLayer::x_request_id())
            .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, IDEMPOTENCY_KEY]))
            .layer(SetSensitiveResponseHeadersLayer::new([LOCATION, IDEMPOTENCY_KEY]))
            .layer(set(CONTENT_SECURITY_POLICY, Some(self.policy)))
            .layer(set(X_CONTENT_TYPE_OPTIONS, Some(HeaderValue::from_static("nosniff"))))
            // The URLs of some pages are secrets, so other sites get no `Referer`.
            .layer(set(REFERRER_POLICY, Some(HeaderValue::from_static("same-origin"))))
            .layer(set(STRICT_TRANSPORT_SECURITY, self.https.then_some(HSTS)))
            // Most answers hold a secret or are only valid now. An answer that may be cached has a header of its own.
            .layer(SetResponseHeaderLayer::if_not_present(
                CACHE_CONTROL,
                HeaderValue::from_static("no-store"),
            ))
            .layer(inside);
        routes.layer(layers)
    }
}

/// Refuses requests that another website sends through a visitor's browser: they could spend the visitor's allowance of
/// attempts, or redeem in the visitor's name. `Sec-Fetch-Site` shows them. Where it is absent, as in old browsers and
/// without TLS, `Origin` does, which must be the public address or the host that the request names. Another host of the
/// same site is refused too: it may belong to another person. Programs send neither header.
pub(crate) fn refuse_other_sites(
    public_url: Option<&PublicUrl>,
) -> CsrfLayer<fn(ProtectionError) -> Response> {
    let refuse: fn(ProtectionError) -> Response = |_| RequestFailure::CrossSite.into_response();
    let own = || CsrfLayer::new().with_rejection_response(refuse);
    let Some(url) = public_url else { return own() };
    own().add_trusted_origin(url.origin()).unwrap_or_else(|error| {
        tracing::warn!(%error, "the public URL is not a trusted origin: old browsers may be refused");
        own()
    })
}
