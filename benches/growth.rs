//! Measures what changes when there is more of something: `cargo bench --bench growth`.
//!
//! More tickets, more requests in flight, more copies of the server, and more requests than it can answer; on the
//! embedded store and on Elasticsearch, one store after the other, so that neither idles beside the other. Each figure
//! is the median of the rounds, with the lowest and the highest beside it; in a round each size has its turn.
//!
//! What is measured is the real program, `tickey serve`. Elasticsearch and the load are processes of their own as well:
//! this program starts itself again for the latter, see [`Role`].
//!
//! | module | what it does |
//! |---|---|
//! | [`growth::tickets`] | a thousand tickets to ten million: rate, disk, memory, start |
//! | [`growth::in_flight`] | 1 to 1024 requests at a time |
//! | [`growth::copies`] | 1 to 4 servers on one Elasticsearch |
//! | [`growth::overload`] | three times what the server can do, and how it recovers |
//! | [`growth::ground`] | a store with tickets, and servers on it |
//! | [`growth::findings`] | what a subject has found on one store, and how that becomes a section with pictures |
//! | [`support`] | what they have in common with the other benchmarks |

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

#[allow(dead_code, reason = "this target uses only a part of what the benchmarks share")]
mod support;

mod growth {
    pub(super) mod copies;
    pub(super) mod findings;
    pub(super) mod ground;
    pub(super) mod in_flight;
    pub(super) mod overload;
    pub(super) mod tickets;
}

use growth::findings::{Findings, Topic};
use growth::ground::Site;
use growth::{copies, in_flight, overload, tickets};
use support::report::{machine, write_page};
use support::{Outcome, generator};

/// What the page says before the figures.
const PREAMBLE: &str = "\
# Growth

Made by `cargo bench --bench growth -- --write`, with the pictures; do not edit. What changes when there are more
tickets, more requests at a time, more copies of the server, or more requests than it can answer. Everything was
measured on one machine and in one run, the embedded store first and then Elasticsearch: each figure is the median of
the rounds, with the lowest and the highest.

The server is `tickey serve` as it is installed, with its defaults, logging at level `info` to `/dev/null`. The load
generator (one thread, keep-alive connections over the loopback interface) and Elasticsearch (one node, one shard, no
replica, `translog.durability: request`, over TLS with basic authentication) run on the same processors, so what one of
them uses is missing to the others. Every request redeems a key of its own; but for the overload, a run counts only if
all answers were 201.
";

/// Measures what changes when there is more of something
#[derive(Debug, Parser)]
#[command(name = "growth", args_conflicts_with_subcommands = true)]
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
    /// On these stores, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "embedded,elasticsearch")]
    store: Vec<Kind>,
    /// The most tickets in the embedded store; Elasticsearch has a million at most
    #[arg(long, default_value_t = 10_000_000)]
    largest: usize,
    /// How often each thing is measured; the overload once
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Seconds before each measurement that do not count
    #[arg(long, default_value_t = 1)]
    warm_up: u64,
    /// Seconds of overload
    #[arg(long, default_value_t = 60)]
    overload_seconds: u64,
    /// Memory of Elasticsearch
    #[arg(long, default_value = "1g")]
    heap: String,
    /// Make the prepared stores anew: after a change of the schema or of its settings
    #[arg(long)]
    fresh: bool,
    /// Write docs/benchmarks-growth.md and its pictures as well
    #[arg(long)]
    write: bool,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    Tickets,
    InFlight,
    Copies,
    Overload,
}

impl Subject {
    fn topic(self) -> Topic {
        match self {
            Self::Tickets => tickets::TOPIC,
            Self::InFlight => in_flight::TOPIC,
            Self::Copies => copies::TOPIC,
            Self::Overload => overload::TOPIC,
        }
    }

    fn is_wanted(self, only: &[Self]) -> bool {
        only.is_empty() || only.contains(&self)
    }
}

/// What tickets are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Embedded,
    Elasticsearch,
}

impl Kind {
    /// As it is called in tables and pictures.
    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Elasticsearch => "Elasticsearch",
        }
    }
}

/// What this program does when it has started itself.
#[derive(Debug, Subcommand)]
enum Role {
    /// The load on servers
    #[command(hide = true)]
    Generate(generator::GenerateArgs),
}

/// What every measurement needs.
struct Bench {
    options: Options,
    /// Where prepared stores are kept from run to run.
    datasets: PathBuf,
    /// For files that nobody needs afterwards; on the disk that is measured.
    scratch: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.role {
        Some(Role::Generate(args)) => generator::generate(args),
        None => measure(cli.options),
    };
    support::exit("growth", outcome)
}

fn measure(options: Options) -> Outcome {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // The embedded store's benchmark has some of the same.
    let datasets = folder.join("embedded");
    fs::create_dir_all(&datasets)?;
    support::with_scratch(&folder.join("growth"), |scratch| {
        measure_in(&Bench { options, datasets, scratch: scratch.to_path_buf() })
    })
}

fn measure_in(bench: &Bench) -> Outcome {
    let options = &bench.options;
    let subjects: Vec<Subject> =
        Subject::value_variants().iter().copied().filter(|one| one.is_wanted(&options.only)).collect();
    let mut found: Vec<(Subject, Findings)> = Vec::new();
    let mut engine = format!("SQLite {}", rusqlite::version());
    for kind in &options.store {
        let site = Site::open(bench, *kind)?;
        for subject in &subjects {
            let findings = (subject.topic().measure)(&site)?;
            for row in &findings.rows {
                writeln!(io::stdout(), "{row}")?;
            }
            found.push((*subject, findings));
        }
        if let Some(other) = site.describe()? {
            engine = format!("{engine}; {other}");
        }
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pictures =
        if options.write { docs } else { PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("growth") };
    let mut sections = Vec::new();
    for subject in subjects {
        let findings = found.iter().filter(|(of, _)| *of == subject).map(|(_, findings)| findings);
        let section = subject.topic().section(options, &findings.collect::<Vec<_>>(), &pictures)?;
        sections.extend(section);
    }
    for section in &sections {
        writeln!(io::stdout(), "{section}")?;
    }
    let run = format!(
        "{} rounds of {} s after {} s that do not count",
        options.rounds, options.seconds, options.warm_up
    );
    let machine = machine(&engine, &run);
    writeln!(io::stdout(), "{machine}\npictures: {}", pictures.display())?;
    if options.write { write_page("benchmarks-growth.md", PREAMBLE, &machine, &sections) } else { Ok(()) }
}
