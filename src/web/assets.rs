//! Style, script and icon of the pages: compiled in, and cached by browsers until the program changes.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

use super::failure::RequestFailure;

#[derive(rust_embed::RustEmbed)]
#[folder = "static"]
#[include = "tickey.css"]
#[include = "tickey.js"]
#[include = "icon.svg"]
struct Files;

/// The addresses that pages refer to. Each contains a digest of its content, so it may be cached for ever.
pub(crate) struct Assets {
    pub(crate) css: String,
    pub(crate) script: String,
    pub(crate) icon: String,
}

impl Assets {
    /// The addresses.
    pub(crate) fn get() -> &'static Self {
        static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
            css: address("tickey.css"),
            script: address("tickey.js"),
            icon: address("icon.svg"),
        });
        &ASSETS
    }
}

fn address(name: &str) -> String {
    let digest = Files::get(name).map(|file| file.metadata.sha256_hash()).unwrap_or_default();
    let [a, b, c, d, ..] = digest;
    format!("/static/{name}?v={:08x}", u32::from_be_bytes([a, b, c, d]))
}

/// The route that serves them.
pub(crate) fn routes() -> Router {
    Router::new().route("/static/{name}", get(serve))
}

/// `GET /static/{name}`
async fn serve(name: Result<Path<String>, PathRejection>) -> Result<impl IntoResponse, RequestFailure> {
    let file = name.ok().and_then(|Path(name)| Some((Files::get(&name)?, name)));
    let (file, name) = file.ok_or(RequestFailure::NoSuchRoute)?;
    let media_type = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "image/svg+xml",
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, file.data.into_owned()))
}
