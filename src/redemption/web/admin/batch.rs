//! Requests about all tickets of a batch: revoke, reinstate, extend.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State as AxumState};
use axum::http::request::Parts;

use super::access::AdminState;
use super::changes::{ExtendBody, RestoreBody, RevokeBody};
use super::failure::AdminFailure;
use super::responses::{AdminResponses, BatchResponses, MisunderstoodResponses};
use crate::redemption::change::{
    BatchError, ChangeError, ChangedBatch, Transition, change_batch, extend_unused,
};
use crate::redemption::report::{ExtendedBatchReport, ReinstatedBatchReport, RevokedBatchReport};
use crate::redemption::ticket::{Name, Ticket};
use crate::redemption::web::state::{Shared, State};
use crate::redemption::write::WriteError;
use crate::web::body::JsonBody;
use crate::web::request::RequestInfo;

/// Logs a change of a batch, if any of its tickets was processed, or may have been changed. A macro, since the names of
/// log fields must be known at compile time.
macro_rules! log_change {
    ($request:expr, $batch:expr, $changed:expr, $what:ident, $message:literal) => {
        let done = $changed.as_ref().map_or_else(|error| error.done, |done| *done);
        let in_doubt = matches!(
            &$changed,
            Err(BatchError { why: ChangeError::Write(WriteError::OutcomeUnknown(_)), .. })
        );
        if done.tickets() > 0 || in_doubt {
            tracing::info!(
                request_id = $request.id.as_str(), client = %$request.client, batch = %$batch,
                $what = done.changed.tickets(), unchanged = done.unchanged.tickets(), whole = $changed.is_ok(),
                $message
            );
        }
    };
}

/// The batch that a path names, as an extractor.
pub(crate) struct NamedBatch(Name);

impl FromRequestParts<AdminState> for NamedBatch {
    type Rejection = AdminFailure;

    async fn from_request_parts(parts: &mut Parts, state: &AdminState) -> Result<Self, AdminFailure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let batch = path.ok().and_then(|Path(batch)| batch.parse().ok());
        batch.map(Self).ok_or(AdminFailure::BatchUnknown)
    }
}

/// `POST /admin/batches/{batch}/revoke`: revokes every ticket of a batch.
#[utoipa::path(post, path = "/admin/batches/{batch}/revoke", tag = "admin", security(("admin_token" = [])),
    params(("batch" = String, Path, description = "Its name, percent-encoded", example = "vinyl-2026")),
    request_body(content = Option<RevokeBody>),
    responses((status = 200, description = "All of them are void", body = RevokedBatchReport), AdminResponses,
        MisunderstoodResponses, BatchResponses))]
pub(crate) async fn revoke(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    NamedBatch(batch): NamedBatch,
    body: Option<JsonBody<RevokeBody>>,
) -> Result<Json<RevokedBatchReport>, AdminFailure> {
    let because = RevokeBody::because(body)?;
    let now = state.clock.now();
    let revoke = |ticket: Ticket| ticket.revoke(because.clone(), now);
    let changed = change_tickets_of(&state, &batch, &revoke).await;
    log_change!(request, batch, changed, revoked, "admin: batch revoked");
    Ok(Json(whole(changed)?.into()))
}

/// `POST /admin/batches/{batch}/reinstate`: undoes the revocation of a batch. Every revoked ticket gets the state that
/// it had before: one that was redeemed is redeemed again, and its receipt is valid.
#[utoipa::path(post, path = "/admin/batches/{batch}/reinstate", tag = "admin", security(("admin_token" = [])),
    params(("batch" = String, Path, description = "Its name, percent-encoded", example = "vinyl-2026")),
    request_body(content = RestoreBody),
    responses((status = 200, description = "What was revoked since then is void no more", body = ReinstatedBatchReport),
        AdminResponses,
        MisunderstoodResponses, BatchResponses))]
pub(crate) async fn reinstate(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    NamedBatch(batch): NamedBatch,
    JsonBody(body): JsonBody<RestoreBody>,
) -> Result<Json<ReinstatedBatchReport>, AdminFailure> {
    let ((since, because), now) = (body.understand()?, state.clock.now());
    let restore = |ticket: Ticket| ticket.restore(since, because.clone(), now);
    let changed = change_tickets_of(&state, &batch, &restore).await;
    log_change!(request, batch, changed, reinstated, "admin: batch reinstated");
    Ok(Json(whole(changed)?.into()))
}

/// `POST /admin/batches/{batch}/extend`: extends the unused tickets of a batch. No ticket's end becomes earlier.
#[utoipa::path(post, path = "/admin/batches/{batch}/extend", tag = "admin", security(("admin_token" = [])),
    params(("batch" = String, Path, description = "Its name, percent-encoded", example = "vinyl-2026")),
    request_body(content = ExtendBody),
    responses((status = 200, description = "None of the unused ones ends earlier", body = ExtendedBatchReport),
        AdminResponses, MisunderstoodResponses, BatchResponses))]
pub(crate) async fn extend(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    NamedBatch(batch): NamedBatch,
    JsonBody(body): JsonBody<ExtendBody>,
) -> Result<Json<ExtendedBatchReport>, AdminFailure> {
    let now = state.clock.now();
    let (expires_at, because) = body.understand(now)?;
    let extend = |ticket: Ticket| extend_unused(ticket, expires_at, because.clone(), now);
    let changed = change_tickets_of(&state, &batch, &extend).await;
    log_change!(request, batch, changed, extended, "admin: batch extended");
    Ok(Json(ExtendedBatchReport::new(expires_at, whole(changed)?)))
}

/// Changes those tickets of a batch that need the change.
async fn change_tickets_of(
    state: &State,
    batch: &Name,
    transition: &Transition<'_>,
) -> Result<ChangedBatch, BatchError> {
    let (patience, deadline) = (state.settings.request_timeout, state.deadline());
    change_batch(&*state.store, batch, transition, patience, Some(deadline), &|_| ()).await
}

/// The result, if the batch exists and all of it was changed.
fn whole(changed: Result<ChangedBatch, BatchError>) -> Result<ChangedBatch, AdminFailure> {
    match changed.map_err(AdminFailure::Batch)? {
        done if done.tickets() == 0 => Err(AdminFailure::BatchUnknown),
        done => Ok(done),
    }
}
