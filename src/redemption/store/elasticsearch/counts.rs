//! Counts the tickets of each batch by status, with an aggregation.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::elasticsearch::documents::Documents;
use crate::redemption::store::{BatchCount, BatchPlace, StoreError};
use crate::redemption::ticket::{Name, Status, Ticket};

/// The number of batches in one answer.
const BATCHES_AN_ANSWER: usize = 1000;

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

/// The query for the tickets of one batch or of all.
pub(super) fn batch_query(batch: Option<&Name>) -> Value {
    batch.map_or_else(|| json!({"match_all": {}}), |batch| json!({"term": {"batch": batch}}))
}

/// Counts of at most `limit` batches, in the order of albums and names, which is also the order of
/// the aggregation's pages.
pub(super) async fn count(
    documents: &Documents<Ticket>,
    batch: Option<&Name>,
    after: Option<BatchPlace>,
    limit: usize,
) -> Result<Vec<BatchCount>, StoreError> {
    // Later pages count the tickets that this refresh has made visible.
    if after.is_none() {
        documents.refresh().await?;
    }
    let source = |field: &str| json!({field: {"terms": {"field": field}}});
    let with = |status: Status| json!({"filter": {"term": {"status": status}}});
    let mut composite = json!({"sources": [source("album"), source("batch")]});
    let mut place = after;
    let mut counts: Vec<BatchCount> = Vec::new();
    while counts.len() < limit {
        let size = BATCHES_AN_ANSWER.min(limit - counts.len());
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
        let found: Aggregations = documents.aggregate(&search).await?;
        let buckets = found.counts.buckets;
        let is_last = buckets.len() < size;
        counts.extend(buckets.into_iter().map(BatchCount::from));
        if is_last {
            break;
        }
        place = counts.last().map(|last| last.place.clone());
    }
    Ok(counts)
}
