//! Connections that are rejected before there is a request, or dropped before their answer was taken.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::client::ClientPrefix;

/// The most log lines a minute about rejections: a rejected client must not be able to fill the log.
const LINES_PER_MINUTE: u32 = 30;

/// Why there was no request, or no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rejection {
    /// It is not HTTP/1.
    BadRequest,
    /// Its head has more bytes or fields than the limit.
    HeadTooLarge,
    /// Its head began to arrive and was not whole in time.
    HeadTimeout,
    /// The client took its answers too slowly.
    TooSlow,
    /// The network, or the host, has its share of the connections already.
    TooManyConnections,
}

impl Rejection {
    /// The name in logs and labels.
    const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::TooSlow => "too_slow",
            Self::TooManyConnections => "too_many_connections",
        }
    }

    /// The reason for which hyper ended a connection. `head_begun`: whether a part of another request had arrived.
    pub(super) fn of(error: &hyper::Error, head_begun: bool) -> Option<Self> {
        if error.is_parse_too_large() {
            Some(Self::HeadTooLarge)
        } else if error.is_parse() {
            Some(Self::BadRequest)
        } else if error.is_timeout() && head_begun {
            Some(Self::HeadTimeout)
        } else {
            // A client that went away, or a connection that was idle for long.
            None
        }
    }
}

/// Counts rejected connections, and logs some of them.
#[derive(Default)]
pub struct ConnectionMetrics {
    rejected: Family<RejectionLabels, Counter>,
    lines: Mutex<Lines>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabels {
    why: &'static str,
}

#[derive(Debug, Default)]
struct Lines {
    /// When the current minute began.
    since: Option<Instant>,
    /// Lines that were logged in this minute.
    logged: u32,
    /// Lines that were left out since the last logged one.
    left_out: u64,
}

impl ConnectionMetrics {
    /// Adds the metrics to a registry.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "http_rejected",
            "Connections that ended without a request, or with an answer that was taken too slowly: bad_request, \
             head_too_large, head_timeout, too_slow, too_many_connections (of one network)",
            Family::clone(&metrics.rejected),
        );
        metrics
    }

    pub(super) fn rejected(&self, why: Rejection, client: ClientPrefix) {
        self.rejected.get_or_create(&RejectionLabels { why: why.as_str() }).inc();
        let line = self.lines.lock().unwrap_or_else(PoisonError::into_inner).next(Instant::now());
        if let Some(left_out) = line {
            tracing::info!(why = why.as_str(), %client, left_out, "rejected");
        }
    }
}

impl Lines {
    /// Whether the next line may be logged; if so, how many were left out before it.
    fn next(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now >= since + Duration::from_mins(1)) {
            self.since = Some(now);
            self.logged = 0;
        }
        if self.logged < LINES_PER_MINUTE {
            self.logged += 1;
            Some(std::mem::take(&mut self.left_out))
        } else {
            self.left_out += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_makes_some_lines_a_minute_and_the_rest_is_told_as_a_number() {
        let start = Instant::now();
        let mut lines = Lines::default();
        let logged = (0..1000).filter(|_| lines.next(start).is_some()).count();
        assert_eq!(logged, LINES_PER_MINUTE as usize);
        assert_eq!(lines.next(start + Duration::from_secs(59)), None);
        assert_eq!(lines.next(start + Duration::from_mins(1)), Some(1000 - logged as u64 + 1));
        assert_eq!(lines.next(start + Duration::from_mins(1)), Some(0));
    }
}
