//! The answer to a redemption: the album's files with signed links, computed from the ticket alone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::disposition::disposition;
use super::state::State;
use crate::library::{Album, AlbumFile};
use crate::redemption::holder::LinkLives;
use crate::redemption::key::TicketId;
use crate::redemption::ticket::Redemption;

pub(crate) mod body;
pub(crate) mod latest;

use body::{AlbumPart, FilePart, RECEIPTS, RedemptionBody, RedemptionPart};

/// What a path segment may hold as it is (RFC 3986, unreserved); everything else is percent-encoded.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The answer. The same redemption of the same album under the same origin always gives the same bytes.
pub(crate) fn answer(
    state: &State,
    origin: &Arc<str>,
    ticket: TicketId,
    redemption: &Redemption,
    album: &Arc<Album>,
) -> RedemptionBody {
    let file = |file| file_part(state, origin, redemption, album, file);
    let make = || album.files.iter().map(file).collect();
    let receipt = state.keys.issue_receipt(ticket, redemption.id, redemption.at);
    RedemptionBody {
        redemption: RedemptionPart {
            id: redemption.id.0,
            redeemed_at: redemption.at,
            receipt_url: format!("{origin}{RECEIPTS}{}", receipt.reveal()),
        },
        album: AlbumPart { id: album.id.clone(), title: album.title.clone(), artist: album.artist.clone() },
        files: state.latest_files.get_or_make(album, origin, redemption.links_issued_at(), make),
    }
}

fn file_part(
    state: &State,
    origin: &str,
    redemption: &Redemption,
    album: &Album,
    file: &AlbumFile,
) -> FilePart {
    let (issued_at, lifetime) = (redemption.links_issued_at(), lifetime(state, file));
    let expires_at = issued_at.checked_add(lifetime).unwrap_or(Timestamp::MAX);
    let elsewhere = state.library.link(album, file, issued_at, lifetime, &disposition(&file.name));
    let url = elsewhere.unwrap_or_else(|| {
        let query = state.keys.sign_link(&album.id, &file.name, issued_at, expires_at);
        let album_segment = utf8_percent_encode(&album.id, PATH_SEGMENT);
        let file_segment = utf8_percent_encode(&file.name, PATH_SEGMENT);
        format!("{origin}/files/{album_segment}/{file_segment}?{query}")
    });
    FilePart {
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        bytes: file.bytes,
        sha256: file.sha256.to_string(),
        url,
        expires_at,
    }
}

/// How long the link to a file lives.
fn lifetime(state: &State, file: &AlbumFile) -> SignedDuration {
    state.settings.link_lifetimes.of(file.bytes).min(state.library.longest_link())
}

/// How long the links of an album live.
pub(crate) fn link_lives(state: &State, album: &Album) -> LinkLives {
    let lives = || album.files.iter().map(|file| lifetime(state, file));
    LinkLives { shortest: lives().min().unwrap_or_default(), longest: lives().max().unwrap_or_default() }
}
