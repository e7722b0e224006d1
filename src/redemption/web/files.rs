//! Downloads by signed link: whole or in part, so that a broken one can be resumed.

use std::ops::RangeInclusive;

use axum::Extension;
use axum::extract::{FromRequestParts, Path, Query, State as AxumState};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use headers::{ETag, HeaderMapExt as _};
use jiff::SignedDuration;

use super::disposition::disposition;
use super::downloads::Wanted;
use super::failure::Failure;
use super::openapi::responses::FileResponses;
use super::state::{Shared, State};
use crate::library::{Album, AlbumFile, LibraryError};
use crate::lifecycle::Outlet;
use crate::redemption::link::{LinkError, LinkQuery};
use crate::web::failure::RequestFailure;
use crate::web::log::Outcome;
use crate::web::request::RequestInfo;

mod conditions;

use conditions::{Evaluated, evaluate};

/// The outcome of a request whose download goes on after its answer's head, and is told when it has ended.
const BEGUN: &str = "begun";

/// A link that this server has signed and that lives, as an extractor.
pub(crate) struct GoodLink {
    album: String,
    name: String,
    expires_second: i64,
    signature: String,
}

impl FromRequestParts<Shared> for GoodLink {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Failure> {
        // A path or a query that cannot even be read was not signed here.
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((album, name)) = path.map_err(|_| Failure::Link(LinkError::Invalid))?;
        let query = Query::<LinkQuery>::from_request_parts(parts, state).await;
        let Query(query) = query.map_err(|_| Failure::Link(LinkError::Invalid))?;
        let verified = state.keys.verify_link(&album, &name, &query, state.clock.now());
        verified.map_err(Failure::Link)?;
        Ok(Self { album, name, expires_second: query.expires, signature: query.signature })
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
    request: RequestInfo,
    outlet: Option<Extension<Outlet>>,
    method: Method,
    headers: HeaderMap,
    link: Result<GoodLink, Failure>,
) -> Result<Response, Failure> {
    let asked = Asked { state: &state, request: &request, method: &method, headers: &headers };
    let served = match link {
        Ok(link) => asked.serve(&link, outlet.map(|Extension(outlet)| outlet)).await,
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

/// A request for a file.
struct Asked<'a> {
    state: &'a State,
    request: &'a RequestInfo,
    method: &'a Method,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    async fn serve(&self, link: &GoodLink, outlet: Option<Outlet>) -> Result<(Response, Outcome), Failure> {
        let state = self.state;
        let album = state.library.downloadable(&link.album).await.map_err(Failure::FileUnavailable)?;
        let file = album.file(&link.name).ok_or_else(|| {
            let why = format!("it no longer has `{}`", link.name);
            Failure::FileUnavailable(LibraryError::Incomplete { album: album.id.clone(), why })
        })?;
        if let Some(elsewhere) = elsewhere(state, self.method, &album, file, link.expires_second)? {
            return Ok((elsewhere, Outcome("elsewhere")));
        }
        let places = if self.method == Method::HEAD {
            None
        } else {
            let places = state.downloads.enter(self.request.client, &link.signature);
            Some(places.map_err(Failure::TooManyDownloads)?)
        };
        // Opened first: conditions and ranges are about what would be sent.
        let opened = state.library.open_file(&album, file).await.map_err(Failure::FileUnavailable)?;
        let etag: ETag = format!("\"{}\"", opened.entity_tag)
            .parse()
            .map_err(|_| RequestFailure::Internal("a file has no entity tag".to_owned()))?;
        let part = match evaluate(self.method, self.headers, &etag, opened.bytes) {
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
        let wanted = Wanted { request: self.request, album: &album, file, part, places };
        let body = state.downloads.send(wanted, opened, outlet, &state.metrics);
        Ok(((status, headers, body).into_response(), Outcome(BEGUN)))
    }
}

/// The head of an answer that gives a file, or a part of it.
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

/// Where a file is that another server gives. Links that lead here nevertheless were signed before the library was moved there.
fn elsewhere(
    state: &State,
    method: &Method,
    album: &Album,
    file: &AlbumFile,
    expires_second: i64,
) -> Result<Option<Response>, Failure> {
    // A link elsewhere would not be good for HEAD, which nothing needs to be read for.
    if method == Method::HEAD {
        return Ok(None);
    }
    let now = state.clock.now();
    let left = SignedDuration::from_secs(expires_second.saturating_sub(now.as_second()));
    let Some(url) = state.library.link(album, file, now, left, &disposition(&file.name)) else {
        return Ok(None);
    };
    let location =
        HeaderValue::from_str(&url).map_err(|error| RequestFailure::Internal(error.to_string()))?;
    let headers = [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok(Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response()))
}

fn described(status: StatusCode, file: &AlbumFile, etag: &ETag) -> (StatusCode, HeaderMap) {
    let mut headers = HeaderMap::new();
    headers.typed_insert(etag.clone());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A link is for one person: their browser may keep the file, nobody in between.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(media_type) = HeaderValue::from_str(&file.media_type) {
        headers.insert(CONTENT_TYPE, media_type);
    }
    if let Ok(disposition) = HeaderValue::from_str(&disposition(&file.name)) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    (status, headers)
}
