//! Reads the bodies of requests, within bounds of size and time: of a redemption, a key as JSON or as a form; of the admin
//! interface, JSON.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Failure;
use crate::redemption::ticket::IdempotencyKey;

/// The largest body of a request, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 4096;

/// The header by which a client is recognised when it asks again.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What a client sent in order to redeem.
pub(crate) struct Attempt {
    /// As typed. As secret as a key.
    pub(crate) typed: String,
    /// From the header or, in a form, from its hidden field.
    pub(crate) idempotency_key: Option<IdempotencyKey>,
}

#[derive(Deserialize)]
struct JsonBody {
    key: String,
}

#[derive(Deserialize)]
struct FormBody {
    key: String,
    idempotency_key: Option<String>,
}

/// How a body is written.
#[derive(Clone, Copy)]
enum Encoding {
    Json,
    Form,
}

/// Reads a redemption's request.
pub(crate) async fn read(headers: &HeaderMap, body: Body, timeout: Duration) -> Result<Attempt, Failure> {
    let encoding = encoding(headers).ok_or(Failure::UnsupportedMediaType(
        "Send the key as application/json, {\"key\": \"…\"}, or as application/x-www-form-urlencoded, key=….",
    ))?;
    let header_key = header_idempotency_key(headers)?;
    let bytes = collect(headers, body, timeout).await?;
    match encoding {
        Encoding::Json => {
            const SHAPE: &str =
                "The body must be a JSON object with the key as a text, once: {\"key\": \"…\"}.";
            let body: JsonBody = parse_json(&bytes, SHAPE)?;
            Ok(Attempt { typed: body.key, idempotency_key: header_key })
        }
        Encoding::Form => {
            let body = parse_form(&bytes)?;
            let field_key = body.idempotency_key.as_deref().filter(|field| !field.is_empty());
            let field_key = field_key.map(|field| checked(field.as_bytes())).transpose()?;
            Ok(Attempt { typed: body.key, idempotency_key: header_key.or(field_key) })
        }
    }
}

/// Reads a request that can only be JSON; `shape` says which, as a sentence.
pub(crate) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    timeout: Duration,
    shape: &'static str,
) -> Result<T, Failure> {
    if !matches!(encoding(headers), Some(Encoding::Json)) {
        return Err(Failure::UnsupportedMediaType("Send the body as application/json."));
    }
    parse_json(&collect(headers, body, timeout).await?, shape)
}

async fn collect(headers: &HeaderMap, body: Body, timeout: Duration) -> Result<Bytes, Failure> {
    // What announces to be too large is not waited for.
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(Failure::TooLarge);
    }
    let collected = tokio::time::timeout(timeout, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::TooLarge),
        Ok(Err(_)) => Err(Failure::BadRequest("The body ended before it was whole.".to_owned())),
        Err(_) => Err(Failure::RequestTimeout),
    }
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Some(Encoding::Json)
    } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Some(Encoding::Form)
    } else {
        None
    }
}

fn header_idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Failure> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => checked(value.as_bytes()).map(Some),
        (Some(_), Some(_)) => Err(Failure::BadRequest("Send one Idempotency-Key, not several.".to_owned())),
    }
}

fn checked(bytes: &[u8]) -> Result<IdempotencyKey, Failure> {
    IdempotencyKey::parse(bytes).ok_or_else(|| {
        Failure::BadRequest(
            "An Idempotency-Key has 1 to 255 visible ASCII characters and no spaces.".to_owned(),
        )
    })
}

/// The parser's own words may quote the body, and with it a key, so only the kind of mistake is passed on.
fn parse_json<T: DeserializeOwned>(bytes: &Bytes, shape: &str) -> Result<T, Failure> {
    // Serde would take an array for the fields in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Failure::BadRequest(shape.to_owned()));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::BadRequest(match error.classify() {
            serde_json::error::Category::Data => shape.to_owned(),
            _ => format!("The body is not valid JSON: see line {}, column {}.", error.line(), error.column()),
        })
    })
}

fn parse_form(bytes: &Bytes) -> Result<FormBody, Failure> {
    serde_urlencoded::from_bytes(bytes)
        .map_err(|_| Failure::BadRequest("The form must have the field key, once: key=….".to_owned()))
}
