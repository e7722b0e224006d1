//! Logs and metrics.
//!
//! Logs go to stderr: for people on a terminal, one JSON object on each line otherwise. No key, receipt, signature,
//! idempotency key or full client address is ever given to either: types that may hold one cannot be printed.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
pub use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Log lines that may wait for a slow reader of stderr. Further lines are dropped, since no request may wait for
/// its log line.
const MAX_WAITING_LINES: usize = 16_384;
/// The largest single write to stderr: the capacity of a pipe on Linux.
const LOG_BUFFER_BYTES: usize = 64 * 1024;

/// Starts logging. Dropping the returned guard writes the lines that still wait.
pub fn start_logging(filter: EnvFilter) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(MAX_WAITING_LINES)
        .thread_name("log")
        // The buffer is flushed whenever no line waits, so lines share a write only under load.
        .finish(BufWriter::with_capacity(LOG_BUFFER_BYTES, io::stderr()));
    // A line that cannot be written is lost: reporting it on the same stderr would panic.
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
    let wrong = |error: ParseError| LogFilterError(error.to_string());
    let filter = EnvFilter::builder().parse(text).map_err(wrong)?;
    // At `trace` this module logs the paths of requests, and some paths are secrets.
    Ok(filter.add_directive("tower_http::csrf=info".parse().map_err(wrong)?))
}

/// The text is not a log filter.
#[derive(Debug, thiserror::Error)]
#[error("not a log filter: {0}; give a level such as info, or module=level pairs separated by commas")]
pub struct LogFilterError(String);

/// An empty registry of metrics. Each module registers its metrics at the start. Labels take few values, none of
/// them from outside.
#[must_use]
pub fn registry() -> Registry {
    Registry::with_prefix("tickey")
}

/// All metrics as OpenMetrics text.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(text)
}

/// Measures requests.
pub struct RequestMetrics(Family<RequestLabels, Histogram>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: Method,
    route: String,
    status: u16,
}

impl RequestMetrics {
    /// Adds the metrics to a registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::new_with_constructor(durations as fn() -> Histogram);
        registry.register_with_unit(
            "http_request_duration",
            "Time from a request's head to its answer's head",
            Unit::Seconds,
            Family::clone(&requests),
        );
        Self(requests)
    }

    /// A request was answered. `route` is the pattern that it matched, never its path.
    pub fn request(&self, method: Method, route: &str, status: u16, duration: Duration) {
        let labels = RequestLabels { method, route: route.to_owned(), status };
        self.0.get_or_create(&labels).observe(duration.as_secs_f64());
    }
}

/// A method that is counted under its own name. All other methods share one, since a client can invent more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// Any other method.
    Other,
}

impl EncodeLabelValue for Method {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.as_str().encode(encoder)
    }
}

impl Method {
    /// The name in logs and labels.
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

/// Buckets from 0.5 ms to 16 s, each twice the one before.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}
