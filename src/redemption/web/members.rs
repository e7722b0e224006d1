//! The members that this context adds to problem details.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::redemption::key::Suggestion;
use crate::web::problem::ProblemDocument;

/// Further members of a problem.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct Members {
    /// `malformed`: the position of the first invalid character in the sent text, from 1; null when only the
    /// length is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<usize>)]
    pub(crate) position: Option<Nullable>,
    /// `malformed`: the number of symbols in a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected_length: Option<usize>,
    /// `malformed`: the number of symbols in the sent text, without separators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<usize>,
    /// `mistyped`: the possible mistakes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) suggestions: Option<Vec<SuggestionBody>>,
    /// `already_redeemed`: the time of the redemption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redeemed_at: Option<Timestamp>,
    /// `not_yet_valid`: the time from which the key can be redeemed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) valid_from: Option<Timestamp>,
    /// `expired`, `link_expired`: the time of expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expired_at: Option<Timestamp>,
}

/// A refusal or an error as a client sees it: problem details (RFC 9457), with further members for some reasons.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a description, not values")]
pub(crate) struct Refusal {
    #[schema(inline)]
    #[serde(flatten)]
    problem: ProblemDocument<'static>,
    #[schema(inline)]
    #[serde(flatten)]
    members: Members,
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
        /// Its position.
        position: usize,
        /// The symbol as it was read.
        typed: char,
        /// The symbol with which the key would pass.
        perhaps: char,
    },
    /// Two neighbours are in the wrong order.
    Swap {
        /// The position of the first.
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
