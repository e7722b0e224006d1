//! Parses the request that redeems: a key as JSON or as a form, and an optional idempotency key.

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::redemption::ticket::IdempotencyKey;
use crate::web::body::{Encoding, collect, parse_form, parse_json};
use crate::web::failure::RequestFailure;
use crate::web::request::RequestInfo;

/// The header by which a client is recognised when it repeats a request.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A client's request to redeem.
pub(crate) struct Attempt {
    /// As typed. As secret as a key.
    pub(crate) typed: Zeroizing<String>,
    /// From the header or, in a form, from its hidden field.
    pub(crate) idempotency_key: Option<IdempotencyKey>,
}

#[derive(Deserialize)]
struct JsonBody {
    key: Zeroizing<String>,
}

#[derive(Deserialize)]
struct FormBody {
    key: Zeroizing<String>,
    idempotency_key: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Attempt {
    type Rejection = RequestFailure;

    async fn from_request(request: Request, _: &S) -> Result<Self, RequestFailure> {
        let (parts, body) = request.into_parts();
        let encoding = Encoding::of(&parts.headers).ok_or(RequestFailure::UnsupportedMediaType(
            "Send the key as application/json, {\"key\": \"…\"}, or as application/x-www-form-urlencoded, key=….",
        ))?;
        let header_key = header_idempotency_key(&parts.headers)?;
        let bytes = collect(&parts.headers, body, RequestInfo::of(&parts)).await?;
        match encoding {
            Encoding::Json => {
                let shape = "The body must be a JSON object with the key as a text, once: {\"key\": \"…\"}.";
                let body: JsonBody = parse_json(&bytes, shape)?;
                Ok(Self { typed: body.key, idempotency_key: header_key })
            }
            Encoding::Form => {
                let body: FormBody = parse_form(&bytes, "The form must have the field key, once: key=….")?;
                let field_key = body.idempotency_key.as_deref().filter(|field| !field.is_empty());
                let field_key = field_key.map(|field| checked(field.as_bytes())).transpose()?;
                Ok(Self { typed: body.key, idempotency_key: header_key.or(field_key) })
            }
        }
    }
}

fn header_idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, RequestFailure> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => checked(value.as_bytes()).map(Some),
        (Some(_), Some(_)) => {
            Err(RequestFailure::BadRequest("Send one Idempotency-Key, not several.".to_owned()))
        }
    }
}

fn checked(bytes: &[u8]) -> Result<IdempotencyKey, RequestFailure> {
    IdempotencyKey::parse(bytes).ok_or_else(|| {
        RequestFailure::BadRequest(
            "An Idempotency-Key has 1 to 255 visible ASCII characters and no spaces.".to_owned(),
        )
    })
}
