//! Keys in a file, a line each, of which the load generator takes any part.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use tickey::environment::SystemEntropy;
use tickey::redemption::key::{DownloadKey, TicketId};
use tickey::redemption::mint::new_keys;

use super::Outcome;

/// The album of every ticket: of the built-in library.
pub(crate) const ALBUM: &str = "slow-tide";
/// The batch of every ticket.
pub(crate) const BATCH: &str = "benchmark";
/// Bytes of a printed key.
pub(crate) const KEY_BYTES: usize = 29;
/// A key and the end of its line.
const LINE_BYTES: usize = KEY_BYTES + 1;

/// A key as it is printed.
pub(crate) type PrintedKey = [u8; KEY_BYTES];

/// Appends a key.
pub(crate) fn write_key(to: &mut impl Write, key: &DownloadKey) -> Outcome {
    Ok(writeln!(to, "{}", key.reveal())?)
}

/// Writes new keys to a file, and gives their ids.
pub(crate) fn make_keys(path: &Path, count: usize) -> Outcome<Vec<TicketId>> {
    let mut lines = BufWriter::new(File::create(path)?);
    let mut ids = Vec::with_capacity(count);
    for key in new_keys(&SystemEntropy).take(count) {
        let key = key?;
        write_key(&mut lines, &key)?;
        ids.push(key.id());
    }
    lines.flush()?;
    Ok(ids)
}

/// How many of the keys were used, when each is used once, from the first one on.
pub(crate) struct Supply {
    keys: usize,
    next: Cell<usize>,
}

/// Keys that nobody has used yet.
#[derive(Clone, Copy)]
pub(crate) struct Unused {
    /// The first of them.
    pub(crate) first: usize,
    /// How many there are from there on.
    pub(crate) count: usize,
}

impl Supply {
    /// So many keys that nobody has used.
    pub(crate) fn new(keys: usize) -> Self {
        Self { keys, next: Cell::new(0) }
    }

    /// Those that are left.
    pub(crate) fn unused(&self) -> Unused {
        let first = self.next.get();
        Unused { first, count: self.keys - first }
    }

    /// The next ones were used.
    pub(crate) fn use_up(&self, keys: usize) {
        self.next.set(self.next.get() + keys);
    }

    /// None of them counts as used any longer.
    pub(crate) fn start_over(&self) {
        self.next.set(0);
    }
}

/// Reads some of the keys.
pub(crate) fn read_keys(path: &Path, range: Range<usize>) -> Outcome<Vec<PrintedKey>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(u64::try_from(range.start * LINE_BYTES)?))?;
    let mut bytes = vec![0; range.len() * LINE_BYTES];
    file.read_exact(&mut bytes)?;
    let (lines, _) = bytes.as_chunks::<LINE_BYTES>();
    let key = |line: &[u8; LINE_BYTES]| {
        line.first_chunk::<KEY_BYTES>().copied().ok_or("a line holds no key".into())
    };
    lines.iter().map(key).collect()
}

/// The id of a printed key.
pub(crate) fn id(key: &[u8]) -> Outcome<TicketId> {
    Ok(DownloadKey::parse(std::str::from_utf8(key)?)?.id())
}
