//! Pages as answers, and the page that shows a problem's message.
//!
//! Knows how pages look, and nothing of their subject.

use askama::Template;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::assets::Assets;
use super::failure::RequestFailure;
use super::problem::{Problem, WayOn};
use super::words::{Words, with_moments};

/// The media type of pages.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    assets: &'a Assets,
    status: u16,
    title: &'a str,
    detail: Vec<Words<'a>>,
    way_on: Option<&'a WayOn>,
    request_id: &'a str,
}

/// The page of a problem.
pub(crate) fn message(problem: &Problem, request_id: &str) -> Result<String, askama::Error> {
    let page = MessagePage {
        assets: Assets::get(),
        status: problem.status.as_u16(),
        title: problem.title,
        detail: with_moments(&problem.detail, &problem.moments),
        way_on: problem.way_on.as_ref(),
        request_id,
    };
    page.render()
}

/// A page as an answer.
pub(crate) fn page_response(page: Result<String, askama::Error>) -> Response {
    match page {
        Ok(page) => ([(CONTENT_TYPE, HeaderValue::from_static(HTML))], page).into_response(),
        Err(error) => {
            RequestFailure::Internal(format!("a page could not be written: {error}")).into_response()
        }
    }
}
