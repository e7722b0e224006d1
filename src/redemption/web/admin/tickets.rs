//! Requests about one ticket: look up, revoke, reinstate, extend. URLs name it by its id; its key occurs
//! in bodies only.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State as AxumState};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use super::access::AdminState;
use super::changes::{ExtendBody, ReinstateBody, RevokeBody};
use super::failure::AdminFailure;
use super::responses::{AdminResponses, LookupResponses, MisunderstoodResponses, TicketResponses};
use crate::redemption::change::{ChangeError, Changed, change, look};
use crate::redemption::key::{DownloadKey, TicketId};
use crate::redemption::report::TicketReport;
use crate::redemption::ticket::Ticket;
use crate::redemption::web::state::{Shared, State};
use crate::redemption::write::WriteError;
use crate::web::body::{JsonBody, JsonShape};
use crate::web::log::Outcome;
use crate::web::request::RequestInfo;

/// The key of the wanted ticket.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookupBody {
    /// The key as printed; case, spaces, dashes and dots do not matter.
    #[schema(example = "M9S34-6Q3D2-5VT4F-5V37E-3S3NJ")]
    #[schema(value_type = String)]
    key: Zeroizing<String>,
}

impl JsonShape for LookupBody {
    const SHAPE: &'static str =
        "The body must be a JSON object with the key as a text, once: {\"key\": \"…\"}.";
}

/// `POST /admin/tickets/lookup`: the ticket of a key.
#[utoipa::path(post, path = "/admin/tickets/lookup", tag = "admin", security(("admin_token" = [])),
    request_body(content = LookupBody),
    responses((status = 200, description = "The ticket", body = TicketReport), AdminResponses, MisunderstoodResponses,
        LookupResponses))]
pub(crate) async fn lookup(
    AxumState(state): AxumState<Shared>,
    JsonBody(body): JsonBody<LookupBody>,
) -> Result<Json<TicketReport>, AdminFailure> {
    let id = DownloadKey::parse(&body.key).map_err(AdminFailure::Key)?.id();
    let ticket = look(&*state.store, id, state.deadline()).await.map_err(|error| match error {
        ChangeError::Unknown => AdminFailure::KeyUnknown,
        error @ ChangeError::Write(_) => AdminFailure::Tickets(error),
    })?;
    Ok(Json(TicketReport::new(&id, &ticket)))
}

/// The ticket in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) struct TicketPath {
    /// The SHA-256 of its key, base64url; never the key
    #[param(example = "FW8esbCt8xG32a8tomvn89yOy4rIihM6OSS4kRFRWOA")]
    id: String,
}

/// The ticket that a path names, as an extractor.
pub(crate) struct NamedTicket(TicketId);

impl FromRequestParts<AdminState> for NamedTicket {
    type Rejection = AdminFailure;

    async fn from_request_parts(parts: &mut Parts, state: &AdminState) -> Result<Self, AdminFailure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|Path(id)| TicketId::parse(&id));
        id.map(Self).ok_or(AdminFailure::TicketUnknown)
    }
}

/// `GET /admin/tickets/{id}`: a ticket by its id.
#[utoipa::path(get, path = "/admin/tickets/{id}", tag = "admin", security(("admin_token" = [])),
    params(TicketPath),
    responses((status = 200, description = "The ticket", body = TicketReport), AdminResponses, TicketResponses))]
pub(crate) async fn show(
    AxumState(state): AxumState<Shared>,
    NamedTicket(id): NamedTicket,
) -> Result<Json<TicketReport>, AdminFailure> {
    let ticket = look(&*state.store, id, state.deadline()).await?;
    Ok(Json(TicketReport::new(&id, &ticket)))
}

/// `POST /admin/tickets/{id}/revoke`: revokes a ticket, and with it the receipt of its redemption.
#[utoipa::path(post, path = "/admin/tickets/{id}/revoke", tag = "admin", security(("admin_token" = [])),
    params(TicketPath),
    request_body(content = Option<RevokeBody>),
    responses((status = 200, description = "The ticket, which is void, by this request or before",
        body = TicketReport), AdminResponses, MisunderstoodResponses, TicketResponses))]
pub(crate) async fn revoke(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    NamedTicket(id): NamedTicket,
    body: Option<JsonBody<RevokeBody>>,
) -> Result<Response, AdminFailure> {
    let because = RevokeBody::because(body)?;
    let now = state.clock.now();
    let revoke = |ticket: Ticket| ticket.revoke(because.clone(), now);
    change_ticket(&state, &request, id, "revoked", revoke).await
}

/// `POST /admin/tickets/{id}/reinstate`: makes a redeemed or revoked ticket usable again; its old receipt stays void.
#[utoipa::path(post, path = "/admin/tickets/{id}/reinstate", tag = "admin", security(("admin_token" = [])),
    params(TicketPath),
    request_body(content = ReinstateBody),
    responses((status = 200, description = "The ticket, which is unused, by this request or before; whether it can be \
        redeemed now depends on valid_from and \
        expires_at", body = TicketReport), AdminResponses, MisunderstoodResponses, TicketResponses))]
pub(crate) async fn reinstate(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    NamedTicket(id): NamedTicket,
    JsonBody(body): JsonBody<ReinstateBody>,
) -> Result<Response, AdminFailure> {
    let (because, now) = (body.because()?, state.clock.now());
    let is_enough = |ticket: &Ticket| body.times.is_some_and(|times| ticket.reinstatements() >= times.get());
    let reinstate =
        |ticket: Ticket| if is_enough(&ticket) { None } else { ticket.reinstate(because.clone(), now) };
    change_ticket(&state, &request, id, "reinstated", reinstate).await
}

/// `POST /admin/tickets/{id}/extend`: extends a ticket in any state. Its end never becomes earlier.
#[utoipa::path(post, path = "/admin/tickets/{id}/extend", tag = "admin", security(("admin_token" = [])),
    params(TicketPath),
    request_body(content = ExtendBody),
    responses((status = 200, description = "The ticket, which ends no earlier, by this request or before",
        body = TicketReport), AdminResponses, MisunderstoodResponses, TicketResponses))]
pub(crate) async fn extend(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    NamedTicket(id): NamedTicket,
    JsonBody(body): JsonBody<ExtendBody>,
) -> Result<Response, AdminFailure> {
    let now = state.clock.now();
    let (expires_at, because) = body.understand(now)?;
    let extend = |ticket: Ticket| ticket.extend(expires_at, because.clone(), now);
    change_ticket(&state, &request, id, "extended", extend).await
}

/// Changes a ticket, if it needs the change; `what` is for the log.
async fn change_ticket(
    state: &State,
    request: &RequestInfo,
    id: TicketId,
    what: &'static str,
    transition: impl Fn(Ticket) -> Option<Ticket>,
) -> Result<Response, AdminFailure> {
    let changed = change(&*state.store, id, state.deadline(), transition).await;
    if let Ok(Changed { changed: true, .. }) | Err(ChangeError::Write(WriteError::OutcomeUnknown(_))) =
        &changed
    {
        tracing::info!(
            request_id = request.id.as_str(), client = %request.client, ticket = %id, what,
            certain = changed.is_ok(),
            "admin: ticket changed"
        );
    }
    let Changed { ticket, changed } = changed?;
    let mut answer = Json(TicketReport::new(&id, &ticket)).into_response();
    answer.extensions_mut().insert(Outcome(if changed { what } else { "unchanged" }));
    Ok(answer)
}
