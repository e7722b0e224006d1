//! `_bulk`: many conditional writes in one request, each with its own condition and its own outcome.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::nodes::{Body, Call, CallError, Nodes, Repeat};
use super::{append_json, document};
use crate::redemption::key::TicketId;
use crate::redemption::store::{StoreError, Version};
use crate::redemption::ticket::Ticket;

/// What is left of an answer: all that is looked at.
const FILTER: &str = "filter_path=items.*._id,items.*.status,items.*._seq_no,items.*._primary_term,\
                      items.*.error.type,items.*.error.reason";

/// One line of a `_bulk`, or two.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    /// The ticket is replaced if it has this version.
    Put(&'a TicketId, Version, &'a Ticket),
    /// The ticket is written as it is, if it has this version, or looked for if there should be none.
    Confirm(&'a TicketId, Option<Version>),
    /// The ticket is added if there is none.
    Create(&'a TicketId, &'a Ticket),
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ItemOutcome {
    /// It is done, on all copies that count.
    Written(Version),
    /// Another version is there, or the ticket exists although it should not.
    Conflict,
    /// There is no such ticket.
    Absent,
    /// It was not done, since the cluster has too much to do just now.
    Rejected(String),
    /// It did not leave.
    NotSent(String),
    /// It was not done, and doing it again at once would not help.
    Refused(StoreError),
    /// Nobody can say.
    Unknown(String),
}

#[derive(Serialize)]
struct Condition<'a> {
    _id: &'a TicketId,
    if_seq_no: u64,
    if_primary_term: u64,
}

/// A condition that no document meets, so that whoever decides about writes says whether there is one, and writes nothing.
const NEVER: Version = Version { sequence: i64::MAX.cast_unsigned(), term: i64::MAX.cast_unsigned() };

impl<'a> Item<'a> {
    pub(super) fn id(&self) -> &'a TicketId {
        match self {
            Self::Put(id, ..) | Self::Confirm(id, _) | Self::Create(id, _) => id,
        }
    }

    fn write(&self, body: &mut Vec<u8>) {
        let condition = |id: &'a TicketId, version: Version| Condition {
            _id: id,
            if_seq_no: version.sequence,
            if_primary_term: version.term,
        };
        match self {
            Self::Put(id, version, ticket) => {
                body.extend_from_slice(b"{\"index\":");
                append_json(body, &condition(id, *version));
                body.extend_from_slice(b"}\n");
                document::write(ticket, body);
            }
            Self::Confirm(id, version) => {
                body.extend_from_slice(b"{\"update\":");
                append_json(body, &condition(id, version.unwrap_or(NEVER)));
                // Nothing is changed, and yet it is written: what was read is then on all copies that count.
                body.extend_from_slice(b"}\n{\"doc\":{},\"detect_noop\":false}");
            }
            Self::Create(id, ticket) => {
                body.extend_from_slice(b"{\"create\":{\"_id\":");
                append_json(body, id);
                body.extend_from_slice(b"}}\n");
                document::write(ticket, body);
            }
        }
        body.push(b'\n');
    }
}

/// How long Elasticsearch itself waits for a primary to be there, and how long the whole is waited for here. The first
/// is the shorter one, so that as a rule it is Elasticsearch that says what happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) server: Duration,
    pub(super) client: Duration,
}

/// Sends the items; one outcome for each, in order.
pub(super) async fn send(
    nodes: &Nodes,
    index: &str,
    items: &[Item<'_>],
    patience: Patience,
    repeat: Repeat,
) -> Vec<ItemOutcome> {
    // One active copy is enough to begin: an acknowledgement still means every copy that counts as in sync, and
    // demanding more would stop redemption for the minute in which a lost copy is made anew.
    let path =
        format!("{index}/_bulk?timeout={}ms&wait_for_active_shards=1&{FILTER}", patience.server.as_millis());
    let mut body = Vec::with_capacity(items.len() * 512);
    for item in items {
        item.write(&mut body);
    }
    let call = Call {
        method: Method::POST,
        path: &path,
        body: Body::Lines(Bytes::from(body)),
        timeout: patience.client,
        repeat,
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
        Ok(answer) => all(&ErrorAnswer::read(answer.status, &answer.body).outcome()),
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

/// What Elasticsearch says of an error.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ErrorBody<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) reason: Option<Cow<'a, str>>,
}

fn read_items(body: &[u8], items: &[Item<'_>]) -> Result<Vec<ItemOutcome>, String> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if answer.items.len() != items.len() {
        return Err(format!("{} outcomes of {} items", answer.items.len(), items.len()));
    }
    let outcome = |(answered, item): (AnsweredItem<'_>, &Item<'_>)| {
        let (AnsweredItem::Index(body) | AnsweredItem::Update(body) | AnsweredItem::Create(body)) = answered;
        if TicketId::parse(&body.id).as_ref() == Some(item.id()) {
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
            ErrorAnswer { status, error }.outcome()
        }
    }
}

/// An error of a whole request or of one item of it.
pub(super) struct ErrorAnswer<'a> {
    status: u16,
    error: ErrorBody<'a>,
}

impl<'a> ErrorAnswer<'a> {
    /// Reads the body of an answer that is not a success. What cannot be read stays empty.
    pub(super) fn read(status: StatusCode, body: &'a [u8]) -> Self {
        #[derive(Deserialize)]
        struct Whole<'a> {
            #[serde(borrow)]
            error: ErrorBody<'a>,
        }
        let error = serde_json::from_slice::<Whole<'a>>(body).map(|whole| whole.error).unwrap_or_default();
        Self { status: status.as_u16(), error }
    }

    /// The same of one item of an answer.
    pub(super) fn of_item(status: StatusCode, error: ErrorBody<'a>) -> Self {
        Self { status: status.as_u16(), error }
    }

    /// Whether it is an error of this type.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.error.kind == kind
    }

    /// What it means for a write. Whatever is not known to have been turned away beforehand is unknown.
    pub(super) fn outcome(&self) -> ItemOutcome {
        match (self.status, &*self.error.kind) {
            // Said by the primary after all copies that count have agreed that it is the primary.
            (409, _) => ItemOutcome::Conflict,
            (404, "document_missing_exception") => ItemOutcome::Absent,
            // Read-only, full, or not recovered yet: found out before anything is done.
            (_, "cluster_block_exception") | (400 | 403 | 404 | 413, _) => {
                ItemOutcome::Refused(self.store_error())
            }
            (429, _) => ItemOutcome::Rejected(self.says()),
            _ => ItemOutcome::Unknown(self.says()),
        }
    }

    /// What to tell an operator.
    pub(super) fn store_error(&self) -> StoreError {
        let advice = match (self.status, &*self.error.kind) {
            (_, "cluster_block_exception") => {
                "if its disks are full make room, then set index.blocks.read_only_allow_delete to null; if somebody made \
                 the index read-only, lift that"
            }
            (404, "index_not_found_exception") => {
                "restore the index from a snapshot, or restart the server to begin with a new one"
            }
            (403, _) => "give the user the role that the documentation describes",
            (400, _) => "is the index of another version, or not ours?",
            _ => "look into the log of Elasticsearch",
        };
        StoreError::Unavailable(format!("{}: {advice}", self.says()))
    }

    /// In the words of Elasticsearch.
    pub(super) fn says(&self) -> String {
        let ErrorBody { kind, reason } = &self.error;
        let reason = reason.as_deref().unwrap_or("no reason given");
        format!("Elasticsearch answered {} {kind} ({reason})", self.status)
    }
}
