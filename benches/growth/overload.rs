//! More requests than the server can answer, for a while, and how it gets over that.
//!
//! One load in three parts: half the peak, three times the peak, and half the peak again. What is due is due, whatever
//! the answers do; it is looked at second by second.

use super::super::support::Outcome;
use super::super::support::generator::load::{Answers, Second};
use super::super::support::generator::order::Step;
use super::super::support::report::{Row, Series};
use super::super::support::wire::{CREATED, IN_FLIGHT};
use super::super::{Kind, Options};
use super::findings::{Curve, Findings, Picture, Topic};
use super::ground::{Ground, Shape, Site};

/// With how many requests in flight the peak is looked for: larger batches carry more, on Elasticsearch above all.
const PEAK_IN_FLIGHT: [usize; 3] = [IN_FLIGHT, 1024, CONNECTIONS];
/// So many times the peak are offered.
const TIMES: f64 = 3.0;
/// As many as the server takes at once, but for a few.
const CONNECTIONS: usize = 4000;
/// Seconds at half the peak before the overload, and after it.
const SECONDS_BEFORE: usize = 10;
const SECONDS_AFTER: usize = 20;
/// Seconds of the overload in which memory may still grow.
const SECONDS_TO_FILL: usize = 10;
/// Recovered is who answers within so many times what it took before.
const RECOVERED: f64 = 2.0;

const LATENCY: &str = "overload-latency";
const MEMORY: &str = "overload-memory";

pub(crate) const TOPIC: Topic = Topic {
    title: "Overload",
    about,
    pictures: &[
        timeline("overload-embedded", "Overload of the embedded store"),
        timeline("overload-elasticsearch", "Overload of Elasticsearch"),
        Picture::new(LATENCY, "Time from when it was due to a 201, during overload", ["seconds", "ms"])
            .log_y(),
        Picture::new(MEMORY, "Memory of the server during overload", ["seconds", "MiB"]),
    ],
    measure,
};

const fn timeline(file: &'static str, title: &'static str) -> Picture {
    Picture::new(file, title, ["seconds", "requests/s"])
}

fn about(options: &Options) -> String {
    format!(
        "The peak is the most that {PEAK_IN_FLIGHT:?} requests in flight come to. Then half the peak is due for \
         {SECONDS_BEFORE} s, {TIMES} times the peak for {} s, and half the peak \
         for {SECONDS_AFTER} s, at these rates whatever the answers do, over {CONNECTIONS} connections (the server \
         takes 4096). What is due while all \
         connections wait for an answer is held back for good. A refused key is tried again when there are no others. \
         Times are measured from \
         when a request was due. The generator shares the processors with the server. Recovered is the first second \
         after the overload whose p99 \
         is at most {RECOVERED} times the median of those before it. Measured once.",
        options.overload_seconds
    )
}

/// Tickets that last: as many as no store can use in the time.
fn tickets(site: &Site<'_>) -> Outcome<usize> {
    let options = &site.bench.options;
    let each_second = match site.kind {
        Kind::Embedded => 40_000,
        Kind::Elasticsearch => 20_000,
    };
    let at_peak = usize::try_from(options.overload_seconds + 4 * (options.seconds + options.warm_up))?;
    Ok(each_second * (at_peak + (SECONDS_BEFORE + SECONDS_AFTER).div_ceil(2)))
}

/// What happened, second by second, in the three parts.
struct Parts<'a> {
    before: &'a [Second],
    over: &'a [Second],
    after: &'a [Second],
}

impl<'a> Parts<'a> {
    fn of(timeline: &'a [Second]) -> Outcome<Self> {
        let too_short = || "the load has ended too soon";
        let (before, rest) = timeline.split_at_checked(SECONDS_BEFORE).ok_or_else(too_short)?;
        let over = rest.len().checked_sub(SECONDS_AFTER).ok_or_else(too_short)?;
        let (over, after) = rest.split_at(over);
        Ok(Self { before, over, after })
    }

    /// Seconds after the overload until those who wait notice nothing of it any more.
    fn recovery(&self) -> Option<usize> {
        let usual = times(self.before, CREATED, |answers| answers.p99).median();
        let recovered = |second: &Second| {
            second.answers.get(&CREATED).is_some_and(|answers| answers.p99 <= usual * RECOVERED)
        };
        self.after.iter().position(recovered).map(|after| after + 1)
    }
}

/// A figure of the answers with a status from each second that had some.
fn times(seconds: &[Second], status: u16, figure: fn(&Answers) -> f64) -> Series {
    let mut series = Series::default();
    for answers in seconds.iter().filter_map(|second| second.answers.get(&status)) {
        series.push(figure(answers));
    }
    series
}

fn measure(site: &Site<'_>) -> Outcome<Findings> {
    let mut ground = Ground::prepare(site, tickets(site)?)?;
    ground.start(1)?;
    let mut peaks = Vec::with_capacity(PEAK_IN_FLIGHT.len());
    for in_flight in PEAK_IN_FLIGHT {
        peaks.push(ground.load(&Shape::InFlight(in_flight))?.rate(CREATED));
    }
    let peak = peaks.iter().copied().fold(0.0, f64::max);
    let step = |times: f64, seconds| Step { rate: peak * times, seconds };
    let steps = vec![
        step(0.5, u64::try_from(SECONDS_BEFORE)?),
        step(TIMES, site.bench.options.overload_seconds),
        step(0.5, u64::try_from(SECONDS_AFTER)?),
    ];
    let load = ground.generate(&Shape::Open(CONNECTIONS, steps), 0)?;
    let parts = Parts::of(&load.timeline)?;
    let mut rows = vec![
        Row::plain(
            site.row(&format!("with {PEAK_IN_FLIGHT:?} in flight")),
            peaks.iter().map(|rate| format!("{rate:.0} /s")).collect::<Vec<_>>().join(", "),
        ),
        Row::plain("— offered", format!("{:.0} /s", per_second(parts.over, |second| second.offered))),
    ];
    rows.extend(answer_rows(&parts, peak));
    rows.extend(refusal_rows(&load.timeline));
    rows.extend(memory_rows(&parts));
    if let Some(engine) = site.engine_memory()? {
        let peak = engine.peak;
        rows.push(Row::plain("— memory of Elasticsearch, peak", format!("{peak:.0} MiB")));
    }
    rows.push(Row::plain(
        "— processors of server, generator, Elasticsearch",
        format!("{:.2}, {:.2}, {:.2}", load.server_cores(), load.generator_cores(), load.engine_cores()),
    ));
    Ok(Findings { rows, curves: curves(site, &load.timeline) })
}

/// How many of something there were each second.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(seconds: &[Second], count: impl Fn(&Second) -> usize) -> f64 {
    seconds.iter().map(count).sum::<usize>() as f64 / seconds.len().max(1) as f64
}

fn count(second: &Second, status: u16) -> usize {
    second.answers.get(&status).map_or(0, |answers| answers.count)
}

fn refused(second: &Second) -> usize {
    count(second, 429) + count(second, 503)
}

fn answer_rows(parts: &Parts<'_>, peak: f64) -> Vec<Row> {
    let goodput = per_second(parts.over, |second| count(second, CREATED));
    let share = goodput / peak;
    let quantiles = |seconds: &[Second], status| {
        let [p50, p99] = [|answers: &Answers| answers.p50, |answers: &Answers| answers.p99];
        if !seconds.iter().any(|second| second.answers.contains_key(&status)) {
            return "there were none".to_owned();
        }
        let (p50, p99) = (times(seconds, status, p50), times(seconds, status, p99));
        format!("{}, {}", p50.show(0, " ms"), p99.show(0, " ms"))
    };
    let recovery = parts.recovery();
    vec![
        Row::plain("— answered 201", format!("{goodput:.0} /s")),
        Row::plain("— refused with 429 or 503", format!("{:.0} /s", per_second(parts.over, refused))),
        Row::plain(
            "— held back, since all connections waited for an answer",
            format!("{:.0} /s", per_second(parts.over, |second| second.held_back)),
        ),
        Row::plain("— p50, p99 of a second's 201 before", quantiles(parts.before, CREATED)),
        Row::plain("— the same in overload", quantiles(parts.over, CREATED)),
        Row::plain("— the same of 503", quantiles(parts.over, 503)),
        Row::with_bar(
            "— goodput / peak in overload",
            format!("{:.1} %", share * 100.0),
            "≥ 90 %",
            share >= 0.9,
        ),
        Row::plain(
            "— recovered after",
            recovery
                .map_or_else(|| format!("not within {SECONDS_AFTER} s"), |seconds| format!("{seconds} s")),
        ),
    ]
}

/// Whether whoever was not served was told what to do, all the time.
fn refusal_rows(timeline: &[Second]) -> [Row; 2] {
    let answers =
        || timeline.iter().flat_map(|second| &second.answers).filter(|(status, _)| **status != CREATED);
    let all = answers()
        .all(|(status, answers)| matches!(status, 429 | 503) && answers.with_retry_after == answers.count);
    let found = match (answers().next(), all) {
        (None, _) => "there were none",
        (_, true) => "all",
        (_, false) => "not all",
    };
    let failed: usize = timeline.iter().map(|second| second.failed).sum();
    [
        Row::with_bar("— refusals are 429 or 503 and say when to try again", found, "all", all),
        Row::with_bar("— without any answer", failed.to_string(), "0", failed == 0),
    ]
}

fn memory_rows(parts: &Parts<'_>) -> [Row; 2] {
    let last = |seconds: &[Second]| seconds.last().map_or(0.0, |second| second.memory);
    let filled = parts.over.get(SECONDS_TO_FILL).map_or_else(|| last(parts.over), |second| second.memory);
    let [before, over, after] = [parts.before, parts.over, parts.after].map(last);
    [
        Row::plain(
            format!("— memory before, after {SECONDS_TO_FILL} s, at the end of overload, at the end"),
            format!("{before:.0}, {filled:.0}, {over:.0}, {after:.0} MiB"),
        ),
        Row::with_bar(
            format!("— memory at the end of overload / after {SECONDS_TO_FILL} s"),
            format!("{:.2} ×", over / filled),
            "≤ 1.1 ×",
            over <= filled * 1.1,
        ),
    ]
}

fn curves(site: &Site<'_>, timeline: &[Second]) -> Vec<Curve> {
    let picture = match site.kind {
        Kind::Embedded => "overload-embedded",
        Kind::Elasticsearch => "overload-elasticsearch",
    };
    let store = site.kind.name();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let curve = |picture, name: String, figure: &dyn Fn(&Second) -> Option<f64>| {
        let points = timeline.iter().enumerate();
        let points = points.filter_map(|(at, second)| Some((at as f64 + 0.5, figure(second)?)));
        Curve { picture, name, points: points.collect() }
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let counted = |name: &str, figure: fn(&Second) -> usize| {
        curve(picture, name.to_owned(), &|second| Some(figure(second) as f64))
    };
    let taken = |name: &str, figure: fn(&Answers) -> f64| {
        curve(LATENCY, format!("{store}, {name}"), &|second| second.answers.get(&CREATED).map(figure))
    };
    vec![
        counted("offered", |second| second.offered),
        counted("201", |second| count(second, CREATED)),
        counted("429 and 503", refused),
        taken("p50", |answers| answers.p50),
        taken("p99", |answers| answers.p99),
        curve(MEMORY, store.to_owned(), &|second| Some(second.memory)),
    ]
}
