//! `tickey stats`: how many tickets there are, and what became of them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::options::{BatchOption, JsonOption, StoreOption};
use super::{Outcome, output};
use crate::redemption::ticket::{Name, Status};
use crate::store::Count;
use crate::store::location::IfMissing;

/// Count tickets by album and batch
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    only: BatchOption,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    json: JsonOption,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Totals {
    tickets: u64,
    issued: u64,
    redeemed: u64,
    revoked: u64,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    totals: Totals,
    batches: Vec<Batch>,
}

#[derive(Serialize)]
struct Batch {
    album: String,
    #[serde(rename = "batch")]
    name: String,
    #[serde(flatten)]
    totals: Totals,
}

impl Totals {
    fn add(&mut self, count: &Count) {
        self.tickets += count.tickets;
        *match count.status {
            Status::Issued => &mut self.issued,
            Status::Redeemed => &mut self.redeemed,
            Status::Revoked => &mut self.revoked,
        } += count.tickets;
    }

    fn cells(&self) -> [String; 4] {
        [self.tickets, self.issued, self.redeemed, self.revoked].map(|number| number.to_string())
    }
}

pub(super) async fn run(args: Args) -> Outcome {
    let store = args.store.open(IfMissing::Fail).await?;
    let report = report(&store.stats(args.only.batch).await?);
    if args.json.json {
        return Ok(output::say_json(&report)?);
    }
    let heading = ["album", "batch", "tickets", "issued", "redeemed", "revoked"].map(str::to_owned);
    let row = |album: &str, batch: &str, totals: &Totals| {
        let [tickets, issued, redeemed, revoked] = totals.cells();
        [album.to_owned(), batch.to_owned(), tickets, issued, redeemed, revoked]
    };
    let mut rows = vec![heading];
    rows.extend(report.batches.iter().map(|batch| row(&batch.album, &batch.name, &batch.totals)));
    rows.push(row("all", "", &report.totals));
    for line in table(&rows) {
        output::say(&line)?;
    }
    Ok(())
}

fn report(counts: &[Count]) -> Report {
    let mut totals = Totals::default();
    let mut batches: BTreeMap<(&Name, &Name), Totals> = BTreeMap::new();
    for count in counts {
        totals.add(count);
        batches.entry((&count.album, &count.batch)).or_default().add(count);
    }
    let batch = |((album, batch), totals): ((&Name, &Name), Totals)| Batch {
        album: album.to_string(),
        name: batch.to_string(),
        totals,
    };
    Report { totals, batches: batches.into_iter().map(batch).collect() }
}

/// Columns of equal width: texts to the left, numbers to the right.
fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            if column < 2 {
                format!("{cell:<0$}", width(column))
            } else {
                format!("{cell:>0$}", width(column))
            }
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect()
}
