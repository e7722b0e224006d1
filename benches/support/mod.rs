//! What the benchmarks have in common.
//!
//! | module | what it does |
//! |---|---|
//! | [`generator`] | the load, in a process of its own |
//! | [`ticks`] | the pace of requests that are due at a fixed rate |
//! | [`wire`] | HTTP as far as the load needs it |
//! | [`keys`] | the keys that the load redeems |
//! | [`dataset`] | a store of SQLite with many tickets |
//! | [`embedded`] | servers on one |
//! | [`limits`] | what disk and SQLite can do by themselves |
//! | [`elasticsearch`] | a node, the way to it, servers on it, and what it can do without one |
//! | [`engine`] | engines of others that keep tickets |
//! | [`server`] | a server in a process of its own, and what all that are measured have around their routes |
//! | [`process`] | what processes use |
//! | [`report`] | medians, tables, pages |
//! | [`plot`] | the same as pictures |

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

pub(crate) mod dataset;
pub(crate) mod elasticsearch;
pub(crate) mod embedded;
pub(crate) mod engine;
pub(crate) mod generator;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod plot;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod server;
pub(crate) mod ticks;
pub(crate) mod wire;

/// How something ends: well, or with a sentence that says what went wrong.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Ends a benchmark, with a word about what went wrong.
pub(crate) fn exit(name: &str, outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Gives a folder for files that nobody needs afterwards, which stays only when something goes wrong: with the log of
/// Elasticsearch, if there was one.
pub(crate) fn with_scratch(folder: &Path, measure: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let scratch = folder.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let measured = measure(&scratch);
    match &measured {
        Ok(()) => fs::remove_dir_all(&scratch)?,
        Err(_) => writeln!(io::stderr(), "what it has left is in {}", scratch.display())?,
    }
    measured
}

/// Takes the turns of a measurement, counted from 0, and says so to whoever waits.
pub(crate) fn rounds(what: &str, rounds: usize, mut turn: impl FnMut(usize) -> Outcome) -> Outcome {
    for round in 0..rounds {
        say(&format!("{what}: round {} of {rounds}", round + 1));
        turn(round)?;
    }
    Ok(())
}

/// Says to whoever waits that something happens.
pub(crate) fn say(what: &str) {
    // If nobody can be told, nobody waits.
    let _ = writeln!(io::stderr(), "{what}");
}
