//! Chooses the form of an answer by the client's preference.
//!
//! Knows media types, and nothing of the content.

use std::str::FromStr as _;

use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, HeaderValue};
use headers_accept::Accept;
use mediatype::names::{APPLICATION, HTML, JSON, PLAIN, TEXT};
use mediatype::{MediaType, Name};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For programs. Also for clients that state no preference, or want an unsupported type.
    Json,
    /// For browsers.
    Html,
    /// For shells.
    Text,
}

/// The only form of a route's answers, whatever the client prefers: an extension of its answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnlyForm(pub(crate) Format);

/// Marks an answer whose form depends on `Accept`. Only for such answers: caches keep an entry for each form.
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

/// The type that the `Accept` header prefers. `None` when it is absent, prefers JSON, prefers nothing, or wants an
/// unsupported type: all of these get JSON.
pub(crate) fn preferred<'a>(
    headers: &HeaderMap,
    available: &'a [MediaType<'a>],
) -> Option<&'a MediaType<'a>> {
    let value = headers.get(ACCEPT)?.to_str().ok()?;
    // The header of most programs, compared without parsing.
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
