//! What everybody in a run shares: the tickets and what is known of them, the way to the servers, the clock, the
//! weather.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tickey::environment::{Clock as _, SystemClock};
use tickey::redemption::key::{DownloadKey, TicketId};
use tickey::redemption::store::{SharedStore, StoreError};
use tickey::redemption::ticket::{self, State};
use tokio::sync::{Semaphore, watch};

use super::client::{Client, claim_of};
use super::history::{History, MAX_RECORDS, Record};
use super::model::{Holding, Operation, Outcome, Redemption, Request, Seconds, Ticket, When};
use super::servers::Servers;

/// The album that all tickets are for.
const ALBUM: &str = "slow-tide";
/// Scenes that are played at the same time, at most.
const MAX_SCENES: u32 = 4096;
/// Symbols of a key that are random.
const RANDOM_SYMBOLS: usize = 23;

/// One ticket and what has happened to it so far.
pub(crate) struct Played {
    pub(crate) id: TicketId,
    pub(crate) key: String,
    minted: bool,
    scene: Mutex<&'static str>,
    records: Mutex<Vec<Record>>,
}

impl Played {
    pub(crate) fn history(&self) -> History {
        let records = lock(&self.records).clone();
        let name = self.id.to_string().chars().take(10).collect();
        History { name, scene: *lock(&self.scene), minted: self.minted, records }
    }

    pub(crate) fn set_scene(&self, scene: &'static str) {
        *lock(&self.scene) = scene;
    }

    /// Whether more can happen to it.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.records).len() < MAX_RECORDS
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which nodes and servers are in trouble just now.
#[derive(Default)]
pub(crate) struct Weather {
    sick_nodes: AtomicU8,
    sick_servers: AtomicU8,
}

impl Weather {
    pub(crate) fn set_node(&self, node: usize, sick: bool) {
        set(&self.sick_nodes, 1 << node, sick);
    }

    pub(crate) fn set_server(&self, server: u8, sick: bool) {
        set(&self.sick_servers, 1 << server, sick);
    }
}

fn set(bits: &AtomicU8, bit: u8, on: bool) {
    if on {
        bits.fetch_or(bit, Ordering::Relaxed);
    } else {
        bits.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// What everybody shares.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) servers: Servers,
    /// For operators, who need no server.
    pub(crate) store: SharedStore,
    pub(crate) weather: Weather,
    began: Instant,
    seed: u64,
    numbers: AtomicU64,
    operations: AtomicU64,
    tickets: Mutex<Vec<Arc<Played>>>,
    to_check: Mutex<mpsc::Sender<Arc<Played>>>,
    over: watch::Sender<bool>,
    stage: Arc<Semaphore>,
}

impl World {
    pub(crate) fn new(
        client: Client,
        servers: Servers,
        store: SharedStore,
        seed: u64,
        to_check: mpsc::Sender<Arc<Played>>,
    ) -> Self {
        Self {
            client,
            servers,
            store,
            weather: Weather::default(),
            began: Instant::now(),
            seed,
            numbers: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            tickets: Mutex::default(),
            to_check: Mutex::new(to_check),
            over: watch::Sender::new(false),
            stage: Arc::new(Semaphore::new(MAX_SCENES as usize)),
        }
    }

    /// Chance that depends on the seed and on how many have asked for some before.
    pub(crate) fn chance(&self) -> Rng {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        Rng::with_seed(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(number))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Operations so far, without those that were certainly not done.
    pub(crate) fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// No new scenes, no new faults.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Waits so long, or until the run is over, which it says.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        let mut over = self.over.subscribe();
        tokio::time::timeout(time, over.wait_for(|over| *over)).await.is_ok()
    }

    /// All tickets that were ever in play.
    pub(crate) fn tickets(&self) -> Vec<Arc<Played>> {
        lock(&self.tickets).clone()
    }

    /// New keys, whose tickets the store may not have yet.
    pub(crate) fn new_tickets(&self, count: usize, minted: bool) -> Vec<Arc<Played>> {
        let mut chance = self.chance();
        let new = |_| {
            let mut random = [0; RANDOM_SYMBOLS];
            chance.fill(&mut random);
            let key = DownloadKey::from_random(&random);
            let (scene, records) = (Mutex::new("not begun"), Mutex::default());
            Arc::new(Played { id: key.id(), key: key.reveal(), minted, scene, records })
        };
        (0..count).map(new).collect()
    }

    /// Adds the tickets of these keys to the store.
    pub(crate) async fn mint(
        &self,
        tickets: &[Arc<Played>],
    ) -> Result<Vec<tickey::redemption::store::Created>, StoreError> {
        let now = SystemClock.now();
        let name = |text: &str| text.parse().expect("a name");
        let ticket =
            |played: &Arc<Played>| (played.id, ticket::Ticket::issue(name(ALBUM), name("proof"), now));
        self.store.create(tickets.iter().map(ticket).collect()).await
    }

    /// Plays a scene with a ticket, and has its history checked as far as it goes by then. In the end the ticket is
    /// settled, read and checked again.
    pub(crate) async fn play<Scene>(
        self: &Arc<Self>,
        ticket: Arc<Played>,
        scene: impl FnOnce(Arc<Self>, Arc<Played>) -> Scene,
    ) where
        Scene: Future<Output = ()> + Send + 'static,
    {
        let place = Arc::clone(&self.stage).acquire_owned().await.expect("the stage is never closed");
        lock(&self.tickets).push(Arc::clone(&ticket));
        let world = Arc::clone(self);
        let scene = scene(Arc::clone(self), Arc::clone(&ticket));
        tokio::spawn(async move {
            scene.await;
            // Nobody checks any more once something was found.
            let _ = lock(&world.to_check).send(ticket);
            drop(place);
        });
    }

    /// Waits until all scenes have ended. False if that takes too long.
    pub(crate) async fn curtain(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.stage.acquire_many(MAX_SCENES)).await.is_ok()
    }

    /// A server for a request: as a rule one that is well, now and then any.
    pub(crate) fn any_server(&self, chance: &mut Rng) -> u8 {
        let count = self.servers.count();
        let any = chance.u8(0..count);
        if chance.u8(0..10) == 0 {
            return any;
        }
        (0..count).map(|offset| (any + offset) % count).find(|server| self.is_well(*server)).unwrap_or(any)
    }

    /// The server that knows only this node; if there is none, the one that knows all.
    pub(crate) fn server_of(&self, node: usize) -> u8 {
        (0..self.servers.count()).find(|server| self.servers.home(*server) == Some(node)).unwrap_or(0)
    }

    fn is_well(&self, server: u8) -> bool {
        let sick_server = self.weather.sick_servers.load(Ordering::Relaxed) & (1 << server) != 0;
        let sick_nodes = self.weather.sick_nodes.load(Ordering::Relaxed);
        !sick_server && self.servers.home(server).is_none_or(|node| sick_nodes & (1 << node) == 0)
    }

    /// Does something to a ticket and writes down what came of it.
    pub(crate) async fn record<T>(
        &self,
        ticket: &Played,
        (server, request): (Option<u8>, Request),
        work: impl Future<Output = (Outcome, u64, T)>,
    ) -> (Outcome, T) {
        let (started, began) = (self.nanoseconds(), seconds());
        let (outcome, digest, rest) = work.await;
        let (answered, ended) = (self.nanoseconds(), seconds());
        let operation = Operation { request, outcome: outcome.clone(), began, ended };
        lock(&ticket.records).push(Record { server, started, answered, operation, digest });
        // What was certainly not done proves little.
        if !matches!(outcome, Outcome::Nothing(_)) {
            self.operations.fetch_add(1, Ordering::Relaxed);
        }
        (outcome, rest)
    }

    fn nanoseconds(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The time by the clock that servers date redemptions with.
fn seconds() -> Seconds {
    SystemClock.now().as_second()
}

/// A ticket as the store has it, in the words of the specification. The error says what cannot be said in them.
pub(crate) fn seen(id: &TicketId, ticket: &ticket::Ticket) -> Result<Ticket, String> {
    let redemption = |held: &ticket::Redemption| {
        let claim =
            claim_of(id, held.id.0, 0).ok_or_else(|| format!("held by {}, who is nobody", held.id))?;
        let at = When::At(held.at.as_second());
        let renewed_at = held.renewed_at.map(|at| When::At(at.as_second()));
        Ok::<_, String>(Redemption { claim, at, renewals: held.renewals, renewed_at })
    };
    let holding = match &ticket.state {
        State::Issued => Holding::Issued,
        State::Redeemed(held) => Holding::Redeemed(redemption(held)?),
        State::Revoked(held) => Holding::Revoked(held.as_ref().map(redemption).transpose()?),
    };
    Ok(Ticket { round: ticket.reinstatements(), holding })
}
