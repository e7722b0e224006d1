//! `tickey stats`: counts tickets by state.

use super::change::no_such_batch;
use super::options::{BatchOption, JsonOption, StoreOption};
use super::outcome::Outcome;
use super::output;
use crate::redemption::count;
use crate::redemption::report::{StatsReport, Totals};
use crate::redemption::store::location::IfMissing;

/// Count tickets by album and batch
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  tickey stats
  tickey stats --batch tour-2026 --json")]
pub(super) struct Args {
    #[command(flatten)]
    only: BatchOption,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

pub(super) async fn run(args: Args) -> Outcome {
    let store = args.store.open(IfMissing::Fail).await?;
    let counting = count::all(&*store, args.only.batch.clone());
    let report = StatsReport::new(&output::waiting("counting tickets", counting).await?);
    if let Some(batch) = args.only.batch.filter(|_| report.totals.tickets == 0) {
        return Err(no_such_batch(&batch).into());
    }
    if args.json.json {
        return Ok(output::say_json(&report)?);
    }
    let heading = ["album", "batch", "tickets", "issued", "redeemed", "revoked"].map(str::to_owned);
    let row = |album: &str, batch: &str, totals: &Totals| {
        let [tickets, issued, redeemed, revoked] = cells(totals);
        [album.to_owned(), batch.to_owned(), tickets, issued, redeemed, revoked]
    };
    let mut rows = vec![heading];
    rows.extend(report.batches.iter().map(|batch| row(&batch.album, &batch.batch, &batch.totals)));
    rows.push(row("all", "", &report.totals));
    for line in table(&rows) {
        output::say(&line)?;
    }
    Ok(())
}

fn cells(totals: &Totals) -> [String; 4] {
    [totals.tickets, totals.issued, totals.redeemed, totals.revoked].map(|number| number.to_string())
}

/// Columns of equal width: texts to the left, numbers to the right.
fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(widest);
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            if column < 2 {
                format!("{cell:<0$}", widths[column])
            } else {
                format!("{cell:>0$}", widths[column])
            }
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect()
}
