//! Running downloads: their limits, and the report of each when it has ended.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;

use crate::client::ClientPrefix;
use crate::library::{self, Album, AlbumFile, OpenFile};
use crate::lifecycle::{CutOff, Outlet};
use crate::redemption::metrics::Metrics;
use crate::redemption::web::failure::TooManyDownloads;
use crate::web::occupancy::{Occupancy, Occupied};
use crate::web::request::{RequestId, RequestInfo};
use crate::web::sending::{Content, Ended, How, Sender};

/// The most downloads at once.
#[derive(Clone, Copy, Debug)]
pub struct DownloadLimits {
    /// Downloads by one link from one network: programs that download in pieces open several.
    pub of_a_link: NonZeroU32,
    /// Downloads from one network, which can be a venue with many people.
    pub of_a_network: NonZeroU32,
}

impl Default for DownloadLimits {
    fn default() -> Self {
        const OF_A_LINK: NonZeroU32 = NonZeroU32::new(16).unwrap();
        const OF_A_NETWORK: NonZeroU32 = NonZeroU32::new(512).unwrap();
        Self { of_a_link: OF_A_LINK, of_a_network: OF_A_NETWORK }
    }
}

/// State shared by all downloads.
pub(crate) struct Downloads {
    sender: Arc<Sender>,
    /// Keyed by network and signature, since many people can have the same link: it is signed for an album
    /// and a second.
    of_links: Arc<Occupancy<(ClientPrefix, String)>>,
    of_networks: Arc<Occupancy<ClientPrefix>>,
}

/// The places of a download, which is counted for as long as these live.
pub(crate) type Places = (Occupied<ClientPrefix>, Occupied<(ClientPrefix, String)>);

/// A download that may begin.
pub(crate) struct Wanted<'a> {
    pub(crate) request: &'a RequestInfo,
    pub(crate) album: &'a Arc<Album>,
    pub(crate) file: &'a AlbumFile,
    /// The part of the file; all of it when absent.
    pub(crate) part: Option<RangeInclusive<u64>>,
    pub(crate) places: Places,
}

impl Downloads {
    pub(crate) fn new(limits: DownloadLimits) -> Self {
        Self {
            sender: Sender::new(),
            of_links: Occupancy::new(limits.of_a_link),
            of_networks: Occupancy::new(limits.of_a_network),
        }
    }

    /// Takes places for another download by this link from this network.
    pub(crate) fn enter(&self, client: ClientPrefix, signature: &str) -> Result<Places, TooManyDownloads> {
        let of_network = self.of_networks.enter(client).ok_or(TooManyDownloads::OfNetwork)?;
        let of_link = self.of_links.enter((client, signature.to_owned()));
        Ok((of_network, of_link.ok_or(TooManyDownloads::OfLink)?))
    }

    /// The body of an answer, which is counted and logged when it has ended.
    pub(crate) fn send(
        &self,
        wanted: Wanted<'_>,
        opened: OpenFile,
        outlet: Option<Outlet>,
        metrics: &Arc<Metrics>,
    ) -> Body {
        let complete = if wanted.part.is_some() { "part" } else { "whole" };
        let range = wanted.part.map_or(0..opened.bytes, |part| *part.start()..part.end() + 1);
        let report = Report {
            metrics: Arc::clone(metrics),
            request_id: wanted.request.id.clone(),
            client: wanted.request.client,
            album: Arc::clone(wanted.album),
            file: wanted.file.name.clone(),
            bytes_wanted: range.end - range.start,
            complete,
            began: Instant::now(),
        };
        let content = match opened.content {
            library::Content::Memory(bytes) => Content::Memory(bytes),
            library::Content::Disk(file) => Content::Elsewhere(Box::new(move |offset, buffer| {
                let file = file.clone();
                Box::pin(async move { file.read_at(offset, buffer).await.map_err(Into::into) })
            })),
        };
        let places = wanted.places;
        self.sender.send(content, range, outlet, move |ended| {
            report.tell(&ended);
            drop(places);
        })
    }
}

/// The report of a download when it has ended.
struct Report {
    metrics: Arc<Metrics>,
    request_id: RequestId,
    client: ClientPrefix,
    album: Arc<Album>,
    file: String,
    bytes_wanted: u64,
    /// `whole` or `part`
    complete: &'static str,
    began: Instant,
}

impl Report {
    fn tell(&self, ended: &Ended) {
        let outcome = match &ended.how {
            How::Complete => self.complete,
            How::CutOff(CutOff::ByClient) => "cut_off",
            How::CutOff(CutOff::TooSlow) => "too_slow",
            How::CutOff(CutOff::Stopped) => "stopped",
            How::Failed(_) => "failed",
        };
        self.metrics.download(outcome, ended.bytes);
        if let How::Failed(error) = &ended.how {
            let request_id = self.request_id.as_str();
            tracing::warn!(request_id, album = self.album.id, file = self.file, error, "a download failed");
        }
        tracing::info!(
            request_id = self.request_id.as_str(),
            client = %self.client,
            album = self.album.id,
            file = self.file,
            outcome,
            bytes = ended.bytes,
            bytes_wanted = self.bytes_wanted,
            milliseconds = self.began.elapsed().as_secs_f64() * 1000.0,
            "download"
        );
    }
}
