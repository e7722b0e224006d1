//! Logs and metrics.
//!
//! Logs go to stderr: for people on a terminal, one JSON object a line otherwise. No key, receipt, signature,
//! idempotency key or full client address is ever handed to either: what could hold one has no way to print itself.

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

/// Log lines that wait for a slow reader of stderr; further ones are dropped, since no request may wait for its log
/// line.
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
    let wrong = |error: ParseError| LogFilterError(error.to_string());
    let filter = EnvFilter::builder().parse(text).map_err(wrong)?;
    // At `trace` it tells the paths of requests, some of which are secrets.
    Ok(filter.add_directive("tower_http::csrf=info".parse().map_err(wrong)?))
}

/// A text is not a filter of log lines.
#[derive(Debug, thiserror::Error)]
#[error("not a log filter: {0}; give a level such as info, or module=level pairs separated by commas")]
pub struct LogFilterError(String);

/// An empty registry of what is counted. Whoever counts something registers it at the start; labels take few values,
/// none of them from outside.
#[must_use]
pub fn registry() -> Registry {
    Registry::with_prefix("tickey")
}

/// All that was counted, as OpenMetrics text.
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

/// 0.5 ms to 16 s, doubling.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}
