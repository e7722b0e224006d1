//! Slow requests that no browser waits for: searches and their views.
//!
//! Elasticsearch cancels a search when its connection closes, as it does when the caller gives up.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::Method;
use elasticsearch::indices::IndicesRefreshParts;
use elasticsearch::{ClosePointInTimeParts, OpenPointInTimeParts, SearchParts};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::ErrorAnswer;
use super::document::Document;
use super::get::read_document;
use super::nodes::{Answer, Body, Call, Nodes, Repeat};
use crate::engine::{StoreError, Version, Versioned};

/// The timeout of each request.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How long a list may rest between two pages.
const VIEW_LIFE: &str = "5m";

/// Sends a request and returns the answer if it is a success.
async fn ask(nodes: &Nodes, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, StoreError> {
    let call = Call {
        method,
        path,
        body: body.map_or(Body::None, |body| Body::Json(Bytes::from(body.to_string()))),
        timeout: TIMEOUT,
        repeat: Repeat::WheneverFailed,
    };
    let answer = nodes.call(&call).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    if answer.status.is_success() {
        Ok(answer)
    } else {
        Err(ErrorAnswer::read(answer.status, &answer.body).store_error())
    }
}

/// Parses the body of an answer.
pub(super) fn parse<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, StoreError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        StoreError::Unavailable(format!("Elasticsearch gave an answer that cannot be read: {error}"))
    })
}

/// Makes acknowledged writes visible to searches.
pub(super) async fn refresh(nodes: &Nodes, index: &str) -> Result<(), StoreError> {
    let path = IndicesRefreshParts::Index(&[index]).url();
    ask(nodes, Method::Post, &path, None).await.map(|_| ())
}

/// The aggregations of a search that all shards must answer.
pub(super) async fn aggregate<T: DeserializeOwned>(
    nodes: &Nodes,
    index: &str,
    search: &Value,
) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Aggregated<T> {
        aggregations: T,
    }
    let path = format!("{}?allow_partial_search_results=false", SearchParts::Index(&[index]).url());
    let answer = ask(nodes, Method::Post, &path, Some(search)).await?;
    Ok(parse::<Aggregated<T>>(&answer)?.aggregations)
}

/// Where a list continues: a view of the index as of the beginning of the list, and the place in it.
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

/// One page of the documents that match a query.
pub(crate) struct Listed<D: Document> {
    pub(crate) documents: Vec<(D::Id, Versioned<D>)>,
    /// Where the list continues, if it does; to be passed to [`list`] again.
    pub(crate) next: Option<String>,
}

/// At most `limit` documents that match the query, in the order in which the shards keep them.
pub(super) async fn list<D: Document>(
    nodes: &Nodes,
    index: &str,
    query: &Value,
    from: Option<&str>,
    limit: usize,
) -> Result<Listed<D>, StoreError> {
    let (view, after) = match from {
        Some(place) => {
            let place: Place = serde_json::from_str(place)
                .map_err(|_| StoreError::Unavailable("the list cannot go on: begin anew".to_owned()))?;
            (place.view, Some(place.after))
        }
        None => (open_view(nodes, index).await?, None),
    };
    let mut search = json!({
        "size": limit,
        "pit": {"id": view, "keep_alive": VIEW_LIFE},
        "query": query,
        "sort": ["_shard_doc"],
        "track_total_hits": false,
        "seq_no_primary_term": true,
    });
    if let Some(after) = after {
        search["search_after"] = after;
    }
    // The view says which index is searched.
    let path = format!("{}?allow_partial_search_results=false", SearchParts::None.url());
    let answer = ask(nodes, Method::Post, &path, Some(&search)).await?;
    let found: Hits<'_> = parse(&answer)?;
    let hits = &found.hits.hits;
    let last = hits.last().filter(|_| hits.len() == limit);
    let next = last.map(|last| Place { view: found.pit_id.clone(), after: last.sort.clone() });
    let documents = hits.iter().map(read_hit).collect::<Result<_, StoreError>>()?;
    if next.is_none() {
        close_view(nodes, &found.pit_id).await;
    }
    Ok(Listed { documents, next: next.map(|place| json!(place).to_string()) })
}

fn read_hit<D: Document>(hit: &Hit<'_>) -> Result<(D::Id, Versioned<D>), StoreError> {
    let id = D::parse_id(&hit.id).ok_or_else(|| {
        StoreError::Corrupt(format!("the document {} is not one of ours: its _id is not", hit.id))
    })?;
    let version = Version { sequence: hit.sequence, term: hit.term };
    Ok((id, Versioned { version, value: read_document(&hit.id, hit.source)? }))
}

async fn open_view(nodes: &Nodes, index: &str) -> Result<String, StoreError> {
    #[derive(Deserialize)]
    struct View {
        id: String,
    }
    refresh(nodes, index).await?;
    let path = format!("{}?keep_alive={VIEW_LIFE}", OpenPointInTimeParts::Index(&[index]).url());
    let answer = ask(nodes, Method::Post, &path, None).await?;
    Ok(parse::<View>(&answer)?.id)
}

/// A view that is not closed expires by itself a little later.
async fn close_view(nodes: &Nodes, view: &str) {
    let path = ClosePointInTimeParts::None.url();
    if let Err(error) = ask(nodes, Method::Delete, &path, Some(&json!({"id": view}))).await {
        tracing::debug!(%error, "a view of the index could not be closed");
    }
}
