//! Logs and metrics.
//!
//! Logs go to stderr: for people on a terminal, one JSON object a line otherwise. No key, receipt, signature, idempotency
//! key or full client address is ever handed to either: what could hold one has no way to print itself.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::lifecycle::Rejection;
use crate::redemption::store::{Operation, RequestOutcome, StoreObserver};

/// Log lines that wait for a slow reader of stderr; further ones are dropped, since no request may wait for its log line.
const MAX_WAITING_LINES: usize = 16_384;
/// What is written to stderr at once, at most: as much as a pipe takes on Linux.
const LOG_BUFFER_BYTES: usize = 64 * 1024;

/// Starts logging. The lines that still wait are written when what is returned is dropped.
pub fn start_logging(filter: EnvFilter) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(MAX_WAITING_LINES)
        .thread_name("log")
        // It is flushed whenever no line waits, so lines share a write only while there are many.
        .finish(BufWriter::with_capacity(LOG_BUFFER_BYTES, io::stderr()));
    // A line that cannot be written is lost; telling of it on the same stderr would panic.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    if io::stderr().is_terminal() {
        builder.with_target(false).init();
    } else {
        builder.json().flatten_event(false).with_current_span(false).with_span_list(false).init();
    }
    guard
}

/// Reads a filter of log lines, such as `info` or `warn,tickey=debug`.
pub fn parse_filter(text: &str) -> Result<EnvFilter, LogFilterError> {
    EnvFilter::builder().parse(text).map_err(|error| LogFilterError(error.to_string()))
}

/// A text is not a filter of log lines.
#[derive(Debug, thiserror::Error)]
#[error("not a log filter: {0}; give a level such as info, or module=level pairs separated by commas")]
pub struct LogFilterError(String);

/// What is counted. Names and labels are those of the contract; labels take few values, none of them from outside.
pub struct Metrics {
    registry: Registry,
    redemptions: Family<OutcomeLabels, Counter>,
    downloads: Family<OutcomeLabels, Counter>,
    download_bytes: Counter,
    rejected: Family<RejectionLabels, Counter>,
    requests: Family<RequestLabels, Histogram>,
    store_requests: Family<StoreLabels, Counter>,
    store_batch: Family<OperationLabels, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabels {
    why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: Method,
    route: String,
    status: u16,
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

/// A method that is counted under its own name; all others share one, since anybody can make up more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// Any other.
    Other,
}

impl EncodeLabelValue for Method {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.as_str().encode(encoder)
    }
}

impl Method {
    /// As in logs and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Other => "other",
        }
    }
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

/// 0.5 ms to 16 s, doubling.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

/// 1 to 32 768, doubling.
fn batch_sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 16))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tickey");
        let redemptions = Family::default();
        let downloads = Family::default();
        let download_bytes = Counter::default();
        let rejected = Family::default();
        let requests = Family::new_with_constructor(durations as fn() -> Histogram);
        let store_requests = Family::default();
        let store_batch = Family::new_with_constructor(batch_sizes as fn() -> Histogram);
        registry.register(
            "redemptions",
            "Attempts to redeem a key, by outcome: redeemed, replayed, or the reason of the refusal",
            Family::clone(&redemptions),
        );
        registry.register(
            "downloads",
            "Requests for a file, by outcome: whole and part (sent to their end), cut_off (the client went away), too_slow, \
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
            "http_rejected",
            "Connections that ended without a request, or with an answer that was taken too slowly: bad_request, \
             head_too_large, head_timeout, too_slow, too_many_connections (of one network)",
            Family::clone(&rejected),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time from a request's head to its answer's head",
            Unit::Seconds,
            Family::clone(&requests),
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
        Self {
            registry,
            redemptions,
            downloads,
            download_bytes,
            rejected,
            requests,
            store_requests,
            store_batch,
        }
    }
}

impl Metrics {
    /// An attempt to redeem a key ended.
    pub fn redemption(&self, outcome: &'static str) {
        self.redemptions.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// A request for a file has ended, after so many bytes of it.
    pub fn download(&self, outcome: &'static str, bytes: u64) {
        self.downloads.get_or_create(&OutcomeLabels { outcome }).inc();
        self.download_bytes.inc_by(bytes);
    }

    /// A connection ended without a request, or without its answer having been taken.
    pub fn rejected(&self, why: Rejection) {
        self.rejected.get_or_create(&RejectionLabels { why: why.as_str() }).inc();
    }

    /// A request was answered. `route` is the pattern that it matched, never its path.
    pub fn request(&self, method: Method, route: &str, status: u16, duration: Duration) {
        let labels = RequestLabels { method, route: route.to_owned(), status };
        self.requests.get_or_create(&labels).observe(duration.as_secs_f64());
    }

    /// All of it as OpenMetrics text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl StoreObserver for Metrics {
    fn request(&self, operation: Operation, outcome: RequestOutcome, items: usize) {
        self.store_requests.get_or_create(&StoreLabels { operation, outcome }).inc();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        self.store_batch.get_or_create(&OperationLabels { operation }).observe(items as f64);
    }
}
