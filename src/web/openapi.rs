//! `/openapi.json`: the description of all routes. Each context generates its own from its handlers and their answer
//! types; this module merges them.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use utoipa::OpenApi;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{Content, Header, PathItem, RefOr};

use super::health;
use super::problem::ProblemDocument;

/// The media type of problem details.
const PROBLEM_JSON: &str = "application/problem+json";

#[derive(OpenApi)]
#[openapi(
    info(title = "tickey", description = "A key becomes a download, exactly once."),
    paths(health::alive, health::ready, document),
    components(schemas(ProblemDocument<'static>)),
    tags((name = "operation", description = "For whoever runs the server"))
)]
struct General;

/// The description of the server itself.
pub(crate) fn general() -> utoipa::openapi::OpenApi {
    let mut general = General::openapi();
    add_forms_of_problems(&mut general);
    general
}

/// The document as it is sent.
#[derive(Clone)]
struct Written(Bytes);

/// The route of the document.
pub(crate) fn route(mut document: utoipa::openapi::OpenApi) -> Router {
    add_headers(&mut document);
    let written = Written(serde_json::to_vec(&document).unwrap_or_default().into());
    Router::new().route("/openapi.json", get(self::document)).with_state(written)
}

/// `GET /openapi.json`
#[utoipa::path(get, path = "/openapi.json", tag = "operation",
    responses((status = 200, description = "This document", content_type = "application/json")))]
async fn document(State(Written(written)): State<Written>) -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], written)
}

/// Adds the headers that answers of all contexts have.
fn add_headers(document: &mut utoipa::openapi::OpenApi) {
    for (_, status, response) in responses(document) {
        add_header(response, "X-Request-Id", "Names this request; to quote when asking for help");
        if matches!(status, "429" | "503") {
            add_header(response, "Retry-After", "Seconds after which to try again");
        }
    }
}

/// Adds the forms of problems for people, which `Accept` chooses.
pub(crate) fn add_forms_of_problems(document: &mut utoipa::openapi::OpenApi) {
    for (_, _, response) in responses(document) {
        if response.content.contains_key(PROBLEM_JSON) {
            add_text(response, "text/html");
            add_text(response, "text/plain");
        }
    }
}

/// Adds a text form of the answer.
pub(crate) fn add_text(response: &mut utoipa::openapi::Response, media_type: &str) {
    let text = Content::new(Some(Object::with_type(Type::String)));
    response.content.insert(media_type.to_owned(), RefOr::T(text));
}

/// Adds a header of the answer.
pub(crate) fn add_header(response: &mut utoipa::openapi::Response, name: &str, description: &str) {
    let text = Object::with_type(Type::String);
    let header: Header = HeaderBuilder::new().schema(Some(text)).description(Some(description)).build();
    response.headers.insert(name.to_owned(), RefOr::T(header));
}

/// Every described answer, with its path and status.
pub(crate) fn responses(
    document: &mut utoipa::openapi::OpenApi,
) -> impl Iterator<Item = (&str, &str, &mut utoipa::openapi::Response)> {
    document.paths.paths.iter_mut().flat_map(|(path, item)| {
        answers(item).map(move |(status, response)| (path.as_str(), status, response))
    })
}

/// The answers of every method of a route.
fn answers(item: &mut PathItem) -> impl Iterator<Item = (&str, &mut utoipa::openapi::Response)> {
    let operations = [&mut item.get, &mut item.head, &mut item.post].into_iter().flatten();
    let responses = operations.flat_map(|operation| operation.responses.responses.iter_mut());
    responses.filter_map(|(status, response)| match response {
        RefOr::T(response) => Some((status.as_str(), response)),
        RefOr::Ref(_) => None,
    })
}
