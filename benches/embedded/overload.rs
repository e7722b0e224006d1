//! Three times as many requests as the server can answer, for a while.

use std::fmt::Write as _;

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::embedded::{self, Variant};
use super::super::support::report::{Row, Section};
use super::super::support::wire::{CREATED, IN_FLIGHT};
use super::redemptions::Contestant;

/// So many times the peak are offered.
const TIMES: f64 = 3.0;
/// As many as the server takes at once, but for a few.
const CONNECTIONS: usize = 4000;

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let data = bench.scratch.join("overload.db");
    bench.dataset.copy_store(&data)?;
    let mut ours = Contestant::new(embedded::on_store(Variant::Batched, &data)?, 0);
    let peak = ours.load(bench, IN_FLIGHT, None, bench.options.seconds)?.rate(CREATED);
    let before = ours.server.memory()?;
    let load = ours.load(bench, CONNECTIONS, Some(peak * TIMES), bench.options.overload_seconds)?;
    let after = ours.server.memory()?;
    // The second time round whatever a first overload leaves behind is there already.
    let again = ours.load(bench, CONNECTIONS, Some(peak * TIMES), bench.options.overload_seconds / 2)?;
    let at_the_end = ours.server.memory()?;

    let share = load.rate(CREATED) / peak;
    let mut rows = vec![
        Row::plain("peak, 256 in flight", format!("{peak:.0} /s")),
        Row::plain("offered", format!("{:.0} /s", peak * TIMES)),
    ];
    let mut all_say_when = load.failed == 0;
    for (status, answers) in &load.answers {
        let rate = load.rate(*status);
        let mut figure = format!("{rate:.0} /s, p50 {:.0} ms, p99 {:.0} ms", answers.p50, answers.p99);
        if *status != CREATED {
            all_say_when &= matches!(status, 429 | 503) && answers.with_retry_after == answers.count;
            let with = answers.with_retry_after;
            write!(figure, ", {with} of {} with Retry-After", answers.count)?;
        }
        rows.push(Row::plain(format!("answered {status}"), figure));
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let held_back = load.held_back as f64 / load.seconds;
    rows.extend([
        Row::plain("held back, since all connections waited for an answer", format!("{held_back:.0} /s")),
        Row::plain("without any answer", load.failed.to_string()),
        Row::plain(
            "— processors of server, generator",
            format!("{:.2}, {:.2}", load.server_cores(), load.generator_cores()),
        ),
        Row::plain(
            "memory before, after, after a second overload, peak",
            format!(
                "{:.0}, {:.0}, {:.0}, {:.0} MiB",
                before.resident, after.resident, at_the_end.resident, at_the_end.peak
            ),
        ),
        Row::with_bar("goodput / peak", format!("{:.1} %", share * 100.0), "≥ 90 %", share >= 0.9),
        Row::with_bar(
            "refusals are 429 or 503 and say when to try again",
            match (all_say_when, load.answers.len()) {
                (true, 1) => "there were none",
                (true, _) => "all",
                (false, _) => "not all",
            },
            "all",
            all_say_when,
        ),
        Row::plain("goodput / peak, second overload", format!("{:.1} %", again.rate(CREATED) / peak * 100.0)),
    ]);
    Ok(Section {
        title: "Overload",
        about: format!(
            "{TIMES} times the peak for {} s, at a fixed rate whatever the answers do, over {CONNECTIONS} connections (the server takes 4096). \
             A refused key is tried again later. The generator shares the processors with the server.",
            bench.options.overload_seconds
        ),
        rows,
    })
}
