//! The header that makes a client save a file under its name. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::library::AlbumFile;

/// The characters that need no escape in an extended parameter (RFC 8187, `attr-char`).
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

/// The header's value: the ASCII name for old clients, and the file's own name for the others (RFC 6266, section 4.3).
pub(crate) fn disposition(file: &AlbumFile) -> String {
    format!(
        "attachment; filename=\"{}\"; filename*=UTF-8''{}",
        file.ascii_name,
        utf8_percent_encode(&file.name, EXTENDED_VALUE)
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::library::Sha256Digest;

    #[test]
    fn names_survive_their_header() {
        let file = AlbumFile {
            name: "02 Café \"Noir\" 100%.flac".to_owned(),
            ascii_name: "02 Cafe _Noir_ 100_.flac".to_owned(),
            media_type: "audio/flac".to_owned(),
            bytes: 1,
            sha256: Sha256Digest::from_bytes([0; 32]),
        };
        let disposition = disposition(&file);
        assert_eq!(
            disposition,
            "attachment; filename=\"02 Cafe _Noir_ 100_.flac\"; \
             filename*=UTF-8''02%20Caf%C3%A9%20%22Noir%22%20100%25.flac"
        );
        assert!(HeaderValue::from_str(&disposition).is_ok());
    }
}
