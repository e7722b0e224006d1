//! As many redemptions as are answered, with many requests in flight and with one.

use serde::Serialize;

use super::super::Bench;
use super::super::support::generator::Load;
use super::super::support::report::Series;
use super::super::support::wire::{CREATED, IN_FLIGHT};
use super::super::support::{Outcome, rounds};
use super::contestants::{Loop, Name};
use super::field::Field;

/// What came of one contestant.
#[derive(Serialize)]
pub(crate) struct Closed {
    /// Who it is.
    pub(crate) name: Name,
    /// With as many requests in flight as it takes.
    pub(crate) many: Figures,
    /// With one.
    pub(crate) one: Figures,
}

/// Figures from each round.
#[derive(Default, Serialize)]
pub(crate) struct Figures {
    /// Answers a second.
    pub(crate) rate: Series,
    /// Milliseconds.
    pub(crate) p50: Series,
    /// Milliseconds.
    pub(crate) p99: Series,
    /// Milliseconds.
    pub(crate) p999: Series,
    /// Processors that the server kept busy.
    pub(crate) server: Series,
    /// Processors that the engine of its store kept busy.
    pub(crate) engine: Series,
    /// Processors that the load kept busy.
    pub(crate) generator: Series,
}

impl Figures {
    /// Adds a round's.
    pub(crate) fn push(&mut self, load: &Load) -> Outcome {
        let answers = load.only(CREATED)?;
        self.rate.push(load.rate(CREATED));
        self.p50.push(answers.p50);
        self.p99.push(answers.p99);
        self.p999.push(answers.p999);
        self.server.push(load.server_cores());
        self.engine.push(load.engine_cores());
        self.generator.push(load.generator_cores());
        Ok(())
    }
}

/// Measures all of them.
pub(crate) fn measure(bench: &Bench, field: &mut Field) -> Outcome<Vec<Closed>> {
    let contestants = &mut field.contestants;
    let mut results: Vec<Closed> = contestants
        .iter()
        .map(|contestant| Closed { name: contestant.name, many: Figures::default(), one: Figures::default() })
        .collect();
    rounds("closed loop", bench.options.rounds, |round| {
        for place in 0..results.len() {
            let turn = (round + place) % results.len();
            let (contestant, result) = (&mut contestants[turn], &mut results[turn]);
            result.many.push(&contestant.load(bench, Loop::Closed(IN_FLIGHT))?)?;
            result.one.push(&contestant.load(bench, Loop::Closed(1))?)?;
        }
        Ok(())
    })?;
    Ok(results)
}
