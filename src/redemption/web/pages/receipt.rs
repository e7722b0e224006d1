//! The holder's page.

use askama::Template;
use axum::response::Response;

use crate::library::{Album, AlbumFile};
use crate::redemption::ticket::Redemption;
use crate::redemption::web::answer::body::{FILES_OF_RECEIPTS, RECEIPTS};
use crate::redemption::web::answer::{path_segment, picture};
use crate::redemption::web::state::State;
use crate::web::assets::Assets;
use crate::web::page::page_response;
use crate::web::words::{in_words, size_in_words};

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
    receipt_url: String,
}

/// The files of one format.
struct FileGroup {
    format: String,
    files: Vec<FileRow>,
}

struct FileRow {
    name: String,
    /// With the receipt in it, so that it works as long as the page does.
    url: String,
    size: String,
    sha256: String,
}

/// The holder's page, at this address: an origin and a path.
pub(crate) fn receipt_page(
    state: &State,
    album: &Album,
    redemption: &Redemption,
    (origin, path): (&str, &str),
) -> Response {
    let page = ReceiptPage {
        assets: Assets::get(),
        title: &album.title,
        artist: &album.artist,
        cover_url: album
            .cover
            .and_then(|cover| album.files.get(cover))
            .map(|file| picture(state, album, file)),
        groups: groups(&album.files, path.trim_start_matches(RECEIPTS)),
        redeemed_at: redemption.at.to_string(),
        redeemed_at_words: in_words(redemption.at),
        receipt_url: format!("{origin}{path}"),
    };
    page_response(page.render())
}

/// The files by format, in the order in which the formats first appear; files that are not audio come last.
fn groups(files: &[AlbumFile], receipt: &str) -> Vec<FileGroup> {
    let mut groups: Vec<FileGroup> = Vec::new();
    let mut others = FileGroup { format: "Other".to_owned(), files: Vec::new() };
    for file in files {
        let row = FileRow {
            name: file.name.clone(),
            url: format!("{FILES_OF_RECEIPTS}{receipt}/{}", path_segment(&file.name)),
            size: size_in_words(file.bytes),
            sha256: file.sha256.to_string(),
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
