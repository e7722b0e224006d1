//! Three nodes of Elasticsearch on a network of their own, which can be killed, stopped and cut off.
//!
//! Each node lives in a network namespace with two cables: one to the network of the clients, one to that of the nodes
//! among themselves. A cable is unplugged at the switch, so that packets vanish without a word and connections hang, as
//! when a cable is cut. Expects to be alone in a network namespace itself, see `isolation`. Knows nothing of tickets.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::http_client;

/// Nodes of the cluster.
pub(crate) const NODES: usize = 3;
/// Where the scripts are that run nodes.
const KIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/elasticsearch");
const USERNAME: &str = "elastic";
const PASSWORD: &str = "of-no-use-outside";
/// How long a cluster may take to be whole after anything.
const PATIENCE: Duration = Duration::from_mins(3);

/// A node that does not answer is struck off after two to three seconds instead of half a minute, so that there is time
/// for many faults.
const SETTINGS: &str = "\
cluster.fault_detection.leader_check.timeout: 1s
cluster.fault_detection.leader_check.retry_count: 2
cluster.fault_detection.follower_check.timeout: 1s
cluster.fault_detection.follower_check.retry_count: 2
cluster.publish.timeout: 3s
cluster.follower_lag.timeout: 5s
";

/// The two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Clients,
    Peers,
}

impl Network {
    const BOTH: [Self; 2] = [Self::Clients, Self::Peers];

    const fn number(self) -> u8 {
        match self {
            Self::Clients => 1,
            Self::Peers => 2,
        }
    }

    fn switch(self) -> String {
        format!("switch{}", self.number())
    }

    /// The end of a node's cable that is in the switch.
    fn plug(self, node: usize) -> String {
        format!("plug{}n{}", self.number(), node + 1)
    }

    /// The other end, in the node's namespace.
    fn card(self) -> String {
        format!("card{}", self.number())
    }

    /// Of the host in the switch, or of a node (from 0).
    fn address(self, node: Option<usize>) -> String {
        format!("10.77.{}.{}", self.number(), node.map_or(254, |node| node + 1))
    }

    fn hardware_address(self, node: Option<usize>) -> String {
        format!("02:00:00:00:{:02x}:{:02x}", self.number(), node.map_or(254, |node| node + 1))
    }
}

/// The cluster. Its nodes end with it.
pub(crate) struct Cluster {
    folder: PathBuf,
    http: reqwest::Client,
    nodes: Vec<Mutex<Option<Child>>>,
}

impl Cluster {
    /// Lays the cables, starts the nodes and waits until they are a cluster.
    pub(crate) async fn start(folder: &Path) -> Self {
        lay_cables();
        let addresses = (0..NODES).map(|node| Network::Clients.address(Some(node)));
        run(Command::new(format!("{KIT}/certificates.sh")).arg(folder.join("certificates")).args(addresses));
        fs::write(folder.join("password"), PASSWORD).expect("the password file can be written");
        let cluster = Self {
            folder: folder.to_owned(),
            http: http_client(Some(&folder.join("certificates/ca.crt"))),
            nodes: (0..NODES).map(|_| Mutex::new(None)).collect(),
        };
        (0..NODES).for_each(|node| cluster.start_node(node));
        cluster.whole().await;
        cluster
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.join("certificates/ca.crt")
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    pub(crate) fn username() -> String {
        USERNAME.to_owned()
    }

    /// Where clients reach the nodes.
    pub(crate) fn urls() -> Vec<String> {
        (0..NODES).map(|node| format!("https://{}:9200", Network::Clients.address(Some(node)))).collect()
    }

    /// Starts a node, on what it had stored if it was there before.
    pub(crate) fn start_node(&self, node: usize) {
        let mut place = self.nodes[node].lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_some() {
            return;
        }
        let name = format!("n{}", node + 1);
        let log = File::options().create(true).append(true).open(self.folder.join(format!("{name}.log")));
        let log = log.expect("the node's log can be written");
        let seeds: Vec<String> =
            (0..NODES).map(|node| format!("{}:9300", Network::Peers.address(Some(node)))).collect();
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{name}"))
            .arg(format!("{KIT}/node.sh"))
            .arg(&name)
            .arg(self.folder.join(&name))
            .env("ES_HTTP", format!("{}:9200", Network::Clients.address(Some(node))))
            .env("ES_TRANSPORT", &seeds[node])
            .env("ES_SEEDS", seeds.join(" "))
            .env("ES_MASTERS", "n1,n2,n3")
            .env("ES_PASSWORD", PASSWORD)
            .env("ES_CERTIFICATES", self.folder.join("certificates"))
            .env("ES_EXTRA", SETTINGS)
            // It ends when this pipe does.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .process_group(0);
        *place = Some(command.spawn().expect("`nsenter` of util-linux is there"));
    }

    /// `kill -9`.
    pub(crate) fn kill_node(&self, node: usize) {
        let child = self.nodes[node].lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            let _ = child.kill();
            tokio::task::block_in_place(|| {
                let _ = child.wait();
            });
        }
    }

    /// SIGSTOP, or SIGCONT.
    pub(crate) fn signal_node(&self, node: usize, signal: Signal) {
        if let Some(child) = &*self.nodes[node].lock().unwrap_or_else(PoisonError::into_inner) {
            kill_process(Pid::from_child(child), signal).expect("the node can be signalled");
        }
    }

    /// Unplugs a node's cable.
    pub(crate) fn cut(node: usize, network: Network) {
        ip(&["link", "set", &network.plug(node), "nomaster"]);
    }

    /// Plugs it in again.
    pub(crate) fn mend(node: usize, network: Network) {
        ip(&["link", "set", &network.plug(node), "master", &network.switch()]);
    }

    /// Notices that a node has ended by itself.
    fn bury(&self, node: usize) {
        let mut place = self.nodes[node].lock().unwrap_or_else(PoisonError::into_inner);
        if place.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None))) {
            *place = None;
        }
    }

    /// Undoes all that was done to the nodes, and waits until the cluster is whole.
    pub(crate) async fn recover(&self) {
        for node in 0..NODES {
            for network in Network::BOTH {
                Self::mend(node, network);
            }
            self.signal_node(node, Signal::CONT);
            self.bury(node);
            self.start_node(node);
        }
        self.whole().await;
    }

    /// Waits until all nodes agree that all of them are there and all copies are what they should be.
    pub(crate) async fn whole(&self) {
        let deadline = Instant::now() + PATIENCE;
        let path = format!("_cluster/health?wait_for_nodes={NODES}&wait_for_status=green&timeout=2s");
        loop {
            let mut healthy = 0;
            for node in 0..NODES {
                let health = self.get(node, &path).await;
                healthy += usize::from(health.is_some_and(|health| health["timed_out"] == false));
            }
            if healthy == NODES {
                return;
            }
            if Instant::now() >= deadline {
                let mut why = None;
                for node in 0..NODES {
                    why = why.or(self.get(node, "_cluster/allocation/explain").await);
                }
                let why = why.unwrap_or_default();
                panic!(
                    "the cluster was not whole within {PATIENCE:?}: {why:#}\nsee {}",
                    self.folder.display()
                );
            }
            self.retry_allocation().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What an operator does when a shard stays where it is. A primary that was cut off can report itself failed again
    /// and again while it comes back; after five times, which take it two seconds, Elasticsearch leaves the shard alone
    /// until it is told otherwise.
    async fn retry_allocation(&self) {
        for url in Self::urls() {
            let request = self.http.post(format!("{url}/_cluster/reroute?retry_failed=true&metric=none"));
            let request = request.basic_auth(USERNAME, Some(PASSWORD)).timeout(Duration::from_secs(4));
            if request.send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
        }
    }

    /// The node with the primary copy of the index's only shard, as far as anybody says.
    pub(crate) async fn primary(&self, index: &str) -> Option<usize> {
        let path = format!("_cat/shards/{index}?format=json&h=prirep,state,node");
        for node in 0..NODES {
            let Some(Value::Array(shards)) = self.get(node, &path).await else { continue };
            let primary = shards.iter().find(|shard| shard["prirep"] == "p" && shard["state"] == "STARTED");
            if let Some(name) = primary.and_then(|shard| shard["node"].as_str()) {
                return name.strip_prefix('n')?.parse::<usize>().ok()?.checked_sub(1);
            }
        }
        None
    }

    /// Deletes an index that is no longer needed.
    pub(crate) async fn delete_index(&self, index: &str) {
        let request = self.http.delete(format!("{}/{index}", Self::urls()[0]));
        let _ = request.basic_auth(USERNAME, Some(PASSWORD)).timeout(Duration::from_secs(30)).send().await;
    }

    async fn get(&self, node: usize, path: &str) -> Option<Value> {
        let request = self.http.get(format!("{}/{path}", Self::urls()[node]));
        let answer =
            request.basic_auth(USERNAME, Some(PASSWORD)).timeout(Duration::from_secs(4)).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &self.nodes {
            if let Some(mut child) = node.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// Two switches, a namespace for each node, and a cable from each to both.
fn lay_cables() {
    let host = |network: Network| (network.address(None), network.hardware_address(None));
    for network in Network::BOTH {
        let (address, hardware) = host(network);
        // A switch takes its address from its cables unless it is given one, and would change it with every cut.
        ip(&["link", "add", &network.switch(), "address", &hardware, "type", "bridge"]);
        ip(&["link", "set", &network.switch(), "up"]);
        ip(&["address", "add", &format!("{address}/24"), "dev", &network.switch()]);
    }
    for node in 0..NODES {
        let name = format!("n{}", node + 1);
        ip(&["netns", "add", &name]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        for network in Network::BOTH {
            lay_cable(network, node, &name);
        }
    }
}

/// Everybody knows the hardware addresses of all others for good, so that a cut is not told by their absence.
fn lay_cable(network: Network, node: usize, name: &str) {
    let (plug, card, switch) = (network.plug(node), network.card(), network.switch());
    let (address, hardware) = (network.address(Some(node)), network.hardware_address(Some(node)));
    ip(&["link", "add", &plug, "type", "veth", "peer", "name", &card, "netns", name, "address", &hardware]);
    ip(&["link", "set", &plug, "master", &switch, "up"]);
    ip(&["-n", name, "link", "set", &card, "up"]);
    ip(&["-n", name, "address", "add", &format!("{address}/24"), "dev", &card]);
    ip(&["neighbour", "replace", &address, "lladdr", &hardware, "dev", &switch, "nud", "permanent"]);
    let others = (0..NODES).filter(|other| *other != node).map(Some).chain([None]);
    for other in others {
        let (address, hardware) = (network.address(other), network.hardware_address(other));
        ip(&[
            "-n",
            name,
            "neighbour",
            "replace",
            &address,
            "lladdr",
            &hardware,
            "dev",
            &card,
            "nud",
            "permanent",
        ]);
    }
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments));
}

/// Runs a command that must do its work.
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Fetches and builds what nodes run on, if it is not there. Needs the real network.
pub(crate) fn assemble() {
    let status =
        Command::new(format!("{KIT}/assemble.sh")).stdin(Stdio::null()).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{KIT}/assemble.sh has failed");
}

/// Loopback, where the servers and their clients are.
pub(crate) fn raise_loopback() {
    ip(&["link", "set", "lo", "up"]);
}

/// Where a server listens.
pub(crate) fn server_address(server: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8100 + u16::from(server)))
}
