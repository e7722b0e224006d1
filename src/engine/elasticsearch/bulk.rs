//! `_bulk`: many conditional writes in one request, each with its own condition and its own outcome.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::BulkParts;
use elasticsearch::http::Method;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::answer::{ErrorAnswer, ErrorBody, ItemOutcome};
use super::document::{Document, append_json};
use super::nodes::{Body, Call, CallError, Nodes, Repeat};
use crate::engine::Version;

/// Limits an answer to the fields that are read.
const FILTER: &str = "filter_path=items.*._id,items.*.status,items.*._seq_no,items.*._primary_term,\
                      items.*.error.type,items.*.error.reason";

/// Two lines of a `_bulk`.
pub(super) enum Item<'a, D: Document> {
    /// The document is replaced if it has this version.
    Put(D::Id, Version, &'a D),
    /// The document is added if there is none.
    Create(D::Id, &'a D),
    /// Checks whether the document has this version. Writes nothing.
    Look(D::Id, Version),
    /// The document is written as it is, if it has this version.
    Rewrite(D::Id, Version),
    /// Checks that there is no such document. Writes nothing.
    LookForNone(D::Id),
}

#[derive(Serialize)]
struct Condition<Id> {
    _id: Id,
    if_seq_no: u64,
    if_primary_term: u64,
}

/// A condition that no document meets: the primary reports whether the document exists, and writes nothing.
const NEVER: Version = Version { sequence: i64::MAX.cast_unsigned(), term: i64::MAX.cast_unsigned() };

impl<D: Document> Item<'_, D> {
    fn id(&self) -> D::Id {
        match self {
            Self::Put(id, ..)
            | Self::Create(id, _)
            | Self::Look(id, _)
            | Self::Rewrite(id, _)
            | Self::LookForNone(id) => *id,
        }
    }

    fn write(&self, body: &mut Vec<u8>) {
        match self {
            Self::Put(id, version, document) => {
                body.extend_from_slice(b"{\"index\":");
                append_json(body, &condition(*id, *version));
                body.extend_from_slice(b"}\n");
                document.write(body);
            }
            Self::Create(id, document) => {
                body.extend_from_slice(b"{\"create\":{\"_id\":");
                append_json(body, id);
                body.extend_from_slice(b"}}\n");
                document.write(body);
            }
            Self::Look(id, version) => write_update(body, *id, *version, true),
            Self::Rewrite(id, version) => write_update(body, *id, *version, false),
            Self::LookForNone(id) => write_update(body, *id, NEVER, true),
        }
        body.push(b'\n');
    }
}

fn condition<Id>(id: Id, version: Version) -> Condition<Id> {
    Condition { _id: id, if_seq_no: version.sequence, if_primary_term: version.term }
}

/// An update that changes nothing; without `detect_noop` it is still written.
fn write_update<Id: Serialize>(body: &mut Vec<u8>, id: Id, version: Version, detect_noop: bool) {
    body.extend_from_slice(b"{\"update\":");
    append_json(body, &condition(id, version));
    body.extend_from_slice(b"}\n{\"doc\":{},\"detect_noop\":");
    append_json(body, &detect_noop);
    body.push(b'}');
}

/// How long Elasticsearch waits for an active primary (`server`), and how long this client waits for the answer
/// (`client`). The first is shorter, so that Elasticsearch usually reports the outcome itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) server: Duration,
    pub(super) client: Duration,
}

/// Sends the items. Returns one outcome for each, in order.
pub(super) async fn send<D: Document>(
    nodes: &Nodes,
    index: &str,
    items: &[Item<'_, D>],
    patience: Patience,
) -> Vec<ItemOutcome> {
    // One active copy is enough to begin: an acknowledgement still means every in-sync copy. Requiring more would stop
    // all writes for the minute in which a lost copy is rebuilt.
    let path = format!(
        "{}?timeout={}ms&wait_for_active_shards=1&{FILTER}",
        BulkParts::Index(index).url(),
        patience.server.as_millis()
    );
    let mut body = Vec::with_capacity(items.len() * 512);
    for item in items {
        item.write(&mut body);
    }
    let call = Call {
        method: Method::Post,
        path: &path,
        body: Body::Lines(Bytes::from(body)),
        timeout: patience.client,
        // The caller must know whether this request made the write.
        repeat: Repeat::OnlyUnsent,
    };
    let all = |outcome: &ItemOutcome| vec![outcome.clone(); items.len()];
    match nodes.call(&call).await {
        Err(CallError::NotSent(why)) => all(&ItemOutcome::NotSent(why)),
        Err(CallError::Unknown(why)) => all(&ItemOutcome::Unknown(why)),
        Ok(answer) if answer.status == StatusCode::OK => {
            read_items(&answer.body, items).unwrap_or_else(|why| {
                all(&ItemOutcome::Unknown(format!("an answer that cannot be read: {why}")))
            })
        }
        Ok(answer) => all(&ErrorAnswer::read(answer.status, &answer.body).outcome_of_all()),
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    items: Vec<AnsweredItem<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnsweredItem<'a> {
    #[serde(borrow)]
    Index(ItemBody<'a>),
    #[serde(borrow)]
    Update(ItemBody<'a>),
    #[serde(borrow)]
    Create(ItemBody<'a>),
}

#[derive(Deserialize)]
struct ItemBody<'a> {
    #[serde(borrow, rename = "_id")]
    id: Cow<'a, str>,
    status: u16,
    #[serde(rename = "_seq_no")]
    sequence: Option<u64>,
    #[serde(rename = "_primary_term")]
    term: Option<u64>,
    #[serde(borrow)]
    error: Option<ErrorBody<'a>>,
}

fn read_items<D: Document>(body: &[u8], items: &[Item<'_, D>]) -> Result<Vec<ItemOutcome>, String> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if answer.items.len() != items.len() {
        return Err(format!("{} outcomes of {} items", answer.items.len(), items.len()));
    }
    let outcome = |(answered, item): (AnsweredItem<'_>, &Item<'_, D>)| {
        let (AnsweredItem::Index(body) | AnsweredItem::Update(body) | AnsweredItem::Create(body)) = answered;
        if D::parse_id(&body.id) == Some(item.id()) {
            Ok(item_outcome(&body))
        } else {
            Err("outcomes in another order".to_owned())
        }
    };
    answer.items.into_iter().zip(items).map(outcome).collect()
}

fn item_outcome(body: &ItemBody<'_>) -> ItemOutcome {
    match (body.status, body.sequence, body.term) {
        (200 | 201, Some(sequence), Some(term)) => ItemOutcome::Written(Version { sequence, term }),
        (200 | 201, ..) => ItemOutcome::Unknown("a write without a version".to_owned()),
        (status, ..) => {
            let error = body.error.clone().unwrap_or_default();
            ErrorAnswer::of_item(status, error).outcome()
        }
    }
}
