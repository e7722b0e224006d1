//! The page with the form: empty, or with what is wrong beside the field.

use askama::Template;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::Response;
use zeroize::Zeroizing;

use crate::redemption::key::{GROUP_SYMBOLS, KeyError, Suggestion, symbols_as_read};
use crate::redemption::redeem::RedeemError;
use crate::redemption::ticket::IdempotencyKey;
use crate::redemption::web::failure::Failure;
use crate::redemption::web::state::{Shared, State};
use crate::web::assets::Assets;
use crate::web::page::page_response;
use crate::web::problem::{Page, Problem};

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
    detail: &'a str,
    /// What may have happened, one sentence each.
    hints: Vec<String>,
    /// What was typed, in groups, with the doubtful symbols marked.
    marked: Vec<Vec<Symbol>>,
    request_id: &'a str,
    /// Whether sending the very same form again is the right thing to do.
    retry: bool,
}

#[derive(Clone, Copy)]
struct Symbol {
    symbol: char,
    wrong: bool,
}

/// What a person sent with the form, to be shown again beside what is wrong with it.
pub(crate) struct Sent {
    /// As secret as a key.
    pub(crate) typed: Zeroizing<String>,
    pub(crate) idempotency_key: IdempotencyKey,
}

/// What is said beside the field and not in a problem's own words.
#[derive(Default)]
pub(crate) struct Slip {
    /// Instead of the problem's detail: the same in words for people with a form before them.
    detail: Option<&'static str>,
    /// What is wrong with the key as it was typed.
    mistake: Option<KeyError>,
}

impl Slip {
    /// That of a failure.
    pub(crate) fn of(failure: &Failure) -> Self {
        let detail = match failure {
            Failure::Key(KeyError::Malformed { position: Some(_), .. }) => {
                Some("A key has 25 symbols: digits and the letters A to Z, and never the letter U.")
            }
            Failure::Key(KeyError::Mistyped { suggestions }) if !suggestions.is_empty() => {
                Some("Its last two symbols check the others, and they do not fit.")
            }
            Failure::Redeem(RedeemError::OutcomeUnknown(_)) => Some(
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

/// The form as people first see it.
pub(crate) fn empty_form(state: &State) -> Response {
    let page =
        RedeemPage { assets: Assets::get(), idempotency_key: fresh_key(state), typed: "", problem: None };
    let mut answer = page_response(page.render());
    // Kept for the Back button alone: who goes back and sends the same key again is still the same person.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer
}

/// The form with what is wrong beside the field.
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
        let mistake = self.slip.mistake.as_ref();
        let page = RedeemPage {
            assets: Assets::get(),
            // Who sends the same form again must be recognised; who corrects a key starts anew.
            idempotency_key: kept.map_or_else(|| fresh_key(&self.state), str::to_owned),
            typed,
            problem: Some(FieldProblem {
                reason: problem.reason,
                title: problem.title,
                detail: self.slip.detail.unwrap_or(&problem.detail),
                hints: mistake.map(|mistake| hints(mistake, typed)).unwrap_or_default(),
                marked: mistake.map(|mistake| marked(mistake, typed)).unwrap_or_default(),
                request_id,
                retry: problem.retry_after_seconds.is_some_and(|seconds| seconds <= PATIENCE_SECONDS),
            }),
        };
        page.render()
    }
}

/// The longest wait after which a person is told to press the button again.
const PATIENCE_SECONDS: u64 = 600;

/// An idempotency key for a form that nobody has sent yet. Should there be no randomness, the form goes without one.
fn fresh_key(state: &State) -> String {
    let mut random = [0; 16];
    match state.entropy.fill(&mut random) {
        Ok(()) => uuid::Builder::from_random_bytes(random).into_uuid().hyphenated().to_string(),
        Err(error) => {
            tracing::error!(%error, "a form goes out without an idempotency key");
            String::new()
        }
    }
}

/// What a person should look at, one sentence each; the script of the page says it in the same words.
fn hints(mistake: &KeyError, typed: &str) -> Vec<String> {
    match mistake {
        KeyError::Malformed { position, .. } => foreign_symbol(*position, typed)
            .map(|(position, symbol)| format!("Look at {}: {symbol}.", place(position)))
            .into_iter()
            .collect(),
        KeyError::Mistyped { suggestions } => {
            let look = if suggestions.len() > 1 { "Or look" } else { "Look" };
            let hint = |suggestion: &Suggestion| match suggestion {
                Suggestion::Substitution { position, typed, perhaps } => {
                    format!("Look at {}: you typed {typed}, it may be {perhaps}.", place(*position))
                }
                Suggestion::Swap { position } => {
                    format!(
                        "{look} at symbols {position} and {}: they may be in the wrong order.",
                        position + 1
                    )
                }
            };
            suggestions.iter().map(hint).collect()
        }
    }
}

/// A symbol's place in a key as people count.
fn place(position: usize) -> String {
    const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
    match ORDINALS.get((position - 1) / GROUP_SYMBOLS) {
        Some(group) => format!("symbol {position} ({group} group)"),
        None => format!("symbol {position}"),
    }
}

/// The first character that cannot stand in a key, and its place among the symbols.
fn foreign_symbol(position: Option<usize>, typed: &str) -> Option<(usize, char)> {
    let character = position?;
    let end = typed.char_indices().nth(character).map_or(typed.len(), |(end, _)| end);
    let up_to_it = symbols_as_read(&typed[..end]);
    up_to_it.enumerate().last().map(|(index, symbol)| (index + 1, symbol))
}

/// What was typed, in groups, with the doubtful symbols marked. Nothing when none is in doubt.
fn marked(mistake: &KeyError, typed: &str) -> Vec<Vec<Symbol>> {
    let wrong: Vec<usize> = match mistake {
        KeyError::Malformed { position, .. } => {
            foreign_symbol(*position, typed).map(|(position, _)| position).into_iter().collect()
        }
        KeyError::Mistyped { suggestions } => suggestions
            .iter()
            .flat_map(|suggestion| match suggestion {
                Suggestion::Substitution { position, .. } => [*position, *position],
                Suggestion::Swap { position } => [*position, position + 1],
            })
            .collect(),
    };
    if wrong.is_empty() {
        return Vec::new();
    }
    let symbols: Vec<Symbol> = symbols_as_read(typed)
        .enumerate()
        .map(|(index, symbol)| Symbol { symbol, wrong: wrong.contains(&(index + 1)) })
        .collect();
    symbols.chunks(GROUP_SYMBOLS).map(<[Symbol]>::to_vec).collect()
}
