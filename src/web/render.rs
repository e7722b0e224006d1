//! Renders a problem, once, in the form that its client wants.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

use super::log::Outcome;
use super::negotiation::{Format, OnlyForm, vary_by_accept};
use super::page;
use super::problem::{Problem, Told};
use super::request::RequestInfo;

/// The media type of problem details.
const PROBLEM_JSON: &str = "application/problem+json";

/// Renders an answer that is a problem; leaves any other as it is.
pub(crate) fn render(answer: &mut Response, request: &RequestInfo) {
    let Some(Told(problem)) = answer.extensions_mut().remove::<Told>() else { return };
    let request_id = request.id.as_str();
    if let Some(cause) = &problem.cause {
        tracing::warn!(request_id, reason = problem.reason, cause, "request failed");
    }
    let only = answer.extensions().get::<OnlyForm>().map(|OnlyForm(form)| *form);
    if only.is_none() {
        vary_by_accept(answer.headers_mut());
    }
    let (media_type, content) = content(&problem, request_id, only.unwrap_or(request.format));
    *answer.body_mut() = content;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.extensions_mut().insert(Outcome(problem.reason));
}

fn content(problem: &Problem, request_id: &str, form: Format) -> (&'static str, Body) {
    match form {
        Format::Html => {
            let page = problem.page.as_ref();
            let page = page
                .map_or_else(|| page::message(problem, request_id), |page| page.html(problem, request_id));
            match page {
                Ok(page) => return (page::HTML, page.into()),
                Err(error) => tracing::error!(%error, "a page could not be written"),
            }
        }
        Format::Text => return ("text/plain; charset=utf-8", format!("{}\n", problem.detail).into()),
        Format::Json => {}
    }
    // A buffer that grows is copied.
    let mut json = Vec::with_capacity(1024);
    if let Err(error) = serde_json::to_writer(&mut json, &problem.document(request_id)) {
        tracing::error!(%error, "a problem could not be written");
    }
    (PROBLEM_JSON, json.into())
}
