//! This context's log fields of a redemption.

use std::sync::Arc;

use axum::response::Response;

use crate::library::Album;
use crate::lifecycle::{Delivery, Undelivered};
use crate::redemption::key::TicketId;
use crate::redemption::metrics::Metrics;
use crate::redemption::ticket::RedemptionId;
use crate::web::log::{LogFields, RequestLine, WriteLine, request_line};
use crate::web::request::RequestInfo;

/// The outcome of an attempt to redeem a ticket: for the log line of its request, and for another line when the client
/// did not get the answer.
pub(crate) struct Report {
    pub(crate) request: RequestInfo,
    pub(crate) ticket: TicketId,
    /// The redemption that the client holds, and its album.
    pub(crate) held: Option<(RedemptionId, Arc<Album>)>,
    /// `redeemed`, `replayed`, or the reason of the refusal.
    pub(crate) outcome: &'static str,
    pub(crate) metrics: Arc<Metrics>,
}

impl Report {
    /// Adds it to the log line of the request, and has the connection report when the client did not get the answer.
    pub(crate) fn attach(self: Arc<Self>, answer: &mut Response) {
        answer.extensions_mut().insert(LogFields(Arc::clone(&self) as _));
        answer.extensions_mut().insert(Delivery(self));
    }
}

impl WriteLine for Report {
    fn write(&self, line: &RequestLine<'_>) {
        let line = RequestLine { outcome: Some(self.outcome), ..*line };
        let held = self.held.as_ref();
        request_line!(
            line,
            ticket = display(self.ticket),
            redemption = held.map(|(redemption, _)| display(redemption)),
            album = held.map(|(_, album)| &*album.id)
        );
    }
}

/// The receipt of a request.
pub(crate) struct Held {
    pub(crate) ticket: TicketId,
    pub(crate) redemption: RedemptionId,
}

impl Held {
    /// Adds it to the log line of the request, so that support staff can see whether the receipt was opened,
    /// and for what.
    pub(crate) fn attach(self, answer: &mut Response) {
        answer.extensions_mut().insert(LogFields(Arc::new(self)));
    }
}

impl WriteLine for Held {
    fn write(&self, line: &RequestLine<'_>) {
        request_line!(line, ticket = display(self.ticket), redemption = display(self.redemption));
    }
}

impl Undelivered for Report {
    fn undelivered(&self) {
        self.metrics.unheard(self.outcome);
        let held = self.held.as_ref();
        tracing::info!(
            request_id = self.request.id.as_str(),
            outcome = self.outcome,
            ticket = %self.ticket,
            redemption = held.map(|(redemption, _)| tracing::field::display(redemption)),
            album = held.map(|(_, album)| &*album.id),
            "redemption: nobody was left to hear the answer"
        );
    }
}
