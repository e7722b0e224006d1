//! How many keys a second are redeemed with 256 requests in flight, beside the same store without batching and a
//! handler that does nothing; and how long one takes.

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::embedded::{self, Variant};
use super::super::support::generator::{self, GenerateArgs, Load};
use super::super::support::keys::read_keys;
use super::super::support::report::{Row, Section, Series};
use super::super::support::server::Server;
use super::super::support::wire::{CREATED, IN_FLIGHT};

/// A server whose keys are used up one after the other.
struct Contestant {
    /// The server.
    server: Server,
    /// The first key of the dataset that was not sent to it yet.
    next_key: usize,
}

impl Contestant {
    /// A server that was sent the first `next_key` keys.
    fn new(server: Server, next_key: usize) -> Self {
        Self { server, next_key }
    }

    /// Puts load on it, with keys that it has not seen.
    fn load(&mut self, bench: &Bench, connections: usize) -> Outcome<Load> {
        let load = generator::run(&GenerateArgs {
            addresses: vec![self.server.address],
            server_pids: vec![self.server.pid()],
            engine_pid: None,
            connections,
            steps: Vec::new(),
            queue: None,
            warm_up: bench.options.warm_up,
            seconds: bench.options.seconds,
            until_used: false,
            keys: Some(bench.dataset.keys.clone()),
            first_key: self.next_key,
            key_count: bench.dataset.tickets - self.next_key,
        })?;
        self.next_key += load.used_keys;
        Ok(load)
    }
}

/// Figures of one contestant from each round.
#[derive(Default)]
struct Figures {
    rate: Series,
    p50: Series,
    p99: Series,
    server_cores: Series,
    generator_cores: Series,
}

impl Figures {
    fn push(&mut self, load: &Load) -> Outcome {
        let answers = load.only(CREATED)?;
        self.rate.push(load.rate(CREATED));
        self.p50.push(answers.p50);
        self.p99.push(answers.p99);
        self.server_cores.push(load.server_cores());
        self.generator_cores.push(load.generator_cores());
        Ok(())
    }

    fn rows(&self, name: &str) -> [Row; 3] {
        [
            Row::plain(name, self.rate.show(0, " /s")),
            Row::plain("— p50, p99", format!("{}, {}", self.p50.show(2, " ms"), self.p99.show(2, " ms"))),
            Row::plain(
                "— processors of server, generator",
                format!("{:.2}, {:.2}", self.server_cores.median(), self.generator_cores.median()),
            ),
        ]
    }
}

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let store = |name: &str| bench.scratch.join(format!("{name}.db"));
    bench.dataset.copy_store(&store("batched"))?;
    bench.dataset.copy_store(&store("unbatched"))?;
    let batched = embedded::on_store(Variant::Batched, &store("batched"))?;
    let unbatched = embedded::on_store(Variant::Unbatched, &store("unbatched"))?;
    let mut example = None;
    for key in read_keys(&bench.dataset.keys, 0..1)? {
        example = Some(batched.ask(&key)?);
    }
    let example =
        example.filter(|answer| answer.status == CREATED).ok_or("the first key was not redeemed")?;
    let mut nothing = Contestant::new(embedded::of_nothing(&store("nothing"), example)?, 0);
    let (mut batched, mut unbatched) = (Contestant::new(batched, 1), Contestant::new(unbatched, 1));

    let [mut with, mut without, mut idle, mut alone] = [(); 4].map(|()| Figures::default());
    bench.rounds("redemptions", || {
        with.push(&batched.load(bench, IN_FLIGHT)?)?;
        without.push(&unbatched.load(bench, IN_FLIGHT)?)?;
        idle.push(&nothing.load(bench, IN_FLIGHT)?)?;
        // Nothing is used up there.
        nothing.next_key = 0;
        alone.push(&batched.load(bench, 1)?)
    })?;

    let (to_unbatched, to_nothing) = (with.rate.over(&without.rate), with.rate.over(&idle.rate));
    let mut rows = Vec::new();
    rows.extend(with.rows("redemptions, 256 in flight"));
    rows.extend(without.rows("the same, a transaction for each"));
    rows.extend(idle.rows("a handler that does nothing"));
    rows.extend(alone.rows("redemptions, 1 in flight"));
    rows.push(Row::with_bar(
        "with batching / without",
        to_unbatched.show(1, " ×"),
        "≥ 5 ×",
        to_unbatched.median() >= 5.0,
    ));
    rows.push(Row::with_bar(
        "redemptions / doing nothing",
        to_nothing.show_percent(),
        "≥ 25 % (reach for 50 %)",
        to_nothing.median() >= 0.25,
    ));
    Ok(Section {
        title: "Redemptions",
        about: format!(
            "Each request redeems a key of its own out of {} tickets and is answered with 7 signed links ({} bytes of \
             JSON); every \
             answer was a 201. The handler that does nothing sits behind the same accept loop, connection settings, \
             envelope, log and \
             metrics, is sent the same requests, and answers with as many bytes; it reads no body, parses no key, \
             signs no link and asks no store.",
            bench.dataset.tickets, example.body_bytes
        ),
        rows,
    })
}
