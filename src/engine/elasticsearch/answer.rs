//! Errors of Elasticsearch, and what they mean for a write and for an operator.

use std::borrow::Cow;

use reqwest::StatusCode;
use serde::Deserialize;

use crate::engine::{StoreError, Version};

/// The outcome of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ItemOutcome {
    /// The write is done, on all in-sync copies.
    Written(Version),
    /// The document has another version, or it exists although it should not.
    Conflict,
    /// There is no such document.
    Absent,
    /// The write was not done, since the cluster is overloaded for the moment.
    Rejected(String),
    /// The request was not sent, or the cluster rejected all of it for the moment.
    NotSent(String),
    /// The write was not done, and an immediate retry would not help.
    Refused(StoreError),
    /// Whether the write was done is not known.
    Unknown(String),
}

/// The body of an error of Elasticsearch.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ErrorBody<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
}

/// An error of a whole request or of one item of it.
pub(super) struct ErrorAnswer<'a> {
    status: u16,
    error: ErrorBody<'a>,
}

impl<'a> ErrorAnswer<'a> {
    /// Reads the body of an answer that is not a success. A field that cannot be parsed stays empty.
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
    pub(super) fn of_item(status: u16, error: ErrorBody<'a>) -> Self {
        Self { status, error }
    }

    /// Whether it is an error of this type.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.error.kind == kind
    }

    /// The outcome for each write of a request that was rejected as a whole.
    pub(super) fn outcome_of_all(&self) -> ItemOutcome {
        match self.outcome() {
            // Rejected before any item was processed.
            ItemOutcome::Rejected(why) => ItemOutcome::NotSent(why),
            outcome => outcome,
        }
    }

    /// The outcome for a write. Unless the write is known to have been rejected before it was processed, its
    /// outcome is unknown.
    pub(super) fn outcome(&self) -> ItemOutcome {
        match (self.status, &*self.error.kind) {
            // The primary answers this only after all in-sync copies have confirmed that it is the primary.
            (409, _) => ItemOutcome::Conflict,
            (404, "document_missing_exception") => ItemOutcome::Absent,
            // Read-only, full, or not recovered yet: checked before anything is done.
            (_, "cluster_block_exception") | (400 | 403 | 404 | 413, _) => {
                ItemOutcome::Refused(self.store_error())
            }
            (429, _) => ItemOutcome::Rejected(self.says()),
            _ => ItemOutcome::Unknown(self.says()),
        }
    }

    /// The error for an operator.
    pub(super) fn store_error(&self) -> StoreError {
        let advice = match (self.status, &*self.error.kind) {
            (_, "cluster_block_exception") => {
                "if its disks are full make room, then set index.blocks.read_only_allow_delete to null; if somebody \
                 made the index read-only, lift that"
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

    /// The reason that Elasticsearch gives.
    pub(super) fn says(&self) -> String {
        let ErrorBody { kind, reason } = &self.error;
        let reason = reason.as_deref().unwrap_or("no reason given");
        format!("Elasticsearch answered {} {kind} ({reason})", self.status)
    }
}
