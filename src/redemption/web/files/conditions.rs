//! Evaluates the conditions and the range of a request for a file (RFC 9110, sections 13.2.2 and 14.2). Pure.

use std::ops::RangeInclusive;

use axum::http::header::RANGE;
use axum::http::{HeaderMap, Method};
use headers::{ETag, HeaderMapExt as _, IfMatch, IfNoneMatch, IfRange};
use http_range_header::StartPosition;

/// The content to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Evaluated {
    Whole,
    Part(RangeInclusive<u64>),
    NotModified,
    PreconditionFailed,
    NotSatisfiable,
}

pub(crate) fn evaluate(method: &Method, headers: &HeaderMap, etag: &ETag, bytes: u64) -> Evaluated {
    if headers.typed_get::<IfMatch>().is_some_and(|condition| !condition.precondition_passes(etag)) {
        return Evaluated::PreconditionFailed;
    }
    if headers.typed_get::<IfNoneMatch>().is_some_and(|condition| !condition.precondition_passes(etag)) {
        return Evaluated::NotModified;
    }
    // There is no modification time, so a condition on one always means the whole file.
    if headers.typed_get::<IfRange>().is_some_and(|condition| condition.is_modified(Some(etag), None)) {
        return Evaluated::Whole;
    }
    // Only GET supports ranges.
    let range = headers.get(RANGE).filter(|_| method == Method::GET);
    let Some(range) = range.and_then(|value| value.to_str().ok()) else { return Evaluated::Whole };
    // A malformed range must be ignored. Several ranges may be: then the whole file is sent.
    let Ok(mut parsed) = http_range_header::parse_range_header(range) else {
        return if is_empty_suffix(range) { Evaluated::NotSatisfiable } else { Evaluated::Whole };
    };
    for range in &mut parsed.ranges {
        // A suffix longer than the file means all of it; the parser would call it unsatisfiable.
        if let StartPosition::FromLast(last) = &mut range.start {
            *last = bytes.min(*last);
        }
    }
    match parsed.validate(bytes) {
        Ok(ranges) => match ranges.as_slice() {
            [one] => Evaluated::Part(one.clone()),
            _ => Evaluated::Whole,
        },
        Err(_) if parsed.ranges.len() > 1 => Evaluated::Whole,
        Err(_) => Evaluated::NotSatisfiable,
    }
}

/// Whether a range asks for the last 0 bytes, which is well-formed and never satisfiable (RFC 9110, section 14.1.2).
/// The parser does not treat it as a range.
fn is_empty_suffix(range: &str) -> bool {
    let suffix = range.trim().strip_prefix("bytes=").and_then(|ranges| ranges.trim().strip_prefix('-'));
    suffix.is_some_and(|bytes| !bytes.is_empty() && bytes.bytes().all(|digit| digit == b'0'))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn evaluated(headers: &[(&'static str, &str)]) -> Evaluated {
        let headers = headers.iter().map(|(name, value)| {
            (axum::http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        evaluate(&Method::GET, &headers.collect(), &"\"abc\"".parse().unwrap(), 100)
    }

    #[test]
    fn ranges_are_evaluated_as_http_says() {
        assert_eq!(evaluated(&[]), Evaluated::Whole);
        for (range, expected) in [
            ("bytes=0-0", Evaluated::Part(0..=0)),
            ("bytes=10-", Evaluated::Part(10..=99)),
            ("bytes=-10", Evaluated::Part(90..=99)),
            ("bytes=-1000", Evaluated::Part(0..=99)),
            ("bytes=50-1000", Evaluated::Part(50..=99)),
            ("bytes=100-", Evaluated::NotSatisfiable),
            ("bytes=5-1", Evaluated::NotSatisfiable),
            ("bytes=-0", Evaluated::NotSatisfiable),
            ("bytes=0-1, -0", Evaluated::Whole),
            ("bytes=0-1, 5-6", Evaluated::Whole),
            ("lines=1-2", Evaluated::Whole),
            ("rubbish", Evaluated::Whole),
        ] {
            assert_eq!(evaluated(&[("range", range)]), expected, "{range}");
        }
    }

    #[test]
    fn conditions_come_first() {
        let range = ("range", "bytes=0-9");
        assert_eq!(evaluated(&[range, ("if-range", "\"abc\"")]), Evaluated::Part(0..=9));
        assert_eq!(evaluated(&[range, ("if-range", "\"old\"")]), Evaluated::Whole);
        assert_eq!(evaluated(&[range, ("if-range", "W/\"abc\"")]), Evaluated::Whole);
        assert_eq!(evaluated(&[range, ("if-range", "Sat, 21 Nov 2026 10:00:00 GMT")]), Evaluated::Whole);
        assert_eq!(evaluated(&[("if-none-match", "\"abc\"")]), Evaluated::NotModified);
        assert_eq!(evaluated(&[("if-none-match", "W/\"abc\", \"x\"")]), Evaluated::NotModified);
        assert_eq!(evaluated(&[("if-none-match", "*")]), Evaluated::NotModified);
        assert_eq!(evaluated(&[("if-none-match", "\"x\"")]), Evaluated::Whole);
        assert_eq!(evaluated(&[("if-match", "\"x\"")]), Evaluated::PreconditionFailed);
        assert_eq!(evaluated(&[("if-match", "\"abc\"")]), Evaluated::Whole);
    }
}
