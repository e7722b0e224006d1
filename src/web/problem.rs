//! The one table that turns every way to fail into an answer: status, reason, words.
//!
//! The core's errors know no HTTP; here each of them is given its place, and the compiler sees to it that none is
//! forgotten. Details are one sentence each, for the person: what the matter is and what to do. What only an
//! operator should know goes to the log.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::body::MAX_BODY_BYTES;
use super::envelope::{Context, Outcome};
use super::negotiation::Format;
use crate::redemption::change::BatchError;
use crate::redemption::holder::HolderError;
use crate::redemption::issue::IssueError;
use crate::redemption::key::{KEY_SYMBOLS, KeyError, Suggestion};
use crate::redemption::link::LinkError;
use crate::redemption::redeem::RedeemError;
use crate::redemption::store::StoreError;
use crate::redemption::ticket::Refusal;
use crate::redemption::web::pages;

/// Every way in which a request can fail.
#[derive(Debug)]
pub(crate) enum Failure {
    Key(KeyError),
    Redeem(RedeemError),
    TooManyAttempts {
        retry_after_seconds: u64,
    },
    ReceiptUnknown,
    Holder(HolderError),
    Link(LinkError),
    /// As many downloads as may go on at once go on already.
    TooManyDownloads(TooManyDownloads),
    /// Holds why, for the log.
    FileUnavailable(String),
    /// Holds a sentence for the client.
    BadRequest(String),
    /// Holds a sentence for the client: what to send instead.
    UnsupportedMediaType(&'static str),
    TooLarge,
    RequestTimeout,
    NoSuchRoute,
    MethodNotAllowed,
    Leaving,
    Admin(AdminFailure),
    /// Holds why, for the log.
    Internal(String),
}

/// Which downloads are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooManyDownloads {
    /// Those by this link.
    OfLink,
    /// Those from this network.
    OfNetwork,
}

/// Every way in which a request of the admin interface can fail that others cannot.
#[derive(Debug)]
pub(crate) enum AdminFailure {
    /// No token, or a wrong one.
    Unauthorized,
    TooManyTokens {
        retry_after_seconds: u64,
    },
    /// Looking at a ticket, changing it or counting.
    Tickets(RedeemError),
    BatchUnknown,
    /// A batch was not revoked to its end.
    Batch(BatchError),
    AlbumUnknown,
    /// Holds why, for the log.
    AlbumNotWhole(String),
    Issue(IssueError),
}

impl From<AdminFailure> for Failure {
    fn from(failure: AdminFailure) -> Self {
        Self::Admin(failure)
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
            HolderError::Failed(error) => Self::Redeem(error),
            HolderError::NoSuchRedemption => Self::ReceiptUnknown,
            HolderError::Revoked | HolderError::RenewalsUsedUp { .. } => Self::Holder(error),
        }
    }
}

/// A refusal or an error as a client sees it: problem details (RFC 9457).
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:problem-type:tickey:` and the reason.
    #[serde(rename = "type")]
    #[schema(example = "urn:problem-type:tickey:already_redeemed")]
    pub(crate) kind: String,
    /// The reason in words; the same for all problems of its type.
    pub(crate) title: &'static str,
    /// The HTTP status.
    #[schema(example = 409)]
    pub(crate) status: u16,
    /// One sentence for a person: what the matter is and what to do.
    pub(crate) detail: String,
    /// What programs tell problems apart by.
    #[schema(example = "already_redeemed")]
    pub(crate) reason: &'static str,
    /// To quote when asking for help; also in the header `X-Request-Id`.
    pub(crate) request_id: String,
    /// `malformed`: the place of the first character that cannot stand in a key, from 1, in what was sent; null
    /// when only the length is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<usize>)]
    pub(crate) position: Option<Nullable>,
    /// `malformed`: the symbols of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected_length: Option<usize>,
    /// `malformed`: the symbols that were sent, separators left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<usize>,
    /// `mistyped`: what may have happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) suggestions: Option<Vec<SuggestionBody>>,
    /// `already_redeemed`: when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redeemed_at: Option<Timestamp>,
    /// `not_yet_valid`: from when on the key can be redeemed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) valid_from: Option<Timestamp>,
    /// `expired`, `link_expired`: since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expired_at: Option<Timestamp>,
    /// For the header `Retry-After`.
    #[serde(skip)]
    pub(crate) retry_after_seconds: Option<u64>,
}

/// A number, or null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Nullable(pub(crate) Option<usize>);

/// An explanation of a typing mistake; positions count from 1 among the 25 symbols.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum SuggestionBody {
    /// One symbol is wrong.
    Substitution {
        /// Its place.
        position: usize,
        /// As it was read.
        typed: char,
        /// What would make the key right.
        perhaps: char,
    },
    /// Two neighbours are in the wrong order.
    Swap {
        /// The place of the first.
        position: usize,
    },
}

impl From<Suggestion> for SuggestionBody {
    fn from(suggestion: Suggestion) -> Self {
        match suggestion {
            Suggestion::Substitution { position, typed, perhaps } => {
                Self::Substitution { position, typed, perhaps }
            }
            Suggestion::Swap { position } => Self::Swap { position },
        }
    }
}

/// Seconds after which a store that cannot be reached is worth another try.
const STORE_RETRY_SECONDS: u64 = 5;
/// Seconds after which one of many downloads may have ended.
const DOWNLOAD_RETRY_SECONDS: u64 = 10;
/// Seconds after which a store that has too much to do is worth another try, and one that did not answer.
const SOON_SECONDS: u64 = 1;

impl Failure {
    /// The table.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Key(error) => key_problem(error),
            Self::Redeem(error) => redeem_problem(error),
            Self::TooManyAttempts { retry_after_seconds } => Problem {
                retry_after_seconds: Some(*retry_after_seconds),
                ..problem(
                    429,
                    "too_many_attempts",
                    "Too many attempts",
                    format!(
                        "Too many unknown keys were tried from your network, so wait {} and then try again; your key was not used.",
                        seconds_in_words(*retry_after_seconds)
                    ),
                )
            },
            Self::ReceiptUnknown => problem(
                404,
                "receipt_unknown",
                "No such receipt",
                "There is no such receipt here, so check that the address is whole; if the key was given back by whoever sold it, enter it again.",
            ),
            Self::Holder(HolderError::RenewalsUsedUp { .. }) => problem(
                403,
                "renewals_used_up",
                "The links cannot be renewed any more",
                "The links of this receipt have expired and were renewed as often as is allowed, so ask whoever sold you the key.",
            ),
            Self::Holder(_) => revoked(),
            Self::Link(LinkError::Invalid) => problem(
                403,
                "link_invalid",
                "This link is not valid",
                "This link was not made here or was changed on the way, so open your receipt and use the links there.",
            ),
            Self::Link(LinkError::Expired { expired_at }) => Problem {
                expired_at: Some(*expired_at),
                ..problem(
                    410,
                    "link_expired",
                    "This link has expired",
                    format!(
                        "This link expired on {}, so open your receipt, which has fresh links.",
                        pages::in_words(*expired_at)
                    ),
                )
            },
            Self::TooManyDownloads(which) => Problem {
                retry_after_seconds: Some(DOWNLOAD_RETRY_SECONDS),
                ..problem(
                    429,
                    "too_many_downloads",
                    "Too many downloads at once",
                    match which {
                        TooManyDownloads::OfLink => {
                            "This file is being downloaded too many times at once, so wait until one of these downloads has ended and try the same link again."
                        }
                        TooManyDownloads::OfNetwork => {
                            "Too many downloads go on from your network at once, so wait until one has ended and try the same link again."
                        }
                    },
                )
            },
            Self::FileUnavailable(_) => album_unavailable(
                "This file cannot be downloaded at the moment, so try the same link again later.",
            ),
            Self::BadRequest(detail) => {
                problem(400, "bad_request", "The request cannot be understood", detail.clone())
            }
            Self::UnsupportedMediaType(detail) => {
                problem(415, "unsupported_media_type", "Unsupported media type", *detail)
            }
            Self::TooLarge => problem(
                413,
                "too_large",
                "The request is too large",
                format!("The body of a request has at most {MAX_BODY_BYTES} bytes."),
            ),
            Self::RequestTimeout => problem(
                408,
                "request_timeout",
                "The request took too long",
                "The request did not arrive in time, so send it again.",
            ),
            Self::NoSuchRoute => problem(
                404,
                "not_found",
                "There is nothing here",
                "There is nothing at this address, so start again at the page where keys are entered.",
            ),
            Self::MethodNotAllowed => problem(
                405,
                "method_not_allowed",
                "Method not allowed",
                "This address does not take requests of this method; the header Allow says which it takes.",
            ),
            Self::Leaving => Problem {
                retry_after_seconds: Some(SOON_SECONDS),
                ..problem(
                    503,
                    "shutting_down",
                    "The server is shutting down",
                    "This server is shutting down, so ask another one.",
                )
            },
            Self::Admin(failure) => admin_problem(failure),
            Self::Internal(_) => internal(),
        }
    }

    /// Whether the ticket may be the client's in spite of the failure.
    pub(crate) fn may_have_redeemed(&self) -> bool {
        matches!(
            self,
            Self::Redeem(
                RedeemError::OutcomeUnknown(_) | RedeemError::AlbumUnavailable { redeemed: true, .. }
            )
        )
    }

    /// What only an operator should know.
    fn cause(&self) -> Option<String> {
        match self {
            Self::Redeem(
                error @ (RedeemError::StoreUnavailable(_)
                | RedeemError::OutcomeUnknown(_)
                | RedeemError::AlbumUnavailable { .. }),
            )
            | Self::Admin(AdminFailure::Tickets(
                error @ (RedeemError::StoreUnavailable(_) | RedeemError::OutcomeUnknown(_)),
            )) => Some(error.to_string()),
            Self::Admin(AdminFailure::Batch(error)) => Some(error.to_string()),
            Self::Admin(AdminFailure::Issue(error)) => Some(error.to_string()),
            Self::FileUnavailable(why)
            | Self::Admin(AdminFailure::AlbumNotWhole(why))
            | Self::Internal(why) => Some(why.clone()),
            _ => None,
        }
    }
}

fn key_problem(error: &KeyError) -> Problem {
    match error {
        KeyError::Malformed { position, length } => Problem {
            position: Some(Nullable(*position)),
            expected_length: Some(KEY_SYMBOLS),
            length: Some(*length),
            ..problem(
                422,
                "malformed",
                "This does not look like a key",
                match position {
                    Some(position) => format!(
                        "The character at position {position} cannot stand in a key, which has {KEY_SYMBOLS} letters and digits and no letter U."
                    ),
                    None if *length == 0 => "Enter the key that is printed on the card.".to_owned(),
                    None => format!("A key has {KEY_SYMBOLS} letters and digits, and this has {length}."),
                },
            )
        },
        KeyError::Mistyped { suggestions } => Problem {
            suggestions: Some(suggestions.iter().copied().map(Into::into).collect()),
            ..problem(
                422,
                "mistyped",
                "This key has a typing mistake",
                match suggestions.as_slice() {
                    [] => "The symbols do not fit together, so compare the key with the card once more."
                        .to_owned(),
                    [
                        Suggestion::Substitution { position, typed, perhaps },
                        Suggestion::Swap { position: first },
                        ..,
                    ] => {
                        format!(
                            "Either symbol {position} should be {perhaps} instead of {typed}, or symbols {first} and {} are in the wrong order, so compare them with the card.",
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
                },
            )
        },
    }
}

fn redeem_problem(error: &RedeemError) -> Problem {
    match error {
        RedeemError::Unknown => problem(
            404,
            "unknown",
            "Nobody here knows this key",
            "The key is typed without a mistake, but none like it was issued here, so check that it belongs to this site or ask whoever sold it.",
        ),
        RedeemError::Refused(refusal) => refusal_problem(*refusal),
        RedeemError::AlbumUnavailable { redeemed: false, .. } => album_unavailable(
            "The album of this key cannot be downloaded at the moment, so nothing was used up and you can try again later.",
        ),
        RedeemError::AlbumUnavailable { redeemed: true, .. } => album_unavailable(
            "The album is yours, but it cannot be downloaded at the moment, so ask again later in the same way.",
        ),
        RedeemError::StoreUnavailable(StoreError::Overloaded) => store_unavailable(SOON_SECONDS),
        RedeemError::StoreUnavailable(_) => store_unavailable(STORE_RETRY_SECONDS),
        RedeemError::OutcomeUnknown(_) => outcome_unknown(
            "The server could not learn in time whether your key was redeemed, so send the same request again with the same Idempotency-Key (this answer has it as a header, too), which settles it and loses nothing.",
        ),
    }
}

/// The table for whoever issued the tickets.
fn admin_problem(failure: &AdminFailure) -> Problem {
    match failure {
        AdminFailure::Unauthorized => problem(
            401,
            "unauthorized",
            "The admin token is missing or wrong",
            "Send the admin token of this server as `Authorization: Bearer …`.",
        ),
        AdminFailure::TooManyTokens { retry_after_seconds } => Problem {
            retry_after_seconds: Some(*retry_after_seconds),
            ..problem(
                429,
                "too_many_attempts",
                "Too many attempts",
                format!(
                    "Too many wrong admin tokens were tried from your network, so wait {} and then try again.",
                    seconds_in_words(*retry_after_seconds)
                ),
            )
        },
        AdminFailure::Tickets(error) => tickets_problem(error),
        AdminFailure::BatchUnknown => problem(
            404,
            "batch_unknown",
            "No such batch",
            "No ticket is of this batch, so compare its name with those that GET /admin/batches lists.",
        ),
        AdminFailure::Batch(BatchError { done, why: RedeemError::StoreUnavailable(error) })
            if done.tickets() == 0 =>
        {
            admin_store_unavailable(error)
        }
        AdminFailure::Batch(BatchError { done, .. }) => outcome_unknown(format!(
            "The batch was not done in time; {} of its tickets are certainly void, so send the same request again, which goes on, or run `tickey revoke --batch`, which takes its time.",
            done.tickets()
        )),
        AdminFailure::AlbumUnknown => problem(
            422,
            "album_unknown",
            "No such album",
            "The library has no such album, so add it, or mint keys for one of those that `tickey albums` lists.",
        ),
        AdminFailure::AlbumNotWhole(_) => album_unavailable(
            "This album cannot be downloaded at the moment, so no keys were minted; `tickey albums` says what is missing.",
        ),
        AdminFailure::Issue(error) => issue_problem(error),
    }
}

fn tickets_problem(error: &RedeemError) -> Problem {
    match error {
        RedeemError::Unknown => problem(
            404,
            "ticket_unknown",
            "No such ticket",
            "No ticket has this id, which is the SHA-256 of its key in base64url; send a key itself to POST /admin/tickets/lookup, and never in an address.",
        ),
        RedeemError::StoreUnavailable(error) => admin_store_unavailable(error),
        RedeemError::OutcomeUnknown(_) => outcome_unknown(
            "The store did not say in time whether it took the change, so look at the ticket before you send the request again.",
        ),
        // Neither is said of a ticket that is not being redeemed.
        RedeemError::Refused(_) | RedeemError::AlbumUnavailable { .. } => internal(),
    }
}

fn issue_problem(error: &IssueError) -> Problem {
    match error {
        IssueError::Store(RedeemError::StoreUnavailable(error)) => admin_store_unavailable(error),
        IssueError::Store(_) => outcome_unknown(
            "The store did not say in time that it took all tickets, so their keys were thrown away; mint again, and revoke the batch first if it should not count tickets whose keys nobody has.",
        ),
        IssueError::Entropy(_) | IssueError::NotNew => internal(),
    }
}

fn admin_store_unavailable(error: &StoreError) -> Problem {
    let (retry_after_seconds, detail) = match error {
        StoreError::Overloaded => (
            SOON_SECONDS,
            "There is more to do than can be done at the moment; nothing was changed, so try again shortly.",
        ),
        _ => (
            STORE_RETRY_SECONDS,
            "The store cannot be reached at the moment; nothing was changed, so try again shortly.",
        ),
    };
    Problem { detail: detail.to_owned(), ..store_unavailable(retry_after_seconds) }
}

fn refusal_problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::AlreadyRedeemed { redeemed_at } => Problem {
            redeemed_at: Some(redeemed_at),
            ..problem(
                409,
                "already_redeemed",
                "This key was redeemed before",
                format!(
                    "This key was redeemed on {}: if that was you, go back to the receipt that you were given then, otherwise ask whoever sold it.",
                    pages::in_words(redeemed_at)
                ),
            )
        },
        Refusal::NotYetValid { valid_from } => Problem {
            valid_from: Some(valid_from),
            ..problem(
                403,
                "not_yet_valid",
                "This key cannot be redeemed yet",
                format!(
                    "This key can be redeemed from {} on, so come back then.",
                    pages::in_words(valid_from)
                ),
            )
        },
        Refusal::Expired { expired_at } => Problem {
            expired_at: Some(expired_at),
            ..problem(
                410,
                "expired",
                "This key has expired",
                format!(
                    "This key could be redeemed until {}, so ask whoever sold it.",
                    pages::in_words(expired_at)
                ),
            )
        },
        Refusal::Revoked => revoked(),
    }
}

fn revoked() -> Problem {
    problem(
        410,
        "revoked",
        "This key was revoked",
        "This key was declared void by whoever issued it, so ask whoever sold it.",
    )
}

fn store_unavailable(retry_after_seconds: u64) -> Problem {
    Problem {
        retry_after_seconds: Some(retry_after_seconds),
        ..problem(
            503,
            "store_unavailable",
            "Keys cannot be looked up at the moment",
            "Keys cannot be looked up at the moment; yours was not used, so try again shortly.",
        )
    }
}

fn outcome_unknown(detail: impl Into<String>) -> Problem {
    Problem {
        retry_after_seconds: Some(SOON_SECONDS),
        ..problem(503, "outcome_unknown", "It is not certain yet whether this worked", detail)
    }
}

fn internal() -> Problem {
    problem(
        500,
        "internal",
        "Something went wrong",
        "Something went wrong here that should not have, so try again and, if it stays, report the request id.",
    )
}

fn album_unavailable(detail: &str) -> Problem {
    Problem {
        retry_after_seconds: Some(STORE_RETRY_SECONDS),
        ..problem(503, "album_unavailable", "This album cannot be downloaded at the moment", detail)
    }
}

fn problem(status: u16, reason: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
    Problem {
        kind: format!("urn:problem-type:tickey:{reason}"),
        title,
        status,
        detail: detail.into(),
        reason,
        ..Problem::default()
    }
}

fn seconds_in_words(seconds: u64) -> String {
    match seconds {
        1 => "a second".to_owned(),
        2..=99 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// The answer to a request that failed, in the form that the client wants.
pub(crate) fn answer(context: &Context, failure: &Failure) -> Response {
    let problem = described(context, failure);
    match context.format {
        Format::Html => finish(&problem, pages::message(&problem)),
        Format::Json | Format::Text => plain_answer(context, &problem),
    }
}

/// The same for a failed redemption, which a browser is shown beside the field.
pub(crate) fn redemption_answer(
    app: &Shared,
    context: &Context,
    failure: &Failure,
    sent: &pages::Sent<'_>,
) -> Response {
    let problem = described(context, failure);
    match context.format {
        Format::Html => finish(&problem, pages::form_with_problem(app, &problem, sent)),
        Format::Json | Format::Text => plain_answer(context, &problem),
    }
}

/// The problem, named for this request, with its cause in the log.
fn described(context: &Context, failure: &Failure) -> Problem {
    let mut problem = failure.problem();
    context.request_id.as_str().clone_into(&mut problem.request_id);
    if let Some(cause) = failure.cause() {
        tracing::warn!(
            request_id = context.request_id.as_str(),
            reason = problem.reason,
            cause,
            "request failed"
        );
    }
    problem
}

fn plain_answer(context: &Context, problem: &Problem) -> Response {
    let (media_type, body) = match context.format {
        Format::Text => ("text/plain; charset=utf-8", format!("{}\n", problem.detail)),
        Format::Json | Format::Html => {
            ("application/problem+json", serde_json::to_string(problem).unwrap_or_default())
        }
    };
    let answer = ([(CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response();
    finish(problem, answer)
}

fn finish(problem: &Problem, mut answer: Response) -> Response {
    *answer.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.extensions_mut().insert(Outcome(problem.reason));
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // RFC 9110, section 15.5.2: a 401 says how to do it.
    if problem.status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    answer
}

/// Any address that is not in the table of routes.
pub(crate) async fn no_such_route(context: Context) -> Response {
    answer(&context, &Failure::NoSuchRoute)
}

/// Any method that an address does not take. The router adds `Allow`.
pub(crate) async fn no_such_method(context: Context) -> Response {
    answer(&context, &Failure::MethodNotAllowed)
}
