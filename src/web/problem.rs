//! The form of a failure for clients: problem details (RFC 9457).
//!
//! A context describes each of its failures by a [`Problem`]: status, reason and words. As an answer, a problem is a
//! status and an extension; the envelope renders it once, in the form that the client prefers. So neither handlers nor
//! contexts deal with forms of answers.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The number of headers of an answer, including those of the layers around every route: allocated at once.
pub(crate) const HEADERS: usize = 12;

/// A description of a failure.
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// The identifier of the kind of problem, for programs.
    pub(crate) reason: &'static str,
    /// The reason in words; the same for all problems of this reason.
    pub(crate) title: &'static str,
    /// One sentence for a person: what is wrong and what to do.
    pub(crate) detail: Cow<'static, str>,
    /// The seconds to wait before a retry.
    pub(crate) retry_after_seconds: Option<u64>,
    /// Further headers of the answer, which belong to the failure whatever its form.
    pub(crate) headers: HeaderMap,
    /// Further members of the document, as the context describes them.
    pub(crate) members: Map<String, Value>,
    /// A cause that only the operator may see: for the log.
    pub(crate) cause: Option<String>,
    /// The times that the detail names, in their order.
    pub(crate) moments: Vec<Timestamp>,
    /// The next step for a person.
    pub(crate) way_on: Option<WayOn>,
    /// The page for people. Without it, a page with only the message is shown.
    pub(crate) page: Option<Box<dyn Page>>,
}

/// The next step of a person who is shown a problem on a page.
pub(crate) struct WayOn {
    /// The text of the button.
    pub(crate) words: &'static str,
    /// A path of this server.
    pub(crate) path: String,
}

/// How a context shows a problem to people.
pub(crate) trait Page: Send + Sync {
    /// The page as HTML.
    fn html(&self, problem: &Problem, request_id: &str) -> Result<String, askama::Error>;
}

impl Problem {
    /// A problem without optional parts.
    pub(crate) fn new(
        status: StatusCode,
        reason: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            reason,
            title,
            detail: detail.into(),
            retry_after_seconds: None,
            headers: HeaderMap::new(),
            members: Map::new(),
            cause: None,
            moments: Vec::new(),
            way_on: None,
            page: None,
        }
    }

    /// The same with a time to wait before a retry.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    /// The same with a further header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with further members of the document: those of `members`, which has named fields.
    pub(crate) fn with(self, members: &impl Serialize) -> Self {
        match serde_json::to_value(members) {
            Ok(Value::Object(members)) => Self { members, ..self },
            Ok(_) | Err(_) => self,
        }
    }

    /// The same, with a time that the detail names as [`in_words`](super::words::in_words) does.
    pub(crate) fn naming(mut self, moment: Timestamp) -> Self {
        self.moments.push(moment);
        self
    }

    /// The same, with a link for people to a path of this server.
    pub(crate) fn leading_to(self, words: &'static str, path: String) -> Self {
        Self { way_on: Some(WayOn { words, path }), ..self }
    }

    /// The same with a cause for the operator.
    pub(crate) fn because(self, cause: Option<String>) -> Self {
        Self { cause, ..self }
    }

    /// The document.
    pub(crate) fn document<'a>(&'a self, request_id: &'a str) -> ProblemDocument<'a> {
        ProblemDocument {
            kind: format!("urn:problem-type:tickey:{}", self.reason),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            reason: self.reason,
            request_id,
            members: &self.members,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Told(Arc::new(self)).into_response()
    }
}

/// A problem that is to be rendered: an extension of an answer that has no content yet.
#[derive(Clone)]
pub(crate) struct Told(pub(crate) Arc<Problem>);

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let mut answer = self.0.status.into_response();
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.extend(self.0.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        *answer.headers_mut() = headers;
        if let Some(seconds) = self.0.retry_after_seconds {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer.extensions_mut().insert(self);
        answer
    }
}

/// A refusal or an error as a client sees it: problem details (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// `urn:problem-type:tickey:` and the reason.
    #[serde(rename = "type")]
    #[schema(example = "urn:problem-type:tickey:bad_request")]
    kind: String,
    /// The reason in words; the same for all problems of its type.
    title: &'a str,
    /// The HTTP status.
    #[schema(example = 400)]
    status: u16,
    /// One sentence for a person: what is wrong and what to do.
    detail: &'a str,
    /// The identifier of the kind of problem, for programs.
    #[schema(example = "bad_request")]
    reason: &'a str,
    /// To quote when asking for help; also in the header `X-Request-Id`.
    request_id: &'a str,
    #[serde(flatten)]
    #[schema(ignore)]
    members: &'a Map<String, Value>,
}
