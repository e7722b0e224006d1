//! `tickey inspect`: a ticket by its key.

use tokio::time::Instant;

use super::change::PATIENCE;
use super::key_argument::KeyArgument;
use super::options::{JsonOption, StoreOption};
use super::{Outcome, output};
use crate::redemption::change::look;
use crate::redemption::key::TicketId;
use crate::redemption::report::TicketReport;
use crate::redemption::store::location::IfMissing;
use crate::redemption::ticket::Ticket;

/// Look at the ticket of a key
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The key, or - to read it from standard input, out of sight of ps and shell histories
    key: KeyArgument,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

pub(super) async fn run(args: Args) -> Outcome {
    let id = args.key.read()?.id();
    let store = args.store.open(IfMissing::Fail).await?;
    let ticket = look(&*store, id, Instant::now() + PATIENCE).await?;
    show(&id, &ticket, args.json)
}

/// Prints a ticket.
pub(super) fn show(id: &TicketId, ticket: &Ticket, json: JsonOption) -> Outcome {
    let report = TicketReport::new(id, ticket);
    if json.json {
        output::say_json(&report)?;
    } else {
        for line in lines(&report) {
            output::say(&line)?;
        }
    }
    Ok(())
}

/// As lines of `name: value`.
fn lines(ticket: &TicketReport) -> Vec<String> {
    let mut lines = vec![
        format!("ticket:      {}", ticket.id),
        format!("album:       {}", ticket.album),
        format!("batch:       {}", ticket.batch),
        format!("status:      {}", ticket.status.as_str()),
        format!("issued at:   {}", ticket.issued_at),
    ];
    lines.extend(ticket.valid_from.map(|time| format!("valid from:  {time}")));
    lines.extend(ticket.expires_at.map(|time| format!("expires at:  {time}")));
    if let Some(redemption) = &ticket.redemption {
        lines.push(format!("redeemed at: {}", redemption.at));
        lines.push(format!("redemption:  {}", redemption.id));
        lines.push(format!("renewals:    {}", redemption.renewals));
        lines.extend(redemption.renewed_at.map(|time| format!("renewed at:  {time}")));
    }
    if let Some(last) = &ticket.reinstated {
        lines.push(format!(
            "reinstated:  {} times, last at {}, because: {}",
            last.times, last.at, last.because
        ));
    }
    lines
}
