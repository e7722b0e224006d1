//! `tickey load`: loads tickets from a CSV file into the store.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Serialize;

use super::album_check::Albums;
use super::expiry::Ends;
use super::keys_csv::{BadLine, KeysCsv};
use super::options::{JsonOption, KnownLibraryOption, StoreOption};
use super::outcome::Outcome;
use super::output;
use super::output::count;
use crate::environment::{Clock as _, SystemClock};
use crate::redemption::create::{Creation, Difference, Doubt, create, differences};
use crate::redemption::key::TicketId;
use crate::redemption::store::{SharedStore, StoreError};
use crate::redemption::ticket::{Name, Ticket};

/// The number of tickets in one call to the store: enough to share the cost of a sync, few enough that a server on the
/// same store never waits long.
const CHUNK_TICKETS: usize = 10_000;
/// The number of chunks that are written while the next one is read, so that the store always has work.
const CHUNKS_UNDER_WAY: usize = 2;
/// The number of lines of one kind that are named; further ones are only counted.
const MAX_NAMED: usize = 1000;
/// The number of lines of one kind that are named in messages.
const MAX_IN_WORDS: usize = 10;
/// The number of different albums that are checked in the library.
const MAX_ALBUMS: usize = 1000;

/// Load tickets from a CSV (`key,album,batch,valid_from,expires_at`); existing ones stay unchanged
///
/// Columns may be separated by commas, semicolons or tabs and come in any order, given by the header.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  tickey load keys.csv
  gpg --decrypt keys.gpg | tickey load -")]
pub(super) struct Args {
    /// The CSV, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    library: KnownLibraryOption,
    #[command(flatten)]
    json: JsonOption,
}

/// The result of loading the lines.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) new: u64,
    pub(super) present: u64,
    /// The number of those present that are stored with other terms than in the file.
    differing: u64,
    differing_lines: Vec<DifferingLine>,
    /// Lines whose keys had expired before they were loaded.
    ended: u64,
    ended_lines: Vec<u64>,
    /// Tickets whose outcome is unknown: they may be in the store.
    pub(super) unknown: u64,
    pub(super) refused: u64,
    pub(super) refused_lines: Vec<RefusedLine>,
    #[serde(skip)]
    doubt: Option<Arc<str>>,
    #[serde(skip)]
    ends: Option<Ends>,
    /// The albums of the lines, up to [`MAX_ALBUMS`].
    #[serde(skip)]
    albums: BTreeSet<Name>,
}

#[derive(Debug, Serialize)]
struct DifferingLine {
    line: u64,
    columns: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
pub(super) struct RefusedLine {
    line: u64,
    why: String,
}

pub(super) async fn run(args: Args) -> Outcome {
    let input: Box<dyn BufRead> = if args.file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&args.file)
            .map_err(|error| format!("{} cannot be opened: {error}", args.file.display()))?;
        Box::new(BufReader::with_capacity(256 * 1024, file))
    };
    let mut csv = KeysCsv::new(input)?;
    let store = args.store.open_or_make().await?;
    let bar = output::progress(None, "tickets loaded");
    let loaded = load(&store, &mut csv, SystemClock.now(), Existing::Compare, &bar).await;
    bar.finish_and_clear();
    let report = loaded.map_err(|error| format!("{error}; run the same command again to load the rest"))?;
    if args.json.json {
        output::say_json(&report)?;
    } else {
        output::say(&report.summary())?;
        if let Some(ends) = report.ends {
            output::say(&ends.in_words())?;
        }
        for refused in &report.refused_lines {
            output::complain(&format!("line {}: {}", refused.line, refused.why));
        }
    }
    report.warn();
    if !report.albums.is_empty() {
        Albums::open(&args.library).await.warn(&report.albums).await;
    }
    report.check_certain().map_err(|doubt| format!("{doubt}; run the same command again to settle it"))?;
    match report.refused {
        0 => Ok(()),
        refused => {
            let lines = count(refused, "line");
            Err(format!("{lines} refused, the rest is loaded: mend what was refused and load it again")
                .into())
        }
    }
}

/// How tickets are treated that the store already has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// They are read, to report which of them differ from their lines.
    Compare,
    /// They are only counted.
    Count,
}

/// Loads a CSV, some chunks being written while the next is read.
pub(super) async fn load(
    store: &SharedStore,
    csv: &mut KeysCsv<impl BufRead>,
    issued_at: Timestamp,
    existing: Existing,
    bar: &ProgressBar,
) -> Outcome<Report> {
    let mut report = Report::default();
    let mut chunk = Chunk::default();
    let mut writing = VecDeque::with_capacity(CHUNKS_UNDER_WAY);
    loop {
        let next = csv.next()?;
        let ended = next.is_none();
        match next {
            Some(Ok(line)) => {
                report.note_album(&line.terms.album);
                chunk.lines.push((line.id, line.number, line.terms.expires_at));
                chunk.tickets.push((line.id, line.terms.ticket(issued_at)));
            }
            Some(Err(bad)) => report.refuse(bad),
            None => {}
        }
        if chunk.tickets.len() == CHUNK_TICKETS || ended {
            // A task writes it while the next one is read, not only when it is awaited.
            writing.push_back(tokio::spawn(std::mem::take(&mut chunk).write(Arc::clone(store), existing)));
        }
        while writing.len() > if ended { 0 } else { CHUNKS_UNDER_WAY - 1 } {
            let Some(oldest) = writing.pop_front() else { break };
            let written = oldest.await??;
            report.count(written.creation, bar);
            report.add_differing(written.differing);
            written.ends.into_iter().for_each(|end| report.note_end(end, issued_at));
        }
        if ended {
            return Ok(report);
        }
    }
}

/// A chunk of the lines.
#[derive(Default)]
struct Chunk {
    tickets: Vec<(TicketId, Ticket)>,
    /// The line number of each ticket, and the end in the file.
    lines: Vec<(TicketId, u64, Option<Timestamp>)>,
}

/// The result of writing a chunk.
struct Written {
    creation: Creation,
    differing: Vec<DifferingLine>,
    /// The lines with the ends that the store has for them.
    ends: Vec<(u64, Timestamp)>,
}

impl Chunk {
    /// Adds the tickets, and compares those that exist.
    async fn write(self, store: SharedStore, existing: Existing) -> Result<Written, StoreError> {
        let mut creation = create(&*store, self.tickets, None).await?;
        let present = std::mem::take(&mut creation.existing);
        let different = match existing {
            Existing::Compare if !present.is_empty() => differences(&*store, &present).await?,
            Existing::Compare | Existing::Count => Vec::new(),
        };
        let different: HashMap<TicketId, Difference> =
            different.into_iter().map(|difference| (difference.id, difference)).collect();
        let (mut differing, mut ends) = (Vec::new(), Vec::new());
        for (id, line, end) in self.lines {
            let columns = different.get(&id).map_or(&[][..], |difference| &difference.columns);
            if !columns.is_empty() {
                differing.push(DifferingLine { line, columns: columns.to_vec() });
            }
            if !columns.contains(&"expires_at") {
                ends.extend(end.map(|end| (line, end)));
            }
        }
        Ok(Written { creation, differing, ends })
    }
}

impl Report {
    fn note_album(&mut self, album: &Name) {
        if self.albums.len() < MAX_ALBUMS && !self.albums.contains(album) {
            self.albums.insert(album.clone());
        }
    }

    /// Notes the end of a line's key, as the store has it.
    fn note_end(&mut self, (line, end): (u64, Timestamp), now: Timestamp) {
        self.ends = Some(Ends::with(self.ends, end));
        if end <= now {
            self.ended += 1;
            if self.ended_lines.len() < MAX_NAMED {
                self.ended_lines.push(line);
            }
        }
    }

    fn add_differing(&mut self, lines: Vec<DifferingLine>) {
        self.differing += lines.len() as u64;
        let room = MAX_NAMED - self.differing_lines.len();
        self.differing_lines.extend(lines.into_iter().take(room));
    }

    /// Warns of lines that are stored differently from what the user may expect.
    fn warn(&self) {
        if self.differing > 0 {
            let lines = self
                .differing_lines
                .iter()
                .map(|differing| format!("line {} ({})", differing.line, differing.columns.join(", ")));
            output::complain(&format!(
                "warning: {} of those present {} from what is stored, which was not changed: {}. \
                 `tickey extend` puts the end of keys off",
                self.differing,
                if self.differing == 1 { "differs" } else { "differ" },
                some_of(lines, self.differing)
            ));
        }
        if self.ended > 0 {
            let lines = self.ended_lines.iter().map(|line| format!("line {line}"));
            output::complain(&format!(
                "warning: {} of the keys ended before now and cannot be redeemed: {}",
                self.ended,
                some_of(lines, self.ended)
            ));
        }
    }

    fn count(&mut self, creation: Creation, bar: &ProgressBar) {
        self.new += creation.new;
        self.present += creation.present;
        self.unknown += creation.unknown;
        bar.inc(creation.new + creation.present + creation.unknown);
        self.doubt = creation.doubt.or(self.doubt.take());
    }

    /// Reports the number of tickets whose outcome is unknown, if there are any.
    pub(super) fn check_certain(&self) -> Result<(), Doubt> {
        let Self { new, present, unknown, ref doubt, .. } = *self;
        Creation { new, present, unknown, doubt: doubt.clone(), existing: Vec::new() }.certain().map(|_| ())
    }

    fn summary(&self) -> String {
        let Self { new, present, unknown, refused, .. } = self;
        let unknown = if *unknown == 0 { String::new() } else { format!(", {unknown} unknown") };
        format!("{new} new, {present} present{unknown}, {refused} refused")
    }

    fn refuse(&mut self, bad: BadLine) {
        self.refused += 1;
        if self.refused_lines.len() < MAX_NAMED {
            self.refused_lines.push(RefusedLine { line: bad.line, why: bad.why });
        }
    }
}

/// The first few of several things.
fn some_of(things: impl Iterator<Item = String>, all: u64) -> String {
    let named: Vec<String> = things.take(MAX_IN_WORDS).collect();
    let more = all - named.len() as u64;
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    format!("{}{more}", named.join(", "))
}
