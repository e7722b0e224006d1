//! What the disk and SQLite can do by themselves, to stand beside what the server does.

use std::time::Duration;

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::limits::{BATCH, Limits, PAGE_BYTES};
use super::super::support::report::{Row, Section, Series};

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let time = Duration::from_secs(bench.options.seconds);
    let mut limits = Limits::new(&bench.scratch, &bench.dataset)?;
    let [mut syncs, mut single, mut batched] = [(); 3].map(|()| Series::default());
    bench.rounds("limits", || {
        syncs.push(limits.syncs(time)?);
        single.push(limits.updates(time, 1)?);
        batched.push(limits.updates(time, BATCH)?);
        Ok(())
    })?;
    Ok(Section {
        title: "Limits",
        about: format!(
            "What there is to reach on this disk: a page of {PAGE_BYTES} bytes written over and synced; and SQLite by \
             itself, which updates tickets (of {}, in random order) that it has not read, in transactions of 1 and of \
             {BATCH}, with the settings of the store.",
            bench.dataset.tickets
        ),
        rows: vec![
            Row::plain("fdatasync", syncs.show(0, " /s")),
            Row::plain("updates, 1 a transaction", single.show(0, " /s")),
            Row::plain(format!("updates, {BATCH} a transaction"), batched.show(0, " /s")),
        ],
    })
}
