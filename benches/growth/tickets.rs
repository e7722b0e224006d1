//! More tickets: from a thousand to ten million.
//!
//! A store with few tickets is used up sooner than anything can be measured. There a load uses all keys there are, and
//! is repeated on fresh copies until enough seconds are together; the first does not count, as a warm-up.

use std::time::Duration;

use super::super::support::process::Memory;
use super::super::support::report::{Row, Series, milliseconds};
use super::super::support::wire::{CREATED, IN_FLIGHT};
use super::super::support::{Outcome, rounds};
use super::super::{Kind, Options};
use super::findings::{Curve, Findings, Picture, Topic};
use super::ground::{Ground, MOST_PER_SECOND, Shape, Site};

/// How many tickets.
const SIZES: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// How many Elasticsearch gets, at most: it is filled anew for each measurement.
const MOST_IN_ELASTICSEARCH: usize = 1_000_000;
/// Loads on fresh copies that count, at most: filling takes longer than using up.
const MOST_RUNS: usize = 10;

const RATE: &str = "growth-tickets";
const P99: &str = "growth-tickets-p99";
const MEMORY: &str = "growth-tickets-memory";

pub(crate) const TOPIC: Topic = Topic {
    title: "Tickets",
    about,
    pictures: &[
        Picture::new(RATE, "Redemptions, 256 in flight", ["tickets", "redemptions/s"]).log_x(),
        Picture::new(P99, "Slowest hundredth, 256 in flight", ["tickets", "p99, ms"]).log_x().log_y(),
        Picture::new(MEMORY, "Memory of the server after the load", ["tickets", "MiB"]).log_x(),
    ],
    measure,
};

fn about(options: &Options) -> String {
    format!(
        "Stores with more and more tickets, {IN_FLIGHT} requests in flight. For each measurement the store is filled \
         anew and a server \
         is started on it: `ready after` is from exec to the first 200 of `/readyz`, asked every millisecond, with the \
         files in the \
         page cache. With fewer than {few} tickets the keys would not last: there a load redeems all of them and ends \
         with the last answer, \
         and is repeated, each time with all tickets unused, until {seconds} s are together or {MOST_RUNS} times; the \
         first time does not \
         count, the rate is that of all others together, and p50 and p99 are the medians of theirs. (The embedded \
         server is started \
         anew each time, the one on Elasticsearch stays.) With more tickets a load takes {warm_up} s that do not count \
         and {seconds} s that \
         do. On disk: the file with its log, or the index with its own, flushed and after merges.",
        few = too_few(options),
        seconds = options.seconds,
        warm_up = options.warm_up,
    )
}

/// So many tickets might not last for a load.
fn too_few(options: &Options) -> usize {
    MOST_PER_SECOND * usize::try_from(options.warm_up + options.seconds).unwrap_or(usize::MAX)
}

/// Figures of one size from each round.
#[derive(Default)]
struct Figures {
    rate: Series,
    p50: Series,
    p99: Series,
    disk_before: Series,
    disk_after: Series,
    memory: Series,
    peak: Series,
    engine: Series,
    ready: Series,
}

impl Figures {
    fn push(&mut self, measured: &Measured) {
        self.rate.push(measured.rate);
        self.p50.push(measured.p50);
        self.p99.push(measured.p99);
        self.disk_before.push(measured.disk_before);
        self.disk_after.push(measured.disk_after);
        self.memory.push(measured.memory.resident);
        self.peak.push(measured.memory.peak);
        if let Some(engine) = measured.engine {
            self.engine.push(engine.resident);
        }
        self.ready.push(milliseconds(measured.ready_after));
    }

    fn rows(&self, site: &Site<'_>, tickets: usize) -> Vec<Row> {
        let pair = |one: &Series, other: &Series, decimals, unit| {
            format!("{}, {}", one.show(decimals, unit), other.show(decimals, unit))
        };
        let mut rows = vec![
            Row::plain(site.row(&format!("{tickets} tickets")), self.rate.show(0, " /s")),
            Row::plain("— p50, p99", pair(&self.p50, &self.p99, 2, " ms")),
            Row::plain("— on disk before, after", pair(&self.disk_before, &self.disk_after, 1, " MiB")),
            Row::plain("— memory of the server after, peak", pair(&self.memory, &self.peak, 0, " MiB")),
        ];
        if site.is_shared() {
            rows.push(Row::plain("— memory of Elasticsearch", self.engine.show(0, " MiB")));
        }
        rows.push(Row::plain("— ready after", self.ready.show(0, " ms")));
        rows
    }
}

/// One size in one round.
struct Measured {
    rate: f64,
    p50: f64,
    p99: f64,
    disk_before: f64,
    disk_after: f64,
    memory: Memory,
    engine: Option<Memory>,
    ready_after: Duration,
}

fn measure(site: &Site<'_>) -> Outcome<Findings> {
    let options = &site.bench.options;
    let most = match site.kind {
        Kind::Embedded => options.largest,
        Kind::Elasticsearch => options.largest.min(MOST_IN_ELASTICSEARCH),
    };
    let sizes = SIZES.into_iter().filter(|size| *size <= most);
    let mut sizes: Vec<(usize, Figures)> = sizes.map(|size| (size, Figures::default())).collect();
    rounds(&site.row("tickets"), options.rounds, |_| {
        sizes.iter_mut().try_for_each(|(tickets, figures)| {
            figures.push(&measure_one(site, *tickets)?);
            Ok(())
        })
    })?;
    let mut findings = Findings::default();
    for (tickets, figures) in &sizes {
        findings.rows.extend(figures.rows(site, *tickets));
    }
    let mut curve = |picture, of: fn(&Figures) -> &Series| {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let points = sizes.iter().map(|(tickets, figures)| (*tickets as f64, of(figures).median()));
        findings.curves.push(Curve { picture, name: site.kind.name().to_owned(), points: points.collect() });
    };
    curve(RATE, |figures| &figures.rate);
    curve(P99, |figures| &figures.p99);
    curve(MEMORY, |figures| &figures.memory);
    Ok(findings)
}

fn measure_one(site: &Site<'_>, tickets: usize) -> Outcome<Measured> {
    let mut ground = Ground::prepare(site, tickets)?;
    let ready_after = ground.start(1)?;
    let disk_before = ground.disk()?;
    let [rate, p50, p99] = redeem(site, &mut ground, tickets)?;
    let memory = ground.servers.first().ok_or("no server was started")?.memory()?;
    let engine = site.engine_memory()?;
    Ok(Measured { rate, p50, p99, disk_before, disk_after: ground.disk()?, memory, engine, ready_after })
}

/// Gives the rate, p50 and p99.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn redeem(site: &Site<'_>, ground: &mut Ground<'_>, tickets: usize) -> Outcome<[f64; 3]> {
    let options = &site.bench.options;
    if tickets >= too_few(options) {
        let load = ground.load(&Shape::InFlight(IN_FLIGHT))?;
        let answers = load.only(CREATED)?;
        return Ok([load.rate(CREATED), answers.p50, answers.p99]);
    }
    // Warms up; uses up all tickets, so that each of the others begins with a store that is filled anew.
    ground.load(&Shape::UntilUsed(IN_FLIGHT))?;
    let (mut seconds, mut redeemed) = (0.0, 0);
    let [mut p50, mut p99] = [(); 2].map(|()| Series::default());
    for _ in 0..MOST_RUNS {
        let load = ground.load(&Shape::UntilUsed(IN_FLIGHT))?;
        let answers = load.only(CREATED)?;
        seconds += load.seconds;
        redeemed += answers.count;
        p50.push(answers.p50);
        p99.push(answers.p99);
        if seconds >= options.seconds as f64 {
            break;
        }
    }
    Ok([redeemed as f64 / seconds, p50.median(), p99.median()])
}
