//! What the disk, SQLite and Elasticsearch can do when nobody has to be answered.

use std::time::Duration;

use serde::Serialize;

use super::super::Bench;
use super::super::support::elasticsearch::bare::{self, Shape};
use super::super::support::keys::Unused;
use super::super::support::limits::{BATCH, Limits};
use super::super::support::report::Series;
use super::super::support::{Outcome, rounds};
use super::field::Field;

/// How the bare loop has as many tickets under way as there are requests in flight elsewhere; among the best ways that
/// `docs/benchmarks-elasticsearch.md` has tried.
pub(crate) const SHAPE: Shape = Shape { batch: 64, workers: 4 };

/// A limit.
#[derive(Serialize)]
pub(crate) struct Limit {
    /// What is done.
    pub(crate) what: String,
    /// How often a second, in each round.
    pub(crate) rate: Series,
}

/// Measures them.
pub(crate) fn measure(bench: &Bench, field: &Field) -> Outcome<Vec<Limit>> {
    let time = Duration::from_secs(bench.options.seconds);
    let mut limits = Limits::new(&bench.scratch, &bench.dataset)?;
    let [mut syncs, mut single, mut batched, mut bulk] = [(); 4].map(|()| Series::default());
    rounds("limits", bench.options.rounds, |_| {
        syncs.push(limits.syncs(time)?);
        single.push(limits.updates(time, 1)?);
        batched.push(limits.updates(time, BATCH)?);
        if field.index.is_some() {
            bulk.push(redeem_in_bulk(bench, field)?);
        }
        Ok(())
    })?;
    let mut results = vec![
        Limit { what: "fdatasync of a page".to_owned(), rate: syncs },
        Limit { what: "SQLite, 1 update a transaction".to_owned(), rate: single },
        Limit { what: format!("SQLite, {BATCH} updates a transaction"), rate: batched },
    ];
    if field.index.is_some() {
        let what = format!("Elasticsearch, `_mget` and `_bulk` ({})", SHAPE.show());
        results.push(Limit { what, rate: bulk });
    }
    Ok(results)
}

fn redeem_in_bulk(bench: &Bench, field: &Field) -> Outcome<f64> {
    let (tickets, node) = field.index.as_ref().ok_or("there is no index")?;
    tickets.provide(bench, bench.dataset.tickets / 2)?;
    let Unused { first, count } = tickets.supply.unused();
    let run = bare::Run {
        access: &node.user,
        engine_pid: node.pid(),
        keys: &bench.dataset.keys,
        unused: (first, count),
        warm_up: bench.options.warm_up,
        seconds: bench.options.seconds,
    };
    let redeemed = bare::run(&run, Some(SHAPE))?;
    tickets.supply.use_up(redeemed.used_keys);
    Ok(redeemed.rate())
}
