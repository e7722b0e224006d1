//! The form, the redemption, and the holder's page.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::album::{RedemptionBody, link_lives};
use super::pages::{self, Sent};
use crate::library::{Album, LibraryError};
use crate::redemption::holder::{Holding, Occasion, hold, links_expired};
use crate::redemption::key::{DownloadKey, TicketId};
use crate::redemption::link::Receipt;
use crate::redemption::redeem::{RedeemError, Redeemed, redeem as redeem_ticket};
use crate::redemption::ticket::{IdempotencyKey, Name, RedemptionId};
use crate::web::body::{self, IDEMPOTENCY_KEY};
use crate::web::envelope::{Context, LoggedRedemption, Outcome};
use crate::web::negotiation::Format;
use crate::web::problem::{self, Failure};
use crate::web::{App, Shared};

/// Says that an earlier request had made the redemption that is answered with.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What programs are told at the root.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hello {
    /// `tickey`
    service: &'static str,
    /// Of the program.
    version: &'static str,
    /// How to redeem a key.
    redeem: HowToRedeem,
}

/// How to redeem a key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HowToRedeem {
    /// `POST`
    method: &'static str,
    /// Where to.
    url: String,
    /// What to send.
    body: &'static str,
    /// What to send along so that asking again is safe.
    idempotency: &'static str,
    /// A command that does it.
    example: String,
}

/// `GET /`: the form for browsers, a hello for programs.
#[utoipa::path(get, path = "/", tag = "redemption", responses(
    (status = 200, description = "How to redeem a key; for browsers, the form", content((Hello = "application/json"), (String = "text/html"))),
))]
pub(crate) async fn form(State(app): State<Shared>, context: Context) -> Response {
    if context.format == Format::Html {
        return pages::empty_form(&app);
    }
    let url = format!("{}/redemptions", context.origin);
    let example = format!("curl -d key=XXXXX-XXXXX-XXXXX-XXXXX-XXXXX {url}");
    let redeem = HowToRedeem {
        method: "POST",
        url,
        body: "{\"key\": \"…\"} as application/json, or key=… as application/x-www-form-urlencoded",
        idempotency: "send an Idempotency-Key of your choice, and the same request again gets the same answer",
        example,
    };
    let hello = Hello { service: "tickey", version: env!("CARGO_PKG_VERSION"), redeem };
    match context.format {
        Format::Text => format!("To redeem a key: {}\n", hello.redeem.example).into_response(),
        Format::Json | Format::Html => json(StatusCode::OK, &hello),
    }
}

/// `POST /redemptions`: the only request that redeems.
#[utoipa::path(post, path = "/redemptions", tag = "redemption",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "Of the client's choice. The same key with the same Idempotency-Key is the same redemption; with another one, or none, it is another person's.")),
    request_body(content((crate::web::openapi::KeyBody = "application/json"), (crate::web::openapi::KeyBody = "application/x-www-form-urlencoded"))),
    responses(crate::web::openapi::RedemptionResponses))]
pub(crate) async fn redeem(
    State(app): State<Shared>,
    context: Context,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let attempt = match body::read(&headers, body, app.settings.body_timeout).await {
        Ok(attempt) => attempt,
        Err(failure) => return problem::answer(&context, &failure),
    };
    let idempotency_key = match attempt.idempotency_key {
        Some(given) => given,
        None => match new_idempotency_key(&app) {
            Ok(made) => made,
            Err(failure) => return problem::answer(&context, &failure),
        },
    };
    match attempt_redemption(&app, &context, &attempt.typed, &idempotency_key).await {
        Ok((ticket, redemption_body, replayed)) => {
            app.metrics.redemption(if replayed { "replayed" } else { "redeemed" });
            redeemed(&context, ticket, &redemption_body, replayed)
        }
        Err(failure) => {
            app.metrics.redemption(failure.problem().reason);
            let sent = Sent { typed: &attempt.typed, idempotency_key: &idempotency_key };
            let mut answer = problem::redemption_answer(&app, &context, &failure, &sent);
            // A client that sent none could not ask again as the same person without the one that was used for it.
            if failure.may_have_redeemed()
                && let Ok(used) = HeaderValue::from_bytes(idempotency_key.as_bytes())
            {
                answer.headers_mut().insert(IDEMPOTENCY_KEY, used);
            }
            answer
        }
    }
}

/// The whole of a redemption, from what was typed to the answer's content: of which ticket, and whether it is a replay.
async fn attempt_redemption(
    app: &Shared,
    context: &Context,
    typed: &str,
    idempotency_key: &IdempotencyKey,
) -> Result<(TicketId, RedemptionBody, bool), Failure> {
    app.attempts.check(context.client, Instant::now()).map_err(|wait| Failure::TooManyAttempts {
        retry_after_seconds: wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
    })?;
    let id = DownloadKey::parse(typed).map_err(Failure::Key)?.id();
    let now = app.clock.now();
    let deadline = app.deadline();
    let find_album = |album: Name| async move {
        find_album(app, &album, deadline).await.map_err(|error| error.to_string())
    };
    let redeemed = redeem_ticket(&*app.store, id, idempotency_key, now, deadline, find_album).await;
    if matches!(redeemed, Err(RedeemError::Unknown)) {
        app.attempts.count_failure(context.client, Instant::now());
    }
    let Redeemed { mut album, mut redemption, replayed } = redeemed?;
    if links_expired(&redemption, link_lives(app, &album).shortest, now) {
        Holding { album, redemption } =
            holding(app, (id, redemption.id), Occasion::Redemption, deadline).await?;
    }
    Ok((id, RedemptionBody::new(app, &context.origin, id, &redemption, &album), replayed))
}

/// The album, if it is whole; or why not, by the deadline at the latest.
pub(crate) async fn find_album(
    app: &App,
    album: &Name,
    deadline: tokio::time::Instant,
) -> Result<Arc<Album>, LibraryError> {
    let found = tokio::time::timeout_at(deadline, app.library.album(album.as_str())).await;
    found.unwrap_or(Err(LibraryError::Silent))
}

fn new_idempotency_key(app: &App) -> Result<IdempotencyKey, Failure> {
    let mut random = [0; 16];
    app.entropy.fill(&mut random).map_err(|error| Failure::Internal(error.to_string()))?;
    Ok(IdempotencyKey::from_random(random))
}

fn redeemed(context: &Context, ticket: TicketId, body: &RedemptionBody, replayed: bool) -> Response {
    let mut answer = match context.format {
        Format::Json => json(StatusCode::CREATED, body),
        Format::Text => (StatusCode::CREATED, links(body)).into_response(),
        Format::Html => StatusCode::SEE_OTHER.into_response(),
    };
    // A browser stays on the origin that it is on, which its policy for forms asks for.
    let location = match context.format {
        Format::Html => body.receipt_path(),
        Format::Json | Format::Text => &body.redemption.receipt_url,
    };
    let headers = answer.headers_mut();
    if let Ok(location) = HeaderValue::from_str(location) {
        headers.insert(LOCATION, location);
    }
    if replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let extensions = answer.extensions_mut();
    extensions.insert(Outcome(if replayed { "replayed" } else { "redeemed" }));
    let (id, album) = (RedemptionId(body.redemption.id), body.album.id.clone());
    extensions.insert(LoggedRedemption { ticket, id, album });
    answer
}

/// `GET /redemptions/{receipt}`: the holder's page, with links that work.
#[utoipa::path(get, path = "/redemptions/{receipt}", tag = "redemption",
    params(("receipt" = String, Path, description = "From `receipt_url`", example = "AAAA")),
    responses(crate::web::openapi::ReceiptResponses))]
pub(crate) async fn show(
    State(app): State<Shared>,
    context: Context,
    method: Method,
    receipt: Result<Path<String>, PathRejection>,
) -> Response {
    let receipt = receipt.map(|Path(receipt)| receipt).unwrap_or_default();
    // Only who asks for the content gets new links: a HEAD, as link checkers send, renews nothing.
    let occasion = if method == Method::GET { Occasion::Receipt } else { Occasion::Look };
    match show_receipt(&app, &context, &receipt, occasion).await {
        Ok(answer) => answer,
        Err(failure) => problem::answer(&context, &failure),
    }
}

async fn show_receipt(
    app: &Shared,
    context: &Context,
    receipt: &str,
    occasion: Occasion,
) -> Result<Response, Failure> {
    let receipt = Receipt::parse(receipt).and_then(|receipt| app.keys.verify_receipt(&receipt));
    let (ticket, redemption_id) = receipt.ok_or(Failure::ReceiptUnknown)?;
    let deadline = app.deadline();
    let Holding { album, redemption } = holding(app, (ticket, redemption_id), occasion, deadline).await?;
    let body = RedemptionBody::new(app, &context.origin, ticket, &redemption, &album);
    let mut answer = match context.format {
        Format::Json => json(StatusCode::OK, &body),
        Format::Text => links(&body).into_response(),
        Format::Html => pages::receipt(app, &album, &redemption, &body),
    };
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// A holder's redemption, its links renewed if they have expired.
async fn holding(
    app: &App,
    whose: (TicketId, RedemptionId),
    occasion: Occasion,
    deadline: tokio::time::Instant,
) -> Result<Holding<Arc<Album>>, Failure> {
    let find_album = |album: Name| async move {
        let album = find_album(app, &album, deadline).await.map_err(|error| error.to_string())?;
        let lives = link_lives(app, &album);
        Ok((album, lives))
    };
    Ok(hold(&*app.store, whose, (occasion, app.settings.max_renewals), app.clock.now(), deadline, find_album)
        .await?)
}

fn links(body: &RedemptionBody) -> String {
    body.files.iter().fold(String::new(), |mut text, file| {
        text.push_str(&file.url);
        text.push('\n');
        text
    })
}

/// An answer as JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
