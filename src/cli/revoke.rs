//! `tickey revoke`: revokes a ticket, or all of a batch. On a terminal it asks before a batch is revoked.

use std::io::{self, BufRead, IsTerminal as _, Write as _};

use clap::builder::FalseyValueParser;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::change::{change, change_batch, no_such_batch};
use super::key_argument::KeyArgument;
use super::options::{JsonOption, StoreOption};
use super::outcome::{Outcome, WrongUsage};
use super::output::count;
use super::{change, inspect, output};
use crate::environment::{Clock as _, SystemClock};
use crate::redemption::change::{Changed, look};
use crate::redemption::count::all;
use crate::redemption::report::{RevokedBatchReport, StatsReport, Totals};
use crate::redemption::store::TicketStore;
use crate::redemption::store::location::IfMissing;
use crate::redemption::ticket::{Because, Name, Ticket};

/// Revoke a ticket, or all of a batch; the receipt of a redeemed one becomes void, too
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true).args(["key", "batch"]),
    after_long_help = "\
Examples:
  tickey revoke -                        reads the key from standard input
  tickey revoke --batch tour-2026 --dry-run
  tickey revoke --batch tour-2026 --because 'the box was stolen'

A batch that was revoked by mistake is given back by `tickey reinstate --batch`, each ticket in the state that it had;
with --revoked-since, and the time that this command tells, without what had been revoked before."
)]
pub(super) struct Args {
    /// The key or the ticket's id, or - to read it from standard input, out of sight of ps and shell histories
    key: Option<KeyArgument>,
    /// Every ticket of this batch
    #[arg(long, env = "TICKEY_REVOKE_BATCH")]
    batch: Option<Name>,
    /// Why, for the record in the ticket
    #[arg(long, env = "TICKEY_BECAUSE", value_name = "TEXT")]
    because: Option<Because>,
    /// Show what would be revoked, and change nothing
    #[arg(long, env = "TICKEY_DRY_RUN", value_parser = FalseyValueParser::new())]
    dry_run: bool,
    /// Do not ask before a batch of more than one ticket is revoked
    #[arg(long, env = "TICKEY_YES", value_parser = FalseyValueParser::new())]
    yes: bool,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

/// The expected result of revoking a batch.
#[derive(Serialize)]
struct Preview {
    dry_run: bool,
    /// Tickets that would be revoked.
    revoked: u64,
    /// How many of those are redeemed: their receipts become void.
    redeemed: u64,
    /// Tickets that are already revoked.
    unchanged: u64,
}

pub(super) async fn run(args: Args) -> Outcome {
    match (&args.key, &args.batch) {
        (Some(key), _) => revoke_one(key, &args).await,
        (None, Some(batch)) => revoke_batch(batch, &args).await,
        // clap refuses such a command line.
        (None, None) => Ok(()),
    }
}

async fn revoke_one(key: &KeyArgument, args: &Args) -> Outcome {
    let id = key.ticket_id()?;
    let store = args.store.open(IfMissing::Fail).await?;
    if args.dry_run {
        let ticket = look(&*store, id, Instant::now() + change::PATIENCE).await?;
        let would = ticket.clone().revoke(None, SystemClock.now()).is_some();
        output::complain(if would {
            "this ticket would be revoked"
        } else {
            "this ticket is revoked already"
        });
        return inspect::show(&id, &ticket, args.json);
    }
    let Changed { ticket, changed } = change(&*store, id, transition(args, SystemClock.now())).await?;
    if !changed {
        output::complain("the ticket was revoked before: nothing was changed");
    }
    inspect::show(&id, &ticket, args.json)
}

async fn revoke_batch(batch: &Name, args: &Args) -> Outcome {
    let store = args.store.open(IfMissing::Fail).await?;
    let asks = !args.yes && !args.dry_run && io::stdin().is_terminal();
    if asks && !io::stderr().is_terminal() {
        return Err(WrongUsage(
            "a batch is asked about before it is revoked, and standard error, where the question would be, is no \
             terminal: give --yes, or look first with --dry-run"
                .to_owned(),
        )
        .into());
    }
    if args.dry_run || asks {
        let preview = Preview::of(&*store, batch).await?;
        if args.dry_run {
            return preview.show(batch, args.json);
        }
        if preview.tickets() > 1 && !preview.agreed(batch, io::stdin().lock())? {
            return Err("nothing was revoked".into());
        }
    }
    let now = SystemClock.now();
    let done = change_batch(&*store, batch, "tickets revoked", &transition(args, now)).await?;
    let report = RevokedBatchReport::from(done);
    if args.json.json {
        output::say_json(&report)?;
    } else {
        let revoked = count(report.revoked, "ticket");
        output::say(&format!("{revoked} revoked, {} revoked before", report.unchanged))?;
    }
    if report.revoked > 0 {
        output::complain(&format!(
            "to undo exactly this: tickey reinstate --batch '{batch}' --revoked-since {now} --because TEXT"
        ));
    }
    Ok(())
}

fn transition(args: &Args, now: Timestamp) -> impl Fn(Ticket) -> Option<Ticket> + Send + Sync {
    let because = args.because.clone();
    move |ticket| ticket.revoke(because.clone(), now)
}

impl Preview {
    async fn of(store: &dyn TicketStore, batch: &Name) -> Outcome<Self> {
        let counts = output::waiting("counting tickets", all(store, Some(batch.clone()))).await?;
        let Totals { tickets, issued, redeemed, revoked } = StatsReport::new(&counts).totals;
        if tickets == 0 {
            return Err(no_such_batch(batch).into());
        }
        Ok(Self { dry_run: true, revoked: issued + redeemed, redeemed, unchanged: revoked })
    }

    fn tickets(&self) -> u64 {
        self.revoked + self.unchanged
    }

    fn words(&self, batch: &Name) -> String {
        let Self { revoked, redeemed, unchanged, .. } = self;
        format!(
            "batch `{batch}` has {}: {revoked} would be revoked ({redeemed} of them redeemed: their receipts would \
             end), {unchanged} revoked before",
            count(self.tickets(), "ticket")
        )
    }

    fn show(&self, batch: &Name, json: JsonOption) -> Outcome {
        if json.json {
            output::say_json(self)?;
        } else {
            output::say(&self.words(batch))?;
        }
        Ok(())
    }

    /// Asks, and reads the answer.
    fn agreed(&self, batch: &Name, answer: impl BufRead) -> Outcome<bool> {
        let mut stderr = io::stderr().lock();
        write!(stderr, "{}\nRevoke them? [y/N] ", output::plain(&self.words(batch)))?;
        stderr.flush()?;
        let mut line = String::new();
        answer.take(MAX_ANSWER_BYTES).read_line(&mut line)?;
        Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 64;
