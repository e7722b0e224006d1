//! What is played with tickets: people who want the same one, who press the button twice, who come back with receipts;
//! operators who change their minds. Every request is written down with what came of it.
//!
//! Knows people, and nothing of nodes and what befalls them, except for [`hot`], which is played while a node is in
//! trouble.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use tickey::environment::{Clock as _, SystemClock};
use tickey::redemption::change::{ChangeError, change};
use tickey::redemption::store::{Created, StoreError};
use tickey::redemption::ticket;
use tickey::redemption::write::WriteError;
use tokio::time::{Instant, sleep};

use super::client::Answered;
use super::model::{Claim, Outcome, Request};
use super::servers::REQUEST_TIMEOUT_SECONDS;
use super::world::{Played, World, seen};

/// How long people wait for an answer: longer than a server takes, whatever the store does.
const PATIENCE: Duration = Duration::from_secs(REQUEST_TIMEOUT_SECONDS as u64 + 3);
/// How long operators do.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(8);

/// Somebody who does something with one ticket.
struct Actor {
    world: Arc<World>,
    ticket: Arc<Played>,
    person: u8,
    chance: Rng,
}

/// What somebody who was given the album has in hand.
type Receipt = (Claim, String);

impl Actor {
    fn new(world: &Arc<World>, ticket: &Arc<Played>, person: u8) -> Self {
        Self { world: Arc::clone(world), ticket: Arc::clone(ticket), person, chance: world.chance() }
    }

    async fn wait(&mut self, milliseconds: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.chance.u64(milliseconds))).await;
    }

    /// As a rule people wait for the answer. Some do not.
    fn patience(&mut self) -> Duration {
        if self.chance.u8(0..50) == 0 { Duration::from_millis(self.chance.u64(1..40)) } else { PATIENCE }
    }

    /// Types in the key, at this server or any.
    async fn redeem(&mut self, server: Option<u8>) -> (Outcome, Option<Receipt>) {
        if !self.ticket.has_room() {
            return (Outcome::Nothing("enough has happened to this ticket".to_owned()), None);
        }
        let server = server.unwrap_or_else(|| self.world.any_server(&mut self.chance));
        let patience = self.patience();
        let Self { world, ticket, person, .. } = self;
        let ask = async {
            let who = (&ticket.id, ticket.key.as_str(), *person);
            let Answered { outcome, digest, receipt } = world.client.redeem(server, who, patience).await;
            (outcome, digest, receipt)
        };
        let request = Request::Redeem { person: *person };
        let (outcome, receipt) = world.record(ticket, (Some(server), request), ask).await;
        let receipt = match &outcome {
            Outcome::Given { claim, .. } => receipt.map(|receipt| (*claim, receipt)),
            _ => None,
        };
        (outcome, receipt)
    }

    /// Types in the key until there is an answer that settles it, so many times at most.
    async fn persist(&mut self, tries: u32) -> Option<Receipt> {
        for _ in 0..tries {
            let (outcome, receipt) = self.redeem(None).await;
            if receipt.is_some() || !matches!(outcome, Outcome::Open(_) | Outcome::Nothing(_)) {
                return receipt;
            }
            self.wait(50..800).await;
        }
        None
    }

    /// Comes back with a receipt.
    async fn look(&mut self, (claim, receipt): &Receipt) -> Option<Outcome> {
        if !self.ticket.has_room() {
            return None;
        }
        let server = self.world.any_server(&mut self.chance);
        let patience = self.patience();
        let Self { world, ticket, person, .. } = self;
        let ask = async {
            let who = (&ticket.id, receipt.as_str(), *person);
            let Answered { outcome, digest, .. } = world.client.look(server, who, patience).await;
            (outcome, digest, ())
        };
        let request = Request::Look { claim: *claim };
        Some(world.record(ticket, (Some(server), request), ask).await.0)
    }

    /// What winners and losers do afterwards.
    async fn linger(&mut self, won: Option<Receipt>) {
        let Some(receipt) = won else {
            if self.chance.u8(0..5) == 0 {
                self.wait(0..50).await;
                self.redeem(None).await;
            }
            return;
        };
        if self.chance.bool() {
            self.wait(0..20).await;
            self.redeem(None).await;
        }
        if self.chance.u8(0..3) == 0 {
            self.look(&receipt).await;
        }
        if self.chance.u8(0..20) == 0 {
            self.wait(900..1300).await;
            self.look(&receipt).await;
            self.redeem(None).await;
        }
    }

    async fn operate(&mut self, request: Request) {
        if !self.ticket.has_room() {
            return;
        }
        let Self { world, ticket, .. } = self;
        let change = async {
            let deadline = Instant::now() + OPERATOR_PATIENCE;
            let now = SystemClock.now();
            let changed = if request == Request::Revoke {
                change(&*world.store, ticket.id, deadline, |ticket| ticket.revoke(None, now)).await
            } else {
                let because: ticket::Because = "the proof wants it".parse().expect("a reason");
                change(&*world.store, ticket.id, deadline, |ticket| ticket.reinstate(because.clone(), now))
                    .await
            };
            let outcome = match changed {
                Ok(changed) => match seen(&ticket.id, &changed.ticket) {
                    Ok(ticket) => Outcome::Is { ticket, changed: changed.changed },
                    Err(what) => Outcome::Wrong(what),
                },
                Err(ChangeError::Write(WriteError::StoreUnavailable(error))) => {
                    Outcome::Nothing(error.to_string())
                }
                Err(ChangeError::Write(WriteError::OutcomeUnknown(why))) => Outcome::Open(why),
                Err(ChangeError::Unknown) => Outcome::Unknown,
            };
            (outcome, 0, ())
        };
        world.record(ticket, (None, request), change).await;
    }

    /// Mints the ticket.
    async fn create(&mut self) {
        let Self { world, ticket, .. } = self;
        let create = async {
            let outcome = match world.mint(std::slice::from_ref(ticket)).await.as_deref() {
                Ok([Created::New]) => Outcome::Created { new: true },
                Ok([Created::Present]) => Outcome::Created { new: false },
                Ok([Created::Unknown(why)]) => Outcome::Open(why.to_string()),
                Ok(_) => Outcome::Wrong("not one answer".to_owned()),
                Err(error) => Outcome::Open(error.to_string()),
            };
            (outcome, 0, ())
        };
        world.record(ticket, (None, Request::Create), create).await;
    }

    /// Reads the ticket and has it confirmed.
    async fn read(&mut self) {
        let Self { world, ticket, .. } = self;
        let read = async {
            let mut last = String::new();
            for _ in 0..30 {
                match confirmed(world, ticket).await {
                    Ok(Some(outcome)) => return (outcome, 0, ()),
                    Ok(None) => {}
                    Err(error) => last = error.to_string(),
                }
                sleep(Duration::from_millis(200)).await;
            }
            (Outcome::Wrong(format!("cannot be read: {last}")), 0, ())
        };
        world.record(ticket, (None, Request::Read), read).await;
    }
}

/// The ticket as it certainly is; `None` when what was read is not certain.
async fn confirmed(world: &World, ticket: &Played) -> Result<Option<Outcome>, StoreError> {
    let found = world.store.get(ticket.id).await?;
    let is_so = world.store.confirm(ticket.id, found.as_ref().map(|found| found.version)).await?;
    Ok(is_so.then(|| match found {
        None => Outcome::Unknown,
        Some(found) => match seen(&ticket.id, &found.value) {
            Ok(ticket) => Outcome::Is { ticket, changed: false },
            Err(what) => Outcome::Wrong(what),
        },
    }))
}

/// Plays one of the scenes, by chance, with a ticket that is there and new.
pub(crate) async fn play(world: &Arc<World>, ticket: &Arc<Played>) {
    let mut chance = world.chance();
    match chance.u8(0..100) {
        0..15 => alone(world, ticket).await,
        15..60 => contested(world, ticket, chance.u8(2..=8)).await,
        60..75 => pressed_twice(world, ticket, chance.u8(1..=3)).await,
        75..95 => operated(world, ticket, chance).await,
        _ => renewed(world, ticket).await,
    }
}

async fn alone(world: &Arc<World>, ticket: &Arc<Played>) {
    ticket.set_scene("alone");
    let mut actor = Actor::new(world, ticket, 0);
    let won = actor.persist(4).await;
    actor.linger(won).await;
}

/// People who all want it.
async fn contested(world: &Arc<World>, ticket: &Arc<Played>, people: u8) {
    ticket.set_scene("contested");
    let compete = |person| async move {
        let mut actor = Actor::new(world, ticket, person);
        actor.wait(0..8).await;
        let won = actor.persist(4).await;
        actor.linger(won).await;
    };
    join_all((0..people).map(compete)).await;
}

/// Somebody who sends the same request twice at once, and others.
async fn pressed_twice(world: &Arc<World>, ticket: &Arc<Played>, people: u8) {
    ticket.set_scene("pressed twice");
    let press = |person| async move {
        let mut actor = Actor::new(world, ticket, person);
        let won = actor.persist(3).await;
        actor.linger(won).await;
    };
    join_all([0].into_iter().chain(0..people).map(press)).await;
}

/// An operator who revokes and gives back, among people who want the ticket or have it.
async fn operated(world: &Arc<World>, ticket: &Arc<Played>, mut chance: Rng) {
    ticket.set_scene("operated");
    let people = chance.u8(2..=4);
    let want = |person| async move {
        let mut actor = Actor::new(world, ticket, person);
        for _ in 0..3 {
            if let Some(receipt) = actor.persist(3).await {
                actor.wait(0..40).await;
                actor.look(&receipt).await;
                actor.wait(0..40).await;
                actor.look(&receipt).await;
            }
            actor.wait(0..60).await;
        }
    };
    let operate = async {
        let mut operator = Actor::new(world, ticket, 0);
        for _ in 0..chance.u8(1..=4) {
            operator.wait(2..80).await;
            let request = if chance.u8(0..3) == 0 { Request::Revoke } else { Request::Reinstate };
            operator.operate(request).await;
        }
    };
    futures_util::future::join(join_all((0..people).map(want)), operate).await;
}

/// A holder with two windows open whose links expire again and again.
async fn renewed(world: &Arc<World>, ticket: &Arc<Played>) {
    ticket.set_scene("renewed");
    let mut actor = Actor::new(world, ticket, 0);
    let Some(receipt) = actor.persist(4).await else { return };
    let receipt = &receipt;
    let watch = |window: u8| async move {
        let mut actor = Actor::new(world, ticket, 0);
        for _ in 0..5 {
            actor.wait(950..1100).await;
            actor.look(receipt).await;
            if window == 0 && actor.chance.u8(0..3) == 0 {
                actor.redeem(None).await;
            }
        }
    };
    join_all((0..2).map(watch)).await;
}

/// A ticket that is asked for before it is there.
pub(crate) async fn early(world: &Arc<World>, ticket: &Arc<Played>) {
    ticket.set_scene("asked for early");
    let ask = |person| async move {
        let mut actor = Actor::new(world, ticket, person);
        for _ in 0..3 {
            actor.wait(0..25).await;
            let won = actor.persist(3).await;
            if won.is_some() {
                return actor.linger(won).await;
            }
        }
    };
    let mint = async {
        let mut actor = Actor::new(world, ticket, 0);
        actor.wait(0..30).await;
        actor.create().await;
    };
    futures_util::future::join(join_all((0..3).map(ask)), mint).await;
}

/// A ticket that is given back and redeemed over and over just when a node gets into trouble, so that replies are lost
/// of changes that were made.
pub(crate) async fn busy(world: &Arc<World>, ticket: &Arc<Played>) {
    ticket.set_scene("busy when a node gets into trouble");
    let want = |person: u8| async move {
        let mut actor = Actor::new(world, ticket, person);
        for _ in 0..6 {
            actor.redeem(None).await;
            actor.wait(10..150).await;
        }
    };
    let operate = async {
        let mut operator = Actor::new(world, ticket, 0);
        for _ in 0..9 {
            operator.wait(10..80).await;
            operator.operate(Request::Reinstate).await;
        }
    };
    futures_util::future::join(join_all((0..4).map(want)), operate).await;
}

/// A ticket that is wanted on both sides of a cut: at the server whose only node is in trouble, and at others.
pub(crate) async fn hot(world: &Arc<World>, ticket: &Arc<Played>, node: usize) {
    ticket.set_scene("wanted while a node is in trouble");
    let there = world.server_of(node);
    let want = |person: u8| async move {
        let mut actor = Actor::new(world, ticket, person);
        match person {
            // First where the trouble is: what they write may come to nothing.
            0 | 1 => {
                actor.wait(0..1500).await;
                actor.redeem(Some(there)).await;
            }
            // Then there again: what they read may have come to nothing.
            2 | 3 => {
                actor.wait(500..7000).await;
                actor.redeem(Some(there)).await;
                actor.wait(500..3000).await;
                actor.redeem(Some(there)).await;
            }
            // And everywhere.
            _ => {
                actor.wait(1500..9000).await;
                let won = actor.persist(6).await;
                actor.linger(won).await;
            }
        }
    };
    let operate = async {
        let mut operator = Actor::new(world, ticket, 0);
        if operator.chance.u8(0..4) == 0 {
            operator.wait(1000..9000).await;
            operator.operate(Request::Reinstate).await;
        }
    };
    futures_util::future::join(join_all((0..6).map(want)), operate).await;
}

/// Asks again for all that is open, and reads what is there in the end.
pub(crate) async fn settle(world: &Arc<World>, ticket: &Arc<Played>) {
    let records = ticket.history().records;
    let person = |request| match request {
        Request::Redeem { person } => Some(person),
        _ => None,
    };
    let mut open: Vec<u8> = Vec::new();
    for record in &records {
        let Some(person) = person(record.operation.request) else { continue };
        let is_open = matches!(record.operation.outcome, Outcome::Open(_));
        if is_open && !open.contains(&person) {
            open.push(person);
        }
    }
    // Not in the order in which they came, which those who came first would always win.
    open.reverse();
    for person in open {
        Actor::new(world, ticket, person).persist(10).await;
    }
    Actor::new(world, ticket, 0).read().await;
}
