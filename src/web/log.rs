//! The one log line of a request, and what a context adds to it.
//!
//! One line a request is both easier to follow and cheaper than two: writing them is the largest part of what a request
//! costs outside of stores and the system. Names of fields are fixed where a line is written, so a context with fields
//! of its own writes the line itself, with `request_line!`, when the envelope tells it to.

use std::sync::Arc;
use std::time::Duration;

use crate::client::ClientPrefix;

/// What came of a request, for its log line: an extension of the answer.
#[derive(Clone, Copy)]
pub(crate) struct Outcome(pub(crate) &'static str);

/// What every log line of a request says.
#[derive(Clone, Copy)]
pub(crate) struct RequestLine<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) client: ClientPrefix,
    pub(crate) method: &'static str,
    /// The pattern that the request matched, never its path.
    pub(crate) route: &'a str,
    pub(crate) status: u16,
    pub(crate) outcome: Option<&'static str>,
    /// Until the head of the answer.
    pub(crate) duration: Duration,
}

/// Fields of a context for the log line: an extension of the answer.
#[derive(Clone)]
pub(crate) struct LogFields(pub(crate) Arc<dyn WriteLine>);

/// Writes the log line of a request with fields of a context, by `request_line!`.
pub(crate) trait WriteLine: Send + Sync {
    /// Writes it.
    fn write(&self, line: &RequestLine<'_>);
}

/// Writes the log line of a request, with further fields.
macro_rules! request_line {
    ($line:expr $(, $name:ident = $value:expr)*) => {
        tracing::info!(
            target: "tickey::request",
            request_id = $line.request_id,
            client = %$line.client,
            method = $line.method,
            route = $line.route,
            status = $line.status,
            outcome = $line.outcome,
            $($name = $value,)*
            milliseconds = $line.duration.as_secs_f64() * 1000.0,
            "request"
        )
    };
}

pub(crate) use request_line;

impl RequestLine<'_> {
    /// Writes the line, with the fields of a context if there are any.
    pub(crate) fn write(&self, fields: Option<&LogFields>) {
        if let Some(LogFields(fields)) = fields {
            fields.write(self);
        } else {
            request_line!(self);
        }
    }
}
