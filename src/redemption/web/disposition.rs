//! The header that makes a client save a file, under its name. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may stand in an extended parameter as it is (RFC 8187, `attr-char`).
const EXTENDED_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Save it, under this name: in ASCII for old clients, and as it is for the others (RFC 6266, section 4.3).
pub(crate) fn disposition(name: &str) -> String {
    let ascii: String = name
        .chars()
        .map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
        utf8_percent_encode(name, EXTENDED_VALUE)
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn names_survive_their_header() {
        assert_eq!(
            disposition("02 Café \"Noir\" 100%.flac"),
            "attachment; filename=\"02 Caf_ _Noir_ 100_.flac\"; \
             filename*=UTF-8''02%20Caf%C3%A9%20%22Noir%22%20100%25.flac"
        );
        assert!(HeaderValue::from_str(&disposition("日本;='\\.mp3")).is_ok());
    }
}
