//! Tells intended requests from automatic ones: a browser that loads a page in advance, a chat that shows a preview, a
//! robot that follows links.
//!
//! Knows headers, and nothing of what a request is for.

use axum::http::header::{ACCEPT, USER_AGENT};
use axum::http::{HeaderMap, Method};

/// The headers by which browsers announce that they load something in advance: the standard's (Fetch Metadata,
/// `Sec-Purpose`), and those of older Chromium, Safari (`Purpose`, `X-Purpose`) and Firefox (`X-Moz`).
const PURPOSE_HEADERS: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

/// Whether a browser loads this in advance, for a person who may never open it.
pub(crate) fn is_in_advance(headers: &HeaderMap) -> bool {
    let purposes = PURPOSE_HEADERS.iter().flat_map(|name| headers.get_all(*name));
    purposes.into_iter().filter_map(|purpose| purpose.to_str().ok()).any(|purpose| {
        let purpose = purpose.to_ascii_lowercase();
        ["prefetch", "prerender", "preview"].iter().any(|word| purpose.contains(word))
    })
}

/// The first words of the `User-Agent` of command-line tools and HTTP libraries.
const PROGRAMS: [&str; 16] = [
    "curl/",
    "wget/",
    "httpie/",
    "xh/",
    "python-requests/",
    "python-httpx/",
    "python-urllib/",
    "aiohttp/",
    "go-http-client/",
    "reqwest/",
    "axios/",
    "node",
    "undici",
    "okhttp/",
    "java-http-client/",
    "ruby",
];

/// The media types of answers for programs.
const PROGRAMS_TYPES: [&str; 3] = ["application/json", "application/problem+json", "text/plain"];

/// Whether a program makes this request on purpose: it names the media type that it wants, or it has no `User-Agent`,
/// or one of [`PROGRAMS`]. Previews and robots accept anything (`*/*`) under names of their own.
pub(crate) fn is_meant_by_program(method: &Method, headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT).iter().peekable();
    let says_nothing = accepted.peek().is_none();
    let names_a_type = accepted.any(|value| {
        let mut ranges = value.as_bytes().split(|byte| *byte == b',');
        ranges.any(|range| {
            let range = range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            PROGRAMS_TYPES.iter().any(|known| range.eq_ignore_ascii_case(known.as_bytes()))
        })
    });
    let is_known = || {
        let name = headers.get(USER_AGENT).map(|name| name.as_bytes().to_ascii_lowercase());
        name.is_none_or(|name| PROGRAMS.iter().any(|program| name.starts_with(program.as_bytes())))
    };
    method == Method::GET && (says_nothing || names_a_type || is_known()) && !is_in_advance(headers)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_browsers_load_in_advance_is_known_by_each_of_their_headers() {
        for pair in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch;anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("purpose", "Preview"),
            ("x-purpose", "preview"),
            ("x-moz", "prefetch"),
        ] {
            assert!(is_in_advance(&headers(&[pair])), "{pair:?}");
            assert!(!is_meant_by_program(&Method::GET, &headers(&[pair])), "{pair:?}");
        }
        assert!(!is_in_advance(&headers(&[("sec-purpose", "")])));
        assert!(!is_in_advance(&headers(&[("sec-fetch-mode", "navigate")])));
    }

    #[test]
    fn a_program_names_what_it_wants_or_says_nothing() {
        for (accept, meant) in [
            ("application/json", true),
            ("application/json, text/plain, */*", true),
            ("text/plain", true),
            ("*/*", false),
            ("*/*;q=0.8", false),
            ("", false),
            ("*", false),
            ("image/avif,image/webp,*/*;q=0.8", false),
            ("Application/JSON; charset=utf-8", true),
        ] {
            let sent = headers(&[("accept", accept), ("user-agent", "ChatPreview/1.0 (like curl/8)")]);
            assert_eq!(is_meant_by_program(&Method::GET, &sent), meant, "{accept}");
        }
        for name in ["curl/8.5.0", "HTTPie/3.2", "python-requests/2.32", "Go-http-client/1.1"] {
            let sent = headers(&[("accept", "*/*"), ("user-agent", name)]);
            assert!(is_meant_by_program(&Method::GET, &sent), "{name}");
        }
        assert!(is_meant_by_program(&Method::GET, &headers(&[("accept", "*/*")])));
        assert!(is_meant_by_program(&Method::GET, &HeaderMap::new()));
        assert!(!is_meant_by_program(&Method::HEAD, &HeaderMap::new()));
    }
}
