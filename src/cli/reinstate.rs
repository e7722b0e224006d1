//! `tickey reinstate`: reinstates a ticket, or undoes the revocation of a batch.

use std::num::NonZeroU32;

use jiff::Timestamp;

use super::change::{change, change_batch, obstacle};
use super::key_argument::KeyArgument;
use super::options::{JsonOption, StoreOption};
use super::outcome::Outcome;
use super::output::count;
use super::{inspect, output};
use crate::environment::{Clock as _, SystemClock};
use crate::redemption::change::Changed;
use crate::redemption::mint::parse_time;
use crate::redemption::report::ReinstatedBatchReport;
use crate::redemption::store::location::IfMissing;
use crate::redemption::ticket::{Because, Name, State, Ticket};

/// Make a redeemed or revoked ticket usable again, or undo the revocation of a batch
///
/// A single ticket can be redeemed again afterwards; its old receipt stays void. Of a batch, only revoked tickets are
/// changed: each gets the state that it had before it was revoked. One that was redeemed is redeemed again, its receipt
/// is valid, and it cannot be redeemed a second time. `tickey revoke --batch` prints the time of its revocation: with
/// --revoked-since, tickets that were revoked earlier stay revoked.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true).args(["key", "batch"]),
    after_long_help = "\
Examples:
  tickey reinstate - --because 'card was scratched'
  tickey reinstate - --because 'card was scratched' --times 1      safe to repeat
  tickey reinstate --batch tour-2026 --because 'revoked by mistake'
  tickey reinstate --batch tour-2026 --because 'revoked by mistake' --revoked-since 2026-11-28T09:30:00Z"
)]
pub(super) struct Args {
    /// The key or the ticket's id, or - to read it from standard input, out of sight of ps and shell histories
    key: Option<KeyArgument>,
    /// Every revoked ticket of this batch
    #[arg(long, env = "TICKEY_REINSTATE_BATCH")]
    batch: Option<Name>,
    /// Only tickets that were revoked at this time (RFC 3339) or date (UTC) or later: those revoked
    /// earlier stay revoked
    #[arg(long, env = "TICKEY_REVOKED_SINCE", value_name = "TIME", value_parser = parse_time, conflicts_with = "key")]
    revoked_since: Option<Timestamp>,
    /// Why, for the record in the ticket
    #[arg(long, env = "TICKEY_BECAUSE", value_name = "TEXT")]
    because: Because,
    /// Do nothing if the ticket was already reinstated this often: the same command can then be repeated after an
    /// unknown outcome. `tickey inspect` shows the number
    #[arg(long, env = "TICKEY_TIMES", value_name = "N", conflicts_with = "batch")]
    times: Option<NonZeroU32>,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

pub(super) async fn run(args: Args) -> Outcome {
    match (&args.key, &args.batch) {
        (Some(key), _) => reinstate_one(key, &args).await,
        (None, Some(batch)) => restore_batch(batch, &args).await,
        // clap refuses such a command line.
        (None, None) => Ok(()),
    }
}

async fn reinstate_one(key: &KeyArgument, args: &Args) -> Outcome {
    let id = key.ticket_id()?;
    let store = args.store.open(IfMissing::Fail).await?;
    let now = SystemClock.now();
    let is_enough = |ticket: &Ticket| args.times.is_some_and(|times| ticket.reinstatements() >= times.get());
    let reinstate =
        |ticket: Ticket| if is_enough(&ticket) { None } else { ticket.reinstate(args.because.clone(), now) };
    let Changed { ticket, changed } = change(&*store, id, reinstate).await?;
    inspect::show(&id, &ticket, args.json)?;
    let obstacle = obstacle(&ticket, now);
    if !changed {
        // A repetition, after a lost answer, already has the wanted state.
        if let Some(obstacle) = obstacle.filter(|_| !is_enough(&ticket)) {
            return Err(format!("{obstacle}. Nothing was changed").into());
        }
        if ticket.state == State::Issued {
            output::complain("the ticket can be redeemed as it is: nothing was changed");
        } else {
            let times = count(u64::from(ticket.reinstatements()), "time");
            output::complain(&format!("the ticket was given back {times} before: nothing was changed"));
        }
    } else if let Some(obstacle) = obstacle {
        output::complain(&format!("given back, but {obstacle}"));
    }
    Ok(())
}

async fn restore_batch(batch: &Name, args: &Args) -> Outcome {
    let store = args.store.open(IfMissing::Fail).await?;
    let (since, because, now) = (args.revoked_since, args.because.clone(), SystemClock.now());
    let restore = move |ticket: Ticket| ticket.restore(since, because.clone(), now);
    let done = change_batch(&*store, batch, "tickets given back", &restore).await?;
    let report = ReinstatedBatchReport::from(done);
    if args.json.json {
        output::say_json(&report)?;
    } else {
        let ReinstatedBatchReport { reinstated, redeemed, unchanged } = report;
        output::say(&format!(
            "{} given back ({redeemed} of them redeemed again, with their receipts), {unchanged} {}",
            count(reinstated, "ticket"),
            if args.revoked_since.is_some() { "not revoked since then" } else { "were not revoked" }
        ))?;
    }
    Ok(())
}
