//! Downloads by signed link: whole or in part, so that a broken one can be resumed.

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, State as AxumState};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use headers::{ETag, HeaderMapExt as _};
use jiff::SignedDuration;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::disposition::disposition;
use super::failure::Failure;
use super::openapi::responses::FileResponses;
use super::state::{Shared, State};
use crate::library::{Album, AlbumFile, LibraryError, OpenFile};
use crate::redemption::link::{LinkError, LinkQuery};
use crate::web::failure::RequestFailure;
use crate::web::log::Outcome;

mod conditions;

use conditions::{Evaluated, evaluate};

/// Bytes read from a disk at once.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// A link that this server has signed and that lives, as an extractor.
pub(crate) struct GoodLink {
    album: String,
    name: String,
    expires_second: i64,
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
    headers: HeaderMap,
    link: Result<GoodLink, Failure>,
) -> Result<Response, Failure> {
    let served = match link {
        Ok(link) => serve(&state, &method, &headers, &link).await,
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
    let album = state.library.album(&link.album).await.map_err(Failure::FileUnavailable)?;
    let file = album.file(&link.name).ok_or_else(|| {
        let why = format!("it no longer has `{}`", link.name);
        Failure::FileUnavailable(LibraryError::Incomplete { album: album.id.clone(), why })
    })?;
    if let Some(elsewhere) = elsewhere(state, method, &album, file, link.expires_second)? {
        return Ok((elsewhere, Outcome("elsewhere")));
    }
    let etag: ETag = format!("\"{}\"", file.sha256)
        .parse()
        .map_err(|_| RequestFailure::Internal("a digest is no entity tag".to_owned()))?;
    let part = match evaluate(method, headers, &etag, file.bytes) {
        Evaluated::Whole => None,
        Evaluated::Part(range) => Some(range),
        Evaluated::NotModified => {
            let answer = described(StatusCode::NOT_MODIFIED, file, &etag);
            return Ok((answer.into_response(), Outcome("unchanged")));
        }
        Evaluated::PreconditionFailed => return Err(Failure::PreconditionFailed),
        Evaluated::NotSatisfiable => {
            return Err(Failure::RangeNotSatisfiable { file_bytes: file.bytes });
        }
    };
    let (start, bytes) =
        part.as_ref().map_or((0, file.bytes), |part| (*part.start(), part.end() - part.start() + 1));
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let open = state.library.open_file(&album, file).await.map_err(Failure::FileUnavailable)?;
        content(&album, open, start, bytes).await?
    };
    let (status, outcome) =
        if part.is_some() { (StatusCode::PARTIAL_CONTENT, "part") } else { (StatusCode::OK, "whole") };
    let (status, mut answer_headers) = described(status, file, &etag);
    answer_headers.insert(CONTENT_LENGTH, bytes.into());
    if let Some(range) = part
        && let Ok(value) =
            HeaderValue::try_from(format!("bytes {}-{}/{}", range.start(), range.end(), file.bytes))
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

/// The bytes of a file from `start` on.
async fn content(album: &Album, file: OpenFile, start: u64, bytes: u64) -> Result<Body, Failure> {
    match file {
        OpenFile::Memory(content) => {
            let range = usize::try_from(start).ok().zip(usize::try_from(start + bytes).ok());
            let range = range.filter(|(_, end)| *end <= content.len());
            let (start, end) =
                range.ok_or_else(|| RequestFailure::Internal("a range beyond its file".to_owned()))?;
            Ok(Body::from(content.slice(start..end)))
        }
        OpenFile::Disk(mut file) => {
            file.seek(std::io::SeekFrom::Start(start)).await.map_err(|error| {
                let (album, why) = (album.id.clone(), error.to_string());
                Failure::FileUnavailable(LibraryError::Incomplete { album, why })
            })?;
            Ok(Body::from_stream(ReaderStream::with_capacity(file.take(bytes), READ_BUFFER_BYTES)))
        }
    }
}
