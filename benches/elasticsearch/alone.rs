//! How long one redemption takes when there is no other: what batching costs those who do not need it.

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::report::{Row, Section, Series};
use super::redemptions::{Figures, Servers, load, load_bare, prepare};

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let servers = Servers::start(bench)?;
    prepare(bench, &servers.ours, 1)?;
    prepare(bench, &servers.direct, 1)?;
    load_bare(bench, None)?;
    let [mut ours, mut direct] = [(); 2].map(|()| Figures::default());
    let [mut p50, mut p99, mut rate] = [(); 3].map(|()| Series::default());
    bench.take_turns("alone", 3, |contestant| {
        match contestant {
            0 => ours.push(&load(bench, &servers.ours, 1)?)?,
            1 => direct.push(&load(bench, &servers.direct, 1)?)?,
            _ => {
                let bare = load_bare(bench, None)?;
                p50.push(bare.p50);
                p99.push(bare.p99);
                rate.push(bare.rate());
            }
        }
        Ok(())
    })?;
    let ratio = ours.p50.over(&direct.p50);
    let mut rows = Vec::new();
    rows.extend(ours.rows("redemptions, 1 in flight"));
    rows.extend(direct.rows("a GET and a conditional PUT for each"));
    rows.extend([
        Row::plain("the same two requests without a server", rate.show(0, " /s")),
        Row::plain("— p50, p99", format!("{}, {}", p50.show(2, " ms"), p99.show(2, " ms"))),
        Row::with_bar("p50: ours / a GET and a PUT", ratio.show(3, " ×"), "≤ 1.05 ×", ratio.median() <= 1.05),
    ]);
    Ok(Section {
        title: "One at a time",
        about: format!(
            "One request in flight, out of {} tickets; servers, answers and index as above. The client without a \
             server sends the GET \
             and the conditional PUT one after the other over one connection, and checks both answers.",
            bench.options.tickets
        ),
        rows,
    })
}
