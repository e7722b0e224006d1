//! What whoever issued the tickets is told about them: the same JSON from the command line and from the admin
//! interface.
//!
//! Ids stand for keys, which nobody can tell from them. Knows tickets, and neither a terminal nor HTTP.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::redemption::change::ChangedBatch;
use crate::redemption::key::TicketId;
use crate::redemption::store::BatchCount;
use crate::redemption::ticket::{Change, NewExpiry, Redemption, Reinstatement, Status, Ticket};

/// A ticket: everything that is stored, and never a key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TicketReport {
    /// The SHA-256 of its key, in base64url.
    #[schema(example = "FW8esbCt8xG32a8tomvn89yOy4rIihM6OSS4kRFRWOA")]
    pub id: String,
    /// The album that it gives.
    #[schema(example = "night-ferry")]
    pub album: String,
    /// The batch that it was minted in.
    #[schema(example = "vinyl-2026")]
    pub batch: String,
    /// `issued`, `redeemed` or `revoked`
    #[schema(value_type = String, example = "issued")]
    pub status: Status,
    /// When it was minted.
    pub issued_at: Timestamp,
    /// From when on it can be redeemed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// Since when it no longer can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The redemption that holds it, or that it had when it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redemption: Option<RedemptionReport>,
    /// The last time that it was declared void; it may have been given back since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<ChangeReport>,
    /// The last time that it was given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reinstated: Option<ReinstatementReport>,
    /// The last time that its end was put off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended: Option<ChangeReport>,
}

/// The use of a ticket.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RedemptionReport {
    /// As its holder knows it.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// How often its links were renewed.
    pub renewals: u32,
    /// When they were renewed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<Timestamp>,
}

/// A ticket was given back.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReinstatementReport {
    /// How often, by now.
    pub times: u32,
    /// How many of those only undid a revocation and left the receipt good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<u32>,
    /// When, the last time.
    pub at: Timestamp,
    /// Why, in the words of whoever did it.
    pub because: String,
}

/// Somebody changed the ticket.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChangeReport {
    /// When.
    pub at: Timestamp,
    /// Why, in the words of whoever did it, if they said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl ChangeReport {
    fn new(last: &Change) -> Self {
        Self { at: last.at, because: last.because.clone() }
    }
}

impl TicketReport {
    /// Of this ticket.
    #[must_use]
    pub fn new(id: &TicketId, ticket: &Ticket) -> Self {
        Self {
            id: id.to_string(),
            album: ticket.album.to_string(),
            batch: ticket.batch.to_string(),
            status: ticket.status(),
            issued_at: ticket.issued_at,
            valid_from: ticket.valid_from,
            expires_at: ticket.expires_at,
            redemption: ticket.last_redemption().map(RedemptionReport::new),
            revoked: ticket.revoked.as_ref().map(ChangeReport::new),
            reinstated: ticket.reinstated.as_ref().map(ReinstatementReport::new),
            extended: ticket.extended.as_ref().map(ChangeReport::new),
        }
    }
}

impl RedemptionReport {
    fn new(redemption: &Redemption) -> Self {
        Self {
            id: redemption.id.to_string(),
            at: redemption.at,
            renewals: redemption.renewals,
            renewed_at: redemption.renewed_at,
        }
    }
}

impl ReinstatementReport {
    fn new(last: &Reinstatement) -> Self {
        let restored = Some(last.restored).filter(|restored| *restored > 0);
        Self { times: last.times, restored, at: last.at, because: last.because.clone() }
    }
}

/// What revoking a batch came to.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct RevokedBatchReport {
    /// Tickets that are void now and were not before.
    pub revoked: u64,
    /// Tickets that were void before.
    pub unchanged: u64,
}

impl From<ChangedBatch> for RevokedBatchReport {
    fn from(done: ChangedBatch) -> Self {
        Self { revoked: done.changed.tickets(), unchanged: done.unchanged.tickets() }
    }
}

/// What undoing the revocation of a batch came to.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ReinstatedBatchReport {
    /// Tickets that were revoked and have their former state again.
    pub reinstated: u64,
    /// How many of those had been redeemed before they were revoked, and are so again, with their receipts.
    pub redeemed: u64,
    /// Tickets that were not revoked.
    pub unchanged: u64,
}

impl From<ChangedBatch> for ReinstatedBatchReport {
    fn from(done: ChangedBatch) -> Self {
        Self {
            reinstated: done.changed.tickets(),
            redeemed: done.changed.redeemed,
            unchanged: done.unchanged.tickets(),
        }
    }
}

/// What prolonging a batch came to.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ExtendedBatchReport {
    /// From when on the extended tickets can no longer be redeemed.
    pub expires_at: Timestamp,
    /// Unused tickets that end then and ended earlier before.
    pub extended: u64,
    /// Unused tickets that end then or later, or never, without this change.
    pub unchanged: u64,
    /// Redeemed tickets, which were left as they are: there is nothing to prolong them for.
    pub redeemed: u64,
    /// Revoked tickets, which were left as they are.
    pub revoked: u64,
}

impl ExtendedBatchReport {
    /// Of a batch whose unused tickets were to end at `expires_at`.
    #[must_use]
    pub fn new(expires_at: NewExpiry, done: ChangedBatch) -> Self {
        Self {
            expires_at: expires_at.into(),
            extended: done.changed.tickets(),
            unchanged: done.unchanged.issued,
            redeemed: done.unchanged.redeemed,
            revoked: done.unchanged.revoked,
        }
    }
}

/// How many tickets there are, and what became of them.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Totals {
    /// All of them.
    pub tickets: u64,
    /// Nobody has used them.
    pub issued: u64,
    /// Used up.
    pub redeemed: u64,
    /// Void.
    pub revoked: u64,
}

/// How many tickets there are, by album and batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatsReport {
    /// Of all batches together.
    #[serde(flatten)]
    pub totals: Totals,
    /// Sorted by album and name.
    pub batches: Vec<BatchReport>,
}

/// How many tickets there are of one batch and one album.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BatchReport {
    /// The album that they give.
    #[schema(example = "night-ferry")]
    pub album: String,
    /// The batch that they were minted in.
    #[schema(example = "vinyl-2026")]
    pub batch: String,
    /// How many.
    #[serde(flatten)]
    pub totals: Totals,
}

impl Totals {
    fn new(count: &BatchCount) -> Self {
        let BatchCount { issued, redeemed, revoked, .. } = *count;
        Self { tickets: issued + redeemed + revoked, issued, redeemed, revoked }
    }

    fn add(&mut self, other: Self) {
        self.tickets += other.tickets;
        self.issued += other.issued;
        self.redeemed += other.redeemed;
        self.revoked += other.revoked;
    }
}

impl BatchReport {
    /// Of this batch.
    #[must_use]
    pub fn new(count: &BatchCount) -> Self {
        Self {
            album: count.place.album.to_string(),
            batch: count.place.batch.to_string(),
            totals: Totals::new(count),
        }
    }
}

impl StatsReport {
    /// Adds up what a store has counted.
    #[must_use]
    pub fn new(counts: &[BatchCount]) -> Self {
        let batches: Vec<BatchReport> = counts.iter().map(BatchReport::new).collect();
        let mut totals = Totals::default();
        for batch in &batches {
            totals.add(batch.totals);
        }
        Self { totals, batches }
    }
}
