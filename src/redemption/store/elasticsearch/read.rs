//! Reading: `_mget` for tickets by their ids, searches for pages, aggregations for counts.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::bulk::{ErrorAnswer, ErrorBody};
use super::nodes::{Answer, Body, Call, CallError, Nodes, Repeat};
use super::{append_json, document};
use crate::redemption::key::TicketId;
use crate::redemption::store::{BatchCount, BatchPlace, Cursor, Page, StoreError, Version, Versioned};
use crate::redemption::ticket::{Name, Status, Ticket};

/// For each node that is asked for tickets by their ids.
const GET_TIMEOUT: Duration = Duration::from_secs(2);
/// For each request of a list or a count.
const SCAN_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a list may rest between two pages.
const CURSOR_LIFE: &str = "5m";
/// Counts that come with one answer.
const COUNTS_A_PAGE: usize = 1000;

/// Why a read gave nothing.
#[derive(Clone, Debug)]
pub(super) enum ReadError {
    /// It may go better in a moment.
    Passing(StoreError),
    /// It will not.
    Lasting(StoreError),
}

/// What is found for one id.
pub(super) type Found = Result<Option<Versioned<Ticket>>, ReadError>;

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

/// The tickets with these ids as they are now (a realtime read), in order; they may come from a copy that was left behind.
pub(super) async fn get(nodes: &Nodes, index: &str, ids: &[TicketId]) -> Vec<Found> {
    #[derive(Serialize)]
    struct Ids<'a> {
        ids: &'a [TicketId],
    }
    let path = format!(
        "{index}/_mget?filter_path=docs._id,docs.found,docs._seq_no,docs._primary_term,docs._source,docs.error.type,docs.error.reason"
    );
    let mut body = Vec::with_capacity(ids.len() * 48 + 16);
    append_json(&mut body, &Ids { ids });
    let all = |error: ReadError| ids.iter().map(|_| Err(error.clone())).collect();
    let call = Call {
        method: Method::POST,
        path: &path,
        body: Body::Json(body.into()),
        timeout: GET_TIMEOUT,
        repeat: Repeat::WheneverFailed,
    };
    match nodes.call(&call).await {
        Err(CallError::NotSent(why) | CallError::Unknown(why)) => {
            all(ReadError::Passing(StoreError::Unavailable(why)))
        }
        Ok(answer) if answer.status == StatusCode::OK => match read_docs(&answer.body, ids) {
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

fn read_docs(body: &[u8], ids: &[TicketId]) -> Result<Vec<Found>, String> {
    let answer: Docs<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if answer.docs.len() != ids.len() {
        return Err(format!("{} documents for {} ids", answer.docs.len(), ids.len()));
    }
    let found = |(doc, id): (Doc<'_>, &TicketId)| {
        if TicketId::parse(&doc.id).as_ref() == Some(id) {
            Ok(found_doc(&doc))
        } else {
            Err("documents in another order".to_owned())
        }
    };
    answer.docs.into_iter().zip(ids).map(found).collect()
}

fn found_doc(doc: &Doc<'_>) -> Found {
    match doc {
        Doc { error: Some(error), .. } if error.kind == "index_not_found_exception" => {
            let error = ErrorAnswer::of_item(StatusCode::NOT_FOUND, error.clone());
            Err(ReadError::Lasting(error.store_error()))
        }
        Doc { error: Some(error), .. } => {
            let error = ErrorAnswer::of_item(StatusCode::SERVICE_UNAVAILABLE, error.clone());
            Err(ReadError::Passing(StoreError::Unavailable(error.says())))
        }
        Doc { found: false, .. } => Ok(None),
        Doc { sequence: Some(sequence), term: Some(term), source: Some(source), .. } => {
            let value = read_ticket(&doc.id, source).map_err(ReadError::Lasting)?;
            Ok(Some(Versioned { version: Version { sequence: *sequence, term: *term }, value }))
        }
        Doc { .. } => Err(ReadError::Lasting(StoreError::Corrupt(format!(
            "the document {} has no version or no source",
            doc.id
        )))),
    }
}

fn read_ticket(id: &str, source: &RawValue) -> Result<Ticket, StoreError> {
    document::read(source.get().as_bytes())
        .map_err(|why| StoreError::Corrupt(format!("the document {id} is not a ticket: {why}")))
}

/// Asks for something that takes longer and is not part of any redemption.
pub(super) async fn ask(
    nodes: &Nodes,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, StoreError> {
    let call = Call {
        method,
        path,
        body: body.map_or(Body::None, |body| Body::Json(Bytes::from(body.to_string()))),
        timeout: SCAN_TIMEOUT,
        repeat: Repeat::WheneverFailed,
    };
    let answer = nodes.call(&call).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    if answer.status.is_success() {
        Ok(answer)
    } else {
        Err(ErrorAnswer::read(answer.status, &answer.body).store_error())
    }
}

/// Reads the body of an answer.
pub(super) fn parse<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, StoreError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        StoreError::Unavailable(format!("Elasticsearch gave an answer that cannot be read: {error}"))
    })
}

/// Makes what was acknowledged so far visible to searches.
async fn refresh(nodes: &Nodes, index: &str) -> Result<(), StoreError> {
    ask(nodes, Method::POST, &format!("{index}/_refresh"), None).await.map(|_| ())
}

/// Where a list goes on: a view of the index as it was when the list began, and the place in it.
#[derive(Serialize, Deserialize)]
struct Place {
    view: String,
    after: Value,
}

#[derive(Deserialize)]
struct Hits<'a> {
    pit_id: String,
    #[serde(borrow)]
    hits: HitList<'a>,
}

#[derive(Deserialize)]
struct HitList<'a> {
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(borrow)]
    #[serde(rename = "_id")]
    id: Cow<'a, str>,
    #[serde(rename = "_seq_no")]
    sequence: u64,
    #[serde(rename = "_primary_term")]
    term: u64,
    #[serde(borrow, rename = "_source")]
    source: &'a RawValue,
    sort: Value,
}

/// One page of a list, in the order in which the shards keep their documents.
pub(super) async fn page(
    nodes: &Nodes,
    index: &str,
    batch: Option<&Name>,
    from: Option<&Cursor>,
    limit: usize,
) -> Result<Page, StoreError> {
    let (view, after) = match from {
        Some(Cursor(place)) => {
            let place: Place = serde_json::from_str(place)
                .map_err(|_| StoreError::Unavailable("the list cannot go on: begin anew".to_owned()))?;
            (place.view, Some(place.after))
        }
        None => (open_view(nodes, index).await?, None),
    };
    let mut search = json!({
        "size": limit,
        "pit": {"id": view, "keep_alive": CURSOR_LIFE},
        "query": batch_query(batch),
        "sort": ["_shard_doc"],
        "track_total_hits": false,
        "seq_no_primary_term": true,
    });
    if let Some(after) = after {
        search["search_after"] = after;
    }
    let answer =
        ask(nodes, Method::POST, "_search?allow_partial_search_results=false", Some(&search)).await?;
    let found: Hits<'_> = parse(&answer)?;
    let next = found
        .hits
        .hits
        .last()
        .filter(|_| found.hits.hits.len() == limit)
        .map(|last| Place { view: found.pit_id.clone(), after: last.sort.clone() });
    let tickets = found.hits.hits.iter().map(|hit| {
        let id = TicketId::parse(&hit.id).ok_or_else(|| {
            StoreError::Corrupt(format!("the document {} is not a ticket: its _id is no digest", hit.id))
        })?;
        let version = Version { sequence: hit.sequence, term: hit.term };
        Ok((id, Versioned { version, value: read_ticket(&hit.id, hit.source)? }))
    });
    let tickets = tickets.collect::<Result<_, StoreError>>()?;
    if next.is_none() {
        close_view(nodes, &found.pit_id).await;
    }
    Ok(Page { tickets, next: next.map(|place| Cursor(json!(place).to_string())) })
}

async fn open_view(nodes: &Nodes, index: &str) -> Result<String, StoreError> {
    #[derive(Deserialize)]
    struct View {
        id: String,
    }
    refresh(nodes, index).await?;
    let path = format!("{index}/_pit?keep_alive={CURSOR_LIFE}");
    let answer = ask(nodes, Method::POST, &path, None).await?;
    Ok(parse::<View>(&answer)?.id)
}

/// A view that is not closed ends by itself a little later.
async fn close_view(nodes: &Nodes, view: &str) {
    if let Err(error) = ask(nodes, Method::DELETE, "_pit", Some(&json!({"id": view}))).await {
        tracing::debug!(%error, "a view of the index could not be closed");
    }
}

fn batch_query(batch: Option<&Name>) -> Value {
    batch.map_or_else(|| json!({"match_all": {}}), |batch| json!({"term": {"batch": batch}}))
}

#[derive(Deserialize)]
struct Aggregated {
    aggregations: Aggregations,
}

#[derive(Deserialize)]
struct Aggregations {
    counts: Buckets,
}

#[derive(Deserialize)]
struct Buckets {
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    key: BucketKey,
    issued: Matching,
    redeemed: Matching,
    revoked: Matching,
}

#[derive(Deserialize)]
struct BucketKey {
    album: Name,
    batch: Name,
}

#[derive(Deserialize)]
struct Matching {
    doc_count: u64,
}

/// Counts of some batches, in the order of albums and names, which is also that of the answers.
pub(super) async fn stats(
    nodes: &Nodes,
    index: &str,
    batch: Option<&Name>,
    after: Option<&BatchPlace>,
    limit: usize,
) -> Result<Vec<BatchCount>, StoreError> {
    // The pages that follow count what the first one has made visible.
    if after.is_none() {
        refresh(nodes, index).await?;
    }
    let path = format!("{index}/_search?allow_partial_search_results=false");
    let source = |field: &str| json!({field: {"terms": {"field": field}}});
    let with = |status: Status| json!({"filter": {"term": {"status": status}}});
    let mut composite = json!({"sources": [source("album"), source("batch")]});
    let mut place = after.cloned();
    let mut counts = Vec::new();
    while counts.len() < limit {
        let size = COUNTS_A_PAGE.min(limit - counts.len());
        composite["size"] = json!(size);
        if let Some(BatchPlace { album, batch }) = &place {
            composite["after"] = json!({"album": album, "batch": batch});
        }
        let aggregation = json!({
            "composite": composite,
            "aggs": {
                "issued": with(Status::Issued),
                "redeemed": with(Status::Redeemed),
                "revoked": with(Status::Revoked),
            },
        });
        let search = json!({
            "size": 0,
            "track_total_hits": false,
            "query": batch_query(batch),
            "aggs": {"counts": aggregation},
        });
        let answer = ask(nodes, Method::POST, &path, Some(&search)).await?;
        let Buckets { buckets } = parse::<Aggregated>(&answer)?.aggregations.counts;
        let found = buckets.len();
        counts.extend(buckets.into_iter().map(BatchCount::from));
        if found < size {
            break;
        }
        place = counts.last().map(|last| last.place.clone());
    }
    Ok(counts)
}

impl From<Bucket> for BatchCount {
    fn from(bucket: Bucket) -> Self {
        let BucketKey { album, batch } = bucket.key;
        Self {
            place: BatchPlace { album, batch },
            issued: bucket.issued.doc_count,
            redeemed: bucket.redeemed.doc_count,
            revoked: bucket.revoked.doc_count,
        }
    }
}
