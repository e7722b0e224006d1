//! How many keys a second are redeemed with 256 requests in flight, beside a first version of the server, the same
//! server without batching, and the same reads and writes without any server.

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::elasticsearch::bare::{self, Redeemed, Shape};
use super::super::support::elasticsearch::server::{self, UNBATCHED_LANES, Variant};
use super::super::support::generator::{self, GenerateArgs, Load};
use super::super::support::keys::{Unused, read_keys};
use super::super::support::report::{Row, Section, Series};
use super::super::support::server::Server;
use super::super::support::wire::{CREATED, IN_FLIGHT};

/// Ways to have as many tickets under way as there are requests in flight elsewhere.
const SAME: [Shape; 4] = [
    Shape { batch: 256, workers: 1 },
    Shape { batch: 128, workers: 2 },
    Shape { batch: 64, workers: 4 },
    Shape { batch: 32, workers: 8 },
];
/// Ways to have more.
const MORE: [Shape; 4] = [
    Shape { batch: 256, workers: 2 },
    Shape { batch: 256, workers: 4 },
    Shape { batch: 1000, workers: 2 },
    Shape { batch: 1000, workers: 4 },
];

/// A load, and what it cost the store.
pub(crate) struct Measured {
    /// The load.
    pub(crate) load: Load,
    /// Requests of the store for each redemption.
    requests: f64,
}

/// Lets load be put on a server, with keys that nobody has used.
fn generate(bench: &Bench, server: &Server, connections: usize) -> Outcome<Load> {
    let Unused { first, count } = bench.unused_keys()?;
    let load = generator::run(&GenerateArgs {
        addresses: vec![server.address],
        server_pids: vec![server.pid()],
        engine_pid: Some(bench.node.pid()),
        connections,
        steps: Vec::new(),
        queue: None,
        warm_up: bench.options.warm_up,
        seconds: bench.options.seconds,
        until_used: false,
        keys: Some(bench.keys.clone()),
        first_key: first,
        key_count: count,
    })?;
    bench.supply.use_up(load.used_keys);
    Ok(load)
}

/// Has connections opened and Elasticsearch compile what it will need. Looks at no answer: until it has, a TLS
/// handshake can take longer than the client waits.
pub(crate) fn prepare(bench: &Bench, server: &Server, connections: usize) -> Outcome {
    generate(bench, server, connections).map(drop)
}

/// Measures a server.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn load(bench: &Bench, server: &Server, connections: usize) -> Outcome<Measured> {
    let counters = || -> Outcome<[u64; 2]> {
        let redeemed = server.counted("tickey_redemptions_total{outcome=\"redeemed\"}")?;
        Ok([server.counted("tickey_store_requests_total{")?, redeemed])
    };
    let before = counters()?;
    let load = generate(bench, server, connections)?;
    load.only(CREATED).map_err(|error| format!("{}: {error}", server.name))?;
    let after = counters()?;
    let [requests, redeemed] = [0, 1].map(|which| after[which] - before[which]);
    if usize::try_from(redeemed)? != load.total(CREATED) {
        return Err(format!("{redeemed} redemptions were counted, {} answered", load.total(CREATED)).into());
    }
    Ok(Measured { load, requests: requests as f64 / redeemed as f64 })
}

/// The same without a server; without a shape, one ticket after the other.
pub(crate) fn load_bare(bench: &Bench, shape: Option<Shape>) -> Outcome<Redeemed> {
    let Unused { first, count } = bench.unused_keys()?;
    let run = bare::Run {
        access: &bench.node.user,
        engine_pid: bench.node.pid(),
        keys: &bench.keys,
        unused: (first, count),
        warm_up: bench.options.warm_up,
        seconds: bench.options.seconds,
    };
    let redeemed = bare::run(&run, shape)?;
    bench.supply.use_up(redeemed.used_keys);
    Ok(redeemed)
}

/// Figures of one server from each round.
#[derive(Default)]
pub(crate) struct Figures {
    rate: Series,
    /// Half of the answers came sooner.
    pub(crate) p50: Series,
    p99: Series,
    requests: Series,
    server_cores: Series,
    generator_cores: Series,
    engine_cores: Series,
}

impl Figures {
    /// Adds a round's.
    pub(crate) fn push(&mut self, measured: &Measured) -> Outcome {
        let Measured { load, requests } = measured;
        let answers = load.only(CREATED)?;
        self.rate.push(load.rate(CREATED));
        self.p50.push(answers.p50);
        self.p99.push(answers.p99);
        self.requests.push(*requests);
        self.server_cores.push(load.server_cores());
        self.generator_cores.push(load.generator_cores());
        self.engine_cores.push(load.engine_cores());
        Ok(())
    }

    /// As lines of a table.
    pub(crate) fn rows(&self, name: &str) -> [Row; 4] {
        let [server, generator, engine] =
            [&self.server_cores, &self.generator_cores, &self.engine_cores].map(Series::median);
        [
            Row::plain(name, self.rate.show(0, " /s")),
            Row::plain("— p50, p99", format!("{}, {}", self.p50.show(2, " ms"), self.p99.show(2, " ms"))),
            Row::plain("— store requests a redemption", self.requests.show(3, "")),
            Row::plain(
                "— processors of server, generator, Elasticsearch",
                format!("{server:.2}, {generator:.2}, {engine:.2}"),
            ),
        ]
    }
}

/// Figures of the bare loop from each round.
#[derive(Default)]
struct BareFigures {
    rate: Series,
    p50: Series,
    p99: Series,
    client_cores: Series,
    engine_cores: Series,
}

impl BareFigures {
    fn push(&mut self, redeemed: &Redeemed) {
        self.rate.push(redeemed.rate());
        self.p50.push(redeemed.p50);
        self.p99.push(redeemed.p99);
        self.client_cores.push(redeemed.client_cpu / redeemed.seconds);
        self.engine_cores.push(redeemed.engine_cpu / redeemed.seconds);
    }

    fn rows(&self, name: String) -> [Row; 3] {
        [
            Row::plain(name, self.rate.show(0, " /s")),
            Row::plain(
                "— p50, p99 of a batch",
                format!("{}, {}", self.p50.show(2, " ms"), self.p99.show(2, " ms")),
            ),
            Row::plain(
                "— processors of client, Elasticsearch",
                format!("{:.2}, {:.2}", self.client_cores.median(), self.engine_cores.median()),
            ),
        ]
    }
}

/// The bare loop in the shapes that were best of each kind, and what was tried, in words.
struct Limits {
    same: Shape,
    more: Shape,
    tried: String,
}

impl Limits {
    /// Tries all shapes once.
    fn find(bench: &Bench) -> Outcome<Self> {
        let mut tried = Vec::new();
        let mut best_of = |shapes: [Shape; 4]| -> Outcome<Shape> {
            let mut best = (shapes[0], 0.0);
            for shape in shapes {
                let rate = load_bare(bench, Some(shape))?.rate();
                tried.push(format!("{}: {rate:.0} /s", shape.show()));
                if rate > best.1 {
                    best = (shape, rate);
                }
            }
            Ok(best.0)
        };
        let (same, more) = (best_of(SAME)?, best_of(MORE)?);
        Ok(Self { same, more, tried: tried.join("; ") })
    }
}

/// Servers of all kinds, which answer alike.
pub(crate) struct Servers {
    /// Ours.
    pub(crate) ours: Server,
    /// A first version.
    pub(crate) direct: Server,
    /// What they answer with, in bytes.
    pub(crate) answer_bytes: usize,
}

impl Servers {
    /// Starts them, on an index that is filled anew, and makes sure that they answer alike.
    pub(crate) fn start(bench: &Bench) -> Outcome<Self> {
        bench.refill()?;
        let ours = server::start(Variant::Batched, &bench.node.user)?;
        let direct = server::start(Variant::Direct, &bench.node.user)?;
        let keys = read_keys(&bench.keys, 0..2)?;
        let answers = [ours.ask(&keys[0])?, direct.ask(&keys[1])?];
        bench.supply.use_up(2);
        let [one, other] = answers;
        if one.status != CREATED || (one.status, one.body_bytes) != (other.status, other.body_bytes) {
            return Err(format!("the servers do not answer alike: {answers:?}").into());
        }
        Ok(Self { ours, direct, answer_bytes: one.body_bytes })
    }
}

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let servers = Servers::start(bench)?;
    let unbatched = server::start(Variant::Unbatched, &bench.node.user)?;
    for server in [&servers.ours, &servers.direct, &unbatched] {
        prepare(bench, server, IN_FLIGHT)?;
    }
    let limits = Limits::find(bench)?;
    let [mut ours, mut direct, mut without] = [(); 3].map(|()| Figures::default());
    let [mut same, mut more] = [(); 2].map(|()| BareFigures::default());
    bench.take_turns("redemptions", 5, |contestant| {
        match contestant {
            0 => ours.push(&load(bench, &servers.ours, IN_FLIGHT)?)?,
            1 => direct.push(&load(bench, &servers.direct, IN_FLIGHT)?)?,
            2 => without.push(&load(bench, &unbatched, IN_FLIGHT)?)?,
            3 => same.push(&load_bare(bench, Some(limits.same))?),
            _ => more.push(&load_bare(bench, Some(limits.more))?),
        }
        Ok(())
    })?;

    let (to_direct, to_same) = (ours.rate.over(&direct.rate), ours.rate.over(&same.rate));
    let mut rows = Vec::new();
    rows.extend(ours.rows("redemptions, 256 in flight"));
    rows.extend(direct.rows("a GET and a conditional PUT for each"));
    rows.extend(without.rows("ours, a store request for each operation"));
    rows.extend(same.rows(format!("bare loop, 256 tickets under way ({})", limits.same.show())));
    rows.extend(more.rows(format!("bare loop, more of them ({})", limits.more.show())));
    rows.extend([
        Row::with_bar(
            "store requests a redemption",
            ours.requests.show(3, ""),
            "≤ 0.1",
            ours.requests.median() <= 0.1,
        ),
        Row::with_bar(
            "ours / a GET and a PUT for each",
            to_direct.show(1, " ×"),
            "≥ 4 × (reach for 10 ×)",
            to_direct.median() >= 4.0,
        ),
        Row::with_bar(
            "ours / bare loop, 256 tickets under way",
            to_same.show_percent(),
            "≥ 80 %",
            to_same.median() >= 0.8,
        ),
        Row::plain("ours / bare loop, more of them", ours.rate.over(&more.rate).show_percent()),
        Row::plain("ours / without batching", ours.rate.over(&without.rate).show(1, " ×")),
    ]);
    Ok(Section { title: "Redemptions", about: about(bench, &servers, &limits), rows })
}

fn about(bench: &Bench, servers: &Servers, limits: &Limits) -> String {
    format!(
        "Each request redeems a key of its own out of {} tickets and is answered with 7 signed links ({} bytes of \
         JSON); every answer \
         was a 201, also those that do not count, and as many redemptions were counted by the server. \
         Ours is what `tickey serve` runs. The server with a GET and a conditional PUT is written as a first version \
         would be: it reads \
         the key, asks `GET /tickets/_doc/ID`, sends `PUT /tickets/_doc/ID?if_seq_no=…&if_primary_term=…` over a pool \
         of kept \
         connections, signs the same links, and answers with as many bytes behind the same accept loop, envelope, log \
         and metrics; it \
         has no idempotency, no limit for guessing, no retries, and does not settle conflicts and lost answers. Ours \
         without batching has \
         {UNBATCHED_LANES} reads and {UNBATCHED_LANES} writes under way while all goes well, as many as its client \
         keeps connections; the others wait. The bare loop reads with `_mget` and writes with \
         `_bulk`, the same documents under the same conditions, and checks the status of each item; it has neither an \
         HTTP server nor signatures, \
         and it has read and digested its keys before the clock starts. It was tried once with {} (requests under way \
         × tickets in each), and the best of those with as many tickets under \
         way as there are requests in flight elsewhere, and of those with more, took part in the rounds. Store \
         requests are counted by the \
         server (`tickey_store_requests_total` over `tickey_redemptions_total`). Keys are used once: the index is \
         deleted and filled anew for each round (and \
         within one when fewer than half of the tickets are unused); before each measurement it is refreshed and \
         flushed, and merges are waited for. \
         It counts as idle for searches after 1 s (`index.search.idle.after`) instead of 30 s, so that all are \
         measured in the state of an index that \
         nobody searches.",
        bench.options.tickets, servers.answer_bytes, limits.tried
    )
}
