//! `_mget`: many documents by their ids in one request, each with its own outcome.

use std::borrow::Cow;
use std::time::Duration;

use elasticsearch::MgetParts;
use elasticsearch::http::Method;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{ErrorAnswer, ErrorBody};
use super::document::{Document, append_json};
use super::nodes::{Answer, Body, Call, CallError, Nodes, Repeat};
use crate::engine::{StoreError, Version, Versioned};

/// The timeout of each try on a node.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Limits an answer to the fields that are read.
const FILTER: &str = "filter_path=docs._id,docs.found,docs._seq_no,docs._primary_term,docs._source,\
                      docs.error.type,docs.error.reason";

/// Why a read failed.
#[derive(Clone, Debug)]
pub(super) enum ReadError {
    /// A retry may succeed.
    Passing(StoreError),
    /// A retry will not succeed.
    Lasting(StoreError),
}

/// The result for one id.
pub(super) type Found<D> = Result<Option<Versioned<D>>, ReadError>;

#[derive(Deserialize)]
struct Docs<'a> {
    #[serde(borrow)]
    docs: Vec<Doc<'a>>,
}

#[derive(Deserialize)]
struct Doc<'a> {
    #[serde(borrow)]
    #[serde(rename = "_id")]
    id: Cow<'a, str>,
    #[serde(default)]
    found: bool,
    #[serde(rename = "_seq_no")]
    sequence: Option<u64>,
    #[serde(rename = "_primary_term")]
    term: Option<u64>,
    #[serde(borrow, rename = "_source")]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<ErrorBody<'a>>,
}

/// The current documents with these ids (a realtime read), in order. A copy that was cut off may return old ones.
pub(super) async fn get<D: Document>(nodes: &Nodes, index: &str, ids: &[D::Id]) -> Vec<Found<D>> {
    #[derive(Serialize)]
    struct Ids<'a, Id> {
        ids: &'a [Id],
    }
    let path = format!("{}?{FILTER}", MgetParts::Index(index).url());
    let mut body = Vec::with_capacity(ids.len() * 48 + 16);
    append_json(&mut body, &Ids { ids });
    let all = |error: ReadError| ids.iter().map(|_| Err(error.clone())).collect();
    let call = Call {
        method: Method::Post,
        path: &path,
        body: Body::Json(body.into()),
        timeout: TIMEOUT,
        repeat: Repeat::WheneverFailed,
    };
    match nodes.call(&call).await {
        Err(CallError::NotSent(why) | CallError::Unknown(why)) => {
            all(ReadError::Passing(StoreError::Unavailable(why)))
        }
        Ok(answer) if answer.status == StatusCode::OK => match read_docs::<D>(&answer.body, ids) {
            Ok(found) => found,
            Err(why) => all(ReadError::Passing(StoreError::Unavailable(format!(
                "Elasticsearch gave an answer that cannot be read: {why}"
            )))),
        },
        Ok(answer) => all(refusal(&answer)),
    }
}

fn refusal(answer: &Answer) -> ReadError {
    let error = ErrorAnswer::read(answer.status, &answer.body);
    if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
        ReadError::Passing(StoreError::Unavailable(error.says()))
    } else {
        ReadError::Lasting(error.store_error())
    }
}

fn read_docs<D: Document>(body: &[u8], ids: &[D::Id]) -> Result<Vec<Found<D>>, String> {
    let answer: Docs<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if answer.docs.len() != ids.len() {
        return Err(format!("{} documents for {} ids", answer.docs.len(), ids.len()));
    }
    let found = |(doc, id): (Doc<'_>, &D::Id)| {
        if D::parse_id(&doc.id).as_ref() == Some(id) {
            Ok(found_doc(&doc))
        } else {
            Err("documents in another order".to_owned())
        }
    };
    answer.docs.into_iter().zip(ids).map(found).collect()
}

fn found_doc<D: Document>(doc: &Doc<'_>) -> Found<D> {
    match doc {
        Doc { error: Some(error), .. } if error.kind == "index_not_found_exception" => {
            let error = ErrorAnswer::of_item(404, error.clone());
            Err(ReadError::Lasting(error.store_error()))
        }
        Doc { error: Some(error), .. } => {
            let error = ErrorAnswer::of_item(503, error.clone());
            Err(ReadError::Passing(StoreError::Unavailable(error.says())))
        }
        Doc { found: false, .. } => Ok(None),
        Doc { sequence: Some(sequence), term: Some(term), source: Some(source), .. } => {
            let value = read_document(&doc.id, source).map_err(ReadError::Lasting)?;
            Ok(Some(Versioned { version: Version { sequence: *sequence, term: *term }, value }))
        }
        Doc { .. } => Err(ReadError::Lasting(StoreError::Corrupt(format!(
            "the document {} has no version or no source",
            doc.id
        )))),
    }
}

/// Parses a document of an answer. The error names the document and says what is wrong with it.
pub(super) fn read_document<D: Document>(id: &str, source: &RawValue) -> Result<D, StoreError> {
    D::read(source.get().as_bytes())
        .map_err(|why| StoreError::Corrupt(format!("the document {id} is not one of ours: {why}")))
}
