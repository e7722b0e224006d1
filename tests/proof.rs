//! The proof: that no key is used up twice, none without its download, and no acknowledged redemption is lost, whatever
//! befalls the servers and the nodes of the store.
//!
//! ```sh
//! cargo test --release --test proof                        # without bugs, and with each bug that it must find
//! cargo test --release --test proof -- run --operations 1000000
//! cargo test --test proof -- run --planted dirty-read      # ends as soon as the bug is found
//! cargo test --test proof -- run --store sqlite            # in seconds, on the embedded store
//! ```
//!
//! Three nodes of Elasticsearch and some servers, as real processes on a network of their own; people who want the same
//! tickets, press twice, give up and come back, and operators who revoke and give back; and meanwhile nodes are killed,
//! stopped and cut off, and servers killed and stopped. Every request is recorded with what came of it, and the history
//! of each ticket must be one that could have happened one request after the other (linearizability), where what has no
//! answer may have happened at any time or never. That the proof can fail is shown by bugs that are planted in a store
//! around the real one.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says that something is wrong by panicking, and what it has found by printing"
)]

mod proof {
    pub(crate) mod checker;
    pub(crate) mod client;
    pub(crate) mod cluster;
    pub(crate) mod history;
    pub(crate) mod isolation;
    pub(crate) mod model;
    pub(crate) mod nemesis;
    pub(crate) mod planted;
    pub(crate) mod report;
    pub(crate) mod run;
    pub(crate) mod scenes;
    pub(crate) mod serve;
    pub(crate) mod servers;
    pub(crate) mod world;
}

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use proof::cluster::{self, Cluster};
use proof::planted::Bug;
use proof::run::{Findings, Plan, run};
use proof::{isolation, report, serve};

/// Time after which a bug that was planted must have been found: some show only when a fault meets a write, and
/// machines are busy.
const PLANTED_LIMIT: Duration = Duration::from_mins(15);
/// The same of a run without one, for each operation and to begin with.
const CLEAN_LIMIT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_mins(10));

#[derive(Debug, Parser)]
#[command(about = "Shows that nothing is lost or given twice, and that it would be seen")]
struct Cli {
    /// This is the copy that has the network for itself
    #[arg(long, hide = true)]
    isolated: bool,
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, Args)]
struct Options {
    /// Requests in the run without a bug, at least
    #[arg(long, global = true, default_value_t = 100_000)]
    operations: u64,
    /// Faults of nodes in it, at least [default: one for 10000 operations, and no fewer than 8]
    #[arg(long, global = true)]
    faults: Option<u32>,
    /// Where chance begins
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Servers; the first knows all nodes, each other one only one
    #[arg(long, global = true, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=8))]
    servers: u8,
    /// The store under the servers
    #[arg(long, global = true, value_enum, default_value_t = Engine::Elasticsearch)]
    store: Engine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    Elasticsearch,
    /// Without nodes: only servers fail
    Sqlite,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The run without a bug, then one with each bug
    All,
    /// One run
    Run {
        /// A bug to be found
        #[arg(long)]
        planted: Option<Bug>,
    },
    /// A server with a bug
    #[command(hide = true)]
    Server(serve::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let planted = match cli.command {
        Some(Command::Server(args)) => {
            runtime().block_on(serve::serve(args));
            return ExitCode::SUCCESS;
        }
        Some(Command::Run { planted }) => vec![planted],
        Some(Command::All) | None => {
            let bugs = Bug::value_variants().iter().filter(|bug| cli.options.store.can_show(**bug));
            [None].into_iter().chain(bugs.map(|bug| Some(*bug))).collect()
        }
    };
    if !cli.isolated {
        if cli.options.store == Engine::Elasticsearch {
            cluster::assemble();
        }
        eprintln!("proof: {}", isolation::enter());
        return ExitCode::FAILURE;
    }
    cluster::raise_loopback();
    let _ = tickey::lifecycle::raise_open_files_limit();
    // A part that fails must not leave the others waiting for it.
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        std::process::exit(101);
    }));
    runtime().block_on(async {
        tokio::select! {
            code = prove(&cli.options, &planted) => code,
            _ = tokio::signal::ctrl_c() => ExitCode::from(130),
        }
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be had")
}

impl Engine {
    /// A bug in how doubt is dealt with does not show on a store that has none.
    fn can_show(self, bug: Bug) -> bool {
        self == Self::Elasticsearch
            || !matches!(bug, Bug::UnknownIsSuccess | Bug::UnknownIsNothing | Bug::DirtyRead)
    }
}

impl Options {
    fn plan(&self, planted: Option<Bug>) -> Plan {
        let by_operations = u32::try_from(self.operations / 10_000).unwrap_or(u32::MAX);
        let (each, least) = CLEAN_LIMIT;
        let clean_limit = least + each.saturating_mul(u32::try_from(self.operations).unwrap_or(u32::MAX));
        Plan {
            operations: self.operations,
            faults: self.faults.unwrap_or(by_operations.max(8)),
            seed: self.seed,
            servers: self.servers,
            planted,
            limit: if planted.is_some() { PLANTED_LIMIT } else { clean_limit },
        }
    }
}

/// Makes the runs, one after the other on the same cluster.
async fn prove(options: &Options, planted: &[Option<Bug>]) -> ExitCode {
    let folder = tempfile::Builder::new().prefix("tickey-proof-").tempdir().expect("a temporary folder");
    println!("work files are in {}; seed {}", folder.path().display(), options.seed);
    let cluster = match options.store {
        Engine::Sqlite => None,
        Engine::Elasticsearch => Some(Arc::new(Cluster::start(folder.path()).await)),
    };
    let mut all_well = true;
    for bug in planted {
        let plan = options.plan(*bug);
        let findings = run(&plan, cluster.as_ref(), folder.path()).await;
        report::print(&plan, &findings);
        all_well &= is_well(&plan, &findings);
    }
    drop(cluster);
    if all_well {
        return ExitCode::SUCCESS;
    }
    keep(folder);
    ExitCode::FAILURE
}

/// A run without a bug must find nothing and have come to its end; one with a bug must find something.
fn is_well(plan: &Plan, findings: &Findings) -> bool {
    match plan.planted {
        Some(_) => findings.caught_after.is_some(),
        None => findings.flaws.is_empty() && findings.total() >= plan.operations,
    }
}

fn keep(folder: tempfile::TempDir) {
    let kept: &Path = &folder.keep();
    println!("work files are kept in {}", kept.display());
}
