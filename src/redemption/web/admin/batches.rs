//! Batches: which there are, and how many tickets of each; and revoking one.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as AxumState};
use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;
use utoipa::{IntoParams, ToSchema};

use super::failure::AdminFailure;
use super::responses::{AdminResponses, BatchResponses, MisunderstoodResponses};
use crate::redemption::change::revoke_batch;
use crate::redemption::report::{BatchReport, RevokedBatchReport, StatsReport};
use crate::redemption::store::StoreError;
use crate::redemption::ticket::Name;
use crate::redemption::web::state::{Shared, State};
use crate::web::failure::RequestFailure;
use crate::web::request::RequestInfo;

/// The batches.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Batches {
    /// Sorted by album and name.
    batches: Vec<BatchReport>,
}

/// `GET /admin/batches`: every batch, with how many tickets it has and what became of them.
#[utoipa::path(get, path = "/admin/batches", tag = "admin", security(("admin_token" = [])),
    responses((status = 200, description = "The batches", body = Batches), AdminResponses))]
pub(crate) async fn batches(AxumState(state): AxumState<Shared>) -> Result<Json<Batches>, AdminFailure> {
    let StatsReport { batches, .. } = count(&state, None).await?;
    Ok(Json(Batches { batches }))
}

/// Which tickets to count.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatsQuery {
    /// Only this batch.
    #[param(value_type = Option<String>, min_length = 1, max_length = 128)]
    batch: Option<Name>,
}

/// `GET /admin/stats`: how many tickets there are, and what became of them.
#[utoipa::path(get, path = "/admin/stats", tag = "admin", security(("admin_token" = [])), params(StatsQuery),
    responses((status = 200, description = "The numbers", body = StatsReport), AdminResponses, MisunderstoodResponses))]
pub(crate) async fn stats(
    AxumState(state): AxumState<Shared>,
    query: Result<Query<StatsQuery>, QueryRejection>,
) -> Result<Json<StatsReport>, AdminFailure> {
    let Query(StatsQuery { batch }) = query.map_err(|_| {
        let wrong = "The only parameter is batch, once, with a name of 1 to 128 bytes: /admin/stats?batch=….";
        RequestFailure::BadRequest(wrong.to_owned())
    })?;
    Ok(Json(count(&state, batch).await?))
}

async fn count(state: &State, batch: Option<Name>) -> Result<StatsReport, AdminFailure> {
    let counts = timeout_at(state.deadline(), state.store.stats(batch)).await;
    let counts = counts.unwrap_or_else(|_| Err(StoreError::silent())).map_err(AdminFailure::Store)?;
    Ok(StatsReport::new(&counts))
}

/// `POST /admin/batches/{batch}/revoke`: declares every ticket of a batch void.
#[utoipa::path(post, path = "/admin/batches/{batch}/revoke", tag = "admin", security(("admin_token" = [])),
    params(("batch" = String, Path, description = "Its name, percent-encoded", example = "vinyl-2026")),
    responses((status = 200, description = "All of them are void", body = RevokedBatchReport), AdminResponses, BatchResponses))]
pub(crate) async fn revoke_all(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    batch: Result<Path<String>, PathRejection>,
) -> Result<Json<RevokedBatchReport>, AdminFailure> {
    let batch: Option<Name> = batch.ok().and_then(|Path(batch)| batch.parse().ok());
    let batch = batch.ok_or(AdminFailure::BatchUnknown)?;
    let patience = state.settings.request_timeout;
    let revoked = revoke_batch(&*state.store, &batch, patience, Some(state.deadline())).await;
    let done = revoked.as_ref().map_or_else(|error| error.done, |done| *done);
    if done.tickets() > 0 {
        tracing::info!(
            request_id = request.id.as_str(), client = %request.client, %batch, revoked = done.revoked,
            unchanged = done.unchanged, whole = revoked.is_ok(),
            "admin: batch revoked"
        );
    }
    match revoked.map_err(AdminFailure::Batch)? {
        done if done.tickets() == 0 => Err(AdminFailure::BatchUnknown),
        done => Ok(Json(done.into())),
    }
}
