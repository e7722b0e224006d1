//! The pages that people see, as values for the templates.
//!
//! Knows words and looks; what they are about is decided elsewhere.

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::album::{FilePart, RedemptionBody};
use crate::library::Album;
use crate::redemption::key::{GROUP_SYMBOLS, symbol_at, symbols_as_read};
use crate::redemption::ticket::{IdempotencyKey, Redemption};
use crate::web::App;
use crate::web::assets::Assets;
use crate::web::problem::{Problem, SuggestionBody};

/// What a person sent with the form, to be shown again beside what is wrong with it.
pub(crate) struct Sent<'a> {
    pub(crate) typed: &'a str,
    pub(crate) idempotency_key: &'a IdempotencyKey,
}

#[derive(Template)]
#[template(path = "redeem.html")]
struct RedeemPage<'a> {
    assets: &'a Assets,
    idempotency_key: String,
    typed: &'a str,
    problem: Option<FieldProblem>,
}

/// A refusal beside the field.
struct FieldProblem {
    reason: &'static str,
    title: String,
    detail: String,
    /// What may have happened, one sentence each.
    hints: Vec<String>,
    /// What was typed, in groups, with the doubtful symbols marked.
    marked: Vec<Vec<Symbol>>,
    request_id: String,
    /// Whether sending the very same form again is the right thing to do.
    retry: bool,
}

struct Symbol {
    symbol: char,
    wrong: bool,
}

#[derive(Template)]
#[template(path = "receipt.html")]
struct ReceiptPage<'a> {
    assets: &'a Assets,
    title: &'a str,
    artist: &'a str,
    cover_url: Option<String>,
    groups: Vec<FileGroup>,
    redeemed_at: String,
    redeemed_at_words: String,
    links_expire_at: String,
    links_expire_at_words: String,
    renewals_left: u32,
    receipt_url: String,
}

/// The files of one format.
struct FileGroup {
    format: String,
    files: Vec<FileRow>,
}

struct FileRow {
    name: String,
    url: String,
    size: String,
    sha256: String,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    assets: &'a Assets,
    status: u16,
    title: String,
    detail: String,
    request_id: String,
}

/// The form as people first see it.
pub(crate) fn empty_form(app: &App) -> Response {
    let page =
        RedeemPage { assets: Assets::get(), idempotency_key: fresh_key(app), typed: "", problem: None };
    let mut answer = render(&page);
    // Kept for the Back button alone: who goes back and sends the same key again is still the same person.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer
}

/// The form with what is wrong beside the field.
pub(crate) fn form_with_problem(app: &App, problem: &Problem, sent: &Sent<'_>) -> Response {
    let retry = matches!(problem.status, 429 | 503);
    let kept = std::str::from_utf8(sent.idempotency_key.as_bytes()).ok().filter(|_| retry);
    let page = RedeemPage {
        assets: Assets::get(),
        // Who sends the same form again must be recognised; who corrects a key starts anew.
        idempotency_key: kept.map_or_else(|| fresh_key(app), str::to_owned),
        typed: sent.typed,
        problem: Some(FieldProblem {
            reason: problem.reason,
            title: problem.title.to_owned(),
            detail: detail_beside_the_field(problem),
            hints: hints(problem, sent.typed),
            marked: marked(problem, sent.typed),
            request_id: problem.request_id.clone(),
            retry,
        }),
    };
    render(&page)
}

/// The holder's page.
pub(crate) fn receipt(app: &App, album: &Album, redemption: &Redemption, body: &RedemptionBody) -> Response {
    let first_end = body.files.iter().map(|file| file.expires_at).min().unwrap_or(redemption.at);
    let page = ReceiptPage {
        assets: Assets::get(),
        title: &album.title,
        artist: &album.artist,
        cover_url: album.cover.and_then(|cover| body.files.get(cover)).map(|file| picture(app, file)),
        groups: groups(&body.files),
        redeemed_at: redemption.at.to_string(),
        redeemed_at_words: in_words(redemption.at),
        links_expire_at: first_end.to_string(),
        links_expire_at_words: in_words(first_end),
        renewals_left: app.settings.max_renewals.saturating_sub(redemption.renewals),
        receipt_url: body.redemption.receipt_url.clone(),
    };
    render(&page)
}

/// A page that only says something.
pub(crate) fn message(problem: &Problem) -> Response {
    let page = MessagePage {
        assets: Assets::get(),
        status: problem.status,
        title: problem.title.to_owned(),
        detail: problem.detail.clone(),
        request_id: problem.request_id.clone(),
    };
    render(&page)
}

/// A moment as people read it, such as `21 November 2026, 10:00 UTC`.
pub(crate) fn in_words(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%-d %B %Y, %H:%M UTC").to_string()
}

fn render<T: Template>(page: &T) -> Response {
    match page.render() {
        Ok(text) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (headers, text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// An idempotency key for a form that nobody has sent yet. Should there be no randomness, the form goes without one.
fn fresh_key(app: &App) -> String {
    let mut random = [0; 16];
    match app.entropy.fill(&mut random) {
        Ok(()) => uuid::Builder::from_random_bytes(random).into_uuid().hyphenated().to_string(),
        Err(error) => {
            tracing::error!(%error, "a form goes out without an idempotency key");
            String::new()
        }
    }
}

/// The address of a picture as the policy of the page allows it: on this server without the origin, as that must be the
/// page's own.
fn picture(app: &App, file: &FilePart) -> String {
    let ours = app.library.origin().is_none();
    let path = file.url.find("/files/").filter(|_| ours).map(|start| &file.url[start..]);
    path.unwrap_or(&file.url).to_owned()
}

/// What a person should look at, one sentence each; the script of the page says it in the same words.
fn hints(problem: &Problem, typed: &str) -> Vec<String> {
    let suggestions = problem.suggestions.as_deref().unwrap_or_default();
    let hint = |suggestion: &SuggestionBody| match suggestion {
        SuggestionBody::Substitution { position, typed, perhaps } => {
            format!("Look at {}: you typed {typed}, it may be {perhaps}.", place(*position))
        }
        SuggestionBody::Swap { position } => {
            let look = if suggestions.len() > 1 { "Or look" } else { "Look" };
            format!("{look} at symbols {position} and {}: they may be in the wrong order.", position + 1)
        }
    };
    let foreign = foreign_symbol(problem, typed)
        .map(|(position, symbol)| format!("Look at {}: {symbol}.", place(position)));
    suggestions.iter().map(hint).chain(foreign).collect()
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
fn foreign_symbol(problem: &Problem, typed: &str) -> Option<(usize, char)> {
    symbol_at(typed, problem.position?.0?)
}

/// What was typed, in groups, with the doubtful symbols marked. Nothing when none is in doubt.
fn marked(problem: &Problem, typed: &str) -> Vec<Vec<Symbol>> {
    let suggested = problem.suggestions.iter().flatten().flat_map(|suggestion| match suggestion {
        SuggestionBody::Substitution { position, .. } => [*position, *position],
        SuggestionBody::Swap { position } => [*position, position + 1],
    });
    let foreign = foreign_symbol(problem, typed).map(|(position, _)| position);
    let wrong: Vec<usize> = suggested.chain(foreign).collect();
    if wrong.is_empty() {
        return Vec::new();
    }
    let symbols = symbols_as_read(typed)
        .enumerate()
        .map(|(index, symbol)| Symbol { symbol, wrong: wrong.contains(&(index + 1)) });
    let mut groups: Vec<Vec<Symbol>> = Vec::new();
    for symbol in symbols {
        match groups.last_mut().filter(|group| group.len() < GROUP_SYMBOLS) {
            Some(group) => group.push(symbol),
            None => groups.push(vec![symbol]),
        }
    }
    groups
}

/// The same as the problem's own detail, in words for people with a form before them.
fn detail_beside_the_field(problem: &Problem) -> String {
    match problem.reason {
        "malformed" if problem.position.is_some_and(|position| position.0.is_some()) => {
            "A key has 25 symbols: digits and the letters A to Z, and never the letter U.".to_owned()
        }
        "mistyped" if problem.suggestions.as_ref().is_some_and(|found| !found.is_empty()) => {
            "Its last two symbols check the others, and they do not fit.".to_owned()
        }
        "outcome_unknown" => {
            "We could not learn in time whether your key was redeemed: press the button again, which settles it.".to_owned()
        }
        _ => problem.detail.clone(),
    }
}

/// The files by format, in the order in which the formats first appear; what is not sound comes last.
fn groups(files: &[FilePart]) -> Vec<FileGroup> {
    let mut groups: Vec<FileGroup> = Vec::new();
    let mut others = FileGroup { format: "Other".to_owned(), files: Vec::new() };
    for file in files {
        let row = FileRow {
            name: file.name.clone(),
            url: file.url.clone(),
            size: size_in_words(file.bytes),
            sha256: file.sha256.clone(),
        };
        let format = match file.name.rsplit_once('.') {
            Some((_, extension)) if file.media_type.starts_with("audio/") => extension.to_uppercase(),
            _ => {
                others.files.push(row);
                continue;
            }
        };
        match groups.iter_mut().find(|group| group.format == format) {
            Some(group) => group.files.push(row),
            None => groups.push(FileGroup { format, files: vec![row] }),
        }
    }
    if !others.files.is_empty() {
        groups.push(others);
    }
    groups
}

/// A size in decimal units, as file managers of people's own computers mostly show it.
fn size_in_words(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
    let number = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", number / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number / 1e6),
        _ => format!("{:.1} GB", number / 1e9),
    }
}
