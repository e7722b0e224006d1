//! The table of the admin interface: every failure of its requests, in words for an issuer.

use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::library::LibraryError;
use crate::redemption::change::{BatchError, ChangeError};
use crate::redemption::issue::IssueError;
use crate::redemption::key::KeyError;
use crate::redemption::redeem::RedeemError;
use crate::redemption::store::StoreError;
use crate::redemption::web::failure::{
    Failure, album_unavailable, outcome_unknown, store_unavailable, too_many_attempts,
};
use crate::redemption::write::WriteError;
use crate::web::failure::RequestFailure;
use crate::web::problem::Problem;

/// Every way in which a request of the admin interface can fail.
#[derive(Debug)]
pub(crate) enum AdminFailure {
    /// A failure that every request can have.
    Request(RequestFailure),
    /// The sent text is not a key.
    Key(KeyError),
    /// No ticket has the sent key.
    KeyUnknown,
    /// No token, or a wrong one.
    Unauthorized,
    TooManyTokens {
        retry_after_seconds: u64,
    },
    /// The path names no ticket.
    TicketUnknown,
    /// A failed look-up, change or count of tickets.
    Tickets(ChangeError),
    /// The store is overloaded, or this server has reached its limit of such requests.
    Store(StoreError),
    BatchUnknown,
    /// A batch was changed only in part.
    Batch(BatchError),
    /// An album is missing, or cannot be downloaded.
    Album(LibraryError),
    Issue(IssueError),
}

impl From<RequestFailure> for AdminFailure {
    fn from(failure: RequestFailure) -> Self {
        Self::Request(failure)
    }
}

impl From<ChangeError> for AdminFailure {
    fn from(error: ChangeError) -> Self {
        Self::Tickets(error)
    }
}

impl IntoResponse for AdminFailure {
    fn into_response(self) -> Response {
        self.problem().into_response()
    }
}

impl AdminFailure {
    /// The table of problems.
    fn problem(self) -> Problem {
        match self {
            Self::Request(failure) => failure.problem(),
            Self::Key(error) => Failure::Key(error).problem(),
            // Uses the words for keys, not those for ids.
            Self::KeyUnknown => Failure::Redeem(RedeemError::Unknown).problem(),
            Self::Unauthorized => Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "The admin token is missing or wrong",
                "Send the admin token of this server as `Authorization: Bearer …`.",
            )
            // RFC 9110, section 15.5.2: a 401 names the authentication scheme.
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::TooManyTokens { retry_after_seconds } => too_many_attempts(
                retry_after_seconds,
                "Too many wrong admin tokens were tried from your network",
                "nothing was changed",
            ),
            Self::TicketUnknown => ticket_unknown(),
            Self::Tickets(error) => tickets_problem(error),
            Self::Store(error) => store_problem(&error),
            Self::BatchUnknown => Problem::new(
                StatusCode::NOT_FOUND,
                "batch_unknown",
                "No such batch",
                "No ticket is of this batch, so compare its name with those that GET /admin/batches lists.",
            ),
            Self::Batch(error) => batch_problem(&error),
            Self::Album(LibraryError::NoSuchAlbum(_)) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "album_unknown",
                "No such album",
                "The library has no such album, so add it, or mint keys for one of those that `tickey albums` lists.",
            ),
            Self::Album(why) => {
                let away = "This album cannot be downloaded at the moment, so no keys were minted; `tickey albums` \
                    says what is missing.";
                album_unavailable(&why, away, away)
            }
            Self::Issue(error) => issue_problem(error),
        }
    }
}

fn ticket_unknown() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "ticket_unknown",
        "No such ticket",
        "No ticket has this id, which is the SHA-256 of its key in base64url; send a key itself to POST \
         /admin/tickets/lookup, and never in an address.",
    )
}

fn tickets_problem(error: ChangeError) -> Problem {
    match error {
        ChangeError::Unknown => ticket_unknown(),
        ChangeError::Write(WriteError::StoreUnavailable(error)) => store_problem(&error),
        ChangeError::Write(WriteError::OutcomeUnknown(why)) => outcome_unknown(
            "The store did not say in time whether it took the change, so look at the ticket before you send the \
             request again.",
        )
        .because(Some(why)),
    }
}

fn batch_problem(error: &BatchError) -> Problem {
    match error {
        BatchError { done, why: ChangeError::Write(WriteError::StoreUnavailable(error)) } if done.tickets() == 0 => {
            store_problem(error)
        }
        BatchError { done, .. } => outcome_unknown(format!(
            "The batch was not done in time; {} of its tickets are certainly done, so send the same request again, \
             which goes on, or use the command line (`tickey revoke`, `reinstate` or `extend` with `--batch`), which \
             takes its time.",
            done.tickets()
        ))
        .because(Some(error.to_string())),
    }
}

fn issue_problem(error: IssueError) -> Problem {
    match error {
        IssueError::Store(WriteError::StoreUnavailable(error)) => store_problem(&error),
        IssueError::Store(error) => outcome_unknown(
            "The store did not say in time that it took all tickets, so their keys were thrown away; mint again, and \
             revoke the batch first if it should not count tickets whose keys nobody has.",
        )
        .because(Some(error.to_string())),
        error @ (IssueError::Entropy(_) | IssueError::NotNew) => {
            RequestFailure::Internal(error.to_string()).problem()
        }
    }
}

fn store_problem(error: &StoreError) -> Problem {
    store_unavailable(
        error,
        match error {
            StoreError::Overloaded => {
                "There is more to do than can be done at the moment; nothing was changed, so try again shortly."
            }
            StoreError::Unavailable(_) | StoreError::Corrupt(_) => {
                "The store cannot be reached at the moment; nothing was changed, so try again shortly."
            }
        },
    )
}
