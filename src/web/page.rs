//! Pages as answers, and the page that only says what the matter is.
//!
//! Knows how pages look, and nothing of what they are about.

use askama::Template;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};

use super::assets::Assets;
use super::failure::RequestFailure;
use super::problem::Problem;

/// The media type of pages.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    assets: &'a Assets,
    status: u16,
    title: &'a str,
    detail: &'a str,
    request_id: &'a str,
}

/// The page.
pub(crate) fn message(problem: &Problem, request_id: &str) -> Result<String, askama::Error> {
    let page = MessagePage {
        assets: Assets::get(),
        status: problem.status.as_u16(),
        title: problem.title,
        detail: &problem.detail,
        request_id,
    };
    page.render()
}

/// A page as an answer.
pub(crate) fn page_response(page: Result<String, askama::Error>) -> Response {
    match page {
        Ok(page) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static(HTML)),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (headers, page).into_response()
        }
        Err(error) => {
            RequestFailure::Internal(format!("a page could not be written: {error}")).into_response()
        }
    }
}
