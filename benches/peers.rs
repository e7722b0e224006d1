//! Measures the server beside what people would otherwise use: `cargo bench --bench peers`.
//!
//! It builds servers in Go, Node and Rust that do the same as a first version would, starts Elasticsearch, PostgreSQL
//! and Redis, and ends them. Everything runs on one machine and in one run. What is compared is measured in turns (A B
//! C, B C A, …), so that whatever else the machine does falls on all alike; each figure is the median of the rounds,
//! with the lowest and the highest beside it, and a ratio is the median of the ratios of each round.
//!
//! The engines, the load and each server are processes of their own: our own servers and the load are this program in
//! another role, see [`Role`].
//!
//! | module | what it does |
//! |---|---|
//! | [`peers::contestants`] | who can take part, and how each is checked and put under load |
//! | [`peers::field`] | all that do, built and started |
//! | [`peers::build`] | the servers of others, built |
//! | [`peers::stores`], [`peers::postgres`], [`peers::redis`] | where tickets are, and how they are filled in |
//! | [`peers::limits`] | what the machine, SQLite and Elasticsearch can do without a server |
//! | [`peers::closed`] | redemptions/s with many requests in flight, and how long one takes alone |
//! | [`peers::open`] | how long answers take at fixed rates |
//! | [`peers::page`] | tables, pictures, and what is to be known about them |
//! | [`support`] | what this has in common with the other benchmarks |

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};

#[allow(dead_code, reason = "this target uses only a part of what the benchmarks share")]
mod support;

mod peers {
    pub(super) mod build;
    pub(super) mod closed;
    pub(super) mod contestants;
    pub(super) mod field;
    pub(super) mod limits;
    pub(super) mod open;
    pub(super) mod page;
    pub(super) mod postgres;
    pub(super) mod redis;
    pub(super) mod stores;
}

use peers::contestants::Name;
use peers::field::Field;
use peers::page::Results;
use peers::{closed, limits, open};
use support::dataset::Dataset;
use support::elasticsearch::{bare, server};
use support::{Outcome, embedded, generator};

/// Measures the server beside what people would otherwise use
#[derive(Debug, Parser)]
#[command(name = "peers", args_conflicts_with_subcommands = true)]
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
    /// Let only these take part, separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    contestants: Vec<Name>,
    /// How often each thing is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The same of fixed rates, of which there are many
    #[arg(long, default_value_t = 3)]
    open_rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Seconds before each measurement that do not count
    #[arg(long, default_value_t = 1)]
    warm_up: u64,
    /// Tickets in each store
    #[arg(long, default_value_t = 1_000_000)]
    tickets: usize,
    /// Memory of Elasticsearch
    #[arg(long, default_value = "1g")]
    heap: String,
    /// Connections of axum's pool to PostgreSQL
    #[arg(long, default_value_t = 64)]
    postgres_connections: u32,
    /// Workers of Node; without it one for each processor
    #[arg(long)]
    node_workers: Option<usize>,
    /// Make the prepared store of SQLite anew: after a change of the schema or of its settings
    #[arg(long)]
    fresh: bool,
    /// Write docs/benchmarks.md and its pictures as well
    #[arg(long)]
    write: bool,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn measures(&self, subject: Subject) -> bool {
        self.only.is_empty() || self.only.contains(&subject)
    }
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// What there is to reach
    Limits,
    /// As many requests as are answered
    Closed,
    /// Requests at fixed rates
    Open,
}

/// What this program does when it has started itself.
#[derive(Debug, Subcommand)]
enum Role {
    /// Our server on SQLite
    #[command(hide = true)]
    ServeEmbedded(embedded::ServeArgs),
    /// Our server on Elasticsearch
    #[command(hide = true)]
    ServeElasticsearch(server::ServeArgs),
    /// The load on a server
    #[command(hide = true)]
    Generate(generator::GenerateArgs),
    /// The reads and writes of redemptions without a server
    #[command(hide = true)]
    Bare(bare::RedeemArgs),
}

/// What every measurement needs.
struct Bench {
    options: Options,
    dataset: Dataset,
    /// For what is built, and is kept for the next time.
    folder: PathBuf,
    /// For files that nobody needs afterwards; on the disk that is measured.
    scratch: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.role {
        Some(Role::ServeEmbedded(args)) => embedded::serve(args),
        Some(Role::ServeElasticsearch(args)) => server::serve(args),
        Some(Role::Generate(args)) => generator::generate(args),
        Some(Role::Bare(args)) => bare::redeem(&args),
        None => measure(cli.options),
    };
    support::exit("peers", outcome)
}

fn measure(options: Options) -> Outcome {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    support::with_scratch(&folder, |scratch| {
        let dataset = Dataset::prepare(&folder, options.tickets, options.fresh)?;
        measure_in(&Bench { options, dataset, folder: folder.clone(), scratch: scratch.to_path_buf() })
    })
}

fn measure_in(bench: &Bench) -> Outcome {
    let mut begun = Instant::now();
    let mut durations = Vec::new();
    let mut done = |phase: &'static str| {
        durations.push((phase, begun.elapsed()));
        begun = Instant::now();
    };
    let mut field = Field::gather(bench)?;
    done("to build, start and fill");
    let closed = if bench.options.measures(Subject::Closed) {
        closed::measure(bench, &mut field)?
    } else {
        Vec::new()
    };
    done("closed loop");
    let open = if bench.options.measures(Subject::Open) {
        open::measure(bench, &mut field, &closed)?
    } else {
        Vec::new()
    };
    done("open loop");
    // Last, when Elasticsearch has long compiled what it needs: without a server there is no warm-up of theirs.
    let limits =
        if bench.options.measures(Subject::Limits) { limits::measure(bench, &field)? } else { Vec::new() };
    done("limits");
    let results = Results { limits, closed, open };
    results.show(bench, &field, &durations)
}
