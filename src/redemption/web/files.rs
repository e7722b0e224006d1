//! Downloads by signed link: whole or in part, so that a broken one can be resumed.

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, State as AxumState};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION,
    REFERER,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use headers::{ETag, HeaderMapExt as _};
use jiff::SignedDuration;

use super::answer::body::RECEIPTS;
use super::disposition::disposition;
use super::failure::Failure;
use super::openapi::responses::FileResponses;
use super::state::{Shared, State};
use crate::disk::{DiskFile, ReadError};
use crate::library::{Album, AlbumFile, Content, LibraryError};
use crate::redemption::link::{LinkError, LinkQuery, Receipt};
use crate::web::failure::RequestFailure;
use crate::web::log::Outcome;
use crate::web::request::RequestInfo;

mod conditions;

use conditions::{Evaluated, evaluate};

/// Bytes read from a disk at once.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// A file that a client may have now; as an extractor, by a link that this server has signed and that lives.
pub(crate) struct GoodLink {
    pub(crate) album: String,
    pub(crate) name: String,
    pub(crate) expires_second: i64,
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
        Ok(Self { album, name, expires_second: query.expires })
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
    method: Method,
    request: RequestInfo,
    headers: HeaderMap,
    link: Result<GoodLink, Failure>,
) -> Response {
    match give(&state, &method, &headers, link).await {
        Ok(answer) => answer,
        Err(failure @ Failure::Link(_)) => match receipt_of_referer(&state, &request, &headers) {
            Some(receipt) => failure.problem().leading_to(BACK_TO_RECEIPT, receipt).into_response(),
            None => failure.into_response(),
        },
        Err(failure) => failure.into_response(),
    }
}

/// Where people go on from a file that they cannot have.
pub(crate) const BACK_TO_RECEIPT: &str = "Back to your receipt";

/// The path of the receipt from whose page a browser comes, which it names to this origin alone (`Referrer-Policy`).
fn receipt_of_referer(state: &State, request: &RequestInfo, headers: &HeaderMap) -> Option<String> {
    let path = headers.get(REFERER)?.to_str().ok()?.strip_prefix(&*request.origin)?;
    let receipt = Receipt::parse(path.strip_prefix(RECEIPTS)?)?;
    state.keys.verify_receipt(&receipt).map(|_| path.to_owned())
}

/// Gives a file to whoever may have it, and counts what came of it.
pub(crate) async fn give(
    state: &State,
    method: &Method,
    headers: &HeaderMap,
    link: Result<GoodLink, Failure>,
) -> Result<Response, Failure> {
    let served = match link {
        Ok(link) => serve(state, method, headers, &link).await,
        Err(failure) => Err(failure),
    };
    state.metrics.download(match &served {
        Ok((_, Outcome(outcome))) => outcome,
        Err(Failure::Link(LinkError::Expired { .. })) => "expired",
        Err(Failure::Link(LinkError::Invalid)) => "invalid",
        Err(Failure::PreconditionFailed | Failure::RangeNotSatisfiable { .. }) => "unsatisfiable",
        Err(_) => "failed",
    });
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

async fn serve(
    state: &State,
    method: &Method,
    headers: &HeaderMap,
    link: &GoodLink,
) -> Result<(Response, Outcome), Failure> {
    let album = state.library.downloadable(&link.album).await.map_err(Failure::FileUnavailable)?;
    let file = album.file(&link.name).ok_or_else(|| {
        let why = format!("it no longer has `{}`", link.name);
        Failure::FileUnavailable(LibraryError::Incomplete { album: album.id.clone(), why })
    })?;
    if let Some(elsewhere) = elsewhere(state, method, &album, file, link.expires_second)? {
        return Ok((elsewhere, Outcome("elsewhere")));
    }
    // Opened first: conditions and ranges are about what would be sent.
    let open = state.library.open_file(&album, file).await.map_err(Failure::FileUnavailable)?;
    let file_bytes = open.bytes;
    let etag: ETag = format!("\"{}\"", open.entity_tag)
        .parse()
        .map_err(|_| RequestFailure::Internal("a file has no entity tag".to_owned()))?;
    let part = match evaluate(method, headers, &etag, file_bytes) {
        Evaluated::Whole => None,
        Evaluated::Part(range) => Some(range),
        Evaluated::NotModified => {
            let answer = described(StatusCode::NOT_MODIFIED, file, &etag);
            return Ok((answer.into_response(), Outcome("unchanged")));
        }
        Evaluated::PreconditionFailed => return Err(Failure::PreconditionFailed),
        Evaluated::NotSatisfiable => {
            return Err(Failure::RangeNotSatisfiable { file_bytes });
        }
    };
    let (start, bytes) =
        part.as_ref().map_or((0, file_bytes), |part| (*part.start(), part.end() - part.start() + 1));
    let body = if method == Method::HEAD { Body::empty() } else { content(open.content, start, bytes)? };
    let (status, outcome) =
        if part.is_some() { (StatusCode::PARTIAL_CONTENT, "part") } else { (StatusCode::OK, "whole") };
    let (status, mut answer_headers) = described(status, file, &etag);
    answer_headers.insert(CONTENT_LENGTH, bytes.into());
    if let Some(range) = part
        && let Ok(value) =
            HeaderValue::try_from(format!("bytes {}-{}/{}", range.start(), range.end(), file_bytes))
    {
        answer_headers.insert(CONTENT_RANGE, value);
    }
    Ok(((status, answer_headers, body).into_response(), Outcome(outcome)))
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
    // A link is for one person: their browser may keep the file, nobody in between.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(media_type) = HeaderValue::from_str(&file.media_type) {
        headers.insert(CONTENT_TYPE, media_type);
    }
    if let Ok(disposition) = HeaderValue::from_str(&disposition(file)) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    (status, headers)
}

/// The bytes of a file from `start` on.
fn content(content: Content, start: u64, bytes: u64) -> Result<Body, Failure> {
    match content {
        Content::Memory(content) => {
            let range = usize::try_from(start).ok().zip(usize::try_from(start + bytes).ok());
            let range = range.filter(|(_, end)| *end <= content.len());
            let (start, end) =
                range.ok_or_else(|| RequestFailure::Internal("a range beyond its file".to_owned()))?;
            Ok(Body::from(content.slice(start..end)))
        }
        Content::Disk(file) => Ok(Body::from_stream(pieces(file, start, bytes))),
    }
}

/// The same, a piece at a time.
fn pieces(file: DiskFile, start: u64, bytes: u64) -> impl Stream<Item = Result<Bytes, ReadError>> {
    let end = start + bytes;
    stream::try_unfold((file, start), move |(file, offset)| async move {
        let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        let piece = file.read_at(offset, vec![0; left.min(READ_BUFFER_BYTES)]).await?;
        let next = offset + piece.len() as u64;
        Ok(Some((Bytes::from(piece), (file, next))))
    })
}
