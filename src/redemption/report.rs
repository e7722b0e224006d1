//! Reports about tickets for the issuer: the same JSON from the command line and from the admin interface.
//!
//! Ids stand for keys, which cannot be derived from them. Knows tickets, and neither a terminal nor HTTP.

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
    /// The album of the ticket.
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
    /// The time from which it can be redeemed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// The time from which it can no longer be redeemed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The redemption that holds it, or that it had when it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redemption: Option<RedemptionReport>,
    /// The last revocation; the ticket may have been reinstated since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<ChangeReport>,
    /// The last reinstatement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reinstated: Option<ReinstatementReport>,
    /// The last extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended: Option<ChangeReport>,
}

/// The use of a ticket.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RedemptionReport {
    /// The id that its holder knows.
    pub id: String,
    /// The time of the redemption.
    pub at: Timestamp,
    /// The number of renewals of its links.
    pub renewals: u32,
    /// The time of the last renewal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<Timestamp>,
}

/// The reinstatements of a ticket.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReinstatementReport {
    /// The number of reinstatements so far.
    pub times: u32,
    /// How many of those only undid a revocation and kept the receipt valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<u32>,
    /// The time of the last one.
    pub at: Timestamp,
    /// The reason, in the words of the person who did it.
    pub because: String,
}

/// A change of the ticket.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChangeReport {
    /// The time of the change.
    pub at: Timestamp,
    /// The reason, in the words of the person who did it, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl ChangeReport {
    fn new(last: &Change) -> Self {
        Self { at: last.at, because: last.because.clone() }
    }
}

impl TicketReport {
    /// The report of this ticket.
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

/// The result of revoking a batch.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct RevokedBatchReport {
    /// Tickets that this call revoked.
    pub revoked: u64,
    /// Tickets that were already revoked.
    pub unchanged: u64,
}

impl From<ChangedBatch> for RevokedBatchReport {
    fn from(done: ChangedBatch) -> Self {
        Self { revoked: done.changed.tickets(), unchanged: done.unchanged.tickets() }
    }
}

/// The result of undoing the revocation of a batch.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ReinstatedBatchReport {
    /// Revoked tickets that have their former state again.
    pub reinstated: u64,
    /// How many of those had been redeemed before they were revoked, and are redeemed again, with valid receipts.
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

/// The result of extending a batch.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ExtendedBatchReport {
    /// The time from which the extended tickets can no longer be redeemed.
    pub expires_at: Timestamp,
    /// Unused tickets whose end was moved to that time.
    pub extended: u64,
    /// Unused tickets that already ended then or later, or never.
    pub unchanged: u64,
    /// Redeemed tickets, which stay unchanged: extending them has no use.
    pub redeemed: u64,
    /// Revoked tickets, which stay unchanged.
    pub revoked: u64,
}

impl ExtendedBatchReport {
    /// The report of a batch whose unused tickets were to end at `expires_at`.
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

/// The number of tickets, by state.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct Totals {
    /// The total.
    pub tickets: u64,
    /// Not used.
    pub issued: u64,
    /// Used up.
    pub redeemed: u64,
    /// Revoked.
    pub revoked: u64,
}

/// The number of tickets, by album and batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatsReport {
    /// The counts of all batches together.
    #[serde(flatten)]
    pub totals: Totals,
    /// Sorted by album and name.
    pub batches: Vec<BatchReport>,
}

/// The number of tickets of one batch and one album.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BatchReport {
    /// The album of the tickets.
    #[schema(example = "night-ferry")]
    pub album: String,
    /// The batch that they were minted in.
    #[schema(example = "vinyl-2026")]
    pub batch: String,
    /// The counts.
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
    /// The report of this batch.
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
    /// Adds up the counts of a store.
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
