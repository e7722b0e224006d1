//! What befalls nodes and servers, by chance and in turn: death, sleep, and being cut off.
//!
//! One node at a time, since two of three are needed for anything at all; servers meanwhile, as it comes. After each
//! fault of a node the cluster is given the time to become whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use rustix::process::Signal;

use super::cluster::{Cluster, NODES, Network};
use super::planted::Bug;
use super::scenes;
use super::world::World;

/// Tickets that are wanted on both sides while a node is in trouble.
const HOT_TICKETS: usize = 24;
/// Tickets that are changed over and over at the moment when a node gets into trouble.
const BUSY_TICKETS: usize = 12;
/// How long before they begin.
const BUSY_BEFORE: Duration = Duration::from_millis(250);

/// What can befall a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Its peers cannot reach it, clients can.
    CutOffFromPeers,
    /// The other way round.
    CutOffFromClients,
    /// Nobody can.
    CutOff,
    /// `kill -9`, and started again on what it had stored.
    Killed,
    /// SIGSTOP, and SIGCONT.
    Stopped,
}

impl Fault {
    /// For a run that ends as soon as a bug is found.
    const fn most_telling(planted: Option<Bug>) -> Self {
        match planted {
            // What nobody hears of must have been done.
            Some(Bug::UnknownIsNothing) => Self::Killed,
            _ => Self::CutOffFromPeers,
        }
    }

    fn by_chance(chance: &mut Rng) -> Self {
        match chance.u8(0..100) {
            0..30 => Self::CutOffFromPeers,
            30..40 => Self::CutOff,
            40..55 => Self::CutOffFromClients,
            55..80 => Self::Killed,
            _ => Self::Stopped,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::CutOffFromPeers => "node cut off from its peers",
            Self::CutOffFromClients => "node cut off from clients",
            Self::CutOff => "node cut off from everybody",
            Self::Killed => "node killed",
            Self::Stopped => "node stopped",
        }
    }

    const fn networks(self) -> &'static [Network] {
        match self {
            Self::CutOffFromPeers => &[Network::Peers],
            Self::CutOffFromClients => &[Network::Clients],
            Self::CutOff => &[Network::Peers, Network::Clients],
            Self::Killed | Self::Stopped => &[],
        }
    }

    fn seconds(self, chance: &mut Rng) -> u64 {
        match self {
            Self::CutOffFromPeers | Self::CutOff => chance.u64(5..=12),
            Self::CutOffFromClients => chance.u64(3..=7),
            Self::Killed => chance.u64(0..=4),
            Self::Stopped => chance.u64(2..=8),
        }
    }
}

/// How often what has happened.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Faults {
    fn count(&self, name: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lets faults befall nodes, so many at least, until the run is over. Leaves the cluster whole.
pub(crate) async fn torment_nodes(
    world: Arc<World>,
    (cluster, index): (Arc<Cluster>, String),
    planted: Option<Bug>,
    faults: Faults,
    done: impl Fn(u32),
) {
    let mut chance = world.chance();
    let mut number = 0;
    while !world.pause(Duration::from_millis(chance.u64(500..2500))).await {
        let is_telling = number == 0 || planted.is_some() && number % 2 == 0;
        let fault = if is_telling { Fault::most_telling(planted) } else { Fault::by_chance(&mut chance) };
        let primary = cluster.primary(&index).await.filter(|_| is_telling || chance.u8(0..4) > 0);
        let node = primary.unwrap_or_else(|| chance.usize(0..NODES));
        faults.count(fault.name());
        befall(&world, &cluster, (fault, node), &mut chance).await;
        number += 1;
        done(number);
    }
    cluster.recover().await;
}

async fn befall(world: &Arc<World>, cluster: &Cluster, (fault, node): (Fault, usize), chance: &mut Rng) {
    let mut tickets = world.new_tickets(HOT_TICKETS + BUSY_TICKETS, true);
    let minted = world.mint(&tickets).await.is_ok();
    for ticket in tickets.split_off(HOT_TICKETS) {
        if minted {
            world.play(ticket, |world, ticket| async move { scenes::busy(&world, &ticket).await }).await;
        }
    }
    world.pause(BUSY_BEFORE).await;
    world.weather.set_node(node, true);
    match fault {
        Fault::Killed => cluster.kill_node(node),
        Fault::Stopped => cluster.signal_node(node, Signal::STOP),
        _ => fault.networks().iter().for_each(|network| Cluster::cut(node, *network)),
    }
    if minted {
        for ticket in tickets {
            world
                .play(ticket, move |world, ticket| async move { scenes::hot(&world, &ticket, node).await })
                .await;
        }
    }
    world.pause(Duration::from_secs(fault.seconds(chance))).await;
    cluster.recover().await;
    world.weather.set_node(node, false);
}

/// Kills and stops servers until the run is over. Leaves all of them running.
pub(crate) async fn torment_servers(world: Arc<World>, faults: Faults) {
    let mut chance = world.chance();
    while !world.pause(Duration::from_millis(chance.u64(2000..8000))).await {
        let server = chance.u8(0..world.servers.count());
        world.weather.set_server(server, true);
        if chance.u8(0..3) == 0 {
            world.servers.signal(server, Signal::STOP);
            faults.count("server stopped");
            world.pause(Duration::from_millis(chance.u64(500..9000))).await;
            world.servers.signal(server, Signal::CONT);
        } else {
            world.servers.kill(server);
            faults.count("server killed");
            world.pause(Duration::from_millis(chance.u64(0..500))).await;
            world.servers.start_one(server);
        }
        world.weather.set_server(server, false);
    }
}
