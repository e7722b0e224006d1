//! Common parts of `tickey revoke`, `reinstate` and `extend`: changing one ticket, or all of a batch.

use std::io::IsTerminal as _;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::outcome::Outcome;
use super::output;
use crate::redemption::change::{self, Changed, ChangedBatch, Transition};
use crate::redemption::count;
use crate::redemption::key::TicketId;
use crate::redemption::report::StatsReport;
use crate::redemption::store::TicketStore;
use crate::redemption::ticket::{Name, State, Ticket};

/// The timeout for each ticket.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Changes one ticket, if it needs the change.
pub(super) async fn change(
    store: &dyn TicketStore,
    id: TicketId,
    transition: impl Fn(Ticket) -> Option<Ticket>,
) -> Outcome<Changed> {
    Ok(change::change(store, id, Instant::now() + PATIENCE, transition).await?)
}

/// Changes every ticket of a batch, and shows the progress. `what` is the word for the change in the progress bar.
pub(super) async fn change_batch(
    store: &dyn TicketStore,
    batch: &Name,
    what: &str,
    transition: &Transition<'_>,
) -> Outcome<ChangedBatch> {
    // Counting a large batch takes a while, and is only needed for a progress bar on a terminal.
    let total = if std::io::stderr().is_terminal() { Some(tickets_of(store, batch).await?) } else { None };
    let bar = output::progress(total, what);
    let progress = |done: ChangedBatch| bar.set_position(done.tickets());
    let done = change::change_batch(store, batch, transition, PATIENCE, None, &progress).await;
    bar.finish_and_clear();
    match done? {
        done if done.tickets() == 0 => Err(no_such_batch(batch).into()),
        done => Ok(done),
    }
}

async fn tickets_of(store: &dyn TicketStore, batch: &Name) -> Outcome<u64> {
    let counts = output::waiting("counting tickets", count::all(store, Some(batch.clone()))).await?;
    Ok(StatsReport::new(&counts).totals.tickets)
}

/// The message about a batch without tickets.
pub(super) fn no_such_batch(batch: &Name) -> String {
    format!("there is no batch `{batch}`: `tickey stats` lists the batches")
}

/// Why an unused ticket cannot be redeemed now, and what to do. `None` when it can be, or is not unused.
pub(super) fn obstacle(ticket: &Ticket, now: Timestamp) -> Option<String> {
    if ticket.state != State::Issued {
        return None;
    }
    if let Some(end) = ticket.expires_at.filter(|end| now >= *end) {
        return Some(format!(
            "the ticket expired at {end} and cannot be redeemed: prolong it with `tickey extend KEY --expires TIME`"
        ));
    }
    let from = ticket.valid_from.filter(|from| now < *from)?;
    Some(format!("the ticket cannot be redeemed before {from}"))
}
