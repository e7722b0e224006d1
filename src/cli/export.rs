//! `tickey export`: lists every ticket, one on each line. Ids stand for keys, which cannot be derived from them.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use super::change::no_such_batch;
use super::options::{BatchOption, JsonOption, StoreOption};
use super::outcome::Outcome;
use super::output;
use crate::redemption::csv::cell;
use crate::redemption::key::TicketId;
use crate::redemption::report::TicketReport;
use crate::redemption::store::location::IfMissing;
use crate::redemption::store::{Page, TicketStore};
use crate::redemption::ticket::Ticket;

/// The number of tickets that are read at once.
const PAGE_TICKETS: usize = 2000;

/// List tickets as CSV, or with --json as one JSON object a line; the list never holds keys
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  tickey export -o tickets.csv
  tickey export --batch tour-2026 --json | jq 'select(.status == \"redeemed\")'")]
pub(super) struct Args {
    #[command(flatten)]
    only: BatchOption,
    /// The file for the list, which must not exist yet, or - for standard output
    #[arg(long, short, env = "TICKEY_EXPORT_OUTPUT", value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

const COLUMNS: [&str; 13] = [
    "id",
    "album",
    "batch",
    "status",
    "issued_at",
    "valid_from",
    "expires_at",
    "redemption_id",
    "redeemed_at",
    "renewals",
    "reinstatements",
    "revoked_at",
    "extended_at",
];

pub(super) async fn run(args: Args) -> Outcome {
    let store = args.store.open(IfMissing::Fail).await?;
    // Before the file is created or anything is printed.
    let page = store.page(args.only.batch.clone(), None, PAGE_TICKETS).await?;
    if let Some(batch) = args.only.batch.as_ref().filter(|_| page.tickets.is_empty()) {
        return Err(no_such_batch(batch).into());
    }
    let to_stdout = args.output.as_os_str() == "-";
    // Progress must not mix with the lines of the list.
    let is_seen = to_stdout && io::stdout().is_terminal();
    let bar = if is_seen { ProgressBar::hidden() } else { output::progress(None, "tickets listed") };
    let listed = if to_stdout {
        list(&*store, &args, page, &mut io::stdout().lock(), &bar).await
    } else {
        let listed = list(&*store, &args, page, &mut create(&args.output)?, &bar).await;
        if listed.is_err() {
            // A partial list looks like a complete one. An error of the removal is ignored: the first
            // error is reported.
            let _ = fs::remove_file(&args.output);
        }
        listed
    };
    bar.finish_and_clear();
    listed
}

/// Creates a new file: an existing one may hold keys that are stored nowhere else.
fn create(path: &Path) -> Outcome<File> {
    File::create_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} exists: give another file, or remove it", path.display()).into()
        }
        _ => format!("{} cannot be written: {error}", path.display()).into(),
    })
}

/// Writes the list, starting with its first page, `page`.
async fn list(
    store: &dyn TicketStore,
    args: &Args,
    mut page: Page,
    out: &mut dyn Write,
    bar: &ProgressBar,
) -> Outcome {
    let mut out = BufWriter::new(out);
    if !args.json.json {
        csv::Writer::from_writer(&mut out).write_record(COLUMNS)?;
    }
    loop {
        write(&mut out, page.tickets.iter().map(|(id, found)| (id, &found.value)), args.json)?;
        bar.inc(page.tickets.len() as u64);
        if page.next.is_none() {
            return Ok(out.flush()?);
        }
        page = store.page(args.only.batch.clone(), page.next, PAGE_TICKETS).await?;
    }
}

fn write<'a>(
    out: &mut impl Write,
    tickets: impl Iterator<Item = (&'a TicketId, &'a Ticket)>,
    json: JsonOption,
) -> Outcome {
    if json.json {
        for (id, ticket) in tickets {
            let json = serde_json::to_string(&TicketReport::new(id, ticket))?;
            writeln!(out, "{}", output::json_for_terminals(&json))?;
        }
        return Ok(());
    }
    let mut csv = csv::Writer::from_writer(out);
    for (id, ticket) in tickets {
        csv.write_record(row(id, ticket))?;
    }
    Ok(csv.flush()?)
}

/// The values of [`COLUMNS`]. An id is written unchanged, though it may begin with a dash: programs compare it.
fn row(id: &TicketId, ticket: &Ticket) -> [String; COLUMNS.len()] {
    let redemption = ticket.last_redemption();
    let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    [
        id.to_string(),
        cell(ticket.album.as_str()).into_owned(),
        cell(ticket.batch.as_str()).into_owned(),
        ticket.status().as_str().to_owned(),
        ticket.issued_at.to_string(),
        time(ticket.valid_from),
        time(ticket.expires_at),
        redemption.map(|redemption| redemption.id.to_string()).unwrap_or_default(),
        time(redemption.map(|redemption| redemption.at)),
        redemption.map(|redemption| redemption.renewals.to_string()).unwrap_or_default(),
        ticket.reinstatements().to_string(),
        time(ticket.revoked.as_ref().map(|last| last.at)),
        time(ticket.extended.as_ref().map(|last| last.at)),
    ]
}
