//! One run: servers are started, scenes are played while faults befall nodes and servers, everything is mended and
//! settled, and the histories are judged.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tickey::environment::{Clock as _, SystemClock};
use tickey::redemption::link::KeyRing;
use tokio::sync::mpsc as channel;

use super::client::Client;
use super::cluster::{Cluster, server_address};
use super::history::{History, Record};
use super::model::{Outcome, Request};
use super::nemesis::{Faults, torment_nodes, torment_servers};
use super::planted::Bug;
use super::report::NOTHING;
use super::scenes;
use super::servers::{Servers, StoreAt};
use super::world::{Played, World};

/// How long a fault and its mending take, as a rule: operations are spread over as many of them as there are to be.
const SECONDS_A_FAULT: u64 = 20;
/// Tickets that are kept in stock, so that there are new ones also while the store is in trouble.
const STOCK: usize = 1500;
/// Tickets that are minted together.
const MINTED_TOGETHER: usize = 250;
/// How long scenes may take to end.
const CURTAIN: Duration = Duration::from_mins(3);
/// Tickets that are settled at the same time.
const SETTLED_TOGETHER: usize = 64;
/// Flaws that are reported in full.
const MAX_FLAWS: usize = 3;

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) operations: u64,
    /// Faults of nodes, at least.
    pub(crate) faults: u32,
    pub(crate) seed: u64,
    pub(crate) servers: u8,
    pub(crate) planted: Option<Bug>,
    /// After which it is over, whatever is left to do.
    pub(crate) limit: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// By what was asked and what came of it.
    pub(crate) operations: BTreeMap<(&'static str, &'static str), u64>,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) tickets: usize,
    pub(crate) playing: Duration,
    pub(crate) settling: Duration,
    pub(crate) checking: Duration,
    /// The longest time in which nobody was given anything.
    pub(crate) drought: Duration,
    /// The most records of one ticket.
    pub(crate) longest: usize,
    /// The longest time that the checker took for one ticket.
    pub(crate) slowest: Duration,
    /// What is wrong, in words.
    pub(crate) flaws: Vec<String>,
    /// How many there are.
    pub(crate) flawed: usize,
    /// When the first one was found.
    pub(crate) caught_after: Option<Duration>,
}

/// Does what was planned, on the cluster or, without one, on an embedded store.
pub(crate) async fn run(plan: &Plan, cluster: Option<&Arc<Cluster>>, folder: &Path) -> Findings {
    let (store, index) = prepare(plan, cluster, folder);
    let (world, caught) = open(plan, store, folder).await;
    let faults = Faults::default();
    let nodes_done = Arc::new(AtomicU32::new(if cluster.is_some() { 0 } else { plan.faults }));
    let mut torments = vec![tokio::spawn(torment_servers(Arc::clone(&world), faults.clone()))];
    if let Some(cluster) = cluster {
        let done = Arc::clone(&nodes_done);
        let done = move |number| done.store(number, Ordering::Relaxed);
        let (world, cluster, faults) = (Arc::clone(&world), Arc::clone(cluster), faults.clone());
        torments.push(tokio::spawn(torment_nodes(
            world,
            (cluster, index.clone()),
            plan.planted,
            faults,
            done,
        )));
    }
    torments.push(tokio::spawn(keep_playing(Arc::clone(&world), rate(plan))));
    while !world.pause(Duration::from_millis(50)).await {
        let enough = plan.planted.is_none()
            && world.operations() >= plan.operations
            && nodes_done.load(Ordering::Relaxed) >= plan.faults;
        if enough || caught.get().is_some() || world.elapsed() > plan.limit {
            world.end();
        }
    }
    let mut findings = Findings { playing: world.elapsed(), ..Findings::default() };
    for torment in torments {
        torment.await.expect("no part of the proof fails");
    }
    if !world.curtain(CURTAIN).await {
        findings.flaws.push(format!("requests were still open {CURTAIN:?} after the end"));
    }
    match caught.get() {
        Some((after, flaw)) => {
            findings.caught_after = Some(after);
            findings.flaws.push(flaw);
            findings.flawed = 1;
            gather(&mut findings, &histories(&world));
        }
        None => conclude(&world, &mut findings).await,
    }
    for server in world.servers.ended_by_themselves() {
        findings.flaws.push(format!("server {server} has ended by itself: see {}", folder.display()));
    }
    findings.faults = faults.counts();
    drop(world);
    if let Some(cluster) = cluster {
        cluster.delete_index(&index).await;
    }
    findings
}

/// Operations a second.
fn rate(plan: &Plan) -> u64 {
    (plan.operations / (u64::from(plan.faults.max(1)) * SECONDS_A_FAULT)).max(50)
}

fn prepare(plan: &Plan, cluster: Option<&Arc<Cluster>>, folder: &Path) -> (StoreAt, String) {
    let keys = KeyRing::line(SystemClock.now(), &[7; 32]);
    // For the owner alone: the server insists on it.
    let file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(folder.join("link-keys"));
    file.and_then(|mut file| file.write_all(keys.as_bytes())).expect("the link keys can be written");
    let name = plan.planted.map_or("clean".to_owned(), |bug| format!("{bug:?}").to_lowercase());
    let index = format!("proof-{name}-{}", plan.seed);
    let store = match cluster {
        None => StoreAt::Sqlite(folder.join(format!("{index}.db"))),
        Some(cluster) => StoreAt::Elasticsearch {
            ca_file: cluster.ca_file(),
            password_file: cluster.password_file(),
            index: index.clone(),
        },
    };
    (store, index)
}

/// What the checker has found while the play goes on.
#[derive(Clone, Default)]
struct Caught(Arc<Mutex<Option<(Duration, String)>>>);

impl Caught {
    fn get(&self) -> Option<(Duration, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn open(plan: &Plan, store: StoreAt, folder: &Path) -> (Arc<World>, Caught) {
    let operators_store = store.open().await.expect("the store can be opened");
    let servers = Servers::start(plan.servers, store, plan.planted, folder);
    let client = Client::new((0..plan.servers).map(server_address).collect());
    let (to_check, checked) = mpsc::channel::<Arc<Played>>();
    let world = Arc::new(World::new(client, servers, operators_store, plan.seed, to_check));
    for server in 0..plan.servers {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !world.client.is_alive(server).await {
            let patient = Instant::now() < deadline && world.servers.ended_by_themselves().is_empty();
            assert!(patient, "server {server} does not answer: see {}", folder.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let caught = Caught::default();
    let (found, began) = (caught.clone(), Instant::now());
    // Ends when the world does, from which the tickets come.
    thread::spawn(move || {
        for ticket in checked {
            let history = ticket.history();
            if let Some(flaw) = history.flaw() {
                let mut found = found.0.lock().unwrap_or_else(PoisonError::into_inner);
                found.get_or_insert_with(|| (began.elapsed(), history.explain(&flaw)));
            }
        }
    });
    (world, caught)
}

/// Plays scene after scene, not more operations a second than this.
async fn keep_playing(world: Arc<World>, rate: u64) {
    let (to_stock, mut stock) = channel::channel(STOCK);
    let minting = tokio::spawn(keep_minting(Arc::clone(&world), to_stock));
    let mut chance = world.chance();
    let mut in_play = 0_u64;
    while !world.is_over() {
        let allowed = world.elapsed().as_millis() * u128::from(rate) / 1000;
        if u128::from(world.operations()) > allowed || in_play > world.operations() / 2 + 400 {
            world.pause(Duration::from_millis(5)).await;
            continue;
        }
        // Some dozen operations come with each scene, most of them at once.
        in_play += 1;
        if chance.u8(0..20) == 0 {
            let ticket = world.new_tickets(1, false).remove(0);
            world.play(ticket, |world, ticket| async move { scenes::early(&world, &ticket).await }).await;
        } else {
            let next = tokio::time::timeout(Duration::from_millis(100), stock.recv()).await;
            let Ok(Some(ticket)) = next else { continue };
            world.play(ticket, |world, ticket| async move { scenes::play(&world, &ticket).await }).await;
        }
        world.pause(Duration::from_millis(1)).await;
    }
    drop(stock);
    minting.await.expect("no part of the proof fails");
}

async fn keep_minting(world: Arc<World>, stock: channel::Sender<Arc<Played>>) {
    loop {
        let tickets = world.new_tickets(MINTED_TOGETHER, true);
        if let Err(error) = world.mint(&tickets).await {
            // What is not acknowledged is not played with.
            eprintln!("no new tickets for now: {error}");
            world.pause(Duration::from_millis(500)).await;
        } else {
            for ticket in tickets {
                if stock.send(ticket).await.is_err() {
                    return;
                }
            }
        }
        if world.is_over() {
            return;
        }
    }
}

/// Settles what is open, reads what is there, and judges all histories.
async fn conclude(world: &Arc<World>, findings: &mut Findings) {
    let began = Instant::now();
    let settle = |ticket: Arc<Played>| async move { scenes::settle(world, &ticket).await };
    futures_util::stream::iter(world.tickets()).for_each_concurrent(SETTLED_TOGETHER, settle).await;
    findings.settling = began.elapsed();
    let began = Instant::now();
    let histories = histories(world);
    gather(findings, &histories);
    judge(findings, &histories);
    findings.checking = began.elapsed();
    if findings.flawed > 0 {
        findings.caught_after = Some(world.elapsed());
    }
}

fn histories(world: &World) -> Vec<History> {
    world.tickets().iter().map(|ticket| ticket.history()).collect()
}

/// Checks all histories, on all processors.
fn judge(findings: &mut Findings, histories: &[History]) {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = histories.len().div_ceil(workers).max(1);
    let judge = |histories: &[History]| {
        let mut slowest = Duration::ZERO;
        let mut flaws = Vec::new();
        for history in histories {
            let began = Instant::now();
            if let Some(flaw) = history.flaw() {
                flaws.push(history.explain(&flaw));
            }
            slowest = slowest.max(began.elapsed());
        }
        (slowest, flaws)
    };
    thread::scope(|scope| {
        let parts: Vec<_> = histories.chunks(share).map(|part| scope.spawn(move || judge(part))).collect();
        for part in parts {
            let (slowest, flaws) = part.join().expect("the checker does not fail");
            findings.slowest = findings.slowest.max(slowest);
            findings.flawed += flaws.len();
            let room = MAX_FLAWS.saturating_sub(findings.flaws.len());
            findings.flaws.extend(flaws.into_iter().take(room));
        }
    });
}

fn gather(findings: &mut Findings, histories: &[History]) {
    findings.tickets = histories.len();
    for record in histories.iter().flat_map(|history| &history.records) {
        let request = match record.operation.request {
            Request::Create => "create",
            Request::Redeem { .. } => "redeem",
            Request::Look { .. } => "receipt",
            Request::Revoke => "revoke",
            Request::Reinstate => "reinstate",
            Request::Read => "read",
        };
        let outcome = match &record.operation.outcome {
            Outcome::Open(_) => "open",
            Outcome::Nothing(why) => NOTHING[usize::from(why != NOTHING[0])],
            Outcome::Given { .. } => "given",
            Outcome::AlreadyRedeemed { .. } => "already redeemed",
            Outcome::Revoked => "revoked",
            Outcome::ReceiptUnknown => "receipt unknown",
            Outcome::RenewalsUsedUp => "renewals used up",
            Outcome::Unknown => "unknown",
            Outcome::Created { .. } => "created",
            Outcome::Is { changed: true, .. } => "changed",
            Outcome::Is { changed: false, .. } => "as it was",
            Outcome::Wrong(_) => "WRONG",
        };
        *findings.operations.entry((request, outcome)).or_default() += 1;
    }
    let is_given = |record: &&Record| matches!(record.operation.outcome, Outcome::Given { .. });
    let given = histories.iter().flat_map(|history| &history.records).filter(is_given);
    let end = u64::try_from(findings.playing.as_nanos()).unwrap_or(u64::MAX);
    let mut given: Vec<u64> =
        given.map(|record| record.answered).filter(|answered| *answered <= end).collect();
    given.sort_unstable();
    let drought = given.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    findings.drought = Duration::from_nanos(drought);
    findings.longest = histories.iter().map(|history| history.records.len()).max().unwrap_or_default();
}
