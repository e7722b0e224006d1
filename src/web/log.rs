//! The log line of a request, and the fields that a context adds to it.
//!
//! One line for each request is easier to follow than two, and cheaper: log lines are the largest cost of a request
//! outside of stores and the system. The names of fields are fixed where a line is written. So a context with fields of
//! its own writes the line itself, with `request_line!`, when the envelope asks for it.

use std::sync::Arc;
use std::time::Duration;

use crate::client::ClientPrefix;

/// The outcome of a request, for its log line: an extension of the answer.
#[derive(Clone, Copy)]
pub(crate) struct Outcome(pub(crate) &'static str);

/// The fields of every request's log line.
#[derive(Clone, Copy)]
pub(crate) struct RequestLine<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) client: ClientPrefix,
    pub(crate) method: &'static str,
    /// The pattern that the request matched, never its path.
    pub(crate) route: &'a str,
    pub(crate) status: u16,
    pub(crate) outcome: Option<&'static str>,
    /// The time until the head of the answer.
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
    /// Writes the line, with the context's fields if there are any.
    pub(crate) fn write(&self, fields: Option<&LogFields>) {
        if let Some(LogFields(fields)) = fields {
            fields.write(self);
        } else {
            request_line!(self);
        }
    }
}
