//! The admin interface: to mint, look at, void, give back and count tickets, for whoever has the admin token.
//!
//! The use cases and the JSON are those of the command line. Its routes are there only when a token is set. A key is in
//! bodies only; addresses name tickets by their ids. Every change leaves a line in the log: which network it came from, what was
//! changed, how many, and never a key, nor the reason of a reinstatement, since people write keys into those.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRef, Path, Query, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream;
use mediatype::MediaType;
use mediatype::names::{APPLICATION, CSV, JSON, TEXT};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use super::redemptions::{find_album, json};
use crate::library::LibraryError;
use crate::redemption::change::{Changed, change, change_batch, look};
use crate::redemption::count::{self, BatchPage};
use crate::redemption::issue::issue;
use crate::redemption::key::{DownloadKey, TicketId};
use crate::redemption::mint::{BatchTerms, KeysWriter, parse_time};
use crate::redemption::redeem::RedeemError;
use crate::redemption::report::{BatchReport, RevokedBatchReport, StatsReport, TicketReport};
use crate::redemption::store::{BatchPlace, MAX_PAGE, StoreError};
use crate::redemption::ticket::{Because, Name, Ticket};
use crate::web::attempts::Attempts;
use crate::web::body::read_json;
use crate::web::envelope::{Context, Outcome};
use crate::web::negotiation::{Format, preferred};
use crate::web::problem::{self, AdminFailure, Failure};
use crate::web::{App, Settings, Shared};

mod token;

pub use token::{AdminToken, AdminTokenError, open_to_others};

/// The most keys that one request mints. `tickey mint`, which writes them to a file first, is for more.
const MAX_COUNT: usize = 10_000;
/// Requests that mint, and hold all of their keys in memory until they are sent; one more is refused at once.
const MAX_MINTING: usize = 4;
/// Batches of a page when no number is asked for.
const DEFAULT_BATCHES: usize = 1000;
/// Keys that are written at once into an answer.
const CHUNK_KEYS: usize = 250;

/// What the admin interface needs beside what all handlers share.
pub struct Admin {
    token: AdminToken,
    /// Wrong tokens. The allowances are those of unknown keys, and are counted apart from them.
    attempts: Attempts,
    minting: Arc<Semaphore>,
}

impl Admin {
    /// For whoever has this token.
    #[must_use]
    pub fn new(token: AdminToken, settings: &Settings) -> Arc<Self> {
        let attempts = Attempts::new(settings.unknown_each, settings.unknown_all, Instant::now());
        Arc::new(Self { token, attempts, minting: Arc::new(Semaphore::new(MAX_MINTING)) })
    }

    /// Lets nobody pass but whoever has the token.
    async fn admit(&self, context: &Context, headers: &HeaderMap) -> Result<(), AdminFailure> {
        // Who sends none has not guessed.
        let presented = bearer(headers).ok_or(AdminFailure::Unauthorized)?;
        self.attempts.check(context.client, Instant::now()).map_err(|wait| AdminFailure::TooManyTokens {
            retry_after_seconds: wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
        })?;
        if self.token.admits(presented).await {
            return Ok(());
        }
        self.attempts.count_failure(context.client, Instant::now());
        tracing::warn!(
            request_id = context.request_id.as_str(), client = %context.client,
            "wrong admin token"
        );
        Err(AdminFailure::Unauthorized)
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1), sent once.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// What the handlers of this module share.
#[derive(Clone)]
struct AdminState {
    app: Shared,
    admin: Arc<Admin>,
}

impl FromRef<AdminState> for Shared {
    fn from_ref(state: &AdminState) -> Self {
        Arc::clone(&state.app)
    }
}

/// The routes.
pub(crate) fn routes(app: &Shared, admin: Arc<Admin>) -> Router<Shared> {
    let state = AdminState { app: Arc::clone(app), admin };
    Router::new()
        .route("/admin/batches", get(batches).post(mint))
        .route("/admin/batches/{batch}/revoke", post(revoke_all))
        .route("/admin/tickets/lookup", post(lookup))
        .route("/admin/tickets/{id}", get(show))
        .route("/admin/tickets/{id}/revoke", post(revoke))
        .route("/admin/tickets/{id}/reinstate", post(reinstate))
        .route("/admin/stats", get(stats))
        .route_layer(from_fn_with_state(state.clone(), admit))
        .with_state(state)
}

/// Wraps every route here: the token first, JSON for everybody, and nothing is kept on the way.
async fn admit(
    State(state): State<AdminState>,
    mut context: Context,
    mut request: Request,
    next: Next,
) -> Response {
    context.format = Format::Json;
    request.extensions_mut().insert(context.clone());
    let mut answer = match state.admin.admit(&context, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(failure) => problem::answer(&context, &failure.into()),
    };
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The answer of a handler that may have failed.
fn answered(context: &Context, result: Result<Response, Failure>) -> Response {
    result.unwrap_or_else(|failure| problem::answer(context, &failure))
}

/// What new tickets are to be like.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MintBody {
    /// The album that the keys give (its id).
    #[schema(example = "night-ferry", min_length = 1, max_length = 128)]
    album: String,
    /// The name of the batch, for counting and revoking. If it exists, tickets are added to it.
    #[schema(example = "vinyl-2026", min_length = 1, max_length = 128)]
    batch: String,
    /// How many.
    #[schema(example = 10, minimum = 1, maximum = 10_000)]
    count: u64,
    /// From when on the keys can be redeemed: a time (RFC 3339) or a date (UTC).
    #[schema(example = "2026-12-24")]
    valid_from: Option<String>,
    /// From when on they no longer can.
    #[schema(example = "2027-12-24T18:00:00Z")]
    expires_at: Option<String>,
}

/// New keys. They are in this answer and nowhere else.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Minted {
    /// The batch.
    #[schema(example = "vinyl-2026")]
    batch: String,
    /// The album that the keys give.
    #[schema(example = "night-ferry")]
    album: String,
    /// How many there are.
    count: usize,
    /// The keys.
    #[schema(example = json!(["M9S34-6Q3D2-5VT4F-5V37E-3S3NJ"]))]
    keys: Vec<String>,
}

impl MintBody {
    /// Understands it: the terms, and how many.
    fn understand(&self) -> Result<(BatchTerms, usize), Failure> {
        let wrong =
            |field: &str, why: &dyn std::fmt::Display| Failure::BadRequest(format!("{field}: {why}."));
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
        Ok((terms.check().map_err(|error| wrong("expires_at", &error))?, count))
    }
}

/// `POST /admin/batches`: new tickets, and their keys. The tickets are in the store when the answer begins.
#[utoipa::path(post, path = "/admin/batches", tag = "admin", security(("admin_token" = [])),
    request_body(content = MintBody, description = "Sent twice, it mints twice: a key that is lost on its way cannot be had again. A batch of its own for each request can be revoked as a whole when its answer is lost."),
    responses(crate::web::openapi::AdminResponses, crate::web::openapi::MisunderstoodResponses, crate::web::openapi::MintResponses))]
async fn mint(State(state): State<AdminState>, context: Context, headers: HeaderMap, body: Body) -> Response {
    answered(&context, mint_batch(&state, &context, &headers, body).await)
}

async fn mint_batch(
    state: &AdminState,
    context: &Context,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    const SHAPE: &str = "The body must be a JSON object with album, batch and count, and perhaps valid_from and expires_at, each once and nothing else: {\"album\": \"…\", \"batch\": \"…\", \"count\": 10}.";
    let app = &state.app;
    let body: MintBody = read_json(headers, body, app.settings.body_timeout, SHAPE).await?;
    let (terms, count) = body.understand()?;
    let form = KeysForm::wanted(headers);
    let Ok(permit) = Arc::clone(&state.admin.minting).try_acquire_owned() else {
        return Err(AdminFailure::Tickets(RedeemError::StoreUnavailable(StoreError::Overloaded)).into());
    };
    let deadline = app.deadline();
    find_album(app, &terms.album, deadline).await.map_err(|error| match error {
        LibraryError::NoSuchAlbum(_) => AdminFailure::AlbumUnknown,
        LibraryError::Incomplete { .. } | LibraryError::Unreadable { .. } | LibraryError::Silent => {
            AdminFailure::AlbumNotWhole(error.to_string())
        }
    })?;
    let keys = issue(&*app.store, &terms, count, app.clock.now(), &*app.entropy, deadline).await;
    let keys = keys.map_err(AdminFailure::Issue)?;
    tracing::info!(
        request_id = context.request_id.as_str(), client = %context.client, batch = %terms.batch, album = %terms.album, count,
        "admin: tickets minted"
    );
    let mut answer = (StatusCode::CREATED, form.body(terms, keys, permit)).into_response();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    answer.extensions_mut().insert(Outcome("minted"));
    Ok(answer)
}

/// In which form keys are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeysForm {
    Json,
    /// As `tickey mint` writes it and `tickey load` and `tickey cards` read it.
    Csv,
}

impl KeysForm {
    fn wanted(headers: &HeaderMap) -> Self {
        static AVAILABLE: [MediaType<'_>; 2] = [MediaType::new(APPLICATION, JSON), MediaType::new(TEXT, CSV)];
        match preferred(headers, &AVAILABLE) {
            Some(chosen) if chosen.subty == CSV => Self::Csv,
            Some(_) | None => Self::Json,
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// The keys as a body that is written while it is sent. Holds on to the permit until then.
    fn body(self, terms: BatchTerms, keys: Vec<DownloadKey>, permit: OwnedSemaphorePermit) -> Body {
        let mut keys = keys.into_iter();
        let count = keys.len();
        let mut ended = false;
        let chunks = std::iter::from_fn(move || {
            let _held = &permit;
            if ended {
                return None;
            }
            let first = keys.len() == count;
            let chunk: Vec<DownloadKey> = keys.by_ref().take(CHUNK_KEYS).collect();
            ended = keys.len() == 0;
            let written = match self {
                Self::Json => json_chunk(&terms, count, &chunk, first, ended),
                Self::Csv => csv_chunk(&terms, &chunk, first),
            };
            // A body that breaks off is told from one that is whole.
            ended |= written.is_err();
            Some(written.map(Bytes::from))
        });
        Body::from_stream(stream::iter(chunks))
    }
}

fn json_chunk(
    terms: &BatchTerms,
    count: usize,
    keys: &[DownloadKey],
    first: bool,
    last: bool,
) -> std::io::Result<Vec<u8>> {
    let mut text = String::new();
    if first {
        let (batch, album) = (serde_json::to_string(&terms.batch)?, serde_json::to_string(&terms.album)?);
        let _ = write!(text, "{{\"batch\":{batch},\"album\":{album},\"count\":{count},\"keys\":[");
    }
    for (place, key) in keys.iter().enumerate() {
        let comma = if first && place == 0 { "" } else { "," };
        // A text grows, or the program ends.
        let _ = write!(text, "{comma}\"{}\"", *Zeroizing::new(key.reveal()));
    }
    if last {
        text.push_str("]}");
    }
    Ok(text.into_bytes())
}

fn csv_chunk(terms: &BatchTerms, keys: &[DownloadKey], first: bool) -> std::io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    let mut csv = KeysWriter::new(&mut lines, terms);
    if first {
        csv.header()?;
    }
    for key in keys {
        csv.key(key)?;
    }
    csv.flush()?;
    drop(csv);
    Ok(lines)
}

/// Some of the batches.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Batches {
    /// Sorted by album and name.
    batches: Vec<BatchReport>,
    /// The `cursor` of the next page; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which page of the batches.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BatchesQuery {
    /// How many at most; 1000 if it is not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    limit: Option<NonZeroUsize>,
    /// The `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<BatchCursor>,
}

/// The place of a batch as a text that goes into a URL as it is.
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

/// `GET /admin/batches`: the batches, with how many tickets each has and what became of them, in pages.
#[utoipa::path(get, path = "/admin/batches", tag = "admin", security(("admin_token" = [])), params(BatchesQuery),
    responses((status = 200, description = "Some of the batches", body = Batches), crate::web::openapi::AdminResponses, crate::web::openapi::MisunderstoodResponses))]
async fn batches(
    State(app): State<Shared>,
    context: Context,
    query: Result<Query<BatchesQuery>, QueryRejection>,
) -> Response {
    answered(&context, page_of_batches(&app, query).await)
}

async fn page_of_batches(
    app: &App,
    query: Result<Query<BatchesQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    const WRONG: &str = "The only parameters are limit, 1 to 10000, and cursor, which is the next of the page before, each at most once: \
                         /admin/batches?limit=…&cursor=….";
    let Ok(Query(BatchesQuery { limit, cursor })) = query else {
        return Err(Failure::BadRequest(WRONG.to_owned()));
    };
    let limit = limit.map_or(DEFAULT_BATCHES, NonZeroUsize::get);
    if limit > MAX_PAGE {
        return Err(Failure::BadRequest(WRONG.to_owned()));
    }
    let page = count::page(&*app.store, None, cursor.map(|BatchCursor(place)| place), limit);
    let BatchPage { batches, next } = in_time(app, page).await?;
    let batches = Batches {
        batches: batches.iter().map(BatchReport::new).collect(),
        next: next.as_ref().map(BatchCursor::text),
    };
    Ok(json(StatusCode::OK, &batches))
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
    responses((status = 200, description = "The numbers", body = StatsReport), crate::web::openapi::AdminResponses, crate::web::openapi::MisunderstoodResponses))]
async fn stats(
    State(app): State<Shared>,
    context: Context,
    query: Result<Query<StatsQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(StatsQuery { batch })) = query else {
        let wrong = "The only parameter is batch, once, with a name of 1 to 128 bytes: /admin/stats?batch=….";
        return problem::answer(&context, &Failure::BadRequest(wrong.to_owned()));
    };
    let counts = in_time(&app, count::all(&*app.store, batch)).await;
    let report = counts.map(|counts| json(StatusCode::OK, &StatsReport::new(&counts)));
    answered(&context, report.map_err(Failure::from))
}

/// What the store answers by the request's deadline.
async fn in_time<T>(
    app: &App,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, AdminFailure> {
    let answer = timeout_at(app.deadline(), answer).await.unwrap_or_else(|_| Err(StoreError::silent()));
    answer.map_err(|error| AdminFailure::Tickets(RedeemError::StoreUnavailable(error)))
}

/// `POST /admin/batches/{batch}/revoke`: declares every ticket of a batch void.
#[utoipa::path(post, path = "/admin/batches/{batch}/revoke", tag = "admin", security(("admin_token" = [])),
    params(("batch" = String, Path, description = "Its name, percent-encoded", example = "vinyl-2026")),
    responses((status = 200, description = "All of them are void", body = RevokedBatchReport), crate::web::openapi::AdminResponses, crate::web::openapi::BatchResponses))]
async fn revoke_all(
    State(app): State<Shared>,
    context: Context,
    batch: Result<Path<String>, PathRejection>,
) -> Response {
    answered(&context, revoke_tickets_of(&app, &context, batch).await)
}

async fn revoke_tickets_of(
    app: &App,
    context: &Context,
    batch: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    let batch: Option<Name> = batch.ok().and_then(|Path(batch)| batch.parse().ok());
    let batch = batch.ok_or(AdminFailure::BatchUnknown)?;
    let patience = app.settings.request_timeout;
    let now = app.clock.now();
    let revoke = |ticket: Ticket| ticket.revoke(None, now);
    let revoked = change_batch(&*app.store, &batch, &revoke, patience, Some(app.deadline()), &|_| ()).await;
    let done = revoked.as_ref().map_or_else(|error| error.done, |done| *done);
    if done.tickets() > 0 {
        tracing::info!(
            request_id = context.request_id.as_str(), client = %context.client, %batch, revoked = done.changed.tickets(),
            unchanged = done.unchanged.tickets(), whole = revoked.is_ok(),
            "admin: batch revoked"
        );
    }
    match revoked.map_err(AdminFailure::Batch)? {
        done if done.tickets() == 0 => Err(AdminFailure::BatchUnknown.into()),
        done => Ok(json(StatusCode::OK, &RevokedBatchReport::from(done))),
    }
}

/// `POST /admin/tickets/lookup`: the ticket of a key.
#[utoipa::path(post, path = "/admin/tickets/lookup", tag = "admin", security(("admin_token" = [])),
    request_body(content = LookupBody),
    responses((status = 200, description = "The ticket", body = TicketReport), crate::web::openapi::AdminResponses, crate::web::openapi::MisunderstoodResponses, crate::web::openapi::LookupResponses))]
async fn lookup(State(app): State<Shared>, context: Context, headers: HeaderMap, body: Body) -> Response {
    answered(&context, look_up(&app, &headers, body).await)
}

/// A key, of which the ticket is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookupBody {
    /// As it is printed; case, spaces, dashes and dots do not matter.
    #[schema(example = "M9S34-6Q3D2-5VT4F-5V37E-3S3NJ")]
    key: String,
}

async fn look_up(app: &App, headers: &HeaderMap, body: Body) -> Result<Response, Failure> {
    const SHAPE: &str = "The body must be a JSON object with the key as a text, once: {\"key\": \"…\"}.";
    let body: LookupBody = read_json(headers, body, app.settings.body_timeout, SHAPE).await?;
    let id = DownloadKey::parse(&body.key).map_err(Failure::Key)?.id();
    match look(&*app.store, id, app.deadline()).await {
        Ok(ticket) => Ok(ticket_answer(&id, &ticket)),
        // In the words for keys, not in those for ids.
        Err(error @ RedeemError::Unknown) => Err(Failure::Redeem(error)),
        Err(error) => Err(AdminFailure::Tickets(error).into()),
    }
}

/// Names a ticket in a path: the description of what [`ticket_id`] reads.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "a description, not values")]
struct TicketPath {
    /// The SHA-256 of its key, base64url; never the key
    #[param(example = "FW8esbCt8xG32a8tomvn89yOy4rIihM6OSS4kRFRWOA")]
    id: String,
}

/// `GET /admin/tickets/{id}`: a ticket by its id.
#[utoipa::path(get, path = "/admin/tickets/{id}", tag = "admin", security(("admin_token" = [])),
    params(TicketPath),
    responses((status = 200, description = "The ticket", body = TicketReport), crate::web::openapi::AdminResponses, crate::web::openapi::TicketResponses))]
async fn show(
    State(app): State<Shared>,
    context: Context,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let shown = async {
        let id = ticket_id(id)?;
        let ticket = look(&*app.store, id, app.deadline()).await.map_err(AdminFailure::Tickets)?;
        Ok(ticket_answer(&id, &ticket))
    };
    answered(&context, shown.await)
}

/// `POST /admin/tickets/{id}/revoke`: declares a ticket void, and with it the receipt of its redemption.
#[utoipa::path(post, path = "/admin/tickets/{id}/revoke", tag = "admin", security(("admin_token" = [])),
    params(TicketPath),
    responses((status = 200, description = "The ticket, which is void, by this request or before", body = TicketReport), crate::web::openapi::AdminResponses, crate::web::openapi::TicketResponses))]
async fn revoke(
    State(app): State<Shared>,
    context: Context,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let now = app.clock.now();
    let revoke = |ticket: Ticket| ticket.revoke(None, now);
    answered(&context, change_ticket(&app, &context, id, "revoked", revoke).await)
}

/// Why a ticket is given back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReinstateBody {
    /// For the record in the ticket.
    #[schema(example = "scratched card", min_length = 1, max_length = 1000)]
    because: String,
}

/// `POST /admin/tickets/{id}/reinstate`: makes a redeemed or revoked ticket usable again; its old receipt stays void.
#[utoipa::path(post, path = "/admin/tickets/{id}/reinstate", tag = "admin", security(("admin_token" = [])),
    params(TicketPath),
    request_body(content = ReinstateBody),
    responses((status = 200, description = "The ticket, which can be redeemed, by this request or before", body = TicketReport), crate::web::openapi::AdminResponses, crate::web::openapi::MisunderstoodResponses, crate::web::openapi::TicketResponses))]
async fn reinstate(
    State(app): State<Shared>,
    context: Context,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    const SHAPE: &str = "The body must be a JSON object with the reason as a text of 1 to 1000 bytes, once: {\"because\": \"…\"}.";
    let reinstated = async {
        let body: ReinstateBody = read_json(&headers, body, app.settings.body_timeout, SHAPE).await?;
        let because: Because = body.because.parse().map_err(|_| Failure::BadRequest(SHAPE.to_owned()))?;
        let now = app.clock.now();
        let reinstate = |ticket: Ticket| ticket.reinstate(because.clone(), now);
        change_ticket(&app, &context, id, "reinstated", reinstate).await
    };
    answered(&context, reinstated.await)
}

/// Changes a ticket, if there is something to change; `what` is for the log.
async fn change_ticket(
    app: &App,
    context: &Context,
    id: Result<Path<String>, PathRejection>,
    what: &'static str,
    transition: impl Fn(Ticket) -> Option<Ticket>,
) -> Result<Response, Failure> {
    let id = ticket_id(id)?;
    let changed = change(&*app.store, id, app.deadline(), transition).await;
    if let Ok(Changed { changed: true, .. }) | Err(RedeemError::OutcomeUnknown(_)) = &changed {
        tracing::info!(
            request_id = context.request_id.as_str(), client = %context.client, ticket = %id, what, certain = changed.is_ok(),
            "admin: ticket changed"
        );
    }
    let Changed { ticket, changed } = changed.map_err(AdminFailure::Tickets)?;
    let mut answer = ticket_answer(&id, &ticket);
    answer.extensions_mut().insert(Outcome(if changed { what } else { "unchanged" }));
    Ok(answer)
}

fn ticket_id(id: Result<Path<String>, PathRejection>) -> Result<TicketId, AdminFailure> {
    let id = id.ok().and_then(|Path(id)| TicketId::parse(&id));
    id.ok_or(AdminFailure::Tickets(RedeemError::Unknown))
}

fn ticket_answer(id: &TicketId, ticket: &Ticket) -> Response {
    json(StatusCode::OK, &TicketReport::new(id, ticket))
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT;

    use super::*;

    #[test]
    fn a_bearer_token_is_read_from_one_header() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(|token| String::from_utf8_lossy(token).into_owned())
        };
        for value in ["Bearer secret", "bearer secret", "BEARER   secret "] {
            assert_eq!(read(&[value]).as_deref(), Some("secret"), "{value:?}");
        }
        for values in [&[][..], &["Basic secret"], &["secret"], &["Bearer"], &["Bearer a", "Bearer a"]] {
            assert_eq!(read(values), None, "{values:?}");
        }
    }

    #[test]
    fn keys_come_as_json_unless_a_table_is_asked_for() {
        let wanted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            KeysForm::wanted(&headers)
        };
        assert_eq!(KeysForm::wanted(&HeaderMap::new()), KeysForm::Json);
        for (accept, form) in [
            ("*/*", KeysForm::Json),
            ("application/json", KeysForm::Json),
            ("text/csv", KeysForm::Csv),
            ("text/*", KeysForm::Csv),
            ("text/csv, */*;q=0.1", KeysForm::Csv),
            ("text/csv;q=0.1, application/json", KeysForm::Json),
            ("text/html", KeysForm::Json),
            ("rubbish", KeysForm::Json),
        ] {
            assert_eq!(wanted(accept), form, "{accept}");
        }
    }

    #[tokio::test]
    async fn an_answer_of_any_length_is_whole() {
        use http_body_util::BodyExt as _;
        let terms = || BatchTerms {
            album: "an \"album\", so called".parse().unwrap(),
            batch: "batch".parse().unwrap(),
            valid_from: None,
            expires_at: Some("2027-01-01T00:00:00Z".parse().unwrap()),
        };
        for count in [1, 2, CHUNK_KEYS, CHUNK_KEYS + 1, 3 * CHUNK_KEYS] {
            let keys: Vec<DownloadKey> = (0..count)
                .map(|number| {
                    let mut random = [0; 23];
                    random[..2].copy_from_slice(&[
                        u8::try_from(number % 32).unwrap(),
                        u8::try_from(number / 32).unwrap(),
                    ]);
                    DownloadKey::from_random(&random)
                })
                .collect();
            let revealed: Vec<String> = keys.iter().map(DownloadKey::reveal).collect();
            let permit = || Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            let body =
                KeysForm::Json.body(terms(), keys.clone(), permit()).collect().await.unwrap().to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let expected = serde_json::json!({
                "batch": "batch", "album": "an \"album\", so called", "count": count, "keys": revealed
            });
            assert_eq!(body, expected);
            let body = KeysForm::Csv.body(terms(), keys, permit()).collect().await.unwrap().to_bytes();
            let mut expected = "key,album,batch,valid_from,expires_at\n".to_owned();
            for key in revealed {
                let _ =
                    writeln!(expected, "{key},\"an \"\"album\"\", so called\",batch,,2027-01-01T00:00:00Z");
            }
            assert_eq!(String::from_utf8_lossy(&body), expected);
        }
    }
}
