//! A store with many tickets that nobody has used, and the keys that belong to them: made once, and copied for each
//! server.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tickey::environment::{Clock as _, SystemClock, SystemEntropy};
use tickey::redemption::mint::{BatchTerms, new_keys};
use tickey::redemption::store::TicketStore as _;
use tickey::redemption::store::location::IfMissing;
use tickey::redemption::store::sqlite::{Settings, SqliteStore};

use super::Outcome;
use super::keys::{ALBUM, BATCH, write_key};

/// Tickets that go to the store at once while a dataset is made.
const CHUNK_TICKETS: usize = 50_000;

/// The prepared files.
pub(crate) struct Dataset {
    /// The store.
    store: PathBuf,
    /// The keys, a line each.
    pub(crate) keys: PathBuf,
    /// How many.
    pub(crate) tickets: usize,
}

impl Dataset {
    /// Makes the files when they are missing, or when told to.
    pub(crate) fn prepare(folder: &Path, tickets: usize, fresh: bool) -> Outcome<Self> {
        let dataset = Self {
            store: folder.join(format!("tickets-{tickets}.db")),
            keys: folder.join(format!("keys-{tickets}.txt")),
            tickets,
        };
        if fresh || !dataset.store.exists() || !dataset.keys.exists() {
            remove_store(&dataset.store)?;
            // The store gets its name last, so that an interrupted run is begun again.
            let partial = folder.join(format!("tickets-{tickets}.partial"));
            remove_store(&partial)?;
            dataset.make(&partial)?;
            fs::rename(&partial, &dataset.store)?;
        }
        Ok(dataset)
    }

    fn make(&self, store_path: &Path) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let store = SqliteStore::open(store_path, IfMissing::Create, Settings::default(), Arc::new(()))?;
        let terms =
            BatchTerms { album: ALBUM.parse()?, batch: BATCH.parse()?, valid_from: None, expires_at: None };
        let issued_at = SystemClock.now();
        let mut lines = BufWriter::new(File::create(&self.keys)?);
        let mut chunk = Vec::with_capacity(CHUNK_TICKETS);
        for (made, key) in (1..=self.tickets).zip(new_keys(&SystemEntropy)) {
            let key = key?;
            write_key(&mut lines, &key)?;
            chunk.push((key.id(), terms.ticket(issued_at)));
            if chunk.len() == CHUNK_TICKETS || made == self.tickets {
                let chunk = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK_TICKETS));
                runtime.block_on(store.create(chunk))?;
            }
        }
        lines.into_inner()?.sync_all()?;
        Ok(())
    }

    /// A copy of the store that somebody may change, safely on disk, so that nothing of it remains to be written later.
    pub(crate) fn copy_store(&self, to: &Path) -> Outcome {
        remove_store(to)?;
        fs::copy(&self.store, to)?;
        File::open(to)?.sync_all()?;
        Ok(())
    }
}

/// Removes a store with its log, if it is there.
pub(crate) fn remove_store(path: &Path) -> Outcome {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
