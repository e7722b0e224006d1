//! The origin under which people reach the server.

use std::str::FromStr;
use std::sync::Arc;

use axum::http::Uri;

/// `scheme://host[:port]`, without a path and without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Arc<str>);

impl PublicUrl {
    /// The origin as text.
    pub(crate) fn origin(&self) -> &Arc<str> {
        &self.0
    }

    /// Whether people reach the server by TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str =
            "give the address that people type, such as https://music.example, without a path";
        let url: Uri = text.parse().map_err(|_| WRONG)?;
        let scheme = url.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or(WRONG)?;
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(WRONG)?;
        let bare = url.path() == "/" && url.query().is_none() && !text.contains('#');
        if bare { Ok(Self(format!("{scheme}://{authority}").into())) } else { Err(WRONG) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin() {
        for (text, origin) in [
            ("https://music.example", "https://music.example"),
            ("https://music.example/", "https://music.example"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(text.parse(), Ok(PublicUrl(origin.into())), "{text}");
        }
        for text in [
            "",
            "music.example",
            "ftp://music.example",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://a/#b",
            "https://u:p@a",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
