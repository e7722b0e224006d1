//! `POST /redemptions`: the only request that redeems.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State as AxumState;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::answer::body::RedemptionBody;
use super::answer::{answer, link_lives};
use super::attempt::{Attempt, IDEMPOTENCY_KEY};
use super::failure::Failure;
use super::log::Report;
use super::openapi::responses::{KeyBody, RedemptionResponses};
use super::pages::form::{FormAgain, Sent, Slip};
use super::receipt::holding;
use super::state::{Shared, State};
use crate::client::ClientPrefix;
use crate::lifecycle::Undelivered as _;
use crate::redemption::holder::{Holding, Occasion, links_expired};
use crate::redemption::key::{DownloadKey, TicketId};
use crate::redemption::redeem::{RedeemError, Redeemed, redeem as redeem_ticket};
use crate::redemption::ticket::{IdempotencyKey, Name, RedemptionId};
use crate::web::failure::RequestFailure;
use crate::web::negotiation::{Format, vary_by_accept};
use crate::web::problem::{HEADERS, Problem, Told};
use crate::web::request::RequestInfo;

/// The header that marks an answer about a redemption of an earlier request.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// `POST /redemptions`
#[utoipa::path(post, path = "/redemptions", tag = "redemption",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "Of the client's choice. The same key with the same Idempotency-Key is the same redemption; with \
            another one, or none, it is another person's.")),
    request_body(content((KeyBody = "application/json"), (KeyBody = "application/x-www-form-urlencoded"))),
    responses(RedemptionResponses))]
pub(crate) async fn redeem(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    attempt: Attempt,
) -> Result<Success, Refused> {
    let Attempt { typed, idempotency_key } = attempt;
    let idempotency_key = idempotency_key.map_or_else(|| new_idempotency_key(&state), Ok)?;
    let redeemed = match admitted(&state, request.client, &typed) {
        Ok(ticket) => to_its_end(&state, &request, ticket, &idempotency_key).await,
        Err(failure) => {
            let refused = Refused::from(failure);
            state.metrics.redemption(refused.problem.reason);
            Err(refused)
        }
    };
    redeemed.map_err(|refused| refused.told_to(&state, request.format, Sent { typed, idempotency_key }))
}

fn new_idempotency_key(state: &State) -> Result<IdempotencyKey, RequestFailure> {
    let mut random = [0; 16];
    let filled = state.entropy.fill(&mut random);
    filled.map_err(|error| RequestFailure::Internal(error.to_string()))?;
    Ok(IdempotencyKey::from_random(random))
}

/// The ticket id of the typed key, unless the client has guessed too often. Typing mistakes are refused here,
/// without any I/O.
fn admitted(state: &State, client: ClientPrefix, typed: &str) -> Result<TicketId, Failure> {
    let checked = state.attempts.check(client, Instant::now());
    checked.map_err(|retry_after_seconds| Failure::TooManyAttempts { retry_after_seconds })?;
    Ok(DownloadKey::parse(typed).map_err(Failure::Key)?.id())
}

/// Redeems the ticket, whether or not the client still waits: the write may already be under way, and its outcome must
/// be counted and logged.
async fn to_its_end(
    state: &Shared,
    request: &RequestInfo,
    ticket: TicketId,
    idempotency_key: &IdempotencyKey,
) -> Result<Success, Refused> {
    let work = redeem_for(Arc::clone(state), request.clone(), ticket, idempotency_key.clone());
    let unheard = |outcome| {
        if let Some(report) = report(&outcome) {
            report.undelivered();
        }
    };
    let redeemed = state.underway.complete(work, unheard).await;
    redeemed.unwrap_or_else(|| Err(RequestFailure::Internal("a redemption panicked".to_owned()).into()))
}

/// Redeems the ticket, counts the outcome, and prepares the answer.
async fn redeem_for(
    state: Shared,
    request: RequestInfo,
    ticket: TicketId,
    idempotency_key: IdempotencyKey,
) -> Result<Success, Refused> {
    let redeemed = redemption(&state, &request, ticket, &idempotency_key).await.map_err(Refused::from);
    let (held, outcome) = match &redeemed {
        Ok((body, replayed)) => {
            let held = (RedemptionId(body.redemption.id), Arc::clone(&body.album));
            (Some(held), if *replayed { "replayed" } else { "redeemed" })
        }
        Err(refused) => (None, refused.problem.reason),
    };
    state.metrics.redemption(outcome);
    let metrics = Arc::clone(&state.metrics);
    let report = Arc::new(Report { request, ticket, held, outcome, metrics });
    match redeemed {
        Ok((body, replayed)) => Ok(Success { body, replayed, report }),
        Err(refused) => Err(Refused { report: Some(report), ..refused }),
    }
}

/// The answer's content, and whether another request had made the redemption.
async fn redemption(
    state: &State,
    request: &RequestInfo,
    ticket: TicketId,
    idempotency_key: &IdempotencyKey,
) -> Result<(RedemptionBody, bool), Failure> {
    let (now, deadline) = (state.clock.now(), state.deadline());
    let find_album = |album: Name| async move { state.find_album(&album, deadline).await };
    let redeemed = redeem_ticket(&*state.store, ticket, idempotency_key, now, deadline, find_album).await;
    if matches!(redeemed, Err(RedeemError::Unknown)) {
        state.attempts.count_failure(request.client, Instant::now());
    }
    let Redeemed { mut album, mut redemption, replayed } =
        redeemed.map_err(|error| Failure::of_redeeming(error, now))?;
    if links_expired(&redemption, link_lives(state, &album).shortest, now) {
        let whose = (ticket, redemption.id);
        Holding { album, redemption } =
            holding(state, whose, Occasion::Redemption, deadline, |album| Ok(link_lives(state, album)))
                .await?;
    }
    Ok((answer(state, &request.origin, ticket, &redemption, &album), replayed))
}

fn report(outcome: &Result<Success, Refused>) -> Option<&Arc<Report>> {
    match outcome {
        Ok(success) => Some(&success.report),
        Err(refused) => refused.report.as_ref(),
    }
}

/// A redemption that is the client's.
pub(crate) struct Success {
    body: RedemptionBody,
    replayed: bool,
    report: Arc<Report>,
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let Self { body, replayed, report } = self;
        let form = report.request.format;
        let mut answer = match form {
            Format::Json => json(&body),
            Format::Text => (StatusCode::CREATED, body.lines()).into_response(),
            Format::Html => StatusCode::SEE_OTHER.into_response(),
        };
        let location = match form {
            // A browser stays on its current origin, as its policy for forms requires.
            Format::Html => HeaderValue::from_str(body.receipt_path()),
            Format::Json | Format::Text => {
                HeaderValue::from_maybe_shared(Bytes::from(body.redemption.receipt_url))
            }
        };
        let headers = answer.headers_mut();
        vary_by_accept(headers);
        headers.extend(location.ok().map(|location| (LOCATION, location)));
        if replayed {
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        report.attach(&mut answer);
        answer
    }
}

fn json(body: &RedemptionBody) -> Response {
    let json = match body.json() {
        Ok(json) => json,
        Err(error) => return RequestFailure::Internal(error.to_string()).into_response(),
    };
    let mut answer = Response::new(json.into());
    *answer.status_mut() = StatusCode::CREATED;
    *answer.headers_mut() = HeaderMap::with_capacity(HEADERS);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A redemption that failed.
pub(crate) struct Refused {
    problem: Arc<Problem>,
    slip: Slip,
    may_have_redeemed: bool,
    /// `Some` if the typed text is a key.
    report: Option<Arc<Report>>,
}

impl From<RequestFailure> for Refused {
    fn from(failure: RequestFailure) -> Self {
        Failure::from(failure).into()
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let (slip, may_have_redeemed) = (Slip::of(&failure), failure.may_have_redeemed());
        Self { problem: Arc::new(failure.problem()), slip, may_have_redeemed, report: None }
    }
}

impl Refused {
    /// The refusal as an answer to the sender of this form.
    fn told_to(self, state: &Shared, form: Format, sent: Sent) -> Self {
        let Self { mut problem, slip, may_have_redeemed, report, .. } = self;
        if let Some(problem) = Arc::get_mut(&mut problem) {
            // The client should repeat the same request: without this header, a client that sent no key could not do so
            // as the same person.
            let used = HeaderValue::from_bytes(sent.idempotency_key.as_bytes()).ok();
            let used = used.filter(|_| may_have_redeemed);
            problem.headers.extend(used.map(|used| (HeaderName::from_static(IDEMPOTENCY_KEY), used)));
            if form == Format::Html {
                problem.page = Some(Box::new(FormAgain { state: Arc::clone(state), slip, sent }));
            }
        }
        Self { problem, slip: Slip::default(), may_have_redeemed, report }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut answer = Told(self.problem).into_response();
        if let Some(report) = self.report {
            report.attach(&mut answer);
        }
        answer
    }
}
