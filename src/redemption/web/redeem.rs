//! `POST /redemptions`: the only request that redeems.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State as AxumState;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::answer::body::RedemptionBody;
use super::answer::{answer, link_lives};
use super::attempt::{Attempt, IDEMPOTENCY_KEY};
use super::failure::Failure;
use super::log::RedemptionFields;
use super::openapi::responses::{KeyBody, RedemptionResponses};
use super::pages::form::{FormAgain, Sent, Slip};
use super::receipt::holding;
use super::state::{Shared, State};
use crate::redemption::holder::{Holding, Occasion, links_expired};
use crate::redemption::key::{DownloadKey, TicketId};
use crate::redemption::redeem::{RedeemError, Redeemed, redeem as redeem_ticket};
use crate::redemption::ticket::{IdempotencyKey, Name, RedemptionId};
use crate::web::client::ClientPrefix;
use crate::web::failure::RequestFailure;
use crate::web::log::{LogFields, Outcome};
use crate::web::negotiation::{Format, vary_by_accept};
use crate::web::problem::Problem;
use crate::web::request::RequestInfo;

/// Says that an earlier request had made the redemption that is answered with.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// `POST /redemptions`
#[utoipa::path(post, path = "/redemptions", tag = "redemption",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "Of the client's choice. The same key with the same Idempotency-Key is the same redemption; with another one, or none, it is another person's.")),
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
        Ok(ticket) => {
            let redeemed = redeem_for(&state, &request, ticket, &idempotency_key).await;
            redeemed.map_err(|failure| Refused::new(failure, Some(ticket)))
        }
        Err(failure) => Err(Refused::new(failure, None)),
    };
    state.metrics.redemption(match &redeemed {
        Ok(success) => success.outcome(),
        Err(refused) => refused.problem.reason,
    });
    redeemed.map_err(|refused| refused.told_to(&state, request.format, Sent { typed, idempotency_key }))
}

fn new_idempotency_key(state: &State) -> Result<IdempotencyKey, RequestFailure> {
    let mut random = [0; 16];
    let filled = state.entropy.fill(&mut random);
    filled.map_err(|error| RequestFailure::Internal(error.to_string()))?;
    Ok(IdempotencyKey::from_random(random))
}

/// The ticket of what was typed, unless the client has guessed too much. Typing mistakes end here, without any I/O.
fn admitted(state: &State, client: ClientPrefix, typed: &str) -> Result<TicketId, Failure> {
    let checked = state.attempts.check(client, Instant::now());
    checked.map_err(|retry_after_seconds| Failure::TooManyAttempts { retry_after_seconds })?;
    Ok(DownloadKey::parse(typed).map_err(Failure::Key)?.id())
}

/// Redeems the ticket and makes the answer.
async fn redeem_for(
    state: &State,
    request: &RequestInfo,
    ticket: TicketId,
    idempotency_key: &IdempotencyKey,
) -> Result<Success, Failure> {
    let (now, deadline) = (state.clock.now(), state.deadline());
    let find_album = |album: Name| async move { state.find_album(&album, deadline).await };
    let redeemed = redeem_ticket(&*state.store, ticket, idempotency_key, now, deadline, find_album).await;
    if matches!(redeemed, Err(RedeemError::Unknown)) {
        state.attempts.count_failure(request.client, Instant::now());
    }
    let Redeemed { mut album, mut redemption, replayed } = redeemed?;
    if links_expired(&redemption, link_lives(state, &album).shortest, now) {
        let whose = (ticket, redemption.id);
        Holding { album, redemption } = holding(state, whose, Occasion::Redemption, deadline).await?;
    }
    let body = answer(state, &request.origin, ticket, &redemption, &album);
    Ok(Success { form: request.format, ticket, body, replayed })
}

/// A redemption that is the client's.
pub(crate) struct Success {
    form: Format,
    ticket: TicketId,
    body: RedemptionBody,
    replayed: bool,
}

impl Success {
    fn outcome(&self) -> &'static str {
        if self.replayed { "replayed" } else { "redeemed" }
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let Self { form, ticket, ref body, replayed } = self;
        // A browser stays on the origin that it is on, which its policy for forms asks for.
        let (mut answer, location) = match form {
            Format::Json => {
                ((StatusCode::CREATED, Json(body)).into_response(), &*body.redemption.receipt_url)
            }
            Format::Text => {
                ((StatusCode::CREATED, body.lines()).into_response(), &*body.redemption.receipt_url)
            }
            Format::Html => (StatusCode::SEE_OTHER.into_response(), body.receipt_path()),
        };
        let headers = answer.headers_mut();
        vary_by_accept(headers);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(HeaderValue::from_str(location).ok().map(|location| (LOCATION, location)));
        if replayed {
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        let fields = RedemptionFields {
            ticket,
            redemption: Some(RedemptionId(body.redemption.id)),
            album: Some(body.album.id.clone()),
        };
        answer.extensions_mut().insert(Outcome(self.outcome()));
        answer.extensions_mut().insert(LogFields::from(fields));
        answer
    }
}

/// A redemption that failed.
pub(crate) struct Refused {
    problem: Problem,
    /// Of what was typed, if it was a key.
    ticket: Option<TicketId>,
    slip: Slip,
    may_have_redeemed: bool,
    /// Sent along when the same request is to be sent again: a client that sent none could not otherwise ask again as
    /// the same person.
    idempotency_key: Option<HeaderValue>,
}

impl Refused {
    fn new(failure: impl Into<Failure>, ticket: Option<TicketId>) -> Self {
        let failure = failure.into();
        let (slip, may_have_redeemed) = (Slip::of(&failure), failure.may_have_redeemed());
        Self { problem: failure.problem(), ticket, slip, may_have_redeemed, idempotency_key: None }
    }

    /// The same for whoever sent this.
    fn told_to(self, state: &Shared, form: Format, sent: Sent) -> Self {
        let used = HeaderValue::from_bytes(sent.idempotency_key.as_bytes()).ok();
        let idempotency_key = used.filter(|_| self.may_have_redeemed);
        let slip = self.slip;
        let problem = match form {
            Format::Html => self.problem.on(FormAgain { state: Arc::clone(state), slip, sent }),
            Format::Json | Format::Text => self.problem,
        };
        Self { problem, slip: Slip::default(), idempotency_key, ..self }
    }
}

impl From<RequestFailure> for Refused {
    fn from(failure: RequestFailure) -> Self {
        Self::new(failure, None)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { problem, ticket, idempotency_key, .. } = self;
        let mut answer = problem.into_response();
        if let Some(used) = idempotency_key {
            answer.headers_mut().insert(IDEMPOTENCY_KEY, used);
        }
        if let Some(ticket) = ticket {
            let fields = RedemptionFields { ticket, redemption: None, album: None };
            answer.extensions_mut().insert(LogFields::from(fields));
        }
        answer
    }
}
