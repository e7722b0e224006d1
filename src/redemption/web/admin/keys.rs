//! An answer with new keys that is generated while it is sent: as JSON, or as the CSV that the tools read.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::stream;
use mediatype::MediaType;
use mediatype::names::{APPLICATION, CSV, JSON, TEXT};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::redemption::key::DownloadKey;
use crate::redemption::mint::{BatchTerms, KeysWriter};
use crate::web::negotiation::preferred;

/// The number of keys that are written into an answer at once.
const CHUNK_KEYS: usize = 250;

/// New keys. They exist only in this answer. This type is only the description; the answer is written piece
/// by piece below.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Minted {
    /// The batch.
    #[schema(example = "vinyl-2026")]
    batch: String,
    /// The album of the keys.
    #[schema(example = "night-ferry")]
    album: String,
    /// The number of keys.
    count: usize,
    /// The keys.
    #[schema(example = json!(["M9S34-6Q3D2-5VT4F-5V37E-3S3NJ"]))]
    keys: Vec<String>,
}

/// The form of an answer with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeysForm {
    Json,
    /// As `tickey mint` writes it and `tickey load` and `tickey cards` read it.
    Csv,
}

impl KeysForm {
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        static AVAILABLE: [MediaType<'_>; 2] = [MediaType::new(APPLICATION, JSON), MediaType::new(TEXT, CSV)];
        match preferred(headers, &AVAILABLE) {
            Some(chosen) if chosen.subty == CSV => Self::Csv,
            Some(_) | None => Self::Json,
        }
    }

    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// The keys as a body that is generated while it is sent. Holds the permit until then.
    pub(super) fn body(
        self,
        terms: BatchTerms,
        keys: Vec<DownloadKey>,
        permit: OwnedSemaphorePermit,
    ) -> Body {
        let mut keys = keys.into_iter();
        let count = keys.len();
        let mut ended = false;
        let chunks = std::iter::from_fn(move || {
            let _held = &permit;
            if ended {
                return None;
            }
            let first = keys.len() == count;
            let chunk: Vec<DownloadKey> = keys.by_ref().take(CHUNK_KEYS).collect();
            ended = keys.len() == 0;
            let written = match self {
                Self::Json => json_chunk(&terms, count, &chunk, first, ended),
                Self::Csv => csv_chunk(&terms, &chunk, first),
            };
            // A client can tell a broken body from a complete one.
            ended |= written.is_err();
            Some(written.map(Bytes::from))
        });
        Body::from_stream(stream::iter(chunks))
    }
}

fn json_chunk(
    terms: &BatchTerms,
    count: usize,
    keys: &[DownloadKey],
    first: bool,
    last: bool,
) -> std::io::Result<Vec<u8>> {
    let mut text = String::new();
    if first {
        let (batch, album) = (serde_json::to_string(&terms.batch)?, serde_json::to_string(&terms.album)?);
        let _ = write!(text, "{{\"batch\":{batch},\"album\":{album},\"count\":{count},\"keys\":[");
    }
    for (place, key) in keys.iter().enumerate() {
        let comma = if first && place == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}\"{}\"", *Zeroizing::new(key.reveal()));
    }
    if last {
        text.push_str("]}");
    }
    Ok(text.into_bytes())
}

fn csv_chunk(terms: &BatchTerms, keys: &[DownloadKey], first: bool) -> std::io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    let mut csv = KeysWriter::new(&mut lines, terms);
    if first {
        csv.header()?;
    }
    for key in keys {
        csv.key(key)?;
    }
    csv.flush()?;
    drop(csv);
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::header::ACCEPT;
    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn keys_come_as_json_unless_a_table_is_asked_for() {
        let wanted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            KeysForm::wanted(&headers)
        };
        assert_eq!(KeysForm::wanted(&HeaderMap::new()), KeysForm::Json);
        for (accept, form) in [
            ("*/*", KeysForm::Json),
            ("application/json", KeysForm::Json),
            ("text/csv", KeysForm::Csv),
            ("text/*", KeysForm::Csv),
            ("text/csv, */*;q=0.1", KeysForm::Csv),
            ("text/csv;q=0.1, application/json", KeysForm::Json),
            ("text/html", KeysForm::Json),
            ("rubbish", KeysForm::Json),
        ] {
            assert_eq!(wanted(accept), form, "{accept}");
        }
    }

    #[tokio::test]
    async fn an_answer_of_any_length_is_whole() {
        use http_body_util::BodyExt as _;
        let terms = || BatchTerms {
            album: "an \"album\", so called".parse().unwrap(),
            batch: "batch".parse().unwrap(),
            valid_from: None,
            expires_at: Some("2027-01-01T00:00:00Z".parse().unwrap()),
        };
        for count in [1, 2, CHUNK_KEYS, CHUNK_KEYS + 1, 3 * CHUNK_KEYS] {
            let keys: Vec<DownloadKey> = (0..count)
                .map(|number| {
                    let mut random = [0; 23];
                    random[..2].copy_from_slice(&[
                        u8::try_from(number % 32).unwrap(),
                        u8::try_from(number / 32).unwrap(),
                    ]);
                    DownloadKey::from_random(&random)
                })
                .collect();
            let revealed: Vec<String> = keys.iter().map(DownloadKey::reveal).collect();
            let permit = || Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            let body =
                KeysForm::Json.body(terms(), keys.clone(), permit()).collect().await.unwrap().to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let expected = serde_json::json!({
                "batch": "batch", "album": "an \"album\", so called", "count": count, "keys": revealed
            });
            assert_eq!(body, expected);
            let body = KeysForm::Csv.body(terms(), keys, permit()).collect().await.unwrap().to_bytes();
            let mut expected = "key,album,batch,valid_from,expires_at\n".to_owned();
            for key in revealed {
                let _ =
                    writeln!(expected, "{key},\"an \"\"album\"\", so called\",batch,,2027-01-01T00:00:00Z");
            }
            assert_eq!(String::from_utf8_lossy(&body), expected);
        }
    }
}
