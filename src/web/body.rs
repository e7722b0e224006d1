//! Reads the bodies of requests, within bounds of size and time, as JSON or as forms.
//!
//! Knows encodings, and nothing of the content.

use axum::body::Body;
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use mediatype::names::{APPLICATION, JSON};
use mediatype::{MediaType, Name};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::failure::{MAX_BODY_BYTES, RequestFailure};
use super::request::RequestInfo;

/// The bytes of a too large body that are read and discarded.
const MAX_DISCARDED_BYTES: usize = 64 * 1024;

/// The encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

impl Encoding {
    /// The encoding that `Content-Type` names, if it is one of these.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        const FORM: Name<'_> = Name::new_unchecked("x-www-form-urlencoded");
        let declared = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        // The header of most clients, compared without parsing.
        match declared {
            "application/json" => return Some(Self::Json),
            "application/x-www-form-urlencoded" => return Some(Self::Form),
            _ => {}
        }
        let declared = MediaType::parse(declared).ok()?;
        let essence = declared.essence();
        if essence == MediaType::new(APPLICATION, JSON) {
            Some(Self::Json)
        } else if essence == MediaType::new(APPLICATION, FORM) {
            Some(Self::Form)
        } else {
            None
        }
    }
}

/// A JSON body, as an extractor.
pub(crate) struct JsonBody<T>(pub(crate) T);

/// A type that can be sent as JSON.
pub(crate) trait JsonShape: DeserializeOwned {
    /// Its expected shape, as a sentence.
    const SHAPE: &'static str;
}

impl<T: JsonShape, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = RequestFailure;

    async fn from_request(request: Request, _: &S) -> Result<Self, RequestFailure> {
        let (parts, body) = request.into_parts();
        if Encoding::of(&parts.headers) != Some(Encoding::Json) {
            return Err(RequestFailure::UnsupportedMediaType("Send the body as application/json."));
        }
        let body = collect(&parts.headers, body, RequestInfo::of(&parts)).await?;
        parse_json(&body, T::SHAPE).map(Self)
    }
}

/// An optional JSON body, as the extractor `Option<JsonBody<T>>`. Regardless of the head, an empty body
/// counts as absent.
impl<T: JsonShape, S: Send + Sync> OptionalFromRequest<S> for JsonBody<T> {
    type Rejection = RequestFailure;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, RequestFailure> {
        let (parts, body) = request.into_parts();
        let body = collect(&parts.headers, body, RequestInfo::of(&parts)).await?;
        if body.is_empty() {
            return Ok(None);
        }
        if Encoding::of(&parts.headers) != Some(Encoding::Json) {
            return Err(RequestFailure::UnsupportedMediaType("Send the body as application/json."));
        }
        parse_json(&body, T::SHAPE).map(|body| Some(Self(body)))
    }
}

/// The whole body.
pub(crate) async fn collect(
    headers: &HeaderMap,
    body: Body,
    request: &RequestInfo,
) -> Result<Bytes, RequestFailure> {
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    // A body whose announced length is far too large is not read.
    if announced.is_some_and(|length| length > MAX_DISCARDED_BYTES) {
        return Err(RequestFailure::TooLarge);
    }
    let deadline = Instant::now() + request.body_timeout;
    let mut body = body;
    let collected = Limited::new(&mut body, MAX_BODY_BYTES).collect();
    match timeout_at(deadline, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            // The refusal is the same whether or not the rest comes in time.
            let _ = timeout_at(deadline, discard(body)).await;
            Err(RequestFailure::TooLarge)
        }
        Ok(Err(_)) => Err(RequestFailure::BadRequest("The body ended before it was whole.".to_owned())),
        Err(_) => Err(RequestFailure::Timeout),
    }
}

/// Reads the rest of a refused body. A connection that is closed while its client still sends is reset, and the reset
/// can overtake the answer: a proxy then answers its client with 502 instead of our refusal.
async fn discard(mut body: Body) {
    let mut left = MAX_DISCARDED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Parses JSON. `shape` is a sentence about the expected shape. The parser's own message may quote the body, and with
/// it a secret, so only the kind of mistake is passed on.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8], shape: &str) -> Result<T, RequestFailure> {
    // Serde would accept an array of the fields in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(RequestFailure::BadRequest(shape.to_owned()));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        RequestFailure::BadRequest(match error.classify() {
            serde_json::error::Category::Data => shape.to_owned(),
            _ => format!("The body is not valid JSON: see line {}, column {}.", error.line(), error.column()),
        })
    })
}

/// Parses a form. `shape` is a sentence about the expected shape.
pub(crate) fn parse_form<T: DeserializeOwned>(bytes: &[u8], shape: &str) -> Result<T, RequestFailure> {
    serde_urlencoded::from_bytes(bytes).map_err(|_| RequestFailure::BadRequest(shape.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_known_by_its_media_type_whatever_stands_beside_it() {
        let encoding = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, text.parse().unwrap());
            Encoding::of(&headers)
        };
        assert_eq!(Encoding::of(&HeaderMap::new()), None);
        for (text, expected) in [
            ("application/json", Some(Encoding::Json)),
            ("Application/JSON; charset=UTF-8", Some(Encoding::Json)),
            ("application/json;charset=utf-8", Some(Encoding::Json)),
            ("application/x-www-form-urlencoded", Some(Encoding::Form)),
            ("APPLICATION/X-WWW-FORM-URLENCODED ; charset=utf-8", Some(Encoding::Form)),
            ("application/problem+json", None),
            ("text/plain", None),
            ("json", None),
            ("", None),
        ] {
            assert_eq!(encoding(text), expected, "{text}");
        }
    }
}
