//! For whoever runs the server: alive, ready, metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::envelope::Context;
use super::problem::{Failure, answer};
use crate::redemption::redeem::RedeemError;
use crate::redemption::store::StoreError;
use crate::redemption::web::redemptions::json;

/// How long a store may take to say that it is there.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// The media type of OpenMetrics text, version 1.0.0.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `alive` or `ready`
    status: &'static str,
}

/// `GET /healthz`: whether the process answers at all.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "Alive", body = Health)))]
pub(crate) async fn alive() -> Response {
    healthy("alive")
}

/// `GET /readyz`: whether it can redeem keys.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, description = "Ready", body = Health),
    (status = 503, description = "Not ready: `store_unavailable` or `shutting_down`", body = super::problem::Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn ready(State(app): State<Shared>, context: Context) -> Response {
    if app.leaving.is_leaving() {
        return answer(&context, &Failure::Leaving);
    }
    let pong = tokio::time::timeout(PING_TIMEOUT, app.store.ping()).await;
    match pong.unwrap_or_else(|_| Err(StoreError::silent())) {
        Ok(()) => healthy("ready"),
        Err(error) => answer(&context, &Failure::Redeem(RedeemError::StoreUnavailable(error))),
    }
}

fn healthy(status: &'static str) -> Response {
    let mut answer = json(StatusCode::OK, &Health { status });
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// `GET /metrics`, on the operators' address only.
pub(crate) async fn metrics(State(app): State<Shared>) -> Response {
    match app.metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS))], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
