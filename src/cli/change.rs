//! `tickey revoke` and `tickey reinstate`: a ticket is declared void, or given back.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::key_argument::KeyArgument;
use super::options::{JsonOption, StoreOption};
use super::{Outcome, inspect, output};
use crate::environment::{Clock as _, SystemClock};
use crate::redemption::change::{self, Changed};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Because, Name, Ticket};
use crate::store::TicketStore;
use crate::store::location::IfMissing;

/// Tickets of a batch that are looked at together.
const PAGE_TICKETS: usize = 1000;

/// Declare a ticket, or all of a batch, void; the receipt of a redeemed one ends, too
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["key", "batch"]))]
pub(super) struct RevokeArgs {
    /// The key, or - to read it from standard input, out of sight of ps and shell histories
    key: Option<KeyArgument>,
    /// Every ticket of this batch
    #[arg(long, env = "TICKEY_REVOKE_BATCH")]
    batch: Option<Name>,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

/// Make a redeemed or revoked ticket usable again; its old receipt stays void
#[derive(Debug, clap::Args)]
pub(super) struct ReinstateArgs {
    /// The key, or - to read it from standard input, out of sight of ps and shell histories
    key: KeyArgument,
    /// Why, for the record in the ticket
    #[arg(long, env = "TICKEY_BECAUSE", value_name = "TEXT")]
    because: Because,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

#[derive(Serialize)]
struct BatchReport {
    revoked: u64,
    /// Were so before.
    unchanged: u64,
}

pub(super) async fn revoke(args: RevokeArgs) -> Outcome {
    if let Some(key) = &args.key {
        let id = key.read()?.id();
        let store = args.store.open(IfMissing::Fail).await?;
        let Changed { ticket, changed } = change(&*store, id, Ticket::revoke).await?;
        if !changed {
            output::complain("the ticket was revoked before");
        }
        return inspect::show(&id, &ticket, args.json);
    }
    let store = args.store.open(IfMissing::Fail).await?;
    let mut report = BatchReport { revoked: 0, unchanged: 0 };
    let mut from = None;
    loop {
        let page = store.page(args.batch.clone(), from, PAGE_TICKETS).await?;
        from = page.next;
        // All at once, so that they share the store's requests.
        let changes: Vec<_> = page
            .tickets
            .into_iter()
            .map(|(id, _)| {
                let store = std::sync::Arc::clone(&store);
                tokio::spawn(
                    async move { change(&*store, id, Ticket::revoke).await.map(|done| done.changed) },
                )
            })
            .collect();
        for changed in changes {
            if changed.await?? {
                report.revoked += 1;
            } else {
                report.unchanged += 1;
            }
        }
        if from.is_none() {
            break;
        }
    }
    if report.revoked + report.unchanged == 0 {
        return Err("no ticket is of this batch: `tickey stats` lists the batches".into());
    }
    if args.json.json {
        output::say_json(&report)?;
    } else {
        output::say(&format!("{} revoked, {} were so before", report.revoked, report.unchanged))?;
    }
    Ok(())
}

pub(super) async fn reinstate(args: ReinstateArgs) -> Outcome {
    let id = args.key.read()?.id();
    let store = args.store.open(IfMissing::Fail).await?;
    let now = SystemClock.now();
    let Changed { ticket, changed } =
        change(&*store, id, |ticket| ticket.reinstate(args.because.clone(), now)).await?;
    if !changed {
        output::complain("the ticket can be redeemed as it is: nothing was changed");
    }
    inspect::show(&id, &ticket, args.json)
}

/// How long a ticket may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Changes one ticket, if there is something to change.
pub(super) async fn change(
    store: &dyn TicketStore,
    id: TicketId,
    transition: impl Fn(Ticket) -> Option<Ticket>,
) -> Outcome<Changed> {
    Ok(change::change(store, id, Instant::now() + PATIENCE, transition).await?)
}
