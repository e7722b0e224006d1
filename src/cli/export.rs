//! `tickey export`: every ticket, one a line. Ids stand for keys, which nobody can tell from them.

use std::io::{self, BufWriter, Write as _};

use super::Outcome;
use super::options::{BatchOption, JsonOption, StoreOption};
use crate::redemption::report::TicketReport;
use crate::redemption::store::location::IfMissing;

/// Tickets that are read at once.
const PAGE_TICKETS: usize = 2000;

/// List tickets as CSV, or with --json as one JSON object a line; the list never holds keys
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    only: BatchOption,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

const COLUMNS: [&str; 11] = [
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
];

pub(super) async fn run(args: Args) -> Outcome {
    let store = args.store.open(IfMissing::Fail).await?;
    let mut out = BufWriter::new(io::stdout().lock());
    if !args.json.json {
        csv::Writer::from_writer(&mut out).write_record(COLUMNS)?;
    }
    let mut from = None;
    loop {
        let page = store.page(args.only.batch.clone(), from, PAGE_TICKETS).await?;
        if args.json.json {
            for (id, found) in &page.tickets {
                serde_json::to_writer(&mut out, &TicketReport::new(id, &found.value))
                    .map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
        } else {
            let mut csv = csv::Writer::from_writer(&mut out);
            for (id, found) in &page.tickets {
                let ticket = &found.value;
                let redemption = ticket.last_redemption();
                let text = |value: Option<String>| value.unwrap_or_default();
                csv.write_record([
                    id.to_string(),
                    ticket.album.to_string(),
                    ticket.batch.to_string(),
                    ticket.status().as_str().to_owned(),
                    ticket.issued_at.to_string(),
                    text(ticket.valid_from.map(|time| time.to_string())),
                    text(ticket.expires_at.map(|time| time.to_string())),
                    text(redemption.map(|redemption| redemption.id.to_string())),
                    text(redemption.map(|redemption| redemption.at.to_string())),
                    text(redemption.map(|redemption| redemption.renewals.to_string())),
                    ticket.reinstatements().to_string(),
                ])?;
            }
            csv.flush()?;
        }
        from = page.next;
        if from.is_none() {
            return Ok(out.flush()?);
        }
    }
}
