//! In which form a client wants its answer.
//!
//! Knows media types, and nothing of what is answered.

use std::str::FromStr as _;

use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, HeaderValue};
use headers_accept::Accept;
use mediatype::names::{APPLICATION, HTML, JSON, PLAIN, TEXT};
use mediatype::{MediaType, Name};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For programs. Also for clients that do not say, or want something that we do not have.
    Json,
    /// For browsers.
    Html,
    /// For shells.
    Text,
}

/// The only form in which a route speaks, whatever is asked for: an extension of its answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnlyForm(pub(crate) Format);

/// Says that the answer would be another one to a client that prefers another form. For those answers alone: caches
/// keep an entry for each form.
pub(crate) fn vary_by_accept(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("accept"));
}

impl Format {
    /// The form that the `Accept` header prefers (RFC 9110, section 12.5.1).
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        const PROBLEM_JSON: Name<'_> = Name::new_unchecked("problem+json");
        static AVAILABLE: [MediaType<'_>; 4] = [
            MediaType::new(APPLICATION, JSON),
            MediaType::new(APPLICATION, PROBLEM_JSON),
            MediaType::new(TEXT, HTML),
            MediaType::new(TEXT, PLAIN),
        ];
        match preferred(headers, &AVAILABLE) {
            Some(chosen) if chosen.subty == HTML => Self::Html,
            Some(chosen) if chosen.subty == PLAIN => Self::Text,
            Some(_) | None => Self::Json,
        }
    }
}

/// Which of these types the `Accept` header prefers. `None` when it does not say, wants everything alike or JSON, or
/// something that we do not have: all of these get JSON.
pub(crate) fn preferred<'a>(
    headers: &HeaderMap,
    available: &'a [MediaType<'a>],
) -> Option<&'a MediaType<'a>> {
    let value = headers.get(ACCEPT)?.to_str().ok()?;
    // What most programs send, without the cost of reading it.
    if value == "*/*" || value == "application/json" {
        return None;
    }
    Accept::from_str(value).ok()?.negotiate(available)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_client_gets_its_form() {
        let wanted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            Format::wanted(&headers)
        };
        assert_eq!(Format::wanted(&HeaderMap::new()), Format::Json);
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
        for (accept, format) in [
            ("*/*", Format::Json),
            ("application/json, */*;q=0.5", Format::Json),
            ("application/problem+json", Format::Json),
            (firefox, Format::Html),
            ("text/html", Format::Html),
            ("text/plain", Format::Text),
            ("text/*", Format::Html),
            ("text/plain;q=0.5, text/html;q=0.4", Format::Text),
            ("text/html;q=0.4, application/json", Format::Json),
            ("text/html;q=0, */*", Format::Json),
            ("TEXT/HTML", Format::Html),
            ("image/png", Format::Json),
            ("rubbish", Format::Json),
            ("", Format::Json),
        ] {
            assert_eq!(wanted(accept), format, "{accept}");
        }
    }
}
