//! `POST /admin/batches`: new tickets, and their keys.

use std::sync::Arc;

use axum::extract::State as AxumState;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use super::access::AdminState;
use super::failure::AdminFailure;
use super::keys::KeysForm;
use super::responses::{AdminResponses, MintResponses, MisunderstoodResponses};
use crate::redemption::issue::{IssueError, issue};
use crate::redemption::mint::{BatchTerms, parse_time};
use crate::redemption::store::StoreError;
use crate::redemption::ticket::{Name, NewExpiry};
use crate::redemption::write::WriteError;
use crate::web::body::{JsonBody, JsonShape};
use crate::web::failure::RequestFailure;
use crate::web::log::Outcome;
use crate::web::negotiation::vary_by_accept;
use crate::web::request::RequestInfo;

/// The most keys that one request mints. For more, `tickey mint` writes them to a file first.
const MAX_COUNT: usize = 10_000;

/// The terms of new tickets.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MintBody {
    /// The album of the keys (its id).
    #[schema(example = "night-ferry", min_length = 1, max_length = 128)]
    album: String,
    /// The name of the batch, for counting and revoking. If it exists, tickets are added to it.
    #[schema(example = "vinyl-2026", min_length = 1, max_length = 128)]
    batch: String,
    /// The number of keys.
    #[schema(example = 10, minimum = 1, maximum = 10_000)]
    count: u64,
    /// The time from which the keys can be redeemed: a time (RFC 3339) or a date (UTC).
    #[schema(example = "2026-12-24")]
    valid_from: Option<String>,
    /// The time from which they can no longer be redeemed: in the future. A date means the beginning of that day.
    #[schema(example = "2027-12-24T18:00:00Z")]
    expires_at: Option<String>,
}

impl JsonShape for MintBody {
    const SHAPE: &'static str = "The body must be a JSON object with album, batch and count, and perhaps valid_from \
        and expires_at, each once and nothing else: {\"album\": \"…\", \"batch\": \"…\", \"count\": 10}.";
}

impl MintBody {
    /// Validates the request: the terms, and the number of keys.
    fn understand(&self, now: Timestamp) -> Result<(BatchTerms, usize), RequestFailure> {
        let wrong =
            |field: &str, why: &dyn std::fmt::Display| RequestFailure::BadRequest(format!("{field}: {why}."));
        let name = |field: &str, text: &str| text.parse::<Name>().map_err(|error| wrong(field, &error));
        let time = |field: &str, text: Option<&String>| {
            text.map(|text| parse_time(text)).transpose().map_err(|error| wrong(field, &error))
        };
        let terms = BatchTerms {
            album: name("album", &self.album)?,
            batch: name("batch", &self.batch)?,
            valid_from: time("valid_from", self.valid_from.as_ref())?,
            expires_at: time("expires_at", self.expires_at.as_ref())?,
        };
        let count = usize::try_from(self.count).ok().filter(|count| (1..=MAX_COUNT).contains(count));
        let count = count.ok_or_else(|| {
            wrong(
                "count",
                &format_args!("it is 1 to {MAX_COUNT}; for more, `tickey mint` writes them to a file"),
            )
        })?;
        let terms = terms.check().map_err(|error| wrong("expires_at", &error))?;
        if let Some(end) = terms.expires_at {
            NewExpiry::new(end, now).map_err(|error| wrong("expires_at", &error))?;
        }
        Ok((terms, count))
    }
}

/// `POST /admin/batches`: the tickets are stored before the answer begins.
#[utoipa::path(post, path = "/admin/batches", tag = "admin", security(("admin_token" = [])),
    request_body(content = MintBody, description = "Sent twice, it mints twice: a key that is lost on its way cannot \
        be had again. A batch of its own for each request can be revoked as a whole when its answer is lost."),
    responses(AdminResponses, MisunderstoodResponses, MintResponses))]
pub(crate) async fn mint(
    AxumState(AdminState { state, admin }): AxumState<AdminState>,
    request: RequestInfo,
    headers: HeaderMap,
    JsonBody(body): JsonBody<MintBody>,
) -> Result<Response, AdminFailure> {
    let (terms, count) = body.understand(state.clock.now())?;
    let form = KeysForm::wanted(&headers);
    let permit = Arc::clone(&admin.minting).try_acquire_owned();
    let permit = permit.map_err(|_| AdminFailure::Store(StoreError::Overloaded))?;
    let deadline = state.deadline();
    state.find_album(&terms.album, deadline).await.map_err(AdminFailure::Album)?;
    let issued = issue(&*state.store, &terms, count, state.clock.now(), &*state.entropy, deadline).await;
    if let Err(IssueError::Store(WriteError::OutcomeUnknown(_))) = &issued {
        tracing::warn!(
            request_id = request.id.as_str(), client = %request.client, batch = %terms.batch, album = %terms.album,
            count, "admin: the outcome of minting is unknown; tickets may be stored, and their keys are lost"
        );
    }
    let keys = issued.map_err(AdminFailure::Issue)?;
    tracing::info!(
        request_id = request.id.as_str(), client = %request.client, batch = %terms.batch, album = %terms.album, count,
        "admin: tickets minted"
    );
    let mut answer = (StatusCode::CREATED, form.body(terms, keys, permit)).into_response();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    vary_by_accept(answer.headers_mut());
    answer.extensions_mut().insert(Outcome("minted"));
    Ok(answer)
}
