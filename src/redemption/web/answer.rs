//! The answer to a redemption: the album's files with signed links, computed from the ticket alone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use super::disposition::disposition;
use super::state::State;
use crate::library::{Album, AlbumFile};
use crate::redemption::holder::LinkLives;
use crate::redemption::key::TicketId;
use crate::redemption::ticket::Redemption;

pub(crate) mod body;
pub(crate) mod latest;

use body::{FilePart, RECEIPTS, RedemptionBody, RedemptionPart};

/// The characters that need no escape in a path segment (RFC 3986, unreserved); all others are percent-encoded.
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
            receipt_url: [origin, RECEIPTS, &receipt.reveal()].concat(),
            renewal_url: None,
        },
        album: Arc::clone(album),
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
    let (url, expires_at) = signed_link(state, origin, album, file, redemption.links_issued_at());
    FilePart {
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        bytes: file.bytes,
        sha256: file.sha256.to_string(),
        url,
        expires_at,
    }
}

/// A link that is valid from `issued_at`, and the time when it expires.
fn signed_link(
    state: &State,
    origin: &str,
    album: &Album,
    file: &AlbumFile,
    issued_at: Timestamp,
) -> (String, Timestamp) {
    let life = file_life(state, file);
    let expires_at = issued_at.checked_add(life).unwrap_or(Timestamp::MAX);
    let elsewhere = state.library.link(album, file, issued_at, life, &disposition(file));
    let url = elsewhere.unwrap_or_else(|| {
        let query = state.keys.sign_link(&album.id, &file.name, issued_at, expires_at);
        format!("{origin}/files/{}/{}?{query}", path_segment(&album.id), path_segment(&file.name))
    });
    (url, expires_at)
}

/// The URL of an album's picture for a page that is generated now. On this server it has no origin, since the policy of
/// the page allows its own pictures.
pub(crate) fn picture(state: &State, album: &Album, file: &AlbumFile) -> String {
    signed_link(state, "", album, file, state.clock.now()).0
}

/// A text as one segment of a path.
pub(crate) fn path_segment(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, PATH_SEGMENT)
}

/// The lifetime of the link to a file.
pub(crate) fn file_life(state: &State, file: &AlbumFile) -> SignedDuration {
    state.settings.link_lifetimes.of(file.bytes).min(state.library.longest_link())
}

/// The lifetimes of the links of an album.
pub(crate) fn link_lives(state: &State, album: &Album) -> LinkLives {
    let lives = || album.files.iter().map(|file| file_life(state, file));
    LinkLives { shortest: lives().min().unwrap_or_default(), longest: lives().max().unwrap_or_default() }
}
