//! `GET /redemptions/{receipt}`: the holder's page, with links that work.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State as AxumState};
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse as _, Response};

use super::answer::{answer, link_lives};
use super::failure::Failure;
use super::openapi::responses::ReceiptResponses;
use super::pages::receipt::receipt_page;
use super::state::{Shared, State};
use crate::library::Album;
use crate::redemption::holder::{Holding, Occasion, hold};
use crate::redemption::key::TicketId;
use crate::redemption::link::Receipt;
use crate::redemption::ticket::{Name, RedemptionId};
use crate::web::negotiation::{Format, vary_by_accept};
use crate::web::request::RequestInfo;

/// Whose redemption a receipt is about, as an extractor: of a receipt that this server has made.
pub(crate) struct Holder {
    ticket: TicketId,
    redemption: RedemptionId,
}

impl FromRequestParts<Shared> for Holder {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Failure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let receipt = path.ok().and_then(|Path(receipt)| Receipt::parse(&receipt));
        let verified = receipt.and_then(|receipt| state.keys.verify_receipt(&receipt));
        let (ticket, redemption) = verified.ok_or(Failure::ReceiptUnknown)?;
        Ok(Self { ticket, redemption })
    }
}

/// `GET /redemptions/{receipt}`
#[utoipa::path(get, path = "/redemptions/{receipt}", tag = "redemption",
    params(("receipt" = String, Path, description = "From `receipt_url`", example = "AAAA")),
    responses(ReceiptResponses))]
pub(crate) async fn show(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    method: Method,
    holder: Holder,
) -> Result<Response, Failure> {
    // Only who asks for the content gets new links: a HEAD, as link checkers send, renews nothing.
    let occasion = if method == Method::GET { Occasion::Receipt } else { Occasion::Look };
    let whose = (holder.ticket, holder.redemption);
    let Holding { album, redemption } = holding(&state, whose, occasion, state.deadline()).await?;
    let body = answer(&state, &request.origin, holder.ticket, &redemption, &album);
    let mut answer = match request.format {
        Format::Json => Json(body).into_response(),
        Format::Text => body.lines().into_response(),
        Format::Html => receipt_page(&state, &album, &redemption, &body),
    };
    vary_by_accept(answer.headers_mut());
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// A holder's redemption, its links renewed if they have expired.
pub(crate) async fn holding(
    state: &State,
    whose: (TicketId, RedemptionId),
    occasion: Occasion,
    deadline: tokio::time::Instant,
) -> Result<Holding<Arc<Album>>, Failure> {
    let find_album = |album: Name| async move {
        let album = state.find_album(&album, deadline).await?;
        let lives = link_lives(state, &album);
        Ok((album, lives))
    };
    let occasion = (occasion, state.settings.max_renewals);
    Ok(hold(&*state.store, whose, occasion, state.clock.now(), deadline, find_album).await?)
}
