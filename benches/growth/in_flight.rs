//! More requests in flight: from one to a thousand.

use super::super::support::generator::Load;
use super::super::support::report::{Row, Series};
use super::super::support::wire::CREATED;
use super::super::support::{Outcome, rounds};
use super::super::{Kind, Options};
use super::findings::{Curve, Findings, Picture, Topic};
use super::ground::{Ground, Shape, Site};

/// How many at a time.
const LEVELS: [u16; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/// Tickets in the embedded store, and in Elasticsearch.
const TICKETS: [usize; 2] = [1_000_000, 400_000];

const RATE: &str = "growth-in-flight";
const LATENCY: &str = "growth-in-flight-latency";
const REQUESTS: &str = "growth-in-flight-requests";

pub(crate) const TOPIC: Topic = Topic {
    title: "In flight",
    about,
    pictures: &[
        Picture::new(RATE, "Redemptions", ["requests in flight", "redemptions/s"]).log_x(),
        Picture::new(LATENCY, "Time to the answer", ["requests in flight", "ms"]).log_x().log_y(),
        Picture::new(REQUESTS, "Requests to Elasticsearch", ["requests in flight", "requests a redemption"])
            .log_x()
            .log_y(),
    ],
    measure,
};

fn about(_: &Options) -> String {
    let [embedded, elasticsearch] = TICKETS;
    format!(
        "So many requests at a time, each over a connection of its own, out of {embedded} tickets in the embedded \
         store and {elasticsearch} in \
         Elasticsearch. The store is filled anew, and a server started on it, for each round, and within one when \
         fewer than half \
         of the tickets are unused. Requests to Elasticsearch are counted by the server \
         (`tickey_store_requests_total` over `tickey_redemptions_total`)."
    )
}

/// The tickets that a measurement has which needs no certain number of them.
pub(crate) fn some_tickets(site: &Site<'_>) -> usize {
    let [embedded, elasticsearch] = TICKETS;
    match site.kind {
        Kind::Embedded => embedded,
        Kind::Elasticsearch => elasticsearch,
    }
}

/// Figures of one level from each round.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) rate: Series,
    pub(crate) p50: Series,
    pub(crate) p99: Series,
    /// To the store, for each redemption.
    pub(crate) requests: Series,
}

impl Figures {
    pub(crate) fn push(&mut self, load: &Load, requests: f64) -> Outcome {
        let answers = load.only(CREATED)?;
        self.rate.push(load.rate(CREATED));
        self.p50.push(answers.p50);
        self.p99.push(answers.p99);
        self.requests.push(requests);
        Ok(())
    }

    pub(crate) fn rows(&self, site: &Site<'_>, what: &str) -> Vec<Row> {
        let mut rows = vec![
            Row::plain(site.row(what), self.rate.show(0, " /s")),
            Row::plain("— p50, p99", format!("{}, {}", self.p50.show(2, " ms"), self.p99.show(2, " ms"))),
        ];
        if site.is_shared() {
            rows.push(Row::plain("— store requests a redemption", self.requests.show(3, "")));
        }
        rows
    }
}

fn measure(site: &Site<'_>) -> Outcome<Findings> {
    let mut levels = LEVELS.map(|level| (level, Figures::default()));
    let mut ground = Ground::prepare(site, some_tickets(site))?;
    rounds(&site.row("in flight"), site.bench.options.rounds, |_| {
        ground.start(1)?;
        levels.iter_mut().try_for_each(|(level, figures)| {
            let (load, requests) = ground.load_counted(&Shape::InFlight(usize::from(*level)))?;
            figures.push(&load, requests)
        })
    })?;
    let mut findings = Findings::default();
    for (level, figures) in &levels {
        findings.rows.extend(figures.rows(site, &format!("{level} in flight")));
    }
    let name = site.kind.name();
    let mut curve = |picture, name: String, of: fn(&Figures) -> &Series| {
        let points = levels.iter().map(|(level, figures)| (f64::from(*level), of(figures).median()));
        findings.curves.push(Curve { picture, name, points: points.collect() });
    };
    curve(RATE, name.to_owned(), |figures| &figures.rate);
    curve(LATENCY, format!("{name}, p50"), |figures| &figures.p50);
    curve(LATENCY, format!("{name}, p99"), |figures| &figures.p99);
    if site.is_shared() {
        curve(REQUESTS, name.to_owned(), |figures| &figures.requests);
    }
    Ok(findings)
}
