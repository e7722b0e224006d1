//! `tickey revoke` and `tickey reinstate`: a ticket is declared void, or given back.

use std::time::Duration;

use tokio::time::Instant;

use super::key_argument::KeyArgument;
use super::options::{JsonOption, StoreOption};
use super::{Outcome, inspect, output};
use crate::environment::{Clock as _, SystemClock};
use crate::redemption::change::{self, Changed};
use crate::redemption::key::TicketId;
use crate::redemption::report::RevokedBatchReport;
use crate::redemption::store::TicketStore;
use crate::redemption::store::location::IfMissing;
use crate::redemption::ticket::{Because, Name, Ticket};

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
    // One of the two is there: the command line is not taken otherwise.
    let Some(batch) = &args.batch else { return Ok(()) };
    let revoked = change::revoke_batch(&*store, batch, PATIENCE, None).await?;
    if revoked.tickets() == 0 {
        return Err("no ticket is of this batch: `tickey stats` lists the batches".into());
    }
    if args.json.json {
        output::say_json(&RevokedBatchReport::from(revoked))?;
    } else {
        output::say(&format!("{} revoked, {} were so before", revoked.revoked, revoked.unchanged))?;
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
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Changes one ticket, if there is something to change.
pub(super) async fn change(
    store: &dyn TicketStore,
    id: TicketId,
    transition: impl Fn(Ticket) -> Option<Ticket>,
) -> Outcome<Changed> {
    Ok(change::change(store, id, Instant::now() + PATIENCE, transition).await?)
}
