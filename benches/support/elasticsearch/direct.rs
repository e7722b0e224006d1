//! A server as a first version would be: the same answers, with a GET and a conditional PUT for each redemption.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tickey::environment::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use tickey::library::{Album, AlbumFile, Library, LibraryLocation};
use tickey::redemption::key::{DownloadKey, TicketId};
use tickey::redemption::link::{KeyRing, LinkLifetimes};
use tickey::redemption::metrics::Metrics;
use tickey::redemption::store::{Operation, RequestOutcome, StoreObserver};
use tickey::redemption::ticket::RedemptionId;
use tickey::web::envelope::Envelope;
use uuid::Uuid;

use super::super::Outcome;
use super::super::server::link_keys;
use super::cluster::Client;
use super::document::{get, put};

/// What a path segment may hold as it is.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a key gives nothing.
type Failure = (StatusCode, String);

/// What all requests share.
struct Direct {
    client: Client,
    library: Library,
    keys: KeyRing,
    lifetimes: LinkLifetimes,
    metrics: Arc<Metrics>,
}

#[derive(Deserialize)]
struct KeyBody<'a> {
    key: &'a str,
}

#[derive(Serialize)]
struct Body<'a> {
    redemption: RedemptionPart,
    album: AlbumPart<'a>,
    files: Vec<FilePart<'a>>,
}

#[derive(Serialize)]
struct RedemptionPart {
    id: Uuid,
    redeemed_at: Timestamp,
    receipt_url: String,
}

#[derive(Serialize)]
struct AlbumPart<'a> {
    id: &'a str,
    title: &'a str,
    artist: &'a str,
}

#[derive(Serialize)]
struct FilePart<'a> {
    name: &'a str,
    media_type: &'a str,
    bytes: u64,
    sha256: String,
    url: String,
    expires_at: Timestamp,
}

/// Its one route, in the envelope that all routes have.
pub(crate) async fn router(
    client: Client,
    envelope: &Arc<Envelope>,
    metrics: Arc<Metrics>,
) -> Outcome<Router> {
    let direct = Arc::new(Direct {
        client,
        library: Library::open(&LibraryLocation::Demo).await?,
        keys: link_keys()?,
        lifetimes: LinkLifetimes::default(),
        metrics,
    });
    let handler = move |headers: HeaderMap, body: Bytes| {
        let direct = Arc::clone(&direct);
        async move { direct.redeem(&headers, &body).await }
    };
    Ok(envelope.around(Router::new().route("/redemptions", post(handler))))
}

impl Direct {
    async fn redeem(&self, headers: &HeaderMap, body: &[u8]) -> Result<Response, Failure> {
        let typed: KeyBody<'_> =
            serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        let id = DownloadKey::parse(typed.key)
            .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?
            .id();
        let mut random = [0; 16];
        SystemEntropy.fill(&mut random).map_err(unavailable)?;
        let redemption = uuid::Builder::from_random_bytes(random).into_uuid();
        let now = SystemClock.now();

        let found = get(&self.client, &id).await.map_err(unavailable)?;
        self.count(Operation::Get);
        let mut found = found.ok_or((StatusCode::NOT_FOUND, "no ticket has this key".to_owned()))?;
        let used = || (StatusCode::CONFLICT, "the ticket cannot be used".to_owned());
        if !found.source.redeem(redemption, now) {
            return Err(used());
        }
        let album = self.library.album(&found.source.album).await.map_err(unavailable)?;
        let written = put(&self.client, &id, &found).await.map_err(unavailable)?;
        self.count(Operation::Put);
        if !written {
            return Err(used());
        }
        self.metrics.redemption("redeemed");
        tracing::info!(ticket = %id, %redemption, album = album.id, replayed = false, "redeemed");
        self.answer(headers, id, redemption, now, &album)
    }

    fn count(&self, operation: Operation) {
        StoreObserver::request(&*self.metrics, operation, RequestOutcome::Done, 1);
    }

    fn answer(
        &self,
        headers: &HeaderMap,
        id: TicketId,
        redemption: Uuid,
        now: Timestamp,
        album: &Album,
    ) -> Result<Response, Failure> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let origin = format!("http://{host}");
        let receipt = self.keys.issue_receipt(id, RedemptionId(redemption), now);
        let receipt_url = format!("{origin}/redemptions/{}", receipt.reveal());
        let location = HeaderValue::from_str(&receipt_url).map_err(unavailable)?;
        let files = album.files.iter().map(|file| self.file(&origin, album, file, now));
        let body = Body {
            redemption: RedemptionPart { id: redemption, redeemed_at: now, receipt_url },
            album: AlbumPart { id: &album.id, title: &album.title, artist: &album.artist },
            files: files.collect::<Result<_, _>>()?,
        };
        let bytes = serde_json::to_vec(&body).map_err(unavailable)?;
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (LOCATION, location),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        Ok((StatusCode::CREATED, headers, bytes).into_response())
    }

    fn file<'a>(
        &self,
        origin: &str,
        album: &'a Album,
        file: &'a AlbumFile,
        now: Timestamp,
    ) -> Result<FilePart<'a>, Failure> {
        let expires_at = now.checked_add(self.lifetimes.of(file.bytes)).map_err(unavailable)?;
        let query = self.keys.sign_link(&album.id, &file.name, now, expires_at);
        let (album, name) =
            (utf8_percent_encode(&album.id, PATH_SEGMENT), utf8_percent_encode(&file.name, PATH_SEGMENT));
        Ok(FilePart {
            name: &file.name,
            media_type: &file.media_type,
            bytes: file.bytes,
            sha256: file.sha256.to_string(),
            url: format!("{origin}/files/{album}/{name}?{query}"),
            expires_at,
        })
    }
}

fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    let error = error.into();
    tracing::error!(%error, "not redeemed");
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
