//! What the benchmarks have in common.
//!
//! | module | what it does |
//! |---|---|
//! | [`generator`] | the load, in a process of its own |
//! | [`wire`] | HTTP as far as the load needs it |
//! | [`keys`] | the keys that the load redeems |
//! | [`dataset`] | a store of SQLite with many tickets |
//! | [`elasticsearch`] | a node, the way to it, and what it can do without a server |
//! | [`server`] | a server in a process of its own, and what all that are measured have around their routes |
//! | [`process`] | what processes use |
//! | [`report`] | medians, tables, pages |
//! | [`plot`] | the same as pictures |

use std::error::Error;
use std::io::{self, Write as _};

pub(crate) mod dataset;
pub(crate) mod elasticsearch;
pub(crate) mod generator;
pub(crate) mod keys;
pub(crate) mod plot;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod server;
pub(crate) mod wire;

/// How something ends: well, or with a sentence that says what went wrong.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Takes the turns of a measurement, counted from 0, and says so to whoever waits.
pub(crate) fn rounds(what: &str, rounds: usize, mut turn: impl FnMut(usize) -> Outcome) -> Outcome {
    for round in 0..rounds {
        // Only to show that something happens.
        let _ = writeln!(io::stderr(), "{what}: round {} of {rounds}", round + 1);
        turn(round)?;
    }
    Ok(())
}
