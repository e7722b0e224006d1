//! Warnings at the start of a server about mismatches between store, library and link keys.
//!
//! This counts all tickets and lists all albums, so it runs in the background.

use std::path::{Path, PathBuf};

use crate::library::{Library, LibraryError, Listed};
use crate::redemption::count;
use crate::redemption::store::BatchCount;
use crate::redemption::web::State;

/// The number of missing albums that are named; further ones are only counted.
const MAX_NAMED: usize = 20;
/// The most albums that are checked in the library.
const MAX_ALBUMS: usize = 10_000;

/// Compares the library with the tickets and logs mismatches. `new_link_keys` is the file of link keys if it was
/// created at this start.
pub(super) async fn log(state: &State, new_link_keys: Option<PathBuf>) {
    tokio::join!(warn_of_bad_albums(&state.library), warn_of_tickets(state, new_link_keys));
}

/// Waits for files that are being hashed.
async fn warn_of_bad_albums(library: &Library) {
    let listed = match library.list().await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "the library could not be listed: its albums were not checked");
            return;
        }
    };
    for Listed { folder, album } in listed {
        if let Err(why) = album {
            tracing::warn!(folder, why, "not an album: its keys cannot be redeemed until it is corrected");
        }
    }
}

async fn warn_of_tickets(state: &State, new_link_keys: Option<PathBuf>) {
    let counts = match count::all(&*state.store, None).await {
        Ok(counts) => counts,
        Err(error) => {
            tracing::warn!(%error, "the tickets could not be counted, so it was not checked whether the library has \
                their albums");
            return;
        }
    };
    if let Some(file) = new_link_keys {
        warn_of_ended_receipts(&counts, &file);
    }
    warn_of_missing_albums(&counts, state).await;
}

/// New link keys are normal beside a new store. Beside a store that has redemptions, the old keys are lost.
fn warn_of_ended_receipts(counts: &[BatchCount], link_keys_file: &Path) {
    if counts.iter().any(|count| count.redeemed > 0) {
        tracing::warn!(
            file = %link_keys_file.display(),
            "new link keys were made, but keys were redeemed before: their receipts and links have ended. If the old \
             file still exists, stop, put it back, and start again"
        );
    }
}

async fn warn_of_missing_albums(counts: &[BatchCount], state: &State) {
    let mut missing = Vec::new();
    for album in count::albums_in_use(counts).into_iter().take(MAX_ALBUMS) {
        if let Err(LibraryError::NoSuchAlbum(_)) = state.library.album(album).await {
            missing.push(album);
        }
    }
    if !missing.is_empty() {
        tracing::warn!(
            count = missing.len(),
            albums = %missing[..missing.len().min(MAX_NAMED)].join(", "),
            "the library does not have albums that tickets are for: their keys cannot be redeemed. Check that \
             --library is the right one, or add the albums; `tickey doctor` lists all of them"
        );
    }
}
