//! The answer to a redemption: the album's files with signed links, computed from the ticket alone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::files::disposition;
use crate::library::{Album, AlbumFile};
use crate::redemption::holder::LinkLives;
use crate::redemption::key::TicketId;
use crate::redemption::ticket::Redemption;
use crate::web::App;

mod files;

use files::Files;
pub(crate) use files::LatestFiles;

/// What a path segment may hold as it is (RFC 3986, unreserved); everything else is percent-encoded.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A redemption and its downloads.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RedemptionBody {
    /// The use of the ticket.
    pub(crate) redemption: RedemptionPart,
    /// What it gives.
    pub(crate) album: AlbumPart,
    /// The album's files, each with a link that works until it expires.
    #[schema(value_type = Vec<FilePart>)]
    pub(crate) files: Files,
}

/// The use of a ticket.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RedemptionPart {
    /// Names the redemption; the same for every answer about it.
    pub(crate) id: Uuid,
    /// When the key was redeemed.
    pub(crate) redeemed_at: Timestamp,
    /// The holder's page; a secret.
    #[schema(format = "uri")]
    pub(crate) receipt_url: String,
}

/// An album.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AlbumPart {
    /// Unique on this server.
    pub(crate) id: String,
    /// For people.
    pub(crate) title: String,
    /// For people.
    pub(crate) artist: String,
}

/// A file and its link.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FilePart {
    /// To save it under.
    pub(crate) name: String,
    /// A MIME type.
    pub(crate) media_type: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its digest, in hexadecimal.
    pub(crate) sha256: String,
    /// The signed link.
    #[schema(format = "uri")]
    pub(crate) url: String,
    /// When the link ends.
    pub(crate) expires_at: Timestamp,
}

impl RedemptionBody {
    /// The same redemption of the same album under the same origin always gives the same bytes.
    pub(crate) fn new(
        app: &App,
        origin: &Arc<str>,
        ticket: TicketId,
        redemption: &Redemption,
        album: &Arc<Album>,
    ) -> Self {
        let make =
            || album.files.iter().map(|file| FilePart::new(app, origin, redemption, album, file)).collect();
        let receipt = app.keys.issue_receipt(ticket, redemption.id, redemption.at);
        Self {
            redemption: RedemptionPart {
                id: redemption.id.0,
                redeemed_at: redemption.at,
                receipt_url: format!("{origin}{}{}", RECEIPTS, receipt.reveal()),
            },
            album: AlbumPart {
                id: album.id.clone(),
                title: album.title.clone(),
                artist: album.artist.clone(),
            },
            files: app.latest_files.get_or_make(album, origin, redemption.links_issued_at(), make),
        }
    }

    /// The receipt's address without the origin: where a browser that is here already goes.
    pub(crate) fn receipt_path(&self) -> &str {
        let url = &self.redemption.receipt_url;
        url.find(RECEIPTS).map_or("/", |start| &url[start..])
    }
}

/// Where receipts are shown.
const RECEIPTS: &str = "/redemptions/";

impl FilePart {
    fn new(app: &App, origin: &str, redemption: &Redemption, album: &Album, file: &AlbumFile) -> Self {
        let (issued_at, lifetime) = (redemption.links_issued_at(), lifetime(app, file));
        let expires_at = issued_at.checked_add(lifetime).unwrap_or(Timestamp::MAX);
        let elsewhere = app.library.link(album, file, issued_at, lifetime, &disposition(file));
        let url = elsewhere.unwrap_or_else(|| {
            let query = app.keys.sign_link(&album.id, &file.name, issued_at, expires_at);
            let album_segment = utf8_percent_encode(&album.id, PATH_SEGMENT);
            let file_segment = utf8_percent_encode(&file.name, PATH_SEGMENT);
            format!("{origin}/files/{album_segment}/{file_segment}?{query}")
        });
        Self {
            name: file.name.clone(),
            media_type: file.media_type.clone(),
            bytes: file.bytes,
            sha256: file.sha256.to_string(),
            url,
            expires_at,
        }
    }
}

/// How long the link to a file lives.
fn lifetime(app: &App, file: &AlbumFile) -> SignedDuration {
    app.settings.link_lifetimes.of(file.bytes).min(app.library.longest_link())
}

/// How long the links of an album live.
pub(crate) fn link_lives(app: &App, album: &Album) -> LinkLives {
    let lives = || album.files.iter().map(|file| lifetime(app, file));
    LinkLives { shortest: lives().min().unwrap_or_default(), longest: lives().max().unwrap_or_default() }
}
