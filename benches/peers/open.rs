//! How long answers take when requests are due at fixed rates, whatever the answers do.

use serde::Serialize;

use super::super::Bench;
use super::super::support::wire::{CREATED, IN_FLIGHT};
use super::super::support::{Outcome, rounds, say};
use super::closed::{Closed, Figures};
use super::contestants::{Loop, Name};
use super::field::Field;

/// Shares of what a contestant answers when it is asked as fast as it answers.
const SHARES: [f64; 4] = [0.25, 0.5, 0.75, 0.9];
/// Rates that all are asked at who can answer so many.
const COMMON: [f64; 5] = [500.0, 1000.0, 2000.0, 4000.0, 8000.0];

/// What came of one contestant.
#[derive(Serialize)]
pub(crate) struct Open {
    /// Who it is.
    pub(crate) name: Name,
    /// By rate.
    pub(crate) points: Vec<Point>,
}

/// What came of one rate.
#[derive(Serialize)]
pub(crate) struct Point {
    /// Requests that were due each second.
    pub(crate) offered: f64,
    /// The same over what it answers when asked as fast as it answers, where the rate was chosen so.
    pub(crate) share: Option<f64>,
    /// What was answered.
    pub(crate) figures: Figures,
    /// Requests that had no place in the queue, in all rounds.
    pub(crate) held_back: usize,
}

/// Measures all of them, at rates that follow from what they did in the closed loop.
pub(crate) fn measure(bench: &Bench, field: &mut Field, closed: &[Closed]) -> Outcome<Vec<Open>> {
    let mut results = Vec::new();
    for contestant in &mut field.contestants {
        let known = closed.iter().find(|result| result.name == contestant.name);
        let peak = match known {
            Some(result) => result.many.rate.median(),
            None => contestant.load(bench, Loop::Closed(IN_FLIGHT))?.rate(CREATED),
        };
        results.push(Open { name: contestant.name, points: points(contestant.name, peak) });
    }
    rounds("open loop", bench.options.open_rounds, |round| {
        for place in 0..results.len() {
            let turn = (round + place) % results.len();
            let (contestant, result) = (&mut field.contestants[turn], &mut results[turn]);
            say(result.name.title());
            for point in &mut result.points {
                let load = contestant.load(bench, Loop::Open(point.offered))?;
                point.held_back += load.held_back;
                point.figures.push(&load)?;
            }
        }
        Ok(())
    })?;
    Ok(results)
}

/// The rates of a contestant that answers so many at most, in order. Of the handler that does nothing only what shows
/// how exact the load is.
fn points(name: Name, peak: f64) -> Vec<Point> {
    let point = |offered: f64, share| Point { offered, share, figures: Figures::default(), held_back: 0 };
    let highest = peak * SHARES[SHARES.len() - 1];
    let mut points: Vec<Point> =
        COMMON.into_iter().filter(|rate| *rate < highest).map(|rate| point(rate, None)).collect();
    if name != Name::Nothing {
        points.extend(SHARES.map(|share| point((peak * share).round(), Some(share))));
    }
    points.sort_unstable_by(|one, other| one.offered.total_cmp(&other.offered));
    points
}
