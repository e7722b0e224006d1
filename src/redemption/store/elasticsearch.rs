//! The store that production runs on: one document a ticket in an index of Elasticsearch, for any number of servers.
//!
//! Reads go out together as one `_mget`, writes as one `_bulk`, whatever has arrived while earlier requests were under
//! way (`super::batch`). Every change carries `if_seq_no` and `if_primary_term`.
//!
//! # Why what it says is so
//!
//! - **Written** is said when the primary has answered 200: then the write is in the translog, on disk, of every copy
//!   that the cluster counts as in sync, and only such a copy can become the primary. A primary that was cut off cannot
//!   say it, since it can neither reach those copies nor have them struck off.
//! - **Conflict** (409) may be said of a write that was made: after a failover Elasticsearch repeats a write by itself,
//!   and the repetition meets the first. The callers read again and compare ids.
//! - **Refused**: turned away before anything was done: 429 of a queue, a block of the index, 400, 403. The first is
//!   tried again for a while, by itself and after a pause that differs from item to item. In the end it is looked whether
//!   the ticket still has its version, since the 429 might be that of a repetition.
//! - **Unknown** is everything else: no answer in time, a broken connection, 5xx.
//! - **A read can be wrong** while the cluster is torn: a primary that was cut off goes on answering with what it has, even
//!   with writes that it could not get acknowledged and that are gone when it comes back. So what a refusal rests on is
//!   *confirmed*, by an `update` that changes nothing, on the condition of the version that was read:
//!   - its 200 is a write like any other, with the same content: what was read was so when the primary looked, and is on
//!     every copy that counts. (A `noop`, which writes nothing, would tell the first but not the second: the write that
//!     was read may still be on its way to the copies.)
//!   - that there is no ticket is confirmed by the same `update` with a condition that nothing meets: 404 if
//!     there is none. It writes nothing, but Elasticsearch sends a bulk to all copies that count even when all of its
//!     items have failed, and answers only when they have agreed (`ReplicationOperation`, as of 8.19), so a primary that was cut off
//!     cannot say it. Since no ticket is ever deleted, nothing is known to be absent too early.
//!
//! Knows Elasticsearch, and nothing of HTTP as a server.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Url;
use serde::Serialize;
use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;

use super::location::IfMissing;
use super::{
    BatchCount, BatchPlace, Created, Cursor, MAX_PAGE, Operation, Page, RequestOutcome, StoreError,
    StoreFuture, StoreObserver, TicketStore, Version, Versioned, WriteOutcome,
};
use crate::engine::batch::{Batcher, Limits};
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Name, Ticket};
use bulk::{Item, ItemOutcome, Patience};
use nodes::{Nodes, Repeat};
use read::ReadError;

mod bulk;
mod check;
mod client;
mod credentials;
pub(crate) mod document;
mod index;
mod nodes;
mod read;

pub use check::{Check, Checkup, check};
pub use credentials::{Login, PasswordSource};
pub use index::{IndexName, IndexNameError};

/// How long an operation is tried again while the cluster rejects it or cannot be reached, before that is told.
const PATIENCE: Duration = Duration::from_secs(2);
/// The first pause before such a try; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// For conditional writes.
const WRITE_PATIENCE: Patience = Patience { server: Duration::from_secs(2), client: Duration::from_secs(4) };
/// For new tickets, which come by the thousand and which nobody waits for with a browser.
const CREATE_PATIENCE: Patience =
    Patience { server: Duration::from_secs(20), client: Duration::from_secs(30) };
/// How long new tickets are tried again.
const CREATE_LIMIT: Duration = Duration::from_mins(2);
/// After how long an index that could not be looked at is looked at again.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// New tickets in one request.
const CREATE_BATCH: usize = 2500;
/// Requests with new tickets of one call that are under way.
const CREATE_LANES: usize = 2;
/// A ticket that cannot be: no key has this digest. What is asked about it shows whether writes are answered.
const PROBE: TicketId = TicketId::from_bytes([0; TicketId::BYTES]);

/// Where the cluster is and how it is talked to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Some of its nodes, or one address that stands for them.
    pub urls: Vec<Url>,
    /// User and password, if it asks for them.
    pub login: Option<Login>,
    /// Whose certificates are believed; by default those that the system believes.
    pub ca_file: Option<PathBuf>,
    /// The index.
    pub index: IndexName,
    /// Primary shards of an index that is made; an index that exists keeps its own.
    pub shards: NonZeroU16,
    /// How requests are shared.
    pub batching: Batching,
}

impl Settings {
    /// The settings for these nodes, of which there is at least one, and otherwise the defaults.
    #[must_use]
    pub fn new(urls: Vec<Url>) -> Self {
        Self {
            urls,
            login: None,
            ca_file: None,
            index: IndexName::default(),
            shards: NonZeroU16::MIN,
            batching: Batching::default(),
        }
    }
}

/// How requests are shared. The defaults are right for every use but measuring.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// Operations that may wait for reading, and for writing; one more is refused at once.
    pub max_queue: usize,
    /// Operations that share a request, at most.
    pub max_batch: usize,
    /// Requests for reading, and for writing, that are under way while all goes well.
    pub lanes: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Self { max_queue: 8192, max_batch: 1000, lanes: 2 }
    }
}

impl Batching {
    fn limits(self) -> Limits {
        Limits {
            max_queue: self.max_queue,
            max_batch: self.max_batch,
            lanes: self.lanes,
            max_lanes: self.lanes + 14,
            slow: Duration::from_millis(100),
        }
    }
}

/// The store.
pub struct ElasticsearchStore {
    shared: Arc<Shared>,
    gets: Arc<Batcher<Get>>,
    writes: Arc<Batcher<Write>>,
}

/// What all requests need.
struct Shared {
    nodes: Nodes,
    index: IndexName,
    shards: NonZeroU16,
    if_missing: IfMissing,
    /// Set once the index was seen to be ours.
    ready: AtomicBool,
    /// Held while the index is looked at; what that came to last, if it failed.
    last_failure: Mutex<Option<(Instant, StoreError)>>,
    observer: Arc<dyn StoreObserver>,
}

/// A ticket that somebody waits for.
struct Get {
    id: TicketId,
    reply: oneshot::Sender<read::Found>,
}

/// A write that somebody waits for.
struct Write {
    id: TicketId,
    kind: Kind,
    reply: oneshot::Sender<ItemOutcome>,
}

enum Kind {
    Put(Version, Arc<Ticket>),
    Confirm(Option<Version>),
}

impl ElasticsearchStore {
    /// A store that has not asked anything yet. The error says which file cannot be used.
    pub fn new(
        settings: Settings,
        if_missing: IfMissing,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<Self, StoreError> {
        let limits = settings.batching.limits();
        let shared = Arc::new(Shared {
            nodes: connect(&settings)?,
            index: settings.index,
            shards: settings.shards,
            if_missing,
            ready: AtomicBool::new(false),
            last_failure: Mutex::new(None),
            observer,
        });
        let (get, write) = (Arc::clone(&shared), Arc::clone(&shared));
        Ok(Self {
            shared,
            gets: Arc::new(Batcher::new(
                limits,
                |get| !get.reply.is_closed(),
                move |batch| send_gets(Arc::clone(&get), batch),
            )),
            writes: Arc::new(Batcher::new(
                limits,
                |write| !write.reply.is_closed(),
                move |batch| send_writes(Arc::clone(&write), batch),
            )),
        })
    }

    /// Makes sure that the index is there and ours. Otherwise the first operation does.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        self.shared.prepare().await
    }
}

/// The nodes of the settings. The error says which file cannot be used.
fn connect(settings: &Settings) -> Result<Nodes, StoreError> {
    let client = client::Client::new(settings.ca_file.clone()).map_err(StoreError::Unavailable)?;
    let credentials = settings.login.clone().map(credentials::Credentials::new).transpose();
    Ok(Nodes::new(settings.urls.clone(), client, credentials.map_err(StoreError::Unavailable)?))
}

impl Shared {
    async fn prepare(&self) -> Result<(), StoreError> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut last_failure = self.last_failure.lock().await;
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        // Those who have waited for this look need not look again, one after the other.
        if let Some((at, error)) = &*last_failure
            && at.elapsed() < LOOK_PAUSE
        {
            return Err(error.clone());
        }
        let looked = index::ensure(&self.nodes, &self.index, self.shards, self.if_missing).await;
        match &looked {
            Ok(()) => self.ready.store(true, Ordering::Release),
            Err(error) => *last_failure = Some((Instant::now(), error.clone())),
        }
        looked
    }

    async fn bulk(&self, items: &[Item<'_>], patience: Patience, repeat: Repeat) -> Vec<ItemOutcome> {
        match self.prepare().await {
            Ok(()) => bulk::send(&self.nodes, self.index.as_str(), items, patience, repeat).await,
            Err(error) => vec![ItemOutcome::NotSent(error.to_string()); items.len()],
        }
    }

    fn observe_writes(&self, operation: Operation, outcomes: &[ItemOutcome]) {
        let is_unknown = |outcome: &ItemOutcome| matches!(outcome, ItemOutcome::Unknown(_));
        let is_failed = |outcome: &ItemOutcome| {
            matches!(outcome, ItemOutcome::NotSent(_) | ItemOutcome::Rejected(_) | ItemOutcome::Refused(_))
        };
        let outcome = if outcomes.iter().any(is_unknown) {
            RequestOutcome::Unknown
        } else if outcomes.iter().any(is_failed) {
            RequestOutcome::Failed
        } else {
            RequestOutcome::Done
        };
        self.observer.request(operation, outcome, outcomes.len());
    }

    /// Tells of a scan to the observer and gives its result.
    fn observe_scan<T>(
        &self,
        result: Result<T, StoreError>,
        items: impl Fn(&T) -> usize,
    ) -> Result<T, StoreError> {
        let (outcome, items) = match &result {
            Ok(found) => (RequestOutcome::Done, items(found)),
            Err(_) => (RequestOutcome::Failed, 0),
        };
        self.observer.request(Operation::Scan, outcome, items);
        result
    }
}

async fn send_gets(shared: Arc<Shared>, batch: Vec<Get>) {
    let ids: Vec<TicketId> = batch.iter().map(|get| get.id).collect();
    let found = match shared.prepare().await {
        Ok(()) => read::get(&shared.nodes, shared.index.as_str(), &ids).await,
        Err(error) => ids.iter().map(|_| Err(ReadError::Passing(error.clone()))).collect(),
    };
    let outcome =
        if found.iter().any(Result::is_err) { RequestOutcome::Failed } else { RequestOutcome::Done };
    shared.observer.request(Operation::Get, outcome, ids.len());
    for (get, found) in batch.into_iter().zip(found) {
        // Nobody waits any more when the request has timed out or its client is gone.
        let _ = get.reply.send(found);
    }
}

/// Sends the writes; those who ask to confirm the same share an item.
async fn send_writes(shared: Arc<Shared>, batch: Vec<Write>) {
    let mut items: Vec<Item<'_>> = Vec::with_capacity(batch.len());
    let mut places = Vec::with_capacity(batch.len());
    let mut confirmations: Vec<(usize, TicketId, Option<Version>)> = Vec::new();
    for write in &batch {
        let place = match &write.kind {
            Kind::Put(version, ticket) => {
                items.push(Item::Put(&write.id, *version, ticket));
                items.len() - 1
            }
            Kind::Confirm(version) => {
                let same = confirmations.iter().find(|(_, id, other)| *id == write.id && other == version);
                if let Some((place, ..)) = same {
                    *place
                } else {
                    items.push(Item::Confirm(&write.id, *version));
                    confirmations.push((items.len() - 1, write.id, *version));
                    items.len() - 1
                }
            }
        };
        places.push(place);
    }
    let outcomes = shared.bulk(&items, WRITE_PATIENCE, Repeat::OnlyUnsent).await;
    shared.observe_writes(Operation::Put, &outcomes);
    for (write, place) in batch.into_iter().zip(places) {
        let _ = write.reply.send(outcomes[place].clone());
    }
}

/// Pauses between the tries of one operation. They differ from ticket to ticket, whose ids are digests and so as good as
/// random: what was rejected together does not come back together.
struct Tries {
    ends_at: Instant,
    pause: Duration,
    jitter: u32,
}

impl Tries {
    fn new(id: &TicketId, limit: Duration) -> Self {
        Self { ends_at: Instant::now() + limit, pause: FIRST_PAUSE, jitter: u32::from(id.as_bytes()[0]) }
    }

    /// Waits until the next try. `false`: there is no time for one.
    async fn again(&mut self) -> bool {
        let pause = self.pause / 2 + self.pause * self.jitter / 256;
        if Instant::now() + pause >= self.ends_at {
            return false;
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
        true
    }
}

async fn get(gets: &Batcher<Get>, id: TicketId) -> Result<Option<Versioned<Ticket>>, StoreError> {
    let mut tries = Tries::new(&id, PATIENCE);
    loop {
        let (reply, answer) = oneshot::channel();
        gets.push(Get { id, reply }).map_err(|_| StoreError::Overloaded)?;
        match answer.await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(ReadError::Passing(error))) => {
                if !tries.again().await {
                    return Err(error);
                }
            }
            Ok(Err(ReadError::Lasting(error))) => return Err(error),
            Err(_) => return Err(stopped()),
        }
    }
}

/// One try of a write. A reply that is lost inside the program is as unknown as one that is lost outside.
async fn write(writes: &Batcher<Write>, id: TicketId, kind: Kind) -> ItemOutcome {
    let (reply, answer) = oneshot::channel();
    match writes.push(Write { id, kind, reply }) {
        Ok(()) => answer.await.unwrap_or_else(|_| ItemOutcome::Unknown(stopped().to_string())),
        Err(_) => ItemOutcome::Refused(StoreError::Overloaded),
    }
}

async fn put_if(
    gets: &Batcher<Get>,
    writes: &Batcher<Write>,
    id: TicketId,
    version: Version,
    ticket: Ticket,
) -> WriteOutcome {
    let ticket = Arc::new(ticket);
    let mut tries = Tries::new(&id, PATIENCE);
    let mut arrived = false;
    let error = loop {
        match write(writes, id, Kind::Put(version, Arc::clone(&ticket))).await {
            ItemOutcome::Written(version) => return WriteOutcome::Written(version),
            ItemOutcome::Conflict | ItemOutcome::Absent => return WriteOutcome::Conflict,
            ItemOutcome::Unknown(why) => return WriteOutcome::Unknown(why),
            ItemOutcome::NotSent(why) => {
                if !tries.again().await {
                    break StoreError::Unavailable(why);
                }
            }
            ItemOutcome::Rejected(why) => {
                arrived = true;
                if !tries.again().await {
                    break StoreError::Unavailable(why);
                }
            }
            ItemOutcome::Refused(StoreError::Overloaded) => break StoreError::Overloaded,
            ItemOutcome::Refused(error) => {
                arrived = true;
                break error;
            }
        }
    };
    if !arrived {
        return WriteOutcome::Unavailable(error);
    }
    // Turned away, perhaps, only when Elasticsearch repeated it by itself.
    match get(gets, id).await {
        Ok(Some(found)) if found.version == version => WriteOutcome::Unavailable(error),
        Ok(_) | Err(_) => WriteOutcome::Unknown(error.to_string()),
    }
}

async fn confirm(
    writes: &Batcher<Write>,
    id: TicketId,
    version: Option<Version>,
) -> Result<bool, StoreError> {
    let mut tries = Tries::new(&id, PATIENCE);
    loop {
        match write(writes, id, Kind::Confirm(version)).await {
            ItemOutcome::Written(_) => return Ok(true),
            ItemOutcome::Conflict => return Ok(false),
            ItemOutcome::Absent => return Ok(version.is_none()),
            ItemOutcome::Refused(error) => return Err(error),
            // Asking twice does no harm.
            ItemOutcome::NotSent(why) | ItemOutcome::Rejected(why) | ItemOutcome::Unknown(why) => {
                if !tries.again().await {
                    return Err(StoreError::Unavailable(why));
                }
            }
        }
    }
}

/// Adds the tickets, those that were rejected or whose outcome is unknown again and again. One that is present after a try of
/// unknown outcome may have been added by that try.
async fn create(shared: &Shared, tickets: &[(TicketId, Ticket)]) -> Result<Vec<Created>, StoreError> {
    let mut created = vec![Created::Present; tickets.len()];
    let mut open: Vec<usize> = (0..tickets.len()).collect();
    let mut tries = Tries::new(&tickets.first().map_or(PROBE, |(id, _)| *id), CREATE_LIMIT);
    let mut refused = None;
    let mut in_doubt = false;
    while !open.is_empty() {
        let items: Vec<Item<'_>> =
            open.iter().map(|index| Item::Create(&tickets[*index].0, &tickets[*index].1)).collect();
        let outcomes = shared.bulk(&items, CREATE_PATIENCE, Repeat::OnlyUnsent).await;
        shared.observe_writes(Operation::Create, &outcomes);
        let mut left = Vec::new();
        let mut last_error = None;
        for (index, outcome) in open.into_iter().zip(outcomes) {
            match outcome {
                ItemOutcome::Written(_) => created[index] = Created::New,
                ItemOutcome::Conflict => {}
                ItemOutcome::Refused(error) => {
                    refused = Some(error.clone());
                    created[index] = Created::Unknown(Arc::from(error.to_string()));
                }
                ItemOutcome::Absent => {
                    created[index] = Created::Unknown(Arc::from("a new ticket was not found"));
                    in_doubt = true;
                }
                ItemOutcome::Unknown(why) => {
                    created[index] = Created::Unknown(Arc::from(why.as_str()));
                    in_doubt = true;
                    left.push(index);
                    last_error = Some(why);
                }
                ItemOutcome::NotSent(why) | ItemOutcome::Rejected(why) => {
                    left.push(index);
                    last_error = Some(why);
                }
            }
        }
        open = left;
        if refused.is_some() {
            break;
        }
        if let Some(why) = last_error
            && !tries.again().await
        {
            refused = Some(StoreError::Unavailable(why));
            break;
        }
    }
    match refused {
        Some(error) if !in_doubt && !created.contains(&Created::New) => Err(error),
        Some(error) => {
            let why: Arc<str> = Arc::from(error.to_string());
            for index in open {
                created[index] = Created::Unknown(Arc::clone(&why));
            }
            Ok(created)
        }
        None => Ok(created),
    }
}

/// The outcome of all parts. An error means that nothing was added, so one part's error is doubt when others were added.
fn together(
    parts: Vec<Result<Vec<Created>, StoreError>>,
    tickets: &[(TicketId, Ticket)],
) -> Result<Vec<Created>, StoreError> {
    if parts.iter().all(Result::is_err)
        && let Some(Err(error)) = parts.first()
    {
        return Err(error.clone());
    }
    let sizes = tickets.chunks(CREATE_BATCH).map(<[_]>::len);
    let created = parts.into_iter().zip(sizes).flat_map(|(part, size)| {
        part.unwrap_or_else(|error| vec![Created::Unknown(Arc::from(error.to_string())); size])
    });
    Ok(created.collect())
}

impl TicketStore for ElasticsearchStore {
    fn get(&self, id: TicketId) -> StoreFuture<Result<Option<Versioned<Ticket>>, StoreError>> {
        let gets = Arc::clone(&self.gets);
        Box::pin(async move { get(&gets, id).await })
    }

    fn put_if(&self, id: TicketId, version: Version, ticket: Ticket) -> StoreFuture<WriteOutcome> {
        let (gets, writes) = (Arc::clone(&self.gets), Arc::clone(&self.writes));
        Box::pin(async move { put_if(&gets, &writes, id, version, ticket).await })
    }

    fn confirm(&self, id: TicketId, version: Option<Version>) -> StoreFuture<Result<bool, StoreError>> {
        let writes = Arc::clone(&self.writes);
        Box::pin(async move { confirm(&writes, id, version).await })
    }

    fn create(&self, tickets: Vec<(TicketId, Ticket)>) -> StoreFuture<Result<Vec<Created>, StoreError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let parts: Vec<_> = tickets.chunks(CREATE_BATCH).map(|part| create(&shared, part)).collect();
            let created: Vec<_> = futures_util::stream::iter(parts).buffered(CREATE_LANES).collect().await;
            together(created, &tickets)
        })
    }

    fn page(
        &self,
        batch: Option<Name>,
        from: Option<Cursor>,
        limit: usize,
    ) -> StoreFuture<Result<Page, StoreError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            shared.prepare().await?;
            let (nodes, index) = (&shared.nodes, shared.index.as_str());
            let page = read::page(nodes, index, batch.as_ref(), from.as_ref(), limit.min(MAX_PAGE)).await;
            shared.observe_scan(page, |page| page.tickets.len())
        })
    }

    fn stats(
        &self,
        batch: Option<Name>,
        after: Option<BatchPlace>,
        limit: usize,
    ) -> StoreFuture<Result<Vec<BatchCount>, StoreError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            shared.prepare().await?;
            let (nodes, index) = (&shared.nodes, shared.index.as_str());
            let counts = read::stats(nodes, index, batch.as_ref(), after.as_ref(), limit.min(MAX_PAGE)).await;
            shared.observe_scan(counts, |_| 1)
        })
    }

    /// Goes the way of a write and writes nothing, so that a cluster that only reads does not count as there. Reads first,
    /// as all writes of tickets do: Elasticsearch makes an index that is written to and is not there.
    fn ping(&self) -> StoreFuture<Result<(), StoreError>> {
        let (gets, writes) = (Arc::clone(&self.gets), Arc::clone(&self.writes));
        Box::pin(async move {
            get(&gets, PROBE).await?;
            confirm(&writes, PROBE, None).await.map(|_| ())
        })
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store has stopped: restart the program".to_owned())
}

/// Appends a value as JSON. Into memory, and of types that can be written, so this cannot fail.
fn append_json(body: &mut Vec<u8>, value: &impl Serialize) {
    let written = serde_json::to_writer(body, value);
    debug_assert!(written.is_ok(), "a value that is no JSON");
}
