//! Tables and pictures of what came of it, and what is to be known about them.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::plot::{self, Bar, Lines};
use super::super::support::report::{Series, machine, table, write_page};
use super::super::support::wire::IN_FLIGHT;
use super::closed::{Closed, Figures};
use super::contestants::Name;
use super::field::Field;
use super::limits::Limit;
use super::open::{Open, Point};

/// Where the pictures and the figures are, below `docs`.
const FOLDER: &str = "benchmarks";
/// What the page says before the figures.
const PREAMBLE: &str = include_str!("preamble.md");
/// What each side does and does not do.
const SIDES: &str = include_str!("sides.md");
/// Which are compared, one over the other.
const PAIRS: [(Name, Name); 8] = [
    (Name::Sqlite, Name::Postgres),
    (Name::Sqlite, Name::Redis),
    (Name::Elasticsearch, Name::Go),
    (Name::Elasticsearch, Name::Node),
    (Name::Sqlite, Name::SqliteUnbatched),
    (Name::Elasticsearch, Name::ElasticsearchUnbatched),
    (Name::Sqlite, Name::Nothing),
    (Name::Elasticsearch, Name::Nothing),
];

/// What came of everything; what was not measured is empty.
#[derive(Serialize)]
pub(crate) struct Results {
    /// What there is to reach.
    pub(crate) limits: Vec<Limit>,
    /// As many redemptions as are answered.
    pub(crate) closed: Vec<Closed>,
    /// Redemptions at fixed rates.
    pub(crate) open: Vec<Open>,
}

impl Results {
    /// Prints everything, and writes the page if that is wished for.
    pub(crate) fn show(
        &self,
        bench: &Bench,
        field: &Field,
        durations: &[(&'static str, Duration)],
    ) -> Outcome {
        let options = &bench.options;
        let run = format!(
            "{} rounds ({} of fixed rates) of {} s after {} s that do not count; {} tickets; minutes: {}",
            options.rounds,
            options.open_rounds,
            options.seconds,
            options.warm_up,
            options.tickets,
            show_durations(durations)
        );
        let machine = machine(&field.versions.join("; "), &run);
        let sections = self.sections(bench, field);
        let mut out = io::stdout();
        for text in sections.iter().chain([&machine]) {
            writeln!(out, "{text}")?;
        }
        if options.write {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(FOLDER);
            fs::create_dir_all(&folder)?;
            self.draw(&folder)?;
            fs::write(folder.join("peers.json"), serde_json::to_string_pretty(self)? + "\n")?;
            write_page("benchmarks.md", PREAMBLE, &machine, &sections)?;
        }
        Ok(())
    }

    fn sections(&self, bench: &Bench, field: &Field) -> Vec<String> {
        let mut sections = Vec::new();
        if !self.closed.is_empty() {
            sections.push(self.closed_loop());
        }
        if !self.open.is_empty() {
            sections.push(self.open_loop());
        }
        if !self.limits.is_empty() {
            sections.push(self.what_there_is_to_reach());
        }
        let sides = SIDES
            .replace("{tickets}", &bench.options.tickets.to_string())
            .replace("{answer_bytes}", &field.answer_bytes.to_string())
            .replace("{postgres_connections}", &bench.options.postgres_connections.to_string());
        sections.push(sides);
        sections
    }

    fn closed_loop(&self) -> String {
        let rows = |figures: fn(&Closed) -> &Figures| -> Vec<[String; 5]> {
            self.closed.iter().map(|result| closed_row(result.name, figures(result))).collect()
        };
        let many = table(closed_head(), &rows(|result| &result.many));
        let one = table(closed_head(), &rows(|result| &result.one));
        let ratios: Vec<[String; 3]> =
            PAIRS.iter().filter_map(|(one, other)| self.ratio([*one, *other])).collect();
        let ratios = table(["", "redemptions/s, 256 in flight", "p50, 1 in flight"], &ratios);
        format!(
            "## As fast as it goes\n\n\
             {IN_FLIGHT} connections send their next request when they have the answer to the last one.\n\n\
             ![Redemptions a second of each]({FOLDER}/peers-rate.svg)\n\n{many}\n\
             One connection does.\n\n\
             ![Time of one redemption of each]({FOLDER}/peers-alone.svg)\n\n{one}\n\
             One over the other, the median of the rounds' ratios. More is better of redemptions/s, less of \
             times.\n\n{ratios}"
        )
    }

    /// One over the other, if both were measured.
    fn ratio(&self, pair: [Name; 2]) -> Option<[String; 3]> {
        let [one, other] = pair.map(|name| self.closed.iter().find(|result| result.name == name));
        let (one, other) = (one?, other?);
        Some([
            format!("{} / {}", one.name.title(), other.name.title()),
            one.many.rate.over(&other.many.rate).show(2, " ×"),
            one.one.p50.over(&other.one.p50).show(2, " ×"),
        ])
    }

    fn open_loop(&self) -> String {
        let rows: Vec<[String; 7]> = self
            .open
            .iter()
            .flat_map(|result| result.points.iter().map(|point| open_row(result.name, point)))
            .collect();
        let head = [
            "",
            "offered",
            "of its fastest",
            "p50",
            "p99",
            "p99.9",
            "processors of server, engine, generator",
        ];
        format!(
            "## At fixed rates\n\n\
             Requests are due at equal distances whatever the answers do, over {IN_FLIGHT} connections; one that is \
             due while all of them \
             wait for an answer is sent as soon as one is free. Times are counted from when a request was due. So they \
             hold also what the \
             load itself is late, which the handler that does nothing shows.\n\n\
             ![p99 of each against the offered rate]({FOLDER}/peers-fixed.svg)\n\n{}",
            table(head, &rows)
        )
    }

    fn what_there_is_to_reach(&self) -> String {
        let rows: Vec<[String; 2]> =
            self.limits.iter().map(|limit| [limit.what.clone(), limit.rate.show(0, " /s")]).collect();
        format!(
            "## What there is to reach\n\n\
             Without a server: a page of 4096 bytes written over and synced; SQLite by itself, which updates tickets \
             in random order with \
             the settings of the store; and the reads and writes of redemptions in bulk, which parse no request and \
             sign nothing. What \
             there is to reach for a server with all that is around a handler, but nothing in it, is in the tables \
             above: *a handler that \
             does nothing*.\n\n{}",
            table(["", "median (lowest–highest)"], &rows)
        )
    }

    fn draw(&self, folder: &Path) -> Outcome {
        if !self.closed.is_empty() {
            let bars = |series: fn(&Closed) -> &Series, measured: &dyn Fn(&Closed) -> bool| -> Vec<Bar> {
                self.closed
                    .iter()
                    .filter(|result| measured(result))
                    .map(|result| bar(result.name, series(result)))
                    .collect()
            };
            let redeems = |result: &Closed| result.name != Name::Nothing;
            let title = format!("Redemptions a second, {IN_FLIGHT} in flight");
            plot::bars(
                &folder.join("peers-rate.svg"),
                &title,
                "redemptions/s",
                &bars(|result| &result.many.rate, &redeems),
            )?;
            let title = "Time of one redemption when there is no other (p50)";
            plot::bars(
                &folder.join("peers-alone.svg"),
                title,
                "ms",
                &bars(|result| &result.one.p50, &redeems),
            )?;
        }
        if !self.open.is_empty() {
            let lines = Lines {
                title: "99 of 100 redemptions take less, at fixed rates",
                x: "redemptions/s offered",
                y: "p99 in ms",
                log_x: true,
                log_y: true,
                series: &self.lines(),
            };
            plot::lines(&folder.join("peers-fixed.svg"), &lines)?;
        }
        Ok(())
    }

    /// Of each that people would use as it is.
    fn lines(&self) -> Vec<(&str, Vec<(f64, f64)>)> {
        let shown =
            |result: &&Open| !matches!(result.name, Name::SqliteUnbatched | Name::ElasticsearchUnbatched);
        let line = |result: &Open| {
            let points = result.points.iter().map(|point| (point.offered, point.figures.p99.median()));
            (result.name.title(), points.collect())
        };
        self.open.iter().filter(shown).map(line).collect()
    }
}

fn closed_head() -> [&'static str; 5] {
    ["", "redemptions/s", "p50", "p99", "processors of server, engine, generator"]
}

fn closed_row(name: Name, figures: &Figures) -> [String; 5] {
    [
        name.title().to_owned(),
        figures.rate.show(0, ""),
        figures.p50.show(2, " ms"),
        figures.p99.show(2, " ms"),
        processors(figures),
    ]
}

fn open_row(name: Name, point: &Point) -> [String; 7] {
    let times = [&point.figures.p50, &point.figures.p99, &point.figures.p999];
    let [p50, p99, p999] = times.map(|times| times.show(2, " ms"));
    let share = point.share.map(|share| format!("{:.0} %", share * 100.0));
    let unsent = match point.held_back {
        0 => String::new(),
        some => format!(", of which {some} in all were not sent"),
    };
    let offered = format!("{:.0} /s{unsent}", point.offered);
    [name.title().to_owned(), offered, share.unwrap_or_default(), p50, p99, p999, processors(&point.figures)]
}

fn processors(figures: &Figures) -> String {
    let [server, engine, generator] =
        [&figures.server, &figures.engine, &figures.generator].map(Series::median);
    if engine > 0.0 {
        format!("{server:.2}, {engine:.2}, {generator:.2}")
    } else {
        format!("{server:.2}, –, {generator:.2}")
    }
}

fn bar(name: Name, series: &Series) -> Bar {
    let (low, high) = series.span();
    Bar { name: name.title().to_owned(), low, median: series.median(), high }
}

/// Minutes of each phase.
fn show_durations(durations: &[(&'static str, Duration)]) -> String {
    let show = |(phase, duration): &(&str, Duration)| format!("{:.1} {phase}", duration.as_secs_f64() / 60.0);
    durations.iter().map(show).collect::<Vec<_>>().join(", ")
}
