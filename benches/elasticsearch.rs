//! Measures the store on Elasticsearch and the server around it: `cargo bench --bench elasticsearch`.
//!
//! It starts an Elasticsearch of its own, with the scripts of `tests/elasticsearch`, and ends it. Everything runs on
//! one machine and in one run. What is compared is measured in turns (A B C, B C A, …), so that whatever else the
//! machine does falls on all alike; each figure is the median of the rounds, with the lowest and the highest beside it,
//! and a ratio is the median of the ratios of each round.
//!
//! Elasticsearch, the load, each server and each bare client are processes of their own: this program starts itself
//! again in another role, see [`Role`]. The tools are measured on the real binary.
//!
//! | module | what it does |
//! |---|---|
//! | [`elasticsearch::redemptions`] | redemptions/s with many in flight, and without batching or server |
//! | [`elasticsearch::alone`] | how long one redemption takes when there is no other |
//! | [`elasticsearch::bulk`] | mint and load, beside a bare loop |
//! | [`support::elasticsearch`] | Elasticsearch, the servers on it, and the same reads and writes without any |
//! | [`support`] | what they have in common with the other benchmarks |

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tickey::redemption::key::TicketId;

#[allow(dead_code, reason = "this target uses only a part of what the benchmarks share")]
mod support;

mod elasticsearch {
    pub(super) mod alone;
    pub(super) mod bulk;
    pub(super) mod redemptions;
}

use elasticsearch::{alone, bulk, redemptions};
use support::elasticsearch::node::Node;
use support::elasticsearch::{bare, server};
use support::keys::{Supply, Unused, make_keys};
use support::report::{Section, machine, write_page};
use support::{Outcome, generator};

/// What the page says before the figures.
const PREAMBLE: &str = "\
# Benchmarks on Elasticsearch

Made by `cargo bench --bench elasticsearch -- --write`; do not edit. What is compared was measured in turns, in one run
and on one machine: each figure is the median of the rounds, with the lowest and the highest, and each ratio the median
of the rounds' ratios.

Elasticsearch, the load generator (one thread, keep-alive connections over the loopback interface), the servers and the
bare clients are processes of their own on the same processors, so what one of them uses is missing to the others.
There is one node, and the index is as the program makes it: one shard, `translog.durability: request` (checked before
measuring). With one node there is no replica. All go through TLS with basic authentication, as a user with the role of
`docs/elasticsearch-role.json`. All servers log at level `info`, a JSON object a line, to `/dev/null`.
";

/// Measures the store on Elasticsearch and the server around it
#[derive(Debug, Parser)]
#[command(name = "elasticsearch", args_conflicts_with_subcommands = true)]
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
    /// Tickets in the index, and to mint and load
    #[arg(long, default_value_t = 300_000)]
    tickets: usize,
    /// Memory of Elasticsearch
    #[arg(long, default_value = "1g")]
    heap: String,
    /// Write docs/benchmarks-elasticsearch.md as well
    #[arg(long)]
    write: bool,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    Redemptions,
    Alone,
    Bulk,
}

/// Measures a subject.
type Measure = fn(&Bench) -> Outcome<Section>;

/// What this program does when it has started itself.
#[derive(Debug, Subcommand)]
enum Role {
    /// A server
    #[command(hide = true)]
    ServeElasticsearch(server::ServeArgs),
    /// The load on one
    #[command(hide = true)]
    Generate(generator::GenerateArgs),
    /// The same reads and writes without a server
    #[command(hide = true)]
    Bare(bare::RedeemArgs),
    /// The loop that loading is compared with
    #[command(hide = true)]
    BareLoad(bare::LoadArgs),
}

/// What every measurement needs.
struct Bench {
    options: Options,
    node: Node,
    /// The keys, a line each.
    keys: PathBuf,
    /// Their ids.
    ids: Vec<TicketId>,
    /// Those whose tickets nobody has used since the index was filled.
    supply: Supply,
    /// For files that nobody needs afterwards; on the disk that is measured.
    scratch: PathBuf,
}

impl Bench {
    fn start(options: Options, scratch: &Path) -> Outcome<Self> {
        let keys = scratch.join("keys.txt");
        let ids = make_keys(&keys, options.tickets)?;
        let supply = Supply::new(ids.len());
        let node = Node::start(&scratch.join("node"), &options.heap)?;
        Ok(Self { options, node, keys, ids, supply, scratch: scratch.to_path_buf() })
    }

    /// Makes the index anew, with all tickets unused.
    fn refill(&self) -> Outcome {
        self.supply.start_over();
        self.node.refill(&self.ids)
    }

    /// Keys for the next measurement, which begins on an index that has come to rest.
    fn unused_keys(&self) -> Outcome<Unused> {
        // A measurement that uses more than this fails, and asks for more tickets.
        if self.supply.unused().count < self.ids.len() / 2 {
            self.refill()?;
        } else {
            self.node.settle()?;
        }
        Ok(self.supply.unused())
    }

    /// Takes turns, each round beginning with another contestant, on an index that was filled anew.
    fn take_turns(&self, what: &str, contestants: usize, mut turn: impl FnMut(usize) -> Outcome) -> Outcome {
        support::rounds(what, self.options.rounds, |round| {
            self.refill()?;
            (0..contestants).try_for_each(|place| turn((round + place) % contestants))
        })
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.role {
        Some(Role::ServeElasticsearch(args)) => server::serve(args),
        Some(Role::Generate(args)) => generator::generate(args),
        Some(Role::Bare(args)) => bare::redeem(&args),
        Some(Role::BareLoad(args)) => bare::load_all(&args),
        None => measure(cli.options),
    };
    support::exit("elasticsearch", outcome)
}

fn measure(options: Options) -> Outcome {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elasticsearch");
    support::with_scratch(&folder, |scratch| measure_in(options, scratch))
}

fn measure_in(options: Options, scratch: &Path) -> Outcome {
    let bench = Bench::start(options, scratch)?;
    let subjects: [(Subject, Measure); 3] = [
        (Subject::Redemptions, redemptions::measure),
        (Subject::Alone, alone::measure),
        (Subject::Bulk, bulk::measure),
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
    let engine = bench.node.describe()?;
    let run = format!(
        "{} rounds of {} s after {} s that do not count; {} tickets",
        options.rounds, options.seconds, options.warm_up, options.tickets
    );
    let machine = machine(&engine, &run);
    writeln!(io::stdout(), "{machine}")?;
    if options.write {
        write_page("benchmarks-elasticsearch.md", PREAMBLE, &machine, &sections)?;
    }
    Ok(())
}
