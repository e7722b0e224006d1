//! For the operator: liveness, readiness, metrics.
//!
//! The contexts decide readiness by checks; the registry holds the metrics.

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::registry::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use super::failure::RequestFailure;
use super::problem::{Problem, ProblemDocument};
use crate::lifecycle::Leaving;
use crate::telemetry;

/// The media type of OpenMetrics text, version 1.0.0.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The future result of a check.
pub(crate) type Answered = Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>>;

/// A condition for readiness.
pub(crate) struct Check {
    /// The name of the check, for the log.
    pub(crate) name: &'static str,
    /// Runs the check. Must answer within a few seconds.
    pub(crate) ask: Box<dyn Fn() -> Answered + Send + Sync>,
}

/// The conditions for readiness.
pub(crate) struct Readiness {
    pub(crate) leaving: Leaving,
    pub(crate) checks: Vec<Check>,
}

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `alive` or `ready`
    status: &'static str,
}

/// The routes for the server's health.
pub(crate) fn routes(readiness: Arc<Readiness>) -> Router {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).with_state(readiness)
}

/// The route for metrics.
pub(crate) fn metrics_route(registry: Arc<Registry>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(registry)
}

/// `GET /healthz`: whether the process answers at all.
#[utoipa::path(get, path = "/healthz", tag = "operation",
    responses((status = 200, description = "Alive", body = Health)))]
pub(crate) async fn alive() -> Json<Health> {
    Json(Health { status: "alive" })
}

/// `GET /readyz`: whether the server can serve requests.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, description = "Ready", body = Health),
    (status = 503, description = "Not ready: `store_unavailable` or `shutting_down`", body = ProblemDocument<'static>,
        content_type = "application/problem+json"),
))]
pub(crate) async fn ready(State(readiness): State<Arc<Readiness>>) -> Result<Json<Health>, Problem> {
    if readiness.leaving.is_leaving() {
        return Err(RequestFailure::Leaving.problem());
    }
    for check in &readiness.checks {
        (check.ask)().await.inspect_err(|problem| {
            tracing::debug!(check = check.name, reason = problem.reason, "not ready");
        })?;
    }
    Ok(Json(Health { status: "ready" }))
}

/// `GET /metrics`, on the operators' address only.
async fn metrics(State(registry): State<Arc<Registry>>) -> Result<impl IntoResponse, RequestFailure> {
    let text = telemetry::encode(&registry).map_err(|error| RequestFailure::Internal(error.to_string()))?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS))], text))
}
