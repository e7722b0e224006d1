//! The responses of each route of the admin interface, for the description. Never constructed.

use utoipa::IntoResponses;

use super::keys::Minted;
use crate::redemption::web::members::Refusal;

/// The responses of every route of the admin interface.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum AdminResponses {
    /// `unauthorized`: the admin token is missing or wrong.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Refusal),
    /// `too_many_attempts`: too many wrong tokens from this network; see `Retry-After`.
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyAttempts(Refusal),
    /// `store_unavailable`: nothing was changed. `outcome_unknown`: it may have been. See `Retry-After`.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Refusal),
}

/// The responses of a route with input that must be parsed.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum MisunderstoodResponses {
    /// `bad_request`: it cannot be understood.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Refusal),
    /// `request_timeout`: it did not arrive in time.
    #[response(status = 408, content_type = "application/problem+json")]
    RequestTimeout(Refusal),
    /// `too_large`: over 4096 bytes.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Refusal),
    /// `unsupported_media_type`: not JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Refusal),
}

/// Further responses of minting.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum MintResponses {
    /// The keys; as CSV, as `tickey mint` writes it, when `Accept` asks for `text/csv`.
    #[response(status = 201, content_type = "application/json")]
    Minted(Minted),
    /// `album_unknown`: the library does not have it.
    #[response(status = 422, content_type = "application/problem+json")]
    AlbumUnknown(Refusal),
    /// `store_unavailable`, `album_unavailable`: nothing was minted. `outcome_unknown`: tickets may be stored, and
    /// their keys are lost. See `Retry-After`.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Refusal),
}

/// The responses of a request for a ticket by its id.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum TicketResponses {
    /// `ticket_unknown`: no ticket has this id.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Refusal),
}

/// The responses of a request for a ticket by its key.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum LookupResponses {
    /// `unknown`: no ticket has this key.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Refusal),
    /// `malformed` or `mistyped`: not a key.
    #[response(status = 422, content_type = "application/problem+json")]
    NotAKey(Refusal),
}

/// The responses of a request for a batch.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum BatchResponses {
    /// `batch_unknown`: the batch has no tickets.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Refusal),
}
