//! Downloads by signed link: whole or in part, so that a broken one can be resumed.

use std::ops::RangeInclusive;

use axum::Extension;
use axum::extract::{Path, Query, State, rejection::PathRejection, rejection::QueryRejection};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LOCATION, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use headers::{ETag, HeaderMapExt as _, IfMatch, IfNoneMatch, IfRange};
use http_range_header::StartPosition;
use jiff::SignedDuration;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::library::{Album, AlbumFile, LibraryError};
use crate::lifecycle::Outlet;
use crate::redemption::link::{LinkError, LinkQuery};
use crate::web::envelope::{Context, Outcome};
use crate::web::problem::{self, Failure};
use crate::web::{App, Shared};

mod downloads;

pub(crate) use downloads::Downloads;
use downloads::Wanted;

/// What may stand in an extended parameter as it is (RFC 8187, `attr-char`).
const EXTENDED_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `GET /files/…`: a file of an album, by a link that this server has signed.
#[utoipa::path(get, path = "/files/{album}/{name}", tag = "files",
    params(
        ("album" = String, Path, example = "album"), ("name" = String, Path, example = "track.flac"),
        ("expires" = i64, Query, example = 1_800_000_000), ("key" = String, Query, example = "AAAAAA"),
        ("signature" = String, Query, example = "AAAAAAAAAAAAAAAAAAAAAA"),
    ),
    responses(crate::web::openapi::FileResponses))]
pub(crate) async fn download(
    State(app): State<Shared>,
    context: Context,
    outlet: Option<Extension<Outlet>>,
    method: Method,
    headers: HeaderMap,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<LinkQuery>, QueryRejection>,
) -> Response {
    // A path that is not even text was not signed here.
    let Path((album, name)) = path.unwrap_or_else(|_| Path(Default::default()));
    let asked = Asked { app: &app, context: &context, method: &method, headers: &headers };
    match asked.serve(&album, &name, query.ok(), outlet.map(|Extension(outlet)| outlet)).await {
        Ok((mut answer, outcome)) => {
            // What has begun is counted when it has ended.
            if outcome != BEGUN {
                app.metrics.download(outcome, 0);
            }
            answer.extensions_mut().insert(Outcome(outcome));
            answer
        }
        Err(failure) => {
            let outcome = match failure {
                Failure::Link(LinkError::Expired { .. }) => "expired",
                Failure::Link(LinkError::Invalid) => "invalid",
                Failure::TooManyDownloads(_) => "too_many",
                _ => "failed",
            };
            app.metrics.download(outcome, 0);
            problem::answer(&context, &failure)
        }
    }
}

/// The outcome of a request whose download goes on after its answer's head.
const BEGUN: &str = "begun";

/// `HEAD /files/…`: described here, and answered by [`download`].
#[utoipa::path(head, path = "/files/{album}/{name}", tag = "files",
    params(
        ("album" = String, Path, example = "album"), ("name" = String, Path, example = "track.flac"),
        ("expires" = i64, Query, example = 1_800_000_000), ("key" = String, Query, example = "AAAAAA"),
        ("signature" = String, Query, example = "AAAAAAAAAAAAAAAAAAAAAA"),
    ),
    responses(crate::web::openapi::FileResponses))]
#[expect(dead_code, reason = "a description: the router answers HEAD with the handler of GET")]
fn download_head() {}

/// A request for a file.
struct Asked<'a> {
    app: &'a App,
    context: &'a Context,
    method: &'a Method,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    async fn serve(
        &self,
        album: &str,
        name: &str,
        query: Option<Query<LinkQuery>>,
        outlet: Option<Outlet>,
    ) -> Result<(Response, &'static str), Failure> {
        let app = self.app;
        let Query(query) = query.ok_or(Failure::Link(LinkError::Invalid))?;
        app.keys.verify_link(album, name, &query, app.clock.now()).map_err(Failure::Link)?;
        let album = app.library.downloadable(album).await.map_err(gone)?;
        let file = album
            .file(name)
            .ok_or_else(|| Failure::FileUnavailable(format!("album {} no longer has {name}", album.id)))?;
        if let Some(elsewhere) = elsewhere(app, self.method, &album, file, query.expires)? {
            return Ok((elsewhere, "elsewhere"));
        }
        let places = if self.method == Method::HEAD {
            None
        } else {
            let places = app.downloads.enter(self.context.client, &query.signature);
            Some(places.map_err(Failure::TooManyDownloads)?)
        };
        // Opened first: conditions and ranges are about what would be sent.
        let opened = app.library.open_file(&album, file).await.map_err(gone)?;
        let etag: ETag = format!("\"{}\"", opened.entity_tag)
            .parse()
            .map_err(|_| Failure::Internal("a file has no entity tag".to_owned()))?;
        let part = match evaluate(self.method, self.headers, &etag, opened.bytes) {
            Evaluated::Whole => None,
            Evaluated::Part(range) => Some(range),
            Evaluated::NotModified => {
                let answer = described(StatusCode::NOT_MODIFIED, file, &etag).into_response();
                return Ok((answer, "unchanged"));
            }
            Evaluated::PreconditionFailed => {
                return Ok((StatusCode::PRECONDITION_FAILED.into_response(), "unsatisfiable"));
            }
            Evaluated::NotSatisfiable => return Ok((not_satisfiable(opened.bytes), "unsatisfiable")),
        };
        let (status, headers) = head(file, opened.bytes, &etag, part.as_ref());
        let Some(places) = places else { return Ok(((status, headers).into_response(), "head")) };
        let wanted = Wanted { context: self.context, album: &album, file, part, places };
        let body = app.downloads.send(wanted, opened, outlet, &app.metrics);
        Ok(((status, headers, body).into_response(), BEGUN))
    }
}

fn gone(error: LibraryError) -> Failure {
    Failure::FileUnavailable(error.to_string())
}

fn not_satisfiable(file_bytes: u64) -> Response {
    let range = HeaderValue::from_str(&format!("bytes */{file_bytes}"));
    let mut answer = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    answer.headers_mut().extend(range.ok().map(|range| (CONTENT_RANGE, range)));
    answer
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
            HeaderValue::from_str(&format!("bytes {}-{}/{file_bytes}", range.start(), range.end()))
    {
        headers.insert(CONTENT_RANGE, value);
    }
    (status, headers)
}

/// Where a file is that another server gives. Links that lead here nevertheless were signed before the library was moved there.
fn elsewhere(
    app: &App,
    method: &Method,
    album: &Album,
    file: &AlbumFile,
    expires_second: i64,
) -> Result<Option<Response>, Failure> {
    // A link elsewhere would not be good for HEAD, which nothing needs to be read for.
    if method == Method::HEAD {
        return Ok(None);
    }
    let now = app.clock.now();
    let left = SignedDuration::from_secs(expires_second.saturating_sub(now.as_second()));
    let Some(url) = app.library.link(album, file, now, left, &disposition(&file.name)) else {
        return Ok(None);
    };
    let location = HeaderValue::from_str(&url).map_err(|error| Failure::Internal(error.to_string()))?;
    let headers = [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok(Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response()))
}

/// What the conditions and the range of a request come to (RFC 9110, sections 13.2.2 and 14.2).
#[derive(Debug, PartialEq, Eq)]
enum Evaluated {
    Whole,
    Part(RangeInclusive<u64>),
    NotModified,
    PreconditionFailed,
    NotSatisfiable,
}

fn evaluate(method: &Method, headers: &HeaderMap, etag: &ETag, bytes: u64) -> Evaluated {
    if headers.typed_get::<IfMatch>().is_some_and(|condition| !condition.precondition_passes(etag)) {
        return Evaluated::PreconditionFailed;
    }
    if headers.typed_get::<IfNoneMatch>().is_some_and(|condition| !condition.precondition_passes(etag)) {
        return Evaluated::NotModified;
    }
    // Without a time of change, a condition on one always means that the whole file is wanted.
    if headers.typed_get::<IfRange>().is_some_and(|condition| condition.is_modified(Some(etag), None)) {
        return Evaluated::Whole;
    }
    // Only GET knows ranges.
    let range = headers.get(RANGE).filter(|_| method == Method::GET);
    let Some(range) = range.and_then(|value| value.to_str().ok()) else { return Evaluated::Whole };
    // What is no range of bytes is passed over, as it must be; several ranges may be, and the whole file is sent.
    let Ok(mut parsed) = http_range_header::parse_range_header(range) else { return Evaluated::Whole };
    for range in &mut parsed.ranges {
        // No bytes from the end are none (RFC 9110, section 14.1.2); the parser would give all.
        if range.start == StartPosition::FromLast(0) {
            return if parsed.ranges.len() == 1 { Evaluated::NotSatisfiable } else { Evaluated::Whole };
        }
        // More from the end than there is means all of it; the parser would call it unsatisfiable.
        if let StartPosition::FromLast(last) = &mut range.start {
            *last = bytes.min(*last);
        }
    }
    match parsed.validate(bytes) {
        Ok(ranges) => match ranges.as_slice() {
            [one] => Evaluated::Part(one.clone()),
            _ => Evaluated::Whole,
        },
        Err(_) if parsed.ranges.len() > 1 => Evaluated::Whole,
        Err(_) => Evaluated::NotSatisfiable,
    }
}

fn described(status: StatusCode, file: &AlbumFile, etag: &ETag) -> (StatusCode, HeaderMap) {
    let mut headers = HeaderMap::new();
    headers.typed_insert(etag.clone());
    debug_assert!(headers.contains_key(ETAG));
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

/// Save it, under this name: in ASCII for old clients, and as it is for the others (RFC 6266, section 4.3).
pub(crate) fn disposition(name: &str) -> String {
    let ascii: String = name
        .chars()
        .map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
        utf8_percent_encode(name, EXTENDED_VALUE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(headers: &[(&'static str, &str)]) -> Evaluated {
        let headers = headers.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        evaluate(&Method::GET, &headers.collect(), &"\"abc\"".parse().unwrap(), 100)
    }

    #[test]
    fn ranges_are_evaluated_as_http_says() {
        assert_eq!(evaluated(&[]), Evaluated::Whole);
        for (range, expected) in [
            ("bytes=0-0", Evaluated::Part(0..=0)),
            ("bytes=10-", Evaluated::Part(10..=99)),
            ("bytes=-10", Evaluated::Part(90..=99)),
            ("bytes=-1000", Evaluated::Part(0..=99)),
            ("bytes=50-1000", Evaluated::Part(50..=99)),
            ("bytes=100-", Evaluated::NotSatisfiable),
            ("bytes=5-1", Evaluated::NotSatisfiable),
            ("bytes=-0", Evaluated::NotSatisfiable),
            ("bytes=0-1, -0", Evaluated::Whole),
            ("bytes=0-1, 5-6", Evaluated::Whole),
            ("lines=1-2", Evaluated::Whole),
            ("rubbish", Evaluated::Whole),
        ] {
            assert_eq!(evaluated(&[("range", range)]), expected, "{range}");
        }
    }

    #[test]
    fn conditions_come_first() {
        let range = ("range", "bytes=0-9");
        assert_eq!(evaluated(&[range, ("if-range", "\"abc\"")]), Evaluated::Part(0..=9));
        assert_eq!(evaluated(&[range, ("if-range", "\"old\"")]), Evaluated::Whole);
        assert_eq!(evaluated(&[range, ("if-range", "W/\"abc\"")]), Evaluated::Whole);
        assert_eq!(evaluated(&[range, ("if-range", "Sat, 21 Nov 2026 10:00:00 GMT")]), Evaluated::Whole);
        assert_eq!(evaluated(&[("if-none-match", "\"abc\"")]), Evaluated::NotModified);
        assert_eq!(evaluated(&[("if-none-match", "W/\"abc\", \"x\"")]), Evaluated::NotModified);
        assert_eq!(evaluated(&[("if-none-match", "*")]), Evaluated::NotModified);
        assert_eq!(evaluated(&[("if-none-match", "\"x\"")]), Evaluated::Whole);
        assert_eq!(evaluated(&[("if-match", "\"x\"")]), Evaluated::PreconditionFailed);
        assert_eq!(evaluated(&[("if-match", "\"abc\"")]), Evaluated::Whole);
    }

    #[test]
    fn names_survive_their_header() {
        assert_eq!(
            disposition("02 Café \"Noir\" 100%.flac"),
            "attachment; filename=\"02 Caf_ _Noir_ 100_.flac\"; \
             filename*=UTF-8''02%20Caf%C3%A9%20%22Noir%22%20100%25.flac"
        );
        assert!(HeaderValue::from_str(&disposition("日本;='\\.mp3")).is_ok());
    }
}
