//! `tickey export`: every ticket, one a line. Ids stand for keys, which nobody can tell from them.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use super::change::no_such_batch;
use super::options::{BatchOption, JsonOption, StoreOption};
use super::{Outcome, output};
use crate::redemption::key::TicketId;
use crate::redemption::report::TicketReport;
use crate::redemption::store::location::IfMissing;
use crate::redemption::ticket::Ticket;

/// Tickets that are read at once.
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
    /// The file for the list, or - for standard output
    #[arg(long, short, env = "TICKEY_OUTPUT", value_name = "FILE", default_value = "-")]
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
    // Before the file is made or anything is printed.
    let mut page = store.page(args.only.batch.clone(), None, PAGE_TICKETS).await?;
    if let Some(batch) = args.only.batch.as_ref().filter(|_| page.tickets.is_empty()) {
        return Err(no_such_batch(batch).into());
    }
    let mut out = BufWriter::new(open(&args.output)?);
    if !args.json.json {
        csv::Writer::from_writer(&mut out).write_record(COLUMNS)?;
    }
    // Not among the lines of the list itself.
    let is_seen = args.output.as_os_str() == "-" && io::stdout().is_terminal();
    let bar =
        if is_seen { indicatif::ProgressBar::hidden() } else { output::progress(None, "tickets listed") };
    loop {
        write(&mut out, page.tickets.iter().map(|(id, found)| (id, &found.value)), args.json)?;
        bar.inc(page.tickets.len() as u64);
        if page.next.is_none() {
            break;
        }
        page = store.page(args.only.batch.clone(), page.next, PAGE_TICKETS).await?;
    }
    bar.finish_and_clear();
    Ok(out.flush()?)
}

fn open(path: &Path) -> Outcome<Box<dyn Write>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdout().lock()));
    }
    let file =
        File::create(path).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(Box::new(file))
}

fn write<'a>(
    out: &mut impl Write,
    tickets: impl Iterator<Item = (&'a TicketId, &'a Ticket)>,
    json: JsonOption,
) -> Outcome {
    if json.json {
        for (id, ticket) in tickets {
            serde_json::to_writer(&mut *out, &TicketReport::new(id, ticket)).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
        return Ok(());
    }
    let mut csv = csv::Writer::from_writer(out);
    for (id, ticket) in tickets {
        csv.write_record(row(id, ticket))?;
    }
    Ok(csv.flush()?)
}

/// The values of [`COLUMNS`].
fn row(id: &TicketId, ticket: &Ticket) -> [String; COLUMNS.len()] {
    let redemption = ticket.last_redemption();
    let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    [
        id.to_string(),
        ticket.album.to_string(),
        ticket.batch.to_string(),
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
