//! The root: the form for browsers, and instructions for programs.

use axum::Json;
use axum::extract::State as AxumState;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::pages::form::empty_form;
use super::state::Shared;
use crate::web::negotiation::{Format, vary_by_accept};
use crate::web::request::RequestInfo;

/// The instructions for programs at the root.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hello {
    /// `tickey`
    service: &'static str,
    /// The version of the program.
    version: &'static str,
    /// How to redeem a key.
    redeem: HowToRedeem,
}

/// How to redeem a key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HowToRedeem {
    /// `POST`
    method: &'static str,
    /// The URL to send it to.
    url: String,
    /// The body to send.
    body: &'static str,
    /// The header that makes a repetition safe.
    idempotency: &'static str,
    /// A command that does it.
    example: String,
}

/// `GET /`: the form for browsers, a hello for programs.
#[utoipa::path(get, path = "/", tag = "redemption", responses(
    (status = 200, description = "How to redeem a key; for browsers, the form",
        content((Hello = "application/json"), (String = "text/html"))),
))]
pub(crate) async fn root(AxumState(state): AxumState<Shared>, request: RequestInfo) -> Response {
    let redeem = || HowToRedeem::at(&request.origin);
    let mut answer = match request.format {
        Format::Html => empty_form(&state),
        Format::Text => format!("To redeem a key: {}\n", redeem().example).into_response(),
        Format::Json => {
            let version = env!("CARGO_PKG_VERSION");
            Json(Hello { service: "tickey", version, redeem: redeem() }).into_response()
        }
    };
    vary_by_accept(answer.headers_mut());
    answer
}

impl HowToRedeem {
    fn at(origin: &str) -> Self {
        let url = format!("{origin}/redemptions");
        let example = format!("curl -d key=XXXXX-XXXXX-XXXXX-XXXXX-XXXXX {url}");
        Self {
            method: "POST",
            url,
            body: "{\"key\": \"…\"} as application/json, or key=… as application/x-www-form-urlencoded",
            idempotency: "send an Idempotency-Key of your choice, and the same request again gets the same answer",
            example,
        }
    }
}
