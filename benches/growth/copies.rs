//! More copies of the server, on one Elasticsearch.

use super::super::Options;
use super::super::support::report::{Row, Series};
use super::super::support::wire::IN_FLIGHT;
use super::super::support::{Outcome, rounds};
use super::findings::{Curve, Findings, Picture, Topic};
use super::ground::{Ground, Shape, Site};
use super::in_flight::{self, some_tickets};

/// How many.
const COPIES: [u8; 4] = [1, 2, 3, 4];

const RATE: &str = "growth-copies";

pub(crate) const TOPIC: Topic = Topic {
    title: "Copies of the server",
    about,
    pictures: &[Picture::new(
        RATE,
        "Redemptions, 256 in flight on all copies together",
        ["servers on one Elasticsearch", "redemptions/s"],
    )],
    measure,
};

fn about(_: &Options) -> String {
    format!(
        "Servers on one Elasticsearch, started anew on an index that is filled anew for each measurement, as for 256 \
         in flight above. \
         The {IN_FLIGHT} connections of the load are divided between them equally. All share the processors of one \
         machine with Elasticsearch and the load, so this shows what copies cost rather than what they gain on \
         machines of their own."
    )
}

/// Figures of so many copies from each round.
#[derive(Default)]
struct Figures {
    load: in_flight::Figures,
    /// Processors of each server.
    servers: Vec<Series>,
    generator: Series,
    engine: Series,
}

fn measure(site: &Site<'_>) -> Outcome<Findings> {
    if !site.is_shared() {
        // The embedded store is for one server.
        return Ok(Findings::default());
    }
    let mut all = COPIES.map(|copies| (copies, Figures::default()));
    let mut ground = Ground::prepare(site, some_tickets(site))?;
    rounds(&site.row("copies"), site.bench.options.rounds, |_| {
        all.iter_mut().try_for_each(|(copies, figures)| {
            ground.start(usize::from(*copies))?;
            let (load, requests) = ground.load_counted(&Shape::InFlight(IN_FLIGHT))?;
            figures.load.push(&load, requests)?;
            figures.generator.push(load.generator_cores());
            figures.engine.push(load.engine_cores());
            figures.servers.resize_with(load.server_cpu.len(), Series::default);
            for (series, cpu) in figures.servers.iter_mut().zip(&load.server_cpu) {
                series.push(cpu / load.seconds);
            }
            Ok(())
        })
    })?;
    let mut rows = Vec::new();
    for (copies, figures) in &all {
        rows.extend(figures.rows(site, *copies));
        let to_one = figures.load.rate.over(&all[0].1.load.rate);
        rows.push(Row::plain("— rate over that of one", to_one.show(2, " ×")));
    }
    let points = all.iter().map(|(copies, figures)| (f64::from(*copies), figures.load.rate.median()));
    let curve = Curve { picture: RATE, name: site.kind.name().to_owned(), points: points.collect() };
    Ok(Findings { rows, curves: vec![curve] })
}

impl Figures {
    fn rows(&self, site: &Site<'_>, copies: u8) -> Vec<Row> {
        let servers = if copies == 1 { "1 server".to_owned() } else { format!("{copies} servers") };
        let mut rows = self.load.rows(site, &servers);
        let each: Vec<String> = self.servers.iter().map(|series| format!("{:.2}", series.median())).collect();
        rows.push(Row::plain(
            "— processors of each server; generator, Elasticsearch",
            format!("{}; {:.2}, {:.2}", each.join(", "), self.generator.median(), self.engine.median()),
        ));
        rows
    }
}
