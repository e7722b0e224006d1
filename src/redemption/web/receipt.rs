//! The routes for the holder of a receipt: see its page, download its files, and renew its links.
//!
//! The URL of a receipt is a secret that does not expire. So its page offers each file at a URL that contains the
//! receipt, and that works as long as the receipt does. Only links that leave the page, as JSON and text, expire.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State as AxumState};
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::body::RECEIPTS;
use super::answer::{answer, file_life, link_lives};
use super::failure::Failure;
use super::files::{BACK_TO_RECEIPT, FileRequest, GoodLink, give};
use super::log::Held;
use super::openapi::responses::{FileResponses, ReceiptResponses};
use super::pages::receipt::receipt_page;
use super::state::{Shared, State};
use crate::library::{Album, LibraryError};
use crate::redemption::holder::{Holding, LinkLives, Occasion, hold, links_expired};
use crate::redemption::key::TicketId;
use crate::redemption::link::Receipt;
use crate::redemption::ticket::{Name, RedemptionId};
use crate::web::intent::{is_in_advance, is_meant_by_program};
use crate::web::negotiation::{Format, vary_by_accept};
use crate::web::request::RequestInfo;

/// The redemption of a receipt that this server has made, as an extractor.
pub(crate) struct Holder {
    ticket: TicketId,
    redemption: RedemptionId,
    /// The path of the receipt's page.
    page: String,
}

#[derive(Deserialize)]
struct ReceiptSegment {
    receipt: String,
}

#[derive(Deserialize)]
pub(crate) struct FileSegment {
    name: String,
}

impl FromRequestParts<Shared> for Holder {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Failure> {
        let path = Path::<ReceiptSegment>::from_request_parts(parts, state).await;
        let receipt = path.ok().and_then(|Path(path)| Receipt::parse(&path.receipt));
        let receipt = receipt.ok_or(Failure::ReceiptUnknown)?;
        let (ticket, redemption) = state.keys.verify_receipt(&receipt).ok_or(Failure::ReceiptUnknown)?;
        Ok(Self { ticket, redemption, page: format!("{RECEIPTS}{}", receipt.reveal()) })
    }
}

impl Holder {
    /// An answer whose log line names the receipt's redemption.
    fn logged(&self, answer: impl IntoResponse) -> Response {
        let mut answer = answer.into_response();
        Held { ticket: self.ticket, redemption: self.redemption }.attach(&mut answer);
        answer
    }

    /// The redemption, with renewed links if they have expired and the occasion allows it.
    async fn holding(&self, state: &State, occasion: Occasion) -> Result<Holding<Arc<Album>>, Failure> {
        let whose = (self.ticket, self.redemption);
        holding(state, whose, occasion, state.deadline(), |album| Ok(link_lives(state, album))).await
    }
}

/// `GET /redemptions/{receipt}`: the holder's page, or JSON with valid links for programs.
#[utoipa::path(get, path = "/redemptions/{receipt}", tag = "redemption",
    params(("receipt" = String, Path, description = "From `receipt_url`", example = "AAAA")),
    responses(ReceiptResponses))]
pub(crate) async fn show(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    method: Method,
    headers: HeaderMap,
    holder: Holder,
) -> Response {
    // The page needs no fresh links, and a mere look at a receipt must not use up its renewals.
    let is_meant = request.format != Format::Html && is_meant_by_program(&method, &headers);
    let occasion = if is_meant { Occasion::Links } else { Occasion::Look };
    let shown = match holder.holding(&state, occasion).await {
        Ok(holding) => Ok(shown(&state, &request, &holder, &holding, occasion)),
        Err(failure @ (Failure::ReceiptUnknown | Failure::Revoked)) => Err(failure.problem()),
        Err(failure) => Err(failure.problem().leading_to("Try again", holder.page.clone())),
    };
    holder.logged(shown)
}

/// `POST /redemptions/{receipt}/links`: fresh links, if one of the last has expired.
#[utoipa::path(post, path = "/redemptions/{receipt}/links", tag = "redemption",
    params(("receipt" = String, Path, description = "From `receipt_url`", example = "AAAA")),
    responses(
        (status = 303, description = "For browsers: the receipt is at `Location`"),
        ReceiptResponses,
    ))]
pub(crate) async fn renew(
    AxumState(state): AxumState<Shared>,
    request: RequestInfo,
    holder: Holder,
) -> Response {
    let held = holder.holding(&state, Occasion::Links).await;
    let renewed = held.map(|holding| match request.format {
        Format::Html => (StatusCode::SEE_OTHER, [(LOCATION, &*holder.page)]).into_response(),
        Format::Json | Format::Text => shown(&state, &request, &holder, &holding, Occasion::Links),
    });
    holder.logged(renewed)
}

/// `GET /files/receipts/{receipt}/{name}`: a file for the holder, as the links of the page ask for it.
#[utoipa::path(get, path = "/files/receipts/{receipt}/{name}", tag = "files",
    params(
        ("receipt" = String, Path, description = "From `receipt_url`", example = "AAAA"),
        ("name" = String, Path, example = "track.flac"),
    ),
    responses(FileResponses))]
pub(crate) async fn file(
    AxumState(state): AxumState<Shared>,
    asked: FileRequest,
    holder: Holder,
    path: Result<Path<FileSegment>, PathRejection>,
) -> Response {
    let name = path.map(|Path(path)| path.name).unwrap_or_default();
    let link = holders_link(&state, &asked.method, &asked.headers, &holder, name).await;
    let given = give(&state, &asked, link).await;
    let page = || holder.page.clone();
    holder.logged(given.map_err(|failure| failure.problem().leading_to(BACK_TO_RECEIPT, page())))
}

/// `HEAD /files/receipts/{receipt}/{name}`: described here, and answered by [`file()`].
#[utoipa::path(head, path = "/files/receipts/{receipt}/{name}", tag = "files",
    params(
        ("receipt" = String, Path, description = "From `receipt_url`", example = "AAAA"),
        ("name" = String, Path, example = "track.flac"),
    ),
    responses(FileResponses))]
#[expect(dead_code, reason = "a description: the router answers HEAD with the handler of GET")]
fn file_head() {}

/// A link to the file, valid from now. When a person opens a file whose link has expired, the links of the
/// receipt are renewed.
async fn holders_link(
    state: &State,
    method: &Method,
    headers: &HeaderMap,
    holder: &Holder,
    name: String,
) -> Result<GoodLink, Failure> {
    let in_advance = is_in_advance(headers);
    let occasion = if method == Method::GET && !in_advance { Occasion::Links } else { Occasion::Look };
    // Only for a file that exists: a renewal is not spent on a missing one.
    let life = |album: &Album| Ok(file_life(state, album.file(&name)?));
    let only = |album: &Album| life(album).map(|life| LinkLives { shortest: life, longest: life });
    let whose = (holder.ticket, holder.redemption);
    let Holding { album, redemption } = holding(state, whose, occasion, state.deadline(), only).await?;
    let (now, life) = (state.clock.now(), life(&album).map_err(Failure::FileUnavailable)?);
    if in_advance && links_expired(&redemption, life, now) {
        return Err(Failure::LoadedInAdvance);
    }
    let expires_second = now.as_second().saturating_add(life.as_secs());
    let given_by = format!("{}/{name}", holder.page);
    Ok(GoodLink { album: album.id.clone(), name, expires_second, given_by })
}

/// The receipt in the form that its client prefers.
fn shown(
    state: &State,
    request: &RequestInfo,
    holder: &Holder,
    held: &Holding<Arc<Album>>,
    occasion: Occasion,
) -> Response {
    let Holding { album, redemption } = held;
    let mut shown = match request.format {
        Format::Html => receipt_page(state, album, redemption, (&request.origin, &holder.page)),
        Format::Json | Format::Text => {
            let mut body = answer(state, &request.origin, holder.ticket, redemption, album);
            // Requested links were valid at that moment: the bytes are those of the answer to the redemption.
            let expired = || links_expired(redemption, link_lives(state, album).shortest, state.clock.now());
            if occasion == Occasion::Look && expired() {
                body.redemption.renewal_url = Some(format!("{}/links", body.redemption.receipt_url));
            }
            match request.format {
                Format::Text => body.lines().into_response(),
                Format::Json | Format::Html => Json(body).into_response(),
            }
        }
    };
    vary_by_accept(shown.headers_mut());
    shown
}

/// A holder's redemption, with renewed links if they have expired and the occasion allows it.
pub(crate) async fn holding(
    state: &State,
    whose: (TicketId, RedemptionId),
    occasion: Occasion,
    deadline: tokio::time::Instant,
    lives: impl Fn(&Album) -> Result<LinkLives, LibraryError>,
) -> Result<Holding<Arc<Album>>, Failure> {
    let lives = &lives;
    let find_album = |album: Name| async move {
        let album = state.find_album(&album, deadline).await?;
        let lives = lives(&album)?;
        Ok((album, lives))
    };
    let occasion = (occasion, state.settings.max_renewals);
    Ok(hold(&*state.store, whose, occasion, state.clock.now(), deadline, find_album).await?)
}
