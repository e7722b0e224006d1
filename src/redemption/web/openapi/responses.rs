//! The responses of each route of this context, for the description. Never constructed.

use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::redemption::web::answer::body::RedemptionBody;
use crate::redemption::web::members::Refusal;

/// The body of a request to redeem a key.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyBody {
    /// The key as printed; case, spaces, dashes and dots do not matter.
    #[schema(example = "M9S34-6Q3D2-5VT4F-5V37E-3S3NJ")]
    pub(crate) key: String,
}

/// The content of a file, with its own media type.
#[derive(Serialize, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct FileContent(String);

/// The responses of a redemption.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum RedemptionResponses {
    /// Redeemed, or redeemed before by the same request (`Idempotency-Replayed: true`).
    #[response(status = 201, content_type = "application/json")]
    Redeemed(RedemptionBody),
    /// For browsers: redeemed; the receipt is at `Location`.
    #[response(status = 303)]
    SeeReceipt,
    /// `bad_request`: it cannot be understood.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Refusal),
    /// `not_yet_valid`; or `renewals_used_up`: redeemed before by the same request, and its links have expired and can
    /// be renewed after `Retry-After`.
    #[response(status = 403, content_type = "application/problem+json")]
    NotYetValid(Refusal),
    /// `unknown`: no ticket has this key.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Refusal),
    /// `request_timeout`: it did not arrive in time.
    #[response(status = 408, content_type = "application/problem+json")]
    RequestTimeout(Refusal),
    /// `already_redeemed`: by another request.
    #[response(status = 409, content_type = "application/problem+json")]
    AlreadyRedeemed(Refusal),
    /// `expired` or `revoked`.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(Refusal),
    /// `too_large`: over 4096 bytes.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Refusal),
    /// `unsupported_media_type`: neither JSON nor a form.
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Refusal),
    /// `malformed` or `mistyped`: not a key.
    #[response(status = 422, content_type = "application/problem+json")]
    NotAKey(Refusal),
    /// `too_many_attempts`: too many unknown keys from this network; see `Retry-After`.
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyAttempts(Refusal),
    /// `store_unavailable`, `album_unavailable`: nothing was used up. `outcome_unknown`: the same request settles it.
    /// See `Retry-After`.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Refusal),
}

/// The responses of a receipt.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum ReceiptResponses {
    /// The redemption, with valid links.
    #[response(status = 200, content_type = "application/json")]
    Redemption(RedemptionBody),
    /// `renewals_used_up`: the links have expired, and can be renewed again after `Retry-After`.
    #[response(status = 403, content_type = "application/problem+json")]
    RenewalsUsedUp(Refusal),
    /// `receipt_unknown`: this server did not make it, or the ticket was reinstated.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Refusal),
    /// `revoked`: the ticket was revoked.
    #[response(status = 410, content_type = "application/problem+json")]
    Revoked(Refusal),
    /// `store_unavailable`, `album_unavailable`, `outcome_unknown`; see `Retry-After`.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Refusal),
}

/// The responses of a link.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) enum FileResponses {
    /// The file.
    #[response(status = 200, content_type = "*/*")]
    Whole(FileContent),
    /// The part of it that `Range` asked for.
    #[response(status = 206, content_type = "*/*")]
    Part(FileContent),
    /// The file is at `Location`: the library has moved since the link was made.
    #[response(status = 307)]
    Elsewhere,
    /// The file is the one that `If-None-Match` names.
    #[response(status = 304)]
    NotModified,
    /// `link_invalid`: this server did not sign it. Of a receipt: `renewals_used_up`, `loaded_in_advance`.
    #[response(status = 403, content_type = "application/problem+json")]
    Invalid(Refusal),
    /// Of a receipt: `receipt_unknown`.
    #[response(status = 404, content_type = "application/problem+json")]
    ReceiptUnknown(Refusal),
    /// `link_expired`: the receipt has fresh ones. Of a receipt: `revoked`.
    #[response(status = 410, content_type = "application/problem+json")]
    Expired(Refusal),
    /// `precondition_failed`: the file is not the one that `If-Match` names.
    #[response(status = 412, content_type = "application/problem+json")]
    PreconditionFailed(Refusal),
    /// `range_not_satisfiable`: the file is too short for `Range`.
    #[response(status = 416, content_type = "application/problem+json")]
    RangeNotSatisfiable(Refusal),
    /// `too_many_downloads`: the limit of downloads at once by this link, or from this network, is
    /// reached; see `Retry-After`.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(Refusal),
    /// `album_unavailable`: the file is not available at the moment.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Refusal),
}
