//! The failures that every context has: requests that are malformed, that no route matches, or that the
//! server cannot answer.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// The largest body of a request, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 4096;
/// Seconds after which a client may retry at a server that is overloaded or shutting down.
pub(crate) const SOON_SECONDS: u64 = 1;

/// Why a request does not reach a use case.
#[derive(Debug)]
pub(crate) enum RequestFailure {
    /// Holds a sentence for the client.
    BadRequest(String),
    /// Holds a sentence for the client: what to send instead.
    UnsupportedMediaType(&'static str),
    /// Over [`MAX_BODY_BYTES`].
    TooLarge,
    /// The body did not arrive in time.
    Timeout,
    /// No route has this address.
    NoSuchRoute,
    /// The route does not support this method.
    MethodNotAllowed,
    /// Another website sent the request, through the browser of a person who did not intend it.
    CrossSite,
    /// The server is shutting down.
    Leaving,
    /// A fault of the server. Holds the reason, for the log.
    Internal(String),
}

impl RequestFailure {
    /// The table of problems.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::BadRequest(detail) => Problem::new(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "The request cannot be understood",
                detail,
            ),
            Self::UnsupportedMediaType(detail) => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type",
                detail,
            ),
            Self::TooLarge => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "The request is too large",
                format!("The body of a request has at most {MAX_BODY_BYTES} bytes."),
            ),
            Self::Timeout => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "The request took too long",
                "The request did not arrive in time, so send it again.",
            ),
            Self::NoSuchRoute => Problem::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "There is nothing here",
                "There is nothing at this address, so start again at the page where keys are entered.",
            ),
            Self::MethodNotAllowed => Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
                "This address does not take requests of this method; the header Allow says which it takes.",
            ),
            Self::CrossSite => Problem::new(
                StatusCode::FORBIDDEN,
                "cross_site",
                "This was sent by another website",
                "Another website sent this form, so nothing was done with it: open this site itself and enter the key \
                 there.",
            ),
            Self::Leaving => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "shutting_down",
                "The server is shutting down",
                "This server is shutting down, so ask another one.",
            )
            .retry_after(SOON_SECONDS),
            Self::Internal(why) => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong",
                "Something went wrong here that should not have, so try again and, if it stays, report the request id.",
            )
            .because(Some(why)),
        }
    }
}

impl IntoResponse for RequestFailure {
    fn into_response(self) -> Response {
        self.problem().into_response()
    }
}

/// The handler of every path that matches no route.
pub(crate) async fn no_such_route() -> RequestFailure {
    RequestFailure::NoSuchRoute
}

/// The handler of every method that a route does not support. The router adds `Allow`.
pub(crate) async fn no_such_method() -> RequestFailure {
    RequestFailure::MethodNotAllowed
}
