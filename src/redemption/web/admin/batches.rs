//! Lists batches with their counts of tickets by state.

use std::num::NonZeroUsize;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as AxumState};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;
use utoipa::{IntoParams, ToSchema};

use super::failure::AdminFailure;
use super::responses::{AdminResponses, MisunderstoodResponses};
use crate::redemption::count::{self, BatchPage};
use crate::redemption::report::{BatchReport, StatsReport};
use crate::redemption::store::{BatchPlace, MAX_PAGE, StoreError};
use crate::redemption::ticket::Name;
use crate::redemption::web::state::{Shared, State};
use crate::web::failure::RequestFailure;

/// The default number of batches in a page.
const DEFAULT_BATCHES: usize = 1000;

/// One page of the batches.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Batches {
    /// Sorted by album and name.
    batches: Vec<BatchReport>,
    /// The `cursor` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The query for a page of batches.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BatchesQuery {
    /// The most batches in the page; 1000 if absent.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    limit: Option<NonZeroUsize>,
    /// The `next` of the previous page.
    #[param(value_type = Option<String>)]
    cursor: Option<BatchCursor>,
}

/// The place of a batch as text that can be put into a URL unchanged.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct BatchCursor(BatchPlace);

impl BatchCursor {
    fn text(place: &BatchPlace) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::json!([place.album, place.batch]).to_string())
    }
}

impl TryFrom<String> for BatchCursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let decoded = URL_SAFE_NO_PAD.decode(text).map_err(|_| "no cursor")?;
        let (album, batch) = serde_json::from_slice(&decoded).map_err(|_| "no cursor")?;
        Ok(Self(BatchPlace { album, batch }))
    }
}

/// `GET /admin/batches`: the batches, with their counts of tickets by state, in pages.
#[utoipa::path(get, path = "/admin/batches", tag = "admin", security(("admin_token" = [])), params(BatchesQuery),
    responses((status = 200, description = "Some of the batches", body = Batches), AdminResponses,
        MisunderstoodResponses))]
pub(crate) async fn batches(
    AxumState(state): AxumState<Shared>,
    query: Result<Query<BatchesQuery>, QueryRejection>,
) -> Result<Json<Batches>, AdminFailure> {
    const WRONG: &str = "The only parameters are limit, 1 to 10000, and cursor, which is the next of the page before, \
        each at most once: \
                         /admin/batches?limit=…&cursor=….";
    let wrong = || RequestFailure::BadRequest(WRONG.to_owned());
    let Query(BatchesQuery { limit, cursor }) = query.map_err(|_| wrong())?;
    let limit = limit.map_or(DEFAULT_BATCHES, NonZeroUsize::get);
    if limit > MAX_PAGE {
        return Err(wrong().into());
    }
    let page = count::page(&*state.store, None, cursor.map(|BatchCursor(place)| place), limit);
    let BatchPage { batches, next } = in_time(&state, page).await?;
    let batches = batches.iter().map(BatchReport::new).collect();
    Ok(Json(Batches { batches, next: next.as_ref().map(BatchCursor::text) }))
}

/// The query for counts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatsQuery {
    /// Only this batch.
    #[param(value_type = Option<String>, min_length = 1, max_length = 128)]
    batch: Option<Name>,
}

/// `GET /admin/stats`: the number of tickets, by state.
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
    let counts = in_time(&state, count::all(&*state.store, batch)).await?;
    Ok(Json(StatsReport::new(&counts)))
}

/// The store's answer, by the request's deadline.
async fn in_time<T>(
    state: &State,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, AdminFailure> {
    let answer = timeout_at(state.deadline(), answer).await;
    answer.unwrap_or_else(|_| Err(StoreError::silent())).map_err(AdminFailure::Store)
}
