//! `tickey load`: tickets from a CSV into the store.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Serialize;

use super::keys_csv::{BadLine, KeysCsv};
use super::options::{JsonOption, StoreOption};
use super::{Outcome, output};
use crate::environment::{Clock as _, SystemClock};
use crate::redemption::create::{Creation, Doubt, create};
use crate::redemption::store::SharedStore;
use crate::redemption::store::location::IfMissing;

/// Tickets that go to the store at once: enough to share the cost of a sync, few enough that a server that uses the
/// store at the same time never waits long.
const CHUNK_TICKETS: usize = 10_000;
/// Chunks that are being written while the next is read, so that the store is never left without work.
const CHUNKS_UNDER_WAY: usize = 2;
/// Bad lines that are named; further ones are only counted.
const MAX_NAMED: usize = 1000;

/// Load tickets from a CSV (`key,album,batch,valid_from,expires_at`); those that exist are left as they are
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
    json: JsonOption,
}

/// What became of the lines.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) new: u64,
    pub(super) present: u64,
    /// Tickets of which nobody can say whether they are in the store.
    pub(super) unknown: u64,
    pub(super) refused: u64,
    pub(super) refused_lines: Vec<RefusedLine>,
    #[serde(skip)]
    doubt: Option<Arc<str>>,
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
    let store = args.store.open(IfMissing::Create).await?;
    let bar = output::progress(None, "tickets loaded");
    let loaded = load(&store, &mut csv, SystemClock.now(), &bar).await;
    bar.finish_and_clear();
    let report = loaded.map_err(|error| format!("{error}; run the same command again to load the rest"))?;
    if args.json.json {
        output::say_json(&report)?;
    } else {
        output::say(&report.summary())?;
        for refused in &report.refused_lines {
            output::complain(&format!("line {}: {}", refused.line, refused.why));
        }
    }
    report.check_certain().map_err(|doubt| format!("{doubt}; run the same command again to settle it"))?;
    match report.refused {
        0 => Ok(()),
        refused => {
            let lines = output::count(refused, "line");
            Err(format!("{lines} refused, the rest is loaded: mend what was refused and load it again")
                .into())
        }
    }
}

/// Loads a CSV, some chunks being written while the next is read.
pub(super) async fn load(
    store: &SharedStore,
    csv: &mut KeysCsv<impl BufRead>,
    issued_at: Timestamp,
    bar: &ProgressBar,
) -> Outcome<Report> {
    let mut report = Report::default();
    let mut chunk = Vec::with_capacity(CHUNK_TICKETS);
    let mut writing = VecDeque::with_capacity(CHUNKS_UNDER_WAY);
    loop {
        let next = csv.next()?;
        let ended = next.is_none();
        match next {
            Some(Ok(line)) => chunk.push((line.id, line.terms.ticket(issued_at))),
            Some(Err(bad)) => report.refuse(bad),
            None => {}
        }
        if chunk.len() == CHUNK_TICKETS || ended {
            let next_chunk = Vec::with_capacity(if ended { 0 } else { CHUNK_TICKETS });
            // It is written while the next one is read, not only when it is waited for.
            let (store, full) = (Arc::clone(store), std::mem::replace(&mut chunk, next_chunk));
            writing.push_back(tokio::spawn(async move { create(&*store, full, None).await }));
        }
        while writing.len() > if ended { 0 } else { CHUNKS_UNDER_WAY - 1 } {
            let Some(oldest) = writing.pop_front() else { break };
            report.count(oldest.await??, bar);
        }
        if ended {
            return Ok(report);
        }
    }
}

impl Report {
    fn count(&mut self, creation: Creation, bar: &ProgressBar) {
        self.new += creation.new;
        self.present += creation.present;
        self.unknown += creation.unknown;
        bar.inc(creation.new + creation.present + creation.unknown);
        self.doubt = creation.doubt.or(self.doubt.take());
    }

    /// Says of how many tickets it is not known whether they are in the store, if there are any.
    pub(super) fn check_certain(&self) -> Result<(), Doubt> {
        let Self { new, present, unknown, ref doubt, .. } = *self;
        Creation { new, present, unknown, doubt: doubt.clone() }.certain().map(|_| ())
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
