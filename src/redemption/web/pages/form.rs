//! The page with the form: empty, or with an error beside the field.

use askama::Template;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::Response;
use zeroize::Zeroizing;

use super::mistakes;
use crate::redemption::key::{GROUP_SYMBOLS, KeyError, symbols_as_read};
use crate::redemption::redeem::RedeemError;
use crate::redemption::ticket::IdempotencyKey;
use crate::redemption::web::failure::Failure;
use crate::redemption::web::state::{Shared, State};
use crate::redemption::write::WriteError;
use crate::web::assets::Assets;
use crate::web::page::page_response;
use crate::web::problem::{Page, Problem};
use crate::web::words::{Words, with_moments};

#[derive(Template)]
#[template(path = "redeem.html")]
struct RedeemPage<'a> {
    assets: &'a Assets,
    idempotency_key: String,
    typed: &'a str,
    problem: Option<FieldProblem<'a>>,
}

/// A refusal beside the field.
struct FieldProblem<'a> {
    reason: &'a str,
    title: &'a str,
    detail: Vec<Words<'a>>,
    /// The possible mistakes, one sentence each.
    hints: &'a [String],
    /// The typed text, in groups, with the doubtful symbols marked.
    marked: Vec<Vec<Symbol>>,
    /// For support; empty where the person alone can correct the mistake.
    request_id: &'a str,
    /// Whether the person should send the same form again.
    retry: bool,
}

#[derive(Clone, Copy)]
struct Symbol {
    symbol: char,
    wrong: bool,
}

/// The form that a person sent, to be shown again with the error.
pub(crate) struct Sent {
    /// As secret as a key.
    pub(crate) typed: Zeroizing<String>,
    pub(crate) idempotency_key: IdempotencyKey,
}

/// The message beside the field where it differs from the problem's own detail.
#[derive(Default)]
pub(crate) struct Slip {
    /// Replaces the problem's detail, in words for people who see the form.
    detail: Option<&'static str>,
    /// The mistake in the typed key, which [`mistakes`] explains.
    mistake: Option<KeyError>,
}

impl Slip {
    /// The message for a failure.
    pub(crate) fn of(failure: &Failure) -> Self {
        let detail = match failure {
            Failure::JustRedeemed { .. } => Some(
                "It was redeemed moments ago. If that was you and no receipt came, go back to the page where you \
                 pressed the button and press it again: you get the same download. Otherwise ask whoever sold the key.",
            ),
            Failure::Redeem(RedeemError::Write(WriteError::OutcomeUnknown(_))) => Some(
                "We could not learn in time whether your key was redeemed: press the button again, which settles it.",
            ),
            _ => None,
        };
        let mistake = match failure {
            Failure::Key(mistake) => Some(mistake.clone()),
            _ => None,
        };
        Self { detail, mistake }
    }
}

/// The empty form.
pub(crate) fn empty_form(state: &State) -> Response {
    let page =
        RedeemPage { assets: Assets::get(), idempotency_key: fresh_key(state), typed: "", problem: None };
    let mut answer = page_response(page.render());
    // Cached for the Back button only: a person who goes back and sends the same key again keeps the
    // same idempotency key.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer
}

/// The form with an error beside the field.
pub(crate) struct FormAgain {
    pub(crate) state: Shared,
    pub(crate) slip: Slip,
    pub(crate) sent: Sent,
}

impl Page for FormAgain {
    fn html(&self, problem: &Problem, request_id: &str) -> Result<String, askama::Error> {
        let typed = &*self.sent.typed;
        let again = problem.retry_after_seconds.is_some();
        let kept = std::str::from_utf8(self.sent.idempotency_key.as_bytes()).ok().filter(|_| again);
        let told = self.slip.mistake.as_ref().map(|mistake| mistakes::tell(mistake, typed));
        let detail = match &told {
            Some(told) => with_moments(&told.detail, &[]),
            None => with_moments(self.slip.detail.unwrap_or(&problem.detail), &problem.moments),
        };
        let page = RedeemPage {
            assets: Assets::get(),
            // A person who sends the same form again must be recognised; a person who corrects a key starts anew.
            idempotency_key: kept.map_or_else(|| fresh_key(&self.state), str::to_owned),
            typed,
            problem: Some(FieldProblem {
                reason: problem.reason,
                title: told.as_ref().map_or(problem.title, |told| told.title),
                detail,
                marked: told.as_ref().map(|told| marked(&told.wrong, typed)).unwrap_or_default(),
                request_id: if told.is_some() { "" } else { request_id },
                hints: told.as_ref().map_or(&[], |told| &told.hints),
                retry: problem.retry_after_seconds.is_some_and(|seconds| seconds <= PATIENCE_SECONDS),
            }),
        };
        page.render()
    }
}

/// The longest waiting time for which a person is asked to press the button again.
const PATIENCE_SECONDS: u64 = 600;

/// An idempotency key for a new form. Without random bytes, the form has none.
fn fresh_key(state: &State) -> String {
    let mut random = [0; 16];
    match state.entropy.fill(&mut random) {
        Ok(()) => uuid::Builder::from_random_bytes(random).into_uuid().hyphenated().to_string(),
        Err(error) => {
            tracing::error!(%error, "a form is sent without an idempotency key");
            String::new()
        }
    }
}

/// The typed text, in groups, with the doubtful symbols (at the 1-based positions `wrong`) marked. Empty when none
/// is in doubt.
fn marked(wrong: &[usize], typed: &str) -> Vec<Vec<Symbol>> {
    if wrong.is_empty() {
        return Vec::new();
    }
    let symbols: Vec<Symbol> = symbols_as_read(typed)
        .enumerate()
        .map(|(index, symbol)| Symbol {
            symbol: symbol.to_ascii_uppercase(),
            wrong: wrong.contains(&(index + 1)),
        })
        .collect();
    symbols.chunks(GROUP_SYMBOLS).map(<[Symbol]>::to_vec).collect()
}
