//! The table of this context: every failure, with its status, reason and words.
//!
//! The core's errors know no HTTP; this table maps each of them, and the compiler checks that none is missing.
//! Details are one sentence each, for the person: what is wrong and what to do. Causes that only an operator may see
//! go to the log.

use axum::http::header::{ACCEPT_RANGES, CONTENT_RANGE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};

use super::members::{Members, Nullable};
use crate::library::LibraryError;
use crate::redemption::holder::HolderError;
use crate::redemption::key::{KEY_SYMBOLS, KeyError, Suggestion};
use crate::redemption::link::LinkError;
use crate::redemption::redeem::RedeemError;
use crate::redemption::store::StoreError;
use crate::redemption::ticket::Refusal;
use crate::redemption::write::WriteError;
use crate::web::failure::{RequestFailure, SOON_SECONDS};
use crate::web::problem::Problem;
use crate::web::words::{in_words, seconds_in_words};

/// The seconds to wait before a retry when a store or a library cannot be reached.
pub(crate) const STORE_RETRY_SECONDS: u64 = 5;
/// The seconds to wait before a retry when an album is missing: a person must add it.
const MISSING_RETRY_SECONDS: u64 = 3600;
/// The time after a redemption in which a refused person may be the one who redeemed and lost the answer.
const JUST: SignedDuration = SignedDuration::from_mins(15);

/// The seconds after which one of many downloads may have ended.
const DOWNLOAD_RETRY_SECONDS: u64 = 10;

/// The limit that further downloads would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooManyDownloads {
    /// Downloads by this link.
    OfLink,
    /// Downloads from this network.
    OfNetwork,
}

/// Every way in which a request of this context can fail.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A failure that every request can have.
    Request(RequestFailure),
    Key(KeyError),
    Redeem(RedeemError),
    /// The key was redeemed a moment ago: perhaps by the same person, who did not get the answer.
    JustRedeemed {
        redeemed_at: Timestamp,
    },
    TooManyAttempts {
        retry_after_seconds: u64,
    },
    ReceiptUnknown,
    /// The ticket of the receipt was revoked.
    Revoked,
    /// The links have expired, and after many renewals the next one must wait.
    RenewalsUsedUp {
        renewable_at: Timestamp,
        retry_after_seconds: u64,
    },
    /// A browser loads a file in advance, for which nothing is renewed.
    LoadedInAdvance,
    Link(LinkError),
    /// The file of a valid link is not available at the moment.
    FileUnavailable(LibraryError),
    /// The limit of downloads at once is reached.
    TooManyDownloads(TooManyDownloads),
    /// The file is not the one that `If-Match` names.
    PreconditionFailed,
    /// The file is too short for `Range`.
    RangeNotSatisfiable {
        file_bytes: u64,
    },
}

impl From<RequestFailure> for Failure {
    fn from(failure: RequestFailure) -> Self {
        Self::Request(failure)
    }
}

impl From<RedeemError> for Failure {
    fn from(error: RedeemError) -> Self {
        Self::Redeem(error)
    }
}

impl From<HolderError> for Failure {
    fn from(error: HolderError) -> Self {
        match error {
            HolderError::Write(error) => Self::Redeem(error.into()),
            HolderError::AlbumUnavailable(why) => {
                Self::Redeem(RedeemError::AlbumUnavailable { why, redeemed: true })
            }
            HolderError::NoSuchRedemption => Self::ReceiptUnknown,
            HolderError::RenewalsUsedUp { renewable_at, wait } => {
                let retry_after_seconds = wait.as_secs().max(1).unsigned_abs();
                Self::RenewalsUsedUp { renewable_at, retry_after_seconds }
            }
            HolderError::Revoked => Self::Revoked,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.problem().into_response()
    }
}

impl Failure {
    /// The failure of an attempt to redeem at `now`.
    pub(crate) fn of_redeeming(error: RedeemError, now: Timestamp) -> Self {
        match error {
            RedeemError::Refused(Refusal::AlreadyRedeemed { redeemed_at })
                if now.duration_since(redeemed_at) < JUST =>
            {
                Self::JustRedeemed { redeemed_at }
            }
            error => Self::Redeem(error),
        }
    }

    /// The table of problems.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::Request(failure) => failure.problem(),
            Self::Key(error) => key_problem(&error),
            Self::Redeem(error) => redeem_problem(&error),
            Self::JustRedeemed { redeemed_at } => already_redeemed(
                redeemed_at,
                format!(
                    "This key was redeemed on {}, moments ago: if that was you and no receipt came, go back to the \
                     page where you pressed the button and press it again, or send the same request with the same \
                     Idempotency-Key; otherwise ask whoever sold it, and quote the request id.",
                    in_words(redeemed_at)
                ),
            ),
            Self::TooManyAttempts { retry_after_seconds } => too_many_attempts(
                retry_after_seconds,
                "Too many unknown keys were tried from your network",
                "your key was not used",
            ),
            Self::ReceiptUnknown => Problem::new(
                StatusCode::NOT_FOUND,
                "receipt_unknown",
                "No such receipt",
                "There is no such receipt here, so check that the address is whole; if the key was given back by \
                 whoever sold it, enter it again.",
            ),
            Self::RenewalsUsedUp { renewable_at, retry_after_seconds } => Problem::new(
                StatusCode::FORBIDDEN,
                "renewals_used_up",
                "The links of this receipt have to wait",
                format!(
                    "The links of this receipt were renewed many times, so fresh ones can be had from {} on: come back \
                     then.",
                    in_words(renewable_at)
                ),
            )
            .naming(renewable_at)
            .retry_after(retry_after_seconds),
            Self::LoadedInAdvance => Problem::new(
                StatusCode::FORBIDDEN,
                "loaded_in_advance",
                "This was loaded in advance",
                "The links of this receipt have expired, and loading a file in advance does not renew them: open it \
                 yourself.",
            ),
            Self::Revoked => revoked(),
            Self::Link(error) => link_problem(error),
            Self::FileUnavailable(why) => album_unavailable(
                &why,
                "This file cannot be downloaded at the moment, so try the same link again later.",
                "The album of this link is missing on this server, so ask whoever sold you the key, and quote the \
                 request id.",
            ),
            Self::TooManyDownloads(which) => too_many_downloads(which),
            Self::PreconditionFailed => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                "The file has changed",
                "The file is not the one that If-Match names any more, so download it from its beginning.",
            ),
            Self::RangeNotSatisfiable { file_bytes } => Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range_not_satisfiable",
                "The file has no such part",
                format!(
                    "The file has {file_bytes} bytes and not the part that Range asks for, so it is whole already or \
                     must be downloaded from its beginning."
                ),
            )
            .header(CONTENT_RANGE, unsatisfied(file_bytes))
            .header(ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        }
    }

    /// Whether the ticket may be the client's in spite of the failure.
    pub(crate) fn may_have_redeemed(&self) -> bool {
        matches!(
            self,
            Self::Redeem(
                RedeemError::Write(WriteError::OutcomeUnknown(_))
                    | RedeemError::AlbumUnavailable { redeemed: true, .. }
            )
        )
    }
}

/// The `Content-Range` for a range outside the file (RFC 9110, section 14.4).
fn unsatisfied(file_bytes: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes */{file_bytes}")).unwrap_or(HeaderValue::from_static("bytes */*"))
}

fn key_problem(error: &KeyError) -> Problem {
    match error {
        KeyError::Malformed { position, length } => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "malformed",
            "This does not look like a key",
            match position {
                Some(position) => format!(
                    "The character at position {position} cannot stand in a key, which has {KEY_SYMBOLS} letters and \
                     digits and no letter U."
                ),
                None if *length == 0 => "Enter the key that is printed on the card.".to_owned(),
                None => format!("A key has {KEY_SYMBOLS} letters and digits, and this has {length}."),
            },
        )
        .with(&Members {
            position: Some(Nullable(*position)),
            expected_length: Some(KEY_SYMBOLS),
            length: Some(*length),
            ..Members::default()
        }),
        KeyError::Mistyped { suggestions } => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "mistyped",
            "This key has a typing mistake",
            explained(suggestions),
        )
        .with(&Members {
            suggestions: Some(suggestions.iter().copied().map(Into::into).collect()),
            ..Members::default()
        }),
    }
}

fn explained(suggestions: &[Suggestion]) -> String {
    match suggestions {
        [] => "The symbols do not fit together, so compare the key with the card once more.".to_owned(),
        [Suggestion::Substitution { position, typed, perhaps }, Suggestion::Swap { position: first }, ..] => {
            format!(
                "Either symbol {position} should be {perhaps} instead of {typed}, or symbols {first} and {} are in the \
                 wrong order, so compare them with the card.",
                first + 1
            )
        }
        [Suggestion::Substitution { position, typed, perhaps }, ..] => format!(
            "Symbol {position} should perhaps be {perhaps} instead of {typed}, so compare it with the card."
        ),
        [Suggestion::Swap { position }, ..] => format!(
            "Symbols {position} and {} are perhaps in the wrong order, so compare them with the card.",
            position + 1
        ),
    }
}

fn redeem_problem(error: &RedeemError) -> Problem {
    let cause = || Some(error.to_string());
    match error {
        RedeemError::Unknown => Problem::new(
            StatusCode::NOT_FOUND,
            "unknown",
            "Nobody here knows this key",
            "The key is typed without a mistake, but none like it was issued here, so check that it belongs to this \
             site or ask whoever sold it.",
        ),
        RedeemError::Refused(refusal) => refusal_problem(*refusal),
        RedeemError::AlbumUnavailable { redeemed: false, why } => album_unavailable(
            why,
            "The album of this key cannot be downloaded at the moment, so nothing was used up and you can try again \
             later.",
            "The album of this key is missing on this server, so nothing was used up and your key stays good: ask \
             whoever sold it, and quote the request id.",
        ),
        RedeemError::AlbumUnavailable { redeemed: true, why } => album_unavailable(
            why,
            "The album is yours, but it cannot be downloaded at the moment, so ask again later in the same way.",
            "The album is yours, but it is missing on this server: ask whoever sold the key, quote the request id, and \
             ask here again in the same way once it is back.",
        ),
        RedeemError::Write(WriteError::StoreUnavailable(error)) => store_unavailable(
            error,
            "Keys cannot be looked up at the moment; yours was not used, so try again shortly.",
        )
        .because(cause()),
        RedeemError::Write(WriteError::OutcomeUnknown(_)) => outcome_unknown(
            "The server could not learn in time whether your key was redeemed, so send the same request again with the \
             same Idempotency-Key (this answer has it as a header, too), which settles it and loses nothing.",
        )
        .because(cause()),
    }
}

fn refusal_problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::AlreadyRedeemed { redeemed_at } => already_redeemed(
            redeemed_at,
            format!(
                "This key was redeemed on {}: if that was you, go back to the receipt that you were given then, \
                 otherwise ask whoever sold it.",
                in_words(redeemed_at)
            ),
        ),
        Refusal::NotYetValid { valid_from } => Problem::new(
            StatusCode::FORBIDDEN,
            "not_yet_valid",
            "This key cannot be redeemed yet",
            format!("This key can be redeemed from {} on, so come back then.", in_words(valid_from)),
        )
        .naming(valid_from)
        .with(&Members { valid_from: Some(valid_from), ..Members::default() }),
        Refusal::Expired { expired_at } => Problem::new(
            StatusCode::GONE,
            "expired",
            "This key has expired",
            format!("This key could be redeemed until {}, so ask whoever sold it.", in_words(expired_at)),
        )
        .naming(expired_at)
        .with(&Members { expired_at: Some(expired_at), ..Members::default() }),
        Refusal::Revoked => revoked(),
    }
}

fn already_redeemed(redeemed_at: Timestamp, detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, "already_redeemed", "This key was redeemed before", detail)
        .naming(redeemed_at)
        .with(&Members { redeemed_at: Some(redeemed_at), ..Members::default() })
}

fn link_problem(error: LinkError) -> Problem {
    match error {
        LinkError::Invalid => Problem::new(
            StatusCode::FORBIDDEN,
            "link_invalid",
            "This link is not valid",
            "This link was not made here or was changed on the way, so open your receipt and use the links there.",
        ),
        LinkError::Expired { expired_at } => Problem::new(
            StatusCode::GONE,
            "link_expired",
            "This link has expired",
            format!(
                "This link expired on {}, so open your receipt, the page that you got when you redeemed the key: it \
                 has fresh links.",
                in_words(expired_at)
            ),
        )
        .naming(expired_at)
        .with(&Members { expired_at: Some(expired_at), ..Members::default() }),
    }
}

fn too_many_downloads(which: TooManyDownloads) -> Problem {
    let detail = match which {
        TooManyDownloads::OfLink => {
            "This file is being downloaded too many times at once, so wait until one of these downloads has ended and \
             try the same link again."
        }
        TooManyDownloads::OfNetwork => {
            "Too many downloads go on from your network at once, so wait until one has ended and try the same link \
             again."
        }
    };
    let status = StatusCode::TOO_MANY_REQUESTS;
    Problem::new(status, "too_many_downloads", "Too many downloads at once", detail)
        .retry_after(DOWNLOAD_RETRY_SECONDS)
}

fn revoked() -> Problem {
    Problem::new(
        StatusCode::GONE,
        "revoked",
        "This key was revoked",
        "This key was declared void by whoever issued it, so ask whoever sold it.",
    )
}

/// A network has failed too often: `what` happened, and what is `certain` in spite of that.
pub(crate) fn too_many_attempts(retry_after_seconds: u64, what: &str, certain: &str) -> Problem {
    let wait = seconds_in_words(retry_after_seconds);
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_attempts",
        "Too many attempts",
        format!("{what}, so wait {wait} and then try again; {certain}."),
    )
    .retry_after(retry_after_seconds)
}

/// The store changed nothing; `detail` says what that means.
pub(crate) fn store_unavailable(error: &StoreError, detail: &'static str) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "store_unavailable",
        "Keys cannot be looked up at the moment",
        detail,
    )
    .retry_after(match error {
        StoreError::Overloaded => SOON_SECONDS,
        StoreError::Unavailable(_) | StoreError::Corrupt(_) => STORE_RETRY_SECONDS,
    })
    .because(Some(error.to_string()))
}

/// The store may have made the change; `detail` says how to find out.
pub(crate) fn outcome_unknown(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "outcome_unknown",
        "It is not certain yet whether this worked",
        detail,
    )
    .retry_after(SOON_SECONDS)
}

/// The album is `away` for the moment, or `missing` until a person adds it.
pub(crate) fn album_unavailable(why: &LibraryError, away: &'static str, missing: &'static str) -> Problem {
    let (retry_after_seconds, detail) = match why {
        LibraryError::NoSuchAlbum(_) => (MISSING_RETRY_SECONDS, missing),
        LibraryError::Incomplete { .. }
        | LibraryError::BeingRead(_)
        | LibraryError::Silent
        | LibraryError::Unreadable { .. } => (STORE_RETRY_SECONDS, away),
    };
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "album_unavailable",
        "This album cannot be downloaded",
        detail,
    )
    .retry_after(retry_after_seconds)
    .because(Some(why.to_string()))
}
