//! The bodies of requests that change tickets: the reason, and the new end.

use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::redemption::mint::parse_time;
use crate::redemption::ticket::{Because, NewExpiry};
use crate::web::body::{JsonBody, JsonShape};
use crate::web::failure::RequestFailure;

/// Why tickets are revoked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeBody {
    /// For the record in the ticket.
    #[schema(example = "the box was stolen", min_length = 1, max_length = 1000)]
    because: Option<String>,
}

impl JsonShape for RevokeBody {
    const SHAPE: &'static str = "The body must be empty, or a JSON object that may have the reason as a text of 1 to \
        1000 bytes, once: {\"because\": \"…\"}.";
}

impl RevokeBody {
    /// The reason, if the body gives one.
    pub(super) fn because(body: Option<JsonBody<Self>>) -> Result<Option<Because>, RequestFailure> {
        let given = body.and_then(|JsonBody(body)| body.because);
        given.map(|text| because(&text, Self::SHAPE)).transpose()
    }
}

/// Why a ticket is reinstated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReinstateBody {
    /// For the record in the ticket.
    #[schema(example = "scratched card", min_length = 1, max_length = 1000)]
    because: String,
    /// Nothing is done if the ticket was already reinstated this often, so that a request whose answer was lost
    /// can be repeated.
    #[schema(value_type = Option<u32>, example = 1, minimum = 1)]
    pub(super) times: Option<NonZeroU32>,
}

impl JsonShape for ReinstateBody {
    const SHAPE: &'static str = "The body must be a JSON object with the reason as a text of 1 to 1000 bytes and \
        perhaps times, each once: {\"because\": \"…\"}.";
}

impl ReinstateBody {
    /// The reason.
    pub(super) fn because(&self) -> Result<Because, RequestFailure> {
        because(&self.because, Self::SHAPE)
    }
}

/// Why the revocation of a batch is undone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreBody {
    /// For the record in the tickets.
    #[schema(example = "revoked by mistake", min_length = 1, max_length = 1000)]
    because: String,
    /// Tickets that were revoked before this time (RFC 3339) or date (UTC) stay revoked.
    #[schema(example = "2026-11-28T09:30:00Z")]
    revoked_since: Option<String>,
}

impl JsonShape for RestoreBody {
    const SHAPE: &'static str = "The body must be a JSON object with the reason as a text of 1 to 1000 bytes and \
        perhaps revoked_since, each once: {\"because\": \"…\"}.";
}

impl RestoreBody {
    /// The time from which revocations are undone, and the reason.
    pub(super) fn understand(&self) -> Result<(Option<Timestamp>, Because), RequestFailure> {
        let since = self.revoked_since.as_deref().map(parse_time).transpose();
        let since = since.map_err(|why| RequestFailure::BadRequest(format!("revoked_since: {why}.")))?;
        Ok((since, because(&self.because, Self::SHAPE)?))
    }
}

/// The new end of tickets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtendBody {
    /// The time from which they can no longer be redeemed: a future time (RFC 3339) or date (UTC).
    #[schema(example = "2027-12-24T18:00:00Z")]
    expires_at: String,
    /// For the record in the ticket.
    #[schema(example = "the parcels are late", min_length = 1, max_length = 1000)]
    because: Option<String>,
}

impl JsonShape for ExtendBody {
    const SHAPE: &'static str = "The body must be a JSON object with expires_at and perhaps because, each once: \
        {\"expires_at\": \"2027-12-24T18:00:00Z\"}.";
}

impl ExtendBody {
    /// The new end, which must be in the future, and the reason.
    pub(super) fn understand(&self, now: Timestamp) -> Result<(NewExpiry, Option<Because>), RequestFailure> {
        let wrong = |why: &dyn std::fmt::Display| RequestFailure::BadRequest(format!("expires_at: {why}."));
        let expires_at = parse_time(&self.expires_at).map_err(|why| wrong(&why))?;
        let expires_at = NewExpiry::new(expires_at, now).map_err(|past| wrong(&past))?;
        let because = self.because.as_deref().map(|text| because(text, Self::SHAPE)).transpose()?;
        Ok((expires_at, because))
    }
}

fn because(text: &str, shape: &str) -> Result<Because, RequestFailure> {
    text.parse().map_err(|_| RequestFailure::BadRequest(shape.to_owned()))
}
