//! A store with tickets that nobody has used, and servers on it.
//!
//! The embedded store is a file, copied from a prepared one each time; a server that runs on it has to be started anew.
//! Elasticsearch is filled anew, and servers stay: to them it is an index in which all tickets were replaced.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tickey::redemption::key::TicketId;

use super::super::support::Outcome;
use super::super::support::dataset::{Dataset, remove_store};
use super::super::support::elasticsearch::node::Node;
use super::super::support::generator::order::Step;
use super::super::support::generator::{self, GenerateArgs, Load};
use super::super::support::keys::make_keys;
use super::super::support::process::Memory;
use super::super::support::server::Server;
use super::super::support::wire::{CREATED, IN_FLIGHT};
use super::super::{Bench, Kind};

/// No server has redeemed as many in a second: what a load reads of the keys, at most, for each of its seconds.
pub(crate) const MOST_PER_SECOND: usize = 50_000;
/// Tickets to make Elasticsearch compile what it will need.
const WARM_UP_TICKETS: usize = 100_000;
/// Seconds of load for that.
const WARM_UP_SECONDS: u64 = 3;
/// When a load shall end with the keys and not with the time: longer than any takes.
const LONG_ENOUGH_SECONDS: u64 = 600;
/// Bytes of a mebibyte.
const MIB: f64 = 1024.0 * 1024.0;

/// Where a kind of store is.
pub(crate) struct Site<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) kind: Kind,
    /// Elasticsearch, if that is what it is.
    node: Option<Node>,
}

/// What a load is like, but for its keys.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// So many requests in flight, for the seconds of the options.
    InFlight(usize),
    /// So many, until all keys are used.
    UntilUsed(usize),
    /// An open loop over so many connections.
    Open(usize, Vec<Step>),
}

impl<'a> Site<'a> {
    /// Starts Elasticsearch, if that is what it is.
    pub(crate) fn open(bench: &'a Bench, kind: Kind) -> Outcome<Self> {
        let site = match kind {
            Kind::Embedded => Self { bench, kind, node: None },
            Kind::Elasticsearch => {
                let node = Node::start(&bench.scratch.join("node"), &bench.options.heap)?;
                Self { bench, kind, node: Some(node) }
            }
        };
        if site.is_shared() {
            let mut ground = Ground::prepare(&site, WARM_UP_TICKETS)?;
            ground.start(1)?;
            // Looks at no answer: until Elasticsearch is warm, a TLS handshake can take longer than the server waits.
            ground.generate(&Shape::InFlight(IN_FLIGHT), WARM_UP_SECONDS)?;
        }
        Ok(site)
    }

    /// What Elasticsearch is, in a few words, if there is one.
    pub(crate) fn describe(&self) -> Outcome<Option<String>> {
        self.node.as_ref().map(Node::describe).transpose()
    }

    /// The memory of Elasticsearch, if there is one.
    pub(crate) fn engine_memory(&self) -> Outcome<Option<Memory>> {
        self.node.as_ref().map(|node| Memory::of(node.pid())).transpose()
    }

    /// Whether the store is in a process of its own, which several servers can share.
    pub(crate) fn is_shared(&self) -> bool {
        self.node.is_some()
    }

    /// The name of a size or of a step in tables.
    pub(crate) fn row(&self, what: &str) -> String {
        format!("{}, {what}", self.kind.name())
    }
}

/// A store with so many tickets.
pub(crate) struct Ground<'a> {
    site: &'a Site<'a>,
    filling: Filling<'a>,
    /// The keys, a line each.
    keys: PathBuf,
    /// How many.
    tickets: usize,
    /// The first key whose ticket nobody has used since the store was filled.
    next_key: usize,
    /// The servers on it.
    pub(crate) servers: Vec<Server>,
}

/// Where tickets come from when the store is filled.
enum Filling<'a> {
    /// A prepared store.
    Copy(Dataset),
    /// Their ids, into an index.
    Index(&'a Node, Vec<TicketId>),
}

impl<'a> Ground<'a> {
    /// A store that is not there yet, without a server.
    pub(crate) fn prepare(site: &'a Site<'a>, tickets: usize) -> Outcome<Self> {
        let Bench { options, datasets, scratch } = site.bench;
        let (filling, keys) = if let Some(node) = &site.node {
            let keys = scratch.join("keys.txt");
            (Filling::Index(node, make_keys(&keys, tickets)?), keys)
        } else {
            let dataset = Dataset::prepare(datasets, tickets, options.fresh)?;
            let keys = dataset.keys.clone();
            (Filling::Copy(dataset), keys)
        };
        Ok(Self { site, filling, keys, tickets, next_key: 0, servers: Vec::new() })
    }

    /// Fills the store anew and starts new servers. Gives how long the first took to get ready.
    pub(crate) fn start(&mut self, servers: usize) -> Outcome<Duration> {
        self.servers.clear();
        self.fill()?;
        let mut first = None;
        for _ in 0..servers {
            let (server, ready_after) = self.start_server()?;
            first.get_or_insert(ready_after);
            self.servers.push(server);
        }
        Ok(first.unwrap_or_default())
    }

    /// Fills the store anew, and starts servers anew where that takes it.
    pub(crate) fn renew(&mut self) -> Outcome {
        match &self.filling {
            Filling::Copy(_) => self.start(self.servers.len()).map(drop),
            Filling::Index(..) => self.fill(),
        }
    }

    fn fill(&mut self) -> Outcome {
        self.next_key = 0;
        match &self.filling {
            Filling::Copy(dataset) => dataset.copy_store(&self.file()),
            Filling::Index(node, ids) => node.refill(ids),
        }
    }

    fn file(&self) -> PathBuf {
        self.site.bench.scratch.join("tickets.db")
    }

    fn start_server(&self) -> Outcome<(Server, Duration)> {
        let mut serve = match &self.site.node {
            None => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_tickey"));
                command.args(["serve", "--store", &format!("sqlite:{}", self.file().display())]);
                command
            }
            Some(node) => node.user.tickey(&["serve"]),
        };
        Server::start_program(&mut serve, &self.site.bench.scratch.join("link-keys"))
    }

    /// Tickets that nobody has used.
    fn unused(&self) -> usize {
        self.tickets - self.next_key
    }

    /// Puts load on the servers; all answers must be 201. The store is filled anew before that when more than half of
    /// its tickets were used.
    pub(crate) fn load(&mut self, shape: &Shape) -> Outcome<Load> {
        if self.unused() < self.tickets / 2 {
            self.renew()?;
        }
        let load = self.generate(shape, self.site.bench.options.seconds)?;
        load.only(CREATED)?;
        Ok(load)
    }

    /// Puts load on the servers, whatever they answer.
    pub(crate) fn generate(&mut self, shape: &Shape, seconds: u64) -> Outcome<Load> {
        self.rest()?;
        let Bench { options, .. } = self.site.bench;
        let (connections, steps, warm_up, seconds) = match shape {
            Shape::InFlight(connections) => (*connections, Vec::new(), options.warm_up, seconds),
            Shape::UntilUsed(connections) => (*connections, Vec::new(), 0, LONG_ENOUGH_SECONDS),
            Shape::Open(connections, steps) => {
                let seconds = steps.iter().map(|step| step.seconds).sum();
                (*connections, steps.clone(), options.warm_up, seconds)
            }
        };
        let most = MOST_PER_SECOND * usize::try_from(warm_up + seconds)?;
        let load = generator::run(&GenerateArgs {
            addresses: self.servers.iter().map(|server| server.address).collect(),
            server_pids: self.servers.iter().map(Server::pid).collect(),
            engine_pid: self.site.node.as_ref().map(Node::pid),
            connections,
            steps,
            queue: None,
            warm_up,
            seconds,
            until_used: matches!(shape, Shape::UntilUsed(_)),
            keys: Some(self.keys.clone()),
            first_key: self.next_key,
            key_count: self.unused().min(most),
        })?;
        self.next_key += load.used_keys;
        Ok(load)
    }

    /// Lets Elasticsearch put everything into segments and finish its merges.
    fn rest(&self) -> Outcome {
        self.site.node.as_ref().map_or(Ok(()), Node::settle)
    }

    /// What the store takes on disk now, in MiB: the file with its log, or the index with its.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn disk(&self) -> Outcome<f64> {
        self.rest()?;
        let bytes = if let Some(node) = &self.site.node {
            node.disk_bytes()?
        } else {
            let mut bytes = 0;
            for suffix in ["", "-wal", "-shm"] {
                let mut name = self.file().into_os_string();
                name.push(suffix);
                bytes += fs::metadata(name).map_or(0, |file| file.len());
            }
            bytes
        };
        Ok(bytes as f64 / MIB)
    }

    /// Requests to the store, and redemptions, that all servers have counted.
    fn counted(&self) -> Outcome<[u64; 2]> {
        let sum =
            |series: &str| self.servers.iter().map(|server| server.counted(series)).sum::<Outcome<u64>>();
        Ok([sum("tickey_store_requests_total{")?, sum("tickey_redemptions_total{outcome=\"redeemed\"}")?])
    }

    /// The same as [`Self::load`], and requests to the store for each redemption.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn load_counted(&mut self, shape: &Shape) -> Outcome<(Load, f64)> {
        if self.unused() < self.tickets / 2 {
            self.renew()?;
        }
        let before = self.counted()?;
        let load = self.load(shape)?;
        let after = self.counted()?;
        let [requests, redeemed] = [0, 1].map(|which| after[which] - before[which]);
        if usize::try_from(redeemed)? != load.total(CREATED) {
            return Err(
                format!("{redeemed} redemptions were counted, {} answered", load.total(CREATED)).into()
            );
        }
        Ok((load, requests as f64 / redeemed as f64))
    }
}

impl Drop for Ground<'_> {
    fn drop(&mut self) {
        self.servers.clear();
        // What is left goes with the scratch folder.
        let _ = remove_store(&self.file());
    }
}
