//! `tickey extend`: extends a ticket, or all unused tickets of a batch.

use jiff::Timestamp;

use super::change::{change, change_batch};
use super::key_argument::KeyArgument;
use super::options::{JsonOption, StoreOption};
use super::outcome::{Outcome, WrongUsage};
use super::output::count;
use super::{inspect, output};
use crate::environment::{Clock as _, SystemClock};
use crate::redemption::change::{Changed, extend_unused};
use crate::redemption::mint::parse_time;
use crate::redemption::report::ExtendedBatchReport;
use crate::redemption::store::location::IfMissing;
use crate::redemption::ticket::{Because, Name, NewExpiry, State, Ticket};

/// Extend a ticket, or the unused ones of a batch: they can be redeemed until a later time
///
/// No end becomes earlier: a ticket that ends later than the given time, or never, stays unchanged. The redeemed and
/// revoked tickets of a batch stay unchanged, too.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true).args(["key", "batch"]),
    after_long_help = "\
Examples:
  tickey extend - --expires 2027-07-01                   reads the key from standard input
  tickey extend --batch tour-2026 --expires 2027-07-01T00:00:00+02:00 --because 'the parcels are late'

A date stands for its first moment in UTC: with 2027-07-01, the last day on which keys can be redeemed is June 30."
)]
pub(super) struct Args {
    /// The key or the ticket's id, or - to read it from standard input, out of sight of ps and shell histories
    key: Option<KeyArgument>,
    /// Every unused ticket of this batch
    #[arg(long, env = "TICKEY_EXTEND_BATCH")]
    batch: Option<Name>,
    /// The time from which they can no longer be redeemed: in the future, RFC 3339 or a date (UTC)
    #[arg(long, env = "TICKEY_EXPIRES", value_name = "TIME", value_parser = parse_time)]
    expires: Timestamp,
    /// Why, for the record in the ticket
    #[arg(long, env = "TICKEY_BECAUSE", value_name = "TEXT")]
    because: Option<Because>,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

pub(super) async fn run(args: Args) -> Outcome {
    let now = SystemClock.now();
    let expires_at =
        NewExpiry::new(args.expires, now).map_err(|past| WrongUsage(format!("--expires: {past}")))?;
    match (&args.key, &args.batch) {
        (Some(key), _) => extend_one(key, expires_at, now, &args).await,
        (None, Some(batch)) => extend_batch(batch, expires_at, now, &args).await,
        // clap refuses such a command line.
        (None, None) => Ok(()),
    }
}

async fn extend_one(key: &KeyArgument, expires_at: NewExpiry, now: Timestamp, args: &Args) -> Outcome {
    let id = key.ticket_id()?;
    let store = args.store.open(IfMissing::Fail).await?;
    let extend = |ticket: Ticket| ticket.extend(expires_at, args.because.clone(), now);
    let Changed { ticket, changed } = change(&*store, id, extend).await?;
    inspect::show(&id, &ticket, args.json)?;
    match (changed, ticket.expires_at) {
        (true, _) => {}
        (false, Some(end)) => output::complain(&format!("the ticket ends at {end}: nothing was changed")),
        (false, None) => output::complain("the ticket never expires: nothing was changed"),
    }
    match ticket.state {
        State::Issued => {}
        State::Redeemed(_) => {
            output::complain("the ticket is redeemed: it only ends later if it is given back");
        }
        State::Revoked(_) => {
            output::complain("the ticket is revoked: `tickey reinstate` makes it usable again");
        }
    }
    Ok(())
}

async fn extend_batch(batch: &Name, expires_at: NewExpiry, now: Timestamp, args: &Args) -> Outcome {
    let store = args.store.open(IfMissing::Fail).await?;
    let extend = |ticket: Ticket| extend_unused(ticket, expires_at, args.because.clone(), now);
    let done = change_batch(&*store, batch, "tickets looked at", &extend).await?;
    let report = ExtendedBatchReport::new(expires_at, done);
    if args.json.json {
        output::say_json(&report)?;
    } else {
        let ExtendedBatchReport { expires_at, extended, unchanged, redeemed, revoked } = report;
        output::say(&format!(
            "{} extended to {expires_at}; left as they were: {unchanged} that end no earlier, {redeemed} redeemed, \
             {revoked} revoked",
            count(extended, "ticket")
        ))?;
    }
    Ok(())
}
