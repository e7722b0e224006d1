//! `tickey mint -o -`: writes keys to standard output, to be passed on to another program.
//!
//! There is no file from which to finish an interrupted run. So keys are written some thousands at a time, and each
//! time before their tickets go to the store: received keys can always be loaded, and the store has no ticket whose key
//! was not written.

use std::io::{self, BufWriter, IsTerminal as _};

use indicatif::ProgressBar;

use crate::cli::outcome::Outcome;
use crate::cli::output;
use crate::environment::{Clock as _, SystemClock, SystemEntropy};
use crate::redemption::create::create_minted;
use crate::redemption::mint::{BatchTerms, KeysWriter, new_keys};
use crate::redemption::store::TicketStore;

/// The number of bytes of a file of keys that are read or written at once.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;
/// The number of keys that are written before their tickets go to the store.
const CHUNK_KEYS: u64 = 10_000;

/// Mints `count` keys. An error says what to do with the keys that were written.
pub(super) async fn mint(store: &dyn TicketStore, terms: &BatchTerms, count: u64) -> Outcome {
    let is_seen = io::stdout().is_terminal();
    let bar = if is_seen { ProgressBar::hidden() } else { output::progress(Some(count), "keys minted") };
    let minted = write_and_load(store, terms, count, &bar).await;
    bar.finish_and_clear();
    minted.map_err(|error| {
        format!(
            "{error}; the tickets of the last keys may be missing: load what was written with `tickey load FILE`"
        )
        .into()
    })
}

async fn write_and_load(
    store: &dyn TicketStore,
    terms: &BatchTerms,
    count: u64,
    bar: &ProgressBar,
) -> Outcome {
    let mut keys = new_keys(&SystemEntropy);
    let mut out = KeysWriter::new(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()), terms);
    out.header()?;
    let now = SystemClock.now();
    let mut left = count;
    while left > 0 {
        let chunk = left.min(CHUNK_KEYS);
        let mut tickets = Vec::with_capacity(usize::try_from(chunk)?);
        for key in keys.by_ref().take(usize::try_from(chunk)?) {
            let key = key?;
            out.key(&key)?;
            tickets.push((key.id(), terms.ticket(now)));
        }
        out.flush()?;
        create_minted(store, tickets, None).await?.certain()?;
        bar.inc(chunk);
        left -= chunk;
    }
    Ok(())
}
