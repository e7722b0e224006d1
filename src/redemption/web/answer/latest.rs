//! Caches the files part of answers, which many answers share.
//!
//! Links depend on the album, the origin, and the second from which they are valid, and not on the ticket. So
//! redemptions of the same album in the same second share them, and they are signed and serialized once: seven
//! signatures and 2 KiB of JSON were a sixth of a redemption's processor time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::body::{FilePart, Files};
use crate::library::Album;

/// The number of cached entries: for some albums and origins at the same time, and the change of a second.
const REMEMBERED: usize = 16;

/// The latest entries.
#[derive(Default)]
pub(crate) struct LatestFiles(Mutex<VecDeque<Entry>>);

struct Entry {
    album: Arc<Album>,
    origin: Arc<str>,
    issued_at: Timestamp,
    files: Files,
}

impl LatestFiles {
    /// The files of exactly this album under this origin with links valid from `issued_at`: cached, or made now.
    pub(crate) fn get_or_make(
        &self,
        album: &Arc<Album>,
        origin: &Arc<str>,
        issued_at: Timestamp,
        make: impl FnOnce() -> Vec<FilePart>,
    ) -> Files {
        let is_same = |entry: &Entry| {
            entry.issued_at == issued_at && Arc::ptr_eq(&entry.album, album) && entry.origin == *origin
        };
        if let Some(found) = self.lock().iter().find(|entry| is_same(entry)) {
            return found.files.clone();
        }
        // Made without the lock, so that others need not wait; when a new second begins, some callers make the same
        // entry at once.
        let files = Files::from(make());
        let entry =
            Entry { album: Arc::clone(album), origin: Arc::clone(origin), issued_at, files: files.clone() };
        let mut latest = self.lock();
        latest.push_front(entry);
        latest.truncate(REMEMBERED);
        files
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn album(id: &str) -> Arc<Album> {
        let text = || id.to_owned();
        Arc::new(Album {
            id: text(),
            title: text(),
            artist: text(),
            folder: text(),
            cover: None,
            files: Vec::new(),
        })
    }

    fn files(url: &str) -> Vec<FilePart> {
        vec![FilePart {
            name: "a".to_owned(),
            media_type: "b/c".to_owned(),
            bytes: 1,
            sha256: "d".to_owned(),
            url: url.to_owned(),
            expires_at: Timestamp::UNIX_EPOCH,
        }]
    }

    #[test]
    fn only_the_same_album_origin_and_second_share_links() {
        let latest = LatestFiles::default();
        let url = |album: &Arc<Album>, origin: &str, at: Timestamp, made: &str| -> String {
            latest.get_or_make(album, &Arc::from(origin), at, || files(made))[0].url.clone()
        };
        let (first, second) = (album("x"), album("x"));
        let (now, later) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        assert_eq!(url(&first, "https://a", now, "1"), "1");
        assert_eq!(url(&second, "https://a", now, "2"), "2", "the album has changed since");
        assert_eq!(url(&first, "https://b", now, "3"), "3");
        assert_eq!(url(&first, "https://a", later, "4"), "4");
        assert_eq!(url(&first, "https://a", now, "5"), "1");
        for number in 0..REMEMBERED {
            url(&album("y"), "https://a", now, &number.to_string());
        }
        assert_eq!(url(&first, "https://a", now, "6"), "6", "the oldest is forgotten");
        assert_eq!(latest.lock().len(), REMEMBERED);
    }
}
