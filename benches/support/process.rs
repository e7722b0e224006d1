//! What a process has used, as Linux tells it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use super::Outcome;
use super::report::{Row, Series};

/// Units of time in `/proc/PID/stat` (`USER_HZ`), the same on every Linux that we build for.
const TICKS_PER_SECOND: f64 = 100.0;
/// How often the memory of a running process is looked at; its peak is kept by the system.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The most memory that a tool may use, in MiB.
const MAX_TOOL_MIB: f64 = 100.0;

/// Seconds of processor time that a process has used, user and system, with all the processes that it has started, and
/// that those have.
pub(crate) fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let mut children: BTreeMap<u32, Vec<(u32, f64)>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended since the folder was read.
        if let Ok(stat) = Stat::of(child) {
            children.entry(stat.parent).or_default().push((child, stat.ticks));
        }
    }
    let mut ticks = Stat::of(pid)?.ticks;
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for (child, more) in children.remove(&parent).unwrap_or_default() {
            ticks += more;
            parents.push(child);
        }
    }
    Ok(ticks / TICKS_PER_SECOND)
}

/// What `/proc/PID/stat` says of a process.
struct Stat {
    parent: u32,
    /// Its own processor time, and that of its children that have ended.
    ticks: f64,
}

impl Stat {
    fn of(pid: u32) -> Outcome<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in parentheses, may hold spaces; fields are counted after it.
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).ok_or("/proc/PID/stat has no name")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let field = |number: usize| fields.get(number).ok_or("/proc/PID/stat is too short");
        // Fields 4, and 14 to 17, the first after the name being the third.
        let ticks = (11..15).map(|number| Ok(field(number)?.parse::<f64>()?)).sum::<Outcome<f64>>()?;
        Ok(Self { parent: field(1)?.parse()?, ticks })
    }
}

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident: f64,
    /// The most so far.
    pub(crate) peak: f64,
}

impl Memory {
    /// Of a running process.
    pub(crate) fn of(pid: u32) -> Outcome<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mib = |name: &str| -> Outcome<f64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the process has ended")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        Ok(Self { resident: mib("VmRSS:")?, peak: mib("VmHWM:")? })
    }
}

/// What a process that has ended has used.
pub(crate) struct Usage {
    /// From its start to its end.
    pub(crate) seconds: f64,
    /// The most memory, in MiB.
    pub(crate) peak: f64,
}

/// Runs a command to its end, which must be a good one.
pub(crate) fn run(command: &mut Command) -> Outcome<Usage> {
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let mut peak = 0.0;
    let ended: ExitStatus = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        // Fails in the moment between its end and our noticing.
        peak = Memory::of(child.id()).map_or(peak, |memory| memory.peak);
        std::thread::sleep(LOOK_EVERY);
    };
    let seconds = begun.elapsed().as_secs_f64();
    if ended.success() { Ok(Usage { seconds, peak }) } else { Err(format!("{command:?}: {ended}").into()) }
}

/// What a tool has used in each round.
#[derive(Default)]
pub(crate) struct ToolFigures {
    /// From its start to its end.
    pub(crate) seconds: Series,
    /// The most memory, in MiB.
    peak: Series,
}

impl ToolFigures {
    /// Adds a round's.
    pub(crate) fn push(&mut self, usage: &Usage) {
        self.seconds.push(usage.seconds);
        self.peak.push(usage.peak);
    }

    /// Its memory, and how much it may use.
    pub(crate) fn memory_row(&self, what: &str) -> Row {
        let met = self.peak.median() < MAX_TOOL_MIB;
        Row::with_bar(what, self.peak.show(0, " MiB"), "< 100 MiB", met)
    }
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
