//! What came of a load: answers by status, second by second.
//!
//! Knows nothing of how it is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::Outcome;

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Load {
    /// That counted.
    pub(crate) seconds: f64,
    /// Answers by status.
    pub(crate) answers: BTreeMap<u16, Answers>,
    /// Requests that were due while all connections were busy.
    pub(crate) held_back: usize,
    /// Requests that got no answer.
    pub(crate) failed: usize,
    /// Answers by status that came before or after the seconds that count.
    pub(crate) uncounted: BTreeMap<u16, usize>,
    /// Requests that got no answer after those seconds.
    pub(crate) failed_late: usize,
    /// Keys that were used, from the first one on.
    pub(crate) used_keys: usize,
    /// Processor seconds of the generator.
    pub(crate) generator_cpu: f64,
    /// Processor seconds of each server.
    pub(crate) server_cpu: Vec<f64>,
    /// Processor seconds of the engine that keeps its store.
    pub(crate) engine_cpu: f64,
    /// Each second that counts.
    pub(crate) timeline: Vec<Second>,
}

/// What happened in one second.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Second {
    /// Requests that were due, in an open loop.
    pub(crate) offered: usize,
    /// Requests that were due while all connections were busy.
    pub(crate) held_back: usize,
    /// Requests that got no answer.
    pub(crate) failed: usize,
    /// Answers by status.
    pub(crate) answers: BTreeMap<u16, Answers>,
    /// Memory of the servers in an open loop, in MiB.
    pub(crate) memory: f64,
}

/// Answers with one status.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// How many.
    pub(crate) count: usize,
    /// How many of them had `Retry-After`.
    pub(crate) with_retry_after: usize,
    /// Half of them came sooner, in milliseconds.
    pub(crate) p50: f64,
    /// 99 % of them did.
    pub(crate) p99: f64,
    /// 99.9 % of them did.
    pub(crate) p999: f64,
}

impl Load {
    /// Answers a second with this status.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn rate(&self, status: u16) -> f64 {
        self.answers.get(&status).map_or(0.0, |answers| answers.count as f64) / self.seconds
    }

    /// The same, when all answers must have that status.
    pub(crate) fn only(&self, status: u16) -> Outcome<&Answers> {
        match self.answers.get(&status) {
            Some(answers) if self.answers.len() == 1 && self.is_flawless(status) => Ok(answers),
            _ => Err(format!("not all answers were {status}: {self:?}").into()),
        }
    }

    fn is_flawless(&self, status: u16) -> bool {
        self.failed == 0
            && self.failed_late == 0
            && self.uncounted.keys().all(|uncounted| *uncounted == status)
    }

    /// All answers with this status, also those that do not count.
    pub(crate) fn total(&self, status: u16) -> usize {
        self.answers.get(&status).map_or(0, |answers| answers.count)
            + self.uncounted.get(&status).copied().unwrap_or_default()
    }

    /// Processors that the servers kept busy.
    pub(crate) fn server_cores(&self) -> f64 {
        self.server_cpu.iter().sum::<f64>() / self.seconds
    }

    /// Processors that the generator kept busy.
    pub(crate) fn generator_cores(&self) -> f64 {
        self.generator_cpu / self.seconds
    }

    /// Processors that the engine of the store kept busy.
    pub(crate) fn engine_cores(&self) -> f64 {
        self.engine_cpu / self.seconds
    }
}

/// What is noted of a second.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) offered: usize,
    pub(super) held_back: usize,
    pub(super) failed: usize,
    pub(super) answers: BTreeMap<u16, Times>,
    pub(super) memory: f64,
}

/// Microseconds of each answer, and how many said when to try again.
#[derive(Default)]
pub(super) struct Times {
    pub(super) micros: Vec<u32>,
    pub(super) with_retry_after: usize,
}

impl Times {
    pub(super) fn sum_up(mut self) -> Answers {
        let [p50, p99, p999] = quantiles(&mut self.micros, [500, 990, 999]);
        Answers { count: self.micros.len(), with_retry_after: self.with_retry_after, p50, p99, p999 }
    }
}

/// Milliseconds within which so many of a thousand times are, which are in microseconds.
pub(crate) fn quantiles<const N: usize>(times: &mut [u32], per_mille: [usize; N]) -> [f64; N] {
    times.sort_unstable();
    per_mille.map(|share| {
        let index = (times.len() * share / 1000).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    })
}
