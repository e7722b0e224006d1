//! What this context adds to the log line of a request.

use std::sync::Arc;

use crate::redemption::key::TicketId;
use crate::redemption::ticket::RedemptionId;
use crate::web::log::{LogFields, RequestLine, WriteLine, request_line};

/// Which ticket a request was about, and what came of it.
#[derive(Clone)]
pub(crate) struct RedemptionFields {
    pub(crate) ticket: TicketId,
    pub(crate) redemption: Option<RedemptionId>,
    /// Its id.
    pub(crate) album: Option<String>,
}

impl From<RedemptionFields> for LogFields {
    fn from(fields: RedemptionFields) -> Self {
        Self(Arc::new(fields))
    }
}

impl WriteLine for RedemptionFields {
    fn write(&self, line: &RequestLine<'_>) {
        request_line!(
            line,
            ticket = display(self.ticket),
            redemption = self.redemption.map(display),
            album = self.album.as_deref()
        );
    }
}
