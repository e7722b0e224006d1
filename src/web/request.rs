//! The facts about a request that its handler may know: its id, its client, the form of its answer.
//!
//! Knows headers and addresses, and nothing of what a request is for.

use std::fmt;
use std::future::ready;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tower_http::request_id::{self, MakeRequestId};

use super::negotiation::Format;
use crate::client::ClientPrefix;
use crate::environment::Entropy;

/// The header with the id of a request, in both directions.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The facts that the envelope has determined about a request: an extension of it, and an extractor. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct RequestInfo(Arc<RequestFacts>);

/// See [`RequestInfo`].
#[derive(Debug)]
pub(crate) struct RequestFacts {
    pub(crate) id: RequestId,
    pub(crate) client: ClientPrefix,
    /// The form of answer that the client prefers.
    pub(crate) format: Format,
    /// `scheme://host[:port]` under which the client reaches this server. Empty when neither the request nor the
    /// configuration names it: then links are relative to the request's own address.
    pub(crate) origin: Arc<str>,
    /// The time that the request's body has to arrive.
    pub(crate) body_timeout: Duration,
}

impl Deref for RequestInfo {
    type Target = RequestFacts;

    fn deref(&self) -> &RequestFacts {
        &self.0
    }
}

impl From<RequestFacts> for RequestInfo {
    fn from(facts: RequestFacts) -> Self {
        Self(Arc::new(facts))
    }
}

impl RequestInfo {
    /// The facts about this request.
    pub(crate) fn of(parts: &Parts) -> &Self {
        #[expect(
            clippy::expect_used,
            reason = "a route outside of the envelope is a mistake in the table of routes"
        )]
        parts.extensions.get::<Self>().expect("the envelope wraps every route")
    }
}

impl<S: Sync> FromRequestParts<S> for RequestInfo {
    type Rejection = std::convert::Infallible;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send {
        ready(Ok(Self::of(parts).clone()))
    }
}

/// Identifies a request in logs and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The longest id that is accepted from a client, in bytes.
    const MAX_BYTES: usize = 64;
    /// The number of letters and digits from which on an id that is not hexadecimal may be a secret. A code that is
    /// typed by hand has some twenty.
    const MAX_SYMBOLS: usize = 12;

    /// The id that the layers around every route left in the request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get(X_REQUEST_ID).cloned().unwrap_or(HeaderValue::from_static("none")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("none")
    }
}

/// Removes a client's id unless it can safely be logged.
pub(crate) fn keep_harmless_id(mut request: Request) -> Request {
    let headers = request.headers_mut();
    if headers.get(X_REQUEST_ID).is_some_and(|id| !is_harmless(id.as_bytes())) {
        headers.remove(X_REQUEST_ID);
    }
    request
}

/// Makes ids for requests that have none.
#[derive(Clone)]
pub(crate) struct NewRequestId(pub(crate) Arc<dyn Entropy>);

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<request_id::RequestId> {
        let mut random = [0; 16];
        if let Err(error) = self.0.fill(&mut random) {
            // The id is only a label: an answer without a unique one is better than none.
            tracing::error!(%error, "request ids are not unique");
        }
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let id = uuid::Builder::from_random_bytes(random).into_uuid().hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(id).ok().map(request_id::RequestId::new)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a client's request id is short, plain, and cannot hide a secret: hexadecimal as UUIDs and trace ids are, or
/// too short to hold most of a code.
fn is_harmless(id: &[u8]) -> bool {
    let plain = (1..=RequestId::MAX_BYTES).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    let hexadecimal = id.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let symbols = id.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    plain && (hexadecimal || symbols < RequestId::MAX_SYMBOLS)
}

#[cfg(test)]
mod tests {
    use super::*;

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
