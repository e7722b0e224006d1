//! What load is wanted: as the arguments of the process that makes it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;

use super::super::Outcome;
use super::load::Load;

/// A part of an open loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Requests a second.
    pub(crate) rate: f64,
    /// How long.
    pub(crate) seconds: u64,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rate, self.seconds)
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('x').and_then(|(rate, seconds)| Some((rate.parse().ok()?, seconds)));
        let step = parts.and_then(|(rate, seconds)| Some(Self { rate, seconds: seconds.parse().ok()? }));
        step.ok_or_else(|| "give RATExSECONDS".to_owned())
    }
}

/// What to send, where to, and how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    /// The servers, between which the connections are divided equally
    #[arg(long = "address", required = true)]
    pub(crate) addresses: Vec<SocketAddr>,
    /// Their processes, for their shares of the processors
    #[arg(long = "server-pid")]
    pub(crate) server_pids: Vec<u32>,
    /// The process of the engine that keeps its store, if that is another one
    #[arg(long)]
    pub(crate) engine_pid: Option<u32>,
    /// Requests in flight, at most
    #[arg(long)]
    pub(crate) connections: usize,
    /// What is due in an open loop, one part after the other, together as long as what counts; without, the loop is
    /// closed
    #[arg(long = "step")]
    pub(crate) steps: Vec<Step>,
    /// Requests that may wait for a connection in an open loop; without, none does. Those count then that were due in
    /// the seconds that do, however late the answer
    #[arg(long)]
    pub(crate) queue: Option<usize>,
    /// Seconds that do not count
    #[arg(long)]
    pub(crate) warm_up: u64,
    /// Seconds that count
    #[arg(long)]
    pub(crate) seconds: u64,
    /// In a closed loop, to end with the answer to the last key, if that is sooner
    #[arg(long)]
    pub(crate) until_used: bool,
    /// The file with the keys; without it one malformed key is sent
    #[arg(long)]
    pub(crate) keys: Option<PathBuf>,
    /// The first of the keys to use
    #[arg(long, default_value_t = 0)]
    pub(crate) first_key: usize,
    /// How many there are from there on
    #[arg(long, default_value_t = 0)]
    pub(crate) key_count: usize,
}

/// Runs the load in a process of its own.
pub(crate) fn run(args: &GenerateArgs) -> Outcome<Load> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("generate");
    for address in &args.addresses {
        command.args(["--address", &address.to_string()]);
    }
    for pid in &args.server_pids {
        command.args(["--server-pid", &pid.to_string()]);
    }
    command.args(["--connections", &args.connections.to_string()]);
    command.args(["--warm-up", &args.warm_up.to_string(), "--seconds", &args.seconds.to_string()]);
    if let Some(pid) = args.engine_pid {
        command.args(["--engine-pid", &pid.to_string()]);
    }
    for step in &args.steps {
        command.args(["--step", &step.to_string()]);
    }
    if let Some(queue) = args.queue {
        command.args(["--queue", &queue.to_string()]);
    }
    if args.until_used {
        command.arg("--until-used");
    }
    if let Some(keys) = &args.keys {
        command.arg("--keys").arg(keys);
        command.args(["--first-key", &args.first_key.to_string()]);
        command.args(["--key-count", &args.key_count.to_string()]);
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout)?)
    } else {
        Err(format!("the load generator ended with {}", output.status).into())
    }
}
