//! Metrics of redemptions, downloads and the store. Names and labels are part of the program's public interface.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::store::{Operation, RequestOutcome, StoreObserver};

/// The counters. Labels take few values, none of them from outside.
pub struct Metrics {
    redemptions: Family<OutcomeLabels, Counter>,
    unheard: Family<OutcomeLabels, Counter>,
    downloads: Family<OutcomeLabels, Counter>,
    download_bytes: Counter,
    store_requests: Family<StoreLabels, Counter>,
    store_batch: Family<OperationLabels, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    operation: Operation,
    outcome: RequestOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: Operation,
}

impl EncodeLabelValue for Operation {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let name = match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Create => "create",
            Self::Scan => "scan",
        };
        name.encode(encoder)
    }
}

impl EncodeLabelValue for RequestOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let name = match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        };
        name.encode(encoder)
    }
}

/// Buckets from 1 to 32 768, each twice the one before.
fn batch_sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 16))
}

impl Metrics {
    /// Adds the metrics to a registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let redemptions = Family::default();
        let unheard = Family::default();
        let downloads = Family::default();
        let download_bytes = Counter::default();
        let store_requests = Family::default();
        let store_batch = Family::new_with_constructor(batch_sizes as fn() -> Histogram);
        registry.register(
            "redemptions",
            "Attempts to redeem a key, by outcome: redeemed, replayed, or the reason of the refusal",
            Family::clone(&redemptions),
        );
        registry.register(
            "redemptions_unheard",
            "Those of the attempts to redeem a key whose client was gone when they were answered, by outcome",
            Family::clone(&unheard),
        );
        registry.register(
            "downloads",
            "Requests for a file, by outcome: whole and part (sent to their end), cut_off (the client went away), \
             too_slow, \
             stopped (the server ended), head, unchanged, elsewhere, unsatisfiable, invalid, expired, too_many, failed",
            Family::clone(&downloads),
        );
        registry.register_with_unit(
            "download",
            "What was sent of files, also by downloads that were cut off",
            Unit::Bytes,
            download_bytes.clone(),
        );
        registry.register(
            "store_requests",
            "Requests that the store made of its engine; many operations share one",
            Family::clone(&store_requests),
        );
        registry.register(
            "store_batch_size",
            "Operations that shared one request of the store",
            Family::clone(&store_batch),
        );
        Self { redemptions, unheard, downloads, download_bytes, store_requests, store_batch }
    }

    /// An attempt to redeem a key ended.
    pub fn redemption(&self, outcome: &'static str) {
        self.redemptions.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// An attempt to redeem a key ended after its client had gone.
    pub(crate) fn unheard(&self, outcome: &'static str) {
        self.unheard.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// A request for a file has ended, after `bytes` bytes of it.
    pub(crate) fn download(&self, outcome: &'static str, bytes: u64) {
        self.downloads.get_or_create(&OutcomeLabels { outcome }).inc();
        self.download_bytes.inc_by(bytes);
    }
}

impl StoreObserver for Metrics {
    fn request(&self, operation: Operation, outcome: RequestOutcome, items: usize) {
        self.store_requests.get_or_create(&StoreLabels { operation, outcome }).inc();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        self.store_batch.get_or_create(&OperationLabels { operation }).observe(items as f64);
    }
}
