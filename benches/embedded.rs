//! Measures the embedded store and the server around it: `cargo bench --bench embedded`.
//!
//! Everything runs on one machine and in one run. What is compared is measured in turns (A B C A B C …), so that
//! whatever else the machine does falls on all alike; each figure is the median of the rounds, with the lowest and the
//! highest beside it, and a ratio is the median of the ratios of each round.
//!
//! The load comes from a process of its own, and each server that is measured is one as well: this program starts
//! itself again in another role, see [`Role`]. The tools and the start are measured on the real binary.
//!
//! | module | what it does |
//! |---|---|
//! | [`embedded::redemptions`] | redemptions/s, beside no batching and beside doing nothing; latency |
//! | [`embedded::malformed`] | what a key costs that cannot be one |
//! | [`embedded::bulk`] | mint and load a million tickets, beside a bare loop |
//! | [`embedded::start`] | from exec to ready, and idle memory |
//! | [`embedded::limits`] | what disk and SQLite can do by themselves |
//! | [`support`] | what they have in common with the other benchmarks |

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

#[allow(dead_code, reason = "this target uses only a part of what the benchmarks share")]
mod support;

mod embedded {
    pub(super) mod bulk;
    pub(super) mod limits;
    pub(super) mod malformed;
    pub(super) mod redemptions;
    pub(super) mod start;
}

use embedded::{bulk, limits, malformed, redemptions, start};
use support::dataset::Dataset;
use support::report::{Section, machine, write_page};
use support::{Outcome, generator};

/// What the page says before the figures.
const PREAMBLE: &str = "\
# Benchmarks of the embedded store

Made by `cargo bench --bench embedded -- --write`; do not edit. What is compared was measured in turns, in one run and
on one machine: each figure is the median of the rounds, with the lowest and the highest, and each ratio the median of
the rounds' ratios.

The load generator is a process of its own on the same processors (one thread, keep-alive connections over the loopback
interface), so what it uses is missing to the server: both are shown. All servers log at level `info`, a JSON object a
line, to `/dev/null`.
";

/// Measures the embedded store and the server around it
#[derive(Debug, Parser)]
#[command(name = "embedded", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Clone, Debug, clap::Args)]
struct Options {
    /// Measure only these, separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Subject>,
    /// How often each thing is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Seconds before each measurement that do not count
    #[arg(long, default_value_t = 1)]
    warm_up: u64,
    /// Tickets in the store, and to mint and load
    #[arg(long, default_value_t = 1_000_000)]
    tickets: usize,
    /// Make the prepared store anew: after a change of the schema or of its settings
    #[arg(long)]
    fresh: bool,
    /// Write docs/benchmarks-embedded.md as well
    #[arg(long)]
    write: bool,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    Limits,
    Redemptions,
    Malformed,
    Bulk,
    Start,
}

/// Measures a subject.
type Measure = fn(&Bench) -> Outcome<Section>;

/// What this program does when it has started itself.
#[derive(Debug, Subcommand)]
enum Role {
    /// A server
    #[command(hide = true)]
    ServeEmbedded(support::embedded::ServeArgs),
    /// The load on one
    #[command(hide = true)]
    Generate(generator::GenerateArgs),
    /// The loop that loading is compared with
    #[command(hide = true)]
    BareLoad(bulk::BareLoadArgs),
}

/// What every measurement needs.
struct Bench {
    options: Options,
    dataset: Dataset,
    /// For files that nobody needs afterwards; on the disk that is measured.
    scratch: PathBuf,
}

impl Bench {
    /// Takes the turns of a measurement, and says so to whoever waits.
    fn rounds(&self, what: &str, mut turn: impl FnMut() -> Outcome) -> Outcome {
        support::rounds(what, self.options.rounds, |_| turn())
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.role {
        Some(Role::ServeEmbedded(args)) => support::embedded::serve(args),
        Some(Role::Generate(args)) => generator::generate(args),
        Some(Role::BareLoad(args)) => bulk::bare_load(&args),
        None => measure(cli.options),
    };
    support::exit("embedded", outcome)
}

fn measure(options: Options) -> Outcome {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedded");
    support::with_scratch(&folder, |scratch| measure_in(options, &folder, scratch))
}

fn measure_in(options: Options, folder: &Path, scratch: &Path) -> Outcome {
    let dataset = Dataset::prepare(folder, options.tickets, options.fresh)?;
    let bench = Bench { options, dataset, scratch: scratch.to_path_buf() };
    let subjects: [(Subject, Measure); 5] = [
        (Subject::Limits, limits::measure),
        (Subject::Redemptions, redemptions::measure),
        (Subject::Malformed, malformed::measure),
        (Subject::Bulk, bulk::measure),
        (Subject::Start, start::measure),
    ];
    let only = &bench.options.only;
    let mut sections = Vec::new();
    for (subject, measure) in subjects {
        if only.is_empty() || only.contains(&subject) {
            let section = measure(&bench)?;
            writeln!(io::stdout(), "{section}")?;
            sections.push(section);
        }
    }
    let options = &bench.options;
    let run = format!(
        "{} rounds of {} s after {} s that do not count; {} tickets",
        options.rounds, options.seconds, options.warm_up, options.tickets
    );
    let machine = machine(&format!("SQLite {}", rusqlite::version()), &run);
    writeln!(io::stdout(), "{machine}")?;
    if bench.options.write {
        write_page("benchmarks-embedded.md", PREAMBLE, &machine, &sections)?;
    }
    Ok(())
}
