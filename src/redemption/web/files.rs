//! Downloads by signed link: whole or in part, so that a broken one can be resumed.

use std::convert::Infallible;
use std::future::ready;
use std::ops::RangeInclusive;

use axum::extract::{FromRequestParts, Path, Query, State as AxumState};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION,
    REFERER,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use headers::{ETag, HeaderMapExt as _};
use jiff::SignedDuration;

use super::answer::body::RECEIPTS;
use super::disposition::disposition;
use super::downloads::Wanted;
use super::failure::Failure;
use super::openapi::responses::FileResponses;
use super::state::{Shared, State};
use crate::library::{Album, AlbumFile};
use crate::lifecycle::Outlet;
use crate::redemption::link::{LinkError, LinkQuery, Receipt};
use crate::web::failure::RequestFailure;
use crate::web::log::Outcome;
use crate::web::request::RequestInfo;

mod conditions;

use conditions::{Evaluated, evaluate};

/// The outcome of a request whose download continues after its answer's head; the final outcome is reported when
/// it has ended.
const BEGUN: &str = "begun";

/// A file that a client may download now; as an extractor, by a valid link that this server has signed.
pub(crate) struct GoodLink {
    pub(crate) album: String,
    pub(crate) name: String,
    pub(crate) expires_second: i64,
    /// The link or receipt that grants access, by which downloads are limited: a secret.
    pub(crate) given_by: String,
}

/// A request for a file, as an extractor.
pub(crate) struct FileRequest {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    info: RequestInfo,
    /// Absent only when a router is called without a connection.
    outlet: Option<Outlet>,
}

impl<S: Sync> FromRequestParts<S> for FileRequest {
    type Rejection = Infallible;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send {
        ready(Ok(Self {
            method: parts.method.clone(),
            headers: parts.headers.clone(),
            info: RequestInfo::of(parts).clone(),
            outlet: parts.extensions.get().cloned(),
        }))
    }
}

impl FromRequestParts<Shared> for GoodLink {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Failure> {
        // A path or a query that cannot be parsed was not signed here.
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((album, name)) = path.map_err(|_| Failure::Link(LinkError::Invalid))?;
        let query = Query::<LinkQuery>::from_request_parts(parts, state).await;
        let Query(query) = query.map_err(|_| Failure::Link(LinkError::Invalid))?;
        let verified = state.keys.verify_link(&album, &name, &query, state.clock.now());
        verified.map_err(Failure::Link)?;
        Ok(Self { album, name, expires_second: query.expires, given_by: query.signature })
    }
}

/// `GET /files/…`: a file of an album, by a link that this server has signed.
#[utoipa::path(get, path = "/files/{album}/{name}", tag = "files",
    params(
        ("album" = String, Path, example = "album"), ("name" = String, Path, example = "track.flac"),
        ("expires" = i64, Query, example = 1_800_000_000), ("key" = String, Query, example = "AAAAAA"),
        ("signature" = String, Query, example = "AAAAAAAAAAAAAAAAAAAAAA"),
    ),
    responses(FileResponses))]
pub(crate) async fn download(
    AxumState(state): AxumState<Shared>,
    asked: FileRequest,
    link: Result<GoodLink, Failure>,
) -> Response {
    match give(&state, &asked, link).await {
        Ok(answer) => answer,
        Err(failure @ Failure::Link(_)) => match receipt_of_referer(&state, &asked.info, &asked.headers) {
            Some(receipt) => failure.problem().leading_to(BACK_TO_RECEIPT, receipt).into_response(),
            None => failure.into_response(),
        },
        Err(failure) => failure.into_response(),
    }
}

/// The text of the link back from a file that is refused.
pub(crate) const BACK_TO_RECEIPT: &str = "Back to your receipt";

/// The path of the receipt page that a browser comes from, which it reveals to this origin only (`Referrer-Policy`).
fn receipt_of_referer(state: &State, request: &RequestInfo, headers: &HeaderMap) -> Option<String> {
    let path = headers.get(REFERER)?.to_str().ok()?.strip_prefix(&*request.origin)?;
    let receipt = Receipt::parse(path.strip_prefix(RECEIPTS)?)?;
    state.keys.verify_receipt(&receipt).map(|_| path.to_owned())
}

/// Serves a file to an authorised client, and counts the outcome. A download that has begun is counted when
/// it has ended.
pub(crate) async fn give(
    state: &State,
    asked: &FileRequest,
    link: Result<GoodLink, Failure>,
) -> Result<Response, Failure> {
    let served = match link {
        Ok(link) => serve(state, asked, &link).await,
        Err(failure) => Err(failure),
    };
    let outcome = match &served {
        Ok((_, Outcome(BEGUN))) => None,
        Ok((_, Outcome(outcome))) => Some(*outcome),
        Err(Failure::Link(LinkError::Expired { .. })) => Some("expired"),
        Err(Failure::Link(LinkError::Invalid)) => Some("invalid"),
        Err(Failure::PreconditionFailed | Failure::RangeNotSatisfiable { .. }) => Some("unsatisfiable"),
        Err(Failure::TooManyDownloads(_)) => Some("too_many"),
        Err(_) => Some("failed"),
    };
    if let Some(outcome) = outcome {
        state.metrics.download(outcome, 0);
    }
    served.map(|(mut answer, outcome)| {
        answer.extensions_mut().insert(outcome);
        answer
    })
}

/// `HEAD /files/…`: described here, and answered by [`download`].
#[utoipa::path(head, path = "/files/{album}/{name}", tag = "files",
    params(
        ("album" = String, Path, example = "album"), ("name" = String, Path, example = "track.flac"),
        ("expires" = i64, Query, example = 1_800_000_000), ("key" = String, Query, example = "AAAAAA"),
        ("signature" = String, Query, example = "AAAAAAAAAAAAAAAAAAAAAA"),
    ),
    responses(FileResponses))]
#[expect(dead_code, reason = "a description: the router answers HEAD with the handler of GET")]
fn download_head() {}

async fn serve(state: &State, asked: &FileRequest, link: &GoodLink) -> Result<(Response, Outcome), Failure> {
    let album = state.library.downloadable(&link.album).await.map_err(Failure::FileUnavailable)?;
    let file = album.file(&link.name).map_err(Failure::FileUnavailable)?;
    if let Some(elsewhere) = elsewhere(state, &asked.method, &album, file, link.expires_second)? {
        return Ok((elsewhere, Outcome("elsewhere")));
    }
    if asked.method == Method::HEAD && state.library.origin().is_some() {
        // A file that another server serves is not opened here; its manifest describes it.
        let described = head(file, file.bytes, &entity_tag(&file.sha256.to_string())?, None);
        return Ok((described.into_response(), Outcome("head")));
    }
    let places = if asked.method == Method::HEAD {
        None
    } else {
        let places = state.downloads.enter(asked.info.client, &link.given_by);
        Some(places.map_err(Failure::TooManyDownloads)?)
    };
    // Opened first: conditions and ranges apply to the content that would be sent.
    let opened = state.library.open_file(&album, file).await.map_err(Failure::FileUnavailable)?;
    let etag = entity_tag(&opened.entity_tag)?;
    let part = match evaluate(&asked.method, &asked.headers, &etag, opened.bytes) {
        Evaluated::Whole => None,
        Evaluated::Part(range) => Some(range),
        Evaluated::NotModified => {
            let answer = described(StatusCode::NOT_MODIFIED, file, &etag);
            return Ok((answer.into_response(), Outcome("unchanged")));
        }
        Evaluated::PreconditionFailed => return Err(Failure::PreconditionFailed),
        Evaluated::NotSatisfiable => {
            return Err(Failure::RangeNotSatisfiable { file_bytes: opened.bytes });
        }
    };
    let (status, headers) = head(file, opened.bytes, &etag, part.as_ref());
    let Some(places) = places else { return Ok(((status, headers).into_response(), Outcome("head"))) };
    let wanted = Wanted { request: &asked.info, album: &album, file, part, places };
    let body = state.downloads.send(wanted, opened, asked.outlet.clone(), &state.metrics);
    Ok(((status, headers, body).into_response(), Outcome(BEGUN)))
}

fn entity_tag(text: &str) -> Result<ETag, RequestFailure> {
    format!("\"{text}\"").parse().map_err(|_| RequestFailure::Internal("a file has no entity tag".to_owned()))
}

/// The head of an answer with a file, or a part of it.
fn head(
    file: &AlbumFile,
    file_bytes: u64,
    etag: &ETag,
    part: Option<&RangeInclusive<u64>>,
) -> (StatusCode, HeaderMap) {
    let (status, mut headers) = match part {
        Some(_) => described(StatusCode::PARTIAL_CONTENT, file, etag),
        None => described(StatusCode::OK, file, etag),
    };
    headers.insert(CONTENT_LENGTH, part.map_or(file_bytes, |part| part.end() - part.start() + 1).into());
    if let Some(range) = part
        && let Ok(value) =
            HeaderValue::try_from(format!("bytes {}-{}/{file_bytes}", range.start(), range.end()))
    {
        headers.insert(CONTENT_RANGE, value);
    }
    (status, headers)
}

/// Redirects to a file that another server serves. A link that still leads here was signed before the library
/// was moved there.
fn elsewhere(
    state: &State,
    method: &Method,
    album: &Album,
    file: &AlbumFile,
    expires_second: i64,
) -> Result<Option<Response>, Failure> {
    // A signed link is not valid for HEAD. HEAD needs no read, so it is answered here.
    if method == Method::HEAD {
        return Ok(None);
    }
    let now = state.clock.now();
    let left = SignedDuration::from_secs(expires_second.saturating_sub(now.as_second()));
    let Some(url) = state.library.link(album, file, now, left, &disposition(file)) else {
        return Ok(None);
    };
    let location =
        HeaderValue::from_str(&url).map_err(|error| RequestFailure::Internal(error.to_string()))?;
    Ok(Some((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response()))
}

fn described(status: StatusCode, file: &AlbumFile, etag: &ETag) -> (StatusCode, HeaderMap) {
    let mut headers = HeaderMap::new();
    headers.typed_insert(etag.clone());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A link is for one person: the browser may cache the file, but no cache in between.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(media_type) = HeaderValue::from_str(&file.media_type) {
        headers.insert(CONTENT_TYPE, media_type);
    }
    if let Ok(disposition) = HeaderValue::from_str(&disposition(file)) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    (status, headers)
}
