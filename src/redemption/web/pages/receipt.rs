//! The holder's page.

use askama::Template;
use axum::response::Response;

use crate::library::Album;
use crate::redemption::ticket::Redemption;
use crate::redemption::web::answer::body::{FilePart, RedemptionBody};
use crate::redemption::web::state::State;
use crate::redemption::web::words::{in_words, size_in_words};
use crate::web::assets::Assets;
use crate::web::page::page_response;

#[derive(Template)]
#[template(path = "receipt.html")]
struct ReceiptPage<'a> {
    assets: &'a Assets,
    title: &'a str,
    artist: &'a str,
    cover_url: Option<String>,
    groups: Vec<FileGroup>,
    redeemed_at: String,
    redeemed_at_words: String,
    links_expire_at: String,
    links_expire_at_words: String,
    renewals_left: u32,
    receipt_url: String,
}

/// The files of one format.
struct FileGroup {
    format: String,
    files: Vec<FileRow>,
}

struct FileRow {
    name: String,
    url: String,
    size: String,
    sha256: String,
}

/// The holder's page.
pub(crate) fn receipt_page(
    state: &State,
    album: &Album,
    redemption: &Redemption,
    body: &RedemptionBody,
) -> Response {
    let first_end = body.files.iter().map(|file| file.expires_at).min().unwrap_or(redemption.at);
    let page = ReceiptPage {
        assets: Assets::get(),
        title: &album.title,
        artist: &album.artist,
        cover_url: album.cover.and_then(|cover| body.files.get(cover)).map(|file| picture(state, file)),
        groups: groups(&body.files),
        redeemed_at: redemption.at.to_string(),
        redeemed_at_words: in_words(redemption.at),
        links_expire_at: first_end.to_string(),
        links_expire_at_words: in_words(first_end),
        renewals_left: state.settings.max_renewals.saturating_sub(redemption.renewals),
        receipt_url: body.redemption.receipt_url.clone(),
    };
    page_response(page.render())
}

/// The address of a picture as the policy of the page allows it: on this server without the origin, as that must be the
/// page's own.
fn picture(state: &State, file: &FilePart) -> String {
    let ours = state.library.origin().is_none();
    let path = file.url.find("/files/").filter(|_| ours).map(|start| &file.url[start..]);
    path.unwrap_or(&file.url).to_owned()
}

/// The files by format, in the order in which the formats first appear; what is not sound comes last.
fn groups(files: &[FilePart]) -> Vec<FileGroup> {
    let mut groups: Vec<FileGroup> = Vec::new();
    let mut others = FileGroup { format: "Other".to_owned(), files: Vec::new() };
    for file in files {
        let row = FileRow {
            name: file.name.clone(),
            url: file.url.clone(),
            size: size_in_words(file.bytes),
            sha256: file.sha256.clone(),
        };
        let format = match file.name.rsplit_once('.') {
            Some((_, extension)) if file.media_type.starts_with("audio/") => extension.to_uppercase(),
            _ => {
                others.files.push(row);
                continue;
            }
        };
        match groups.iter_mut().find(|group| group.format == format) {
            Some(group) => group.files.push(row),
            None => groups.push(FileGroup { format, files: vec![row] }),
        }
    }
    if !others.files.is_empty() {
        groups.push(others);
    }
    groups
}
