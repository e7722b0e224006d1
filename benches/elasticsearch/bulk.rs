//! Many new tickets: `tickey mint` and `tickey load` beside a bare loop of `_bulk`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::Bench;
use super::super::support::elasticsearch::bare::{self, Shape};
use super::super::support::keys::{ALBUM, BATCH};
use super::super::support::process::{ToolFigures, cpu_seconds, run};
use super::super::support::report::{Row, Section, Series};
use super::super::support::{Outcome, rounds};

/// What the bare loop is tried with.
const SHAPES: [Shape; 6] = [
    Shape { batch: 2500, workers: 1 },
    Shape { batch: 2500, workers: 2 },
    Shape { batch: 2500, workers: 4 },
    Shape { batch: 2500, workers: 8 },
    Shape { batch: 1000, workers: 4 },
    Shape { batch: 5000, workers: 2 },
];

/// Figures of one way from each round.
#[derive(Default)]
struct Figures {
    tool: ToolFigures,
    engine_cores: Series,
}

/// Does something that gives its seconds, and gives as well how many processors Elasticsearch kept busy meanwhile.
fn with_engine_cores(bench: &Bench, work: impl FnOnce() -> Outcome<f64>) -> Outcome<(f64, f64)> {
    let before = cpu_seconds(bench.node.pid())?;
    let seconds = work()?;
    Ok((seconds, (cpu_seconds(bench.node.pid())? - before) / seconds))
}

/// The bare loop, into an index that was just made. Gives its seconds, and the processors that Elasticsearch kept busy.
fn load_bare(bench: &Bench, shape: Shape) -> Outcome<(f64, f64)> {
    bench.node.wait(bench.node.admin.make_index(&bench.node.user))?;
    let loaded = with_engine_cores(bench, || {
        bare::run_load(&bench.node.user, shape, &bench.keys, bench.options.tickets)
    })?;
    check_and_delete(bench)?;
    Ok(loaded)
}

/// A tool, which makes the index.
fn load_with(bench: &Bench, figures: &mut Figures, tool: &mut Command) -> Outcome {
    bench.node.wait(bench.node.admin.delete_index())?;
    let (_, cores) = with_engine_cores(bench, || {
        let usage = run(tool.stdin(Stdio::null()).stdout(Stdio::null()))?;
        figures.tool.push(&usage);
        Ok(usage.seconds)
    })?;
    figures.engine_cores.push(cores);
    check_and_delete(bench)
}

fn check_and_delete(bench: &Bench) -> Outcome {
    let admin = &bench.node.admin;
    bench.node.wait(async {
        admin.expect_count(bench.options.tickets).await?;
        admin.settle().await?;
        admin.delete_index().await
    })
}

/// The shape in which the bare loop is fastest, and what was tried, in words.
fn find_best(bench: &Bench) -> Outcome<(Shape, String)> {
    // Lets Elasticsearch compile what it will need.
    load_bare(bench, SHAPES[0])?;
    let mut best = (SHAPES[0], f64::INFINITY);
    let mut tried = Vec::new();
    for shape in SHAPES {
        let (seconds, _) = load_bare(bench, shape)?;
        tried.push(format!("{}: {seconds:.1} s", shape.show()));
        if seconds < best.1 {
            best = (shape, seconds);
        }
    }
    Ok((best.0, tried.join("; ")))
}

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let (shape, tried) = find_best(bench)?;
    let user = &bench.node.user;
    let count = bench.options.tickets.to_string();
    let csv = bench.scratch.join("minted.csv");
    let to_load = bench.scratch.join("load.csv");
    let minting = ["mint", "--album", ALBUM, "--batch", BATCH, "--count", &count];
    make_csv(bench, &to_load)?;
    let [mut mint, mut load] = [(); 2].map(|()| Figures::default());
    let [mut bare, mut bare_cores] = [(); 2].map(|()| Series::default());
    rounds("bulk", bench.options.rounds, |round| {
        (0..3).try_for_each(|place| match (round + place) % 3 {
            0 => {
                // Of the round before.
                if csv.exists() {
                    fs::remove_file(&csv)?;
                }
                load_with(bench, &mut mint, user.tickey(&minting).arg("--output").arg(&csv))
            }
            1 => load_with(bench, &mut load, user.tickey(&["load"]).arg(&to_load)),
            _ => {
                let (seconds, cores) = load_bare(bench, shape)?;
                bare.push(seconds);
                bare_cores.push(cores);
                Ok(())
            }
        })
    })?;
    let (loading, minting) = (bare.over(&load.tool.seconds), bare.over(&mint.tool.seconds));
    Ok(Section {
        title: "Mint and load",
        about: format!(
            "{count} tickets into a new index, with the real program, from exec to exit: `mint` makes the keys, writes \
             and syncs the \
             CSV, makes the index, and loads the tickets; `load` reads the CSV, checks each key and digests it, makes \
             the index, and loads the tickets. \
             The bare loop has the bodies of all its requests in memory when its clock starts, and the index is there; \
             it sends them, so many at a time, and checks the \
             status of each item; its clock stops with the last answer. It was tried once with {tried} (requests under \
             way × tickets in each), and the best took part in the rounds: \
             {}. After each, the index is refreshed, its tickets are counted, merges are waited for, and it is \
             deleted.",
            shape.show()
        ),
        rows: vec![
            Row::plain("tickey mint", mint.tool.seconds.show(2, " s")),
            Row::plain("tickey load", load.tool.seconds.show(2, " s")),
            Row::plain(format!("bare loop ({})", shape.show()), bare.show(2, " s")),
            Row::plain(
                "— processors of Elasticsearch, of each",
                format!(
                    "{:.2}, {:.2}, {:.2}",
                    mint.engine_cores.median(),
                    load.engine_cores.median(),
                    bare_cores.median()
                ),
            ),
            Row::with_bar("load / bare (rate)", loading.show_percent(), "≥ 80 %", loading.median() >= 0.8),
            Row::with_bar("mint / bare (rate)", minting.show_percent(), "≥ 80 %", minting.median() >= 0.8),
            mint.tool.memory_row("memory of mint, peak"),
            load.tool.memory_row("memory of load, peak"),
        ],
    })
}

/// A CSV with the prepared keys.
fn make_csv(bench: &Bench, path: &Path) -> Outcome {
    let keys = fs::read_to_string(&bench.keys)?;
    let mut csv = String::with_capacity(keys.len() * 2);
    csv.push_str("key,album,batch,valid_from,expires_at\n");
    for key in keys.lines() {
        for part in [key, ",", ALBUM, ",", BATCH, ",,\n"] {
            csv.push_str(part);
        }
    }
    Ok(fs::write(path, csv)?)
}
