//! Documents of one kind: read by their ids, replaced on the condition of their version, confirmed, added.
//!
//! See the [module above](super) for why its answers are correct.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::answer::ItemOutcome;
use super::bulk::{Item, Patience};
use super::confirmations::Confirmations;
use super::document::Document;
use super::get::{self, ReadError};
use super::index;
use super::open_index::OpenIndex;
use super::scan::{self, Listed};
use super::settings::Settings;
use super::tries::Tries;
use crate::engine::batch::Batcher;
use crate::engine::{
    IfMissing, Operation, RequestOutcome, StoreError, StoreObserver, Version, Versioned, WriteOutcome,
};

/// How long an operation is retried while the cluster rejects it or cannot be reached, before the error is returned.
const PATIENCE: Duration = Duration::from_secs(2);
/// The timeouts of conditional writes.
const WRITE_PATIENCE: Patience = Patience { server: Duration::from_secs(2), client: Duration::from_secs(4) };
/// The timeouts of new documents. They come by the thousand, and no browser waits for them.
const CREATE_PATIENCE: Patience =
    Patience { server: Duration::from_secs(20), client: Duration::from_secs(30) };
/// The number of documents whose last durable version is remembered: some 100 bytes each.
const MAX_DURABLE: usize = 50_000;
/// The time between two rewrites of a document by this server. Two servers that are asked about the same document make
/// each other's last known version unknown: without a pause, each question would cause a write.
const REWRITE_PAUSE: Duration = Duration::from_secs(1);
/// The number of documents whose last rewrite is remembered.
const MAX_REWRITTEN: usize = 10_000;

/// The documents of an index.
pub(crate) struct Documents<D: Document> {
    shared: Arc<OpenIndex>,
    gets: Batcher<Get<D>>,
    writes: Batcher<Write<D>>,
    confirmations: Arc<Confirmations<D::Id>>,
    /// By document, a version for which this server has had a 200.
    durable: Cache<D::Id, Version>,
    /// By document, when this server last rewrote it.
    rewritten: Cache<D::Id, Instant>,
}

/// A read that a caller waits for.
struct Get<D: Document> {
    id: D::Id,
    reply: oneshot::Sender<get::Found<D>>,
}

/// A write that a caller waits for.
struct Write<D: Document> {
    id: D::Id,
    kind: Kind<D>,
    reply: oneshot::Sender<ItemOutcome>,
}

enum Kind<D> {
    Put(Version, Arc<D>),
    Look(Version),
    Rewrite(Version),
    LookForNone,
}

impl<D: Document> Write<D> {
    fn item(&self) -> Item<'_, D> {
        match &self.kind {
            Kind::Put(version, document) => Item::Put(self.id, *version, document),
            Kind::Look(version) => Item::Look(self.id, *version),
            Kind::Rewrite(version) => Item::Rewrite(self.id, *version),
            Kind::LookForNone => Item::LookForNone(self.id),
        }
    }
}

impl<D: Document> Documents<D> {
    /// Documents of a cluster that is not contacted yet. The error names the file that cannot be used.
    pub(crate) fn new(
        settings: Settings,
        if_missing: IfMissing,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<Self, StoreError> {
        let limits = settings.batching.limits();
        let definition = index::Definition::of::<D>(settings.shards);
        let index = OpenIndex::new(settings.connect()?, settings.index, definition, if_missing, observer);
        let shared = Arc::new(index);
        let (get, write) = (Arc::clone(&shared), Arc::clone(&shared));
        Ok(Self {
            shared,
            gets: Batcher::new(
                limits,
                |get| !get.reply.is_closed(),
                move |batch| send_gets(Arc::clone(&get), batch),
            ),
            writes: Batcher::new(
                limits,
                |write| !write.reply.is_closed(),
                move |batch| send_writes(Arc::clone(&write), batch),
            ),
            confirmations: Arc::new(Confirmations::new(settings.batching.max_queue)),
            durable: Cache::new(MAX_DURABLE),
            rewritten: Cache::new(MAX_REWRITTEN),
        })
    }

    /// Makes sure that the index exists and belongs to this program. Without this call, the first operation does so.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        self.shared.prepare().await
    }

    /// The current document, or `None` when there is none. A copy that was cut off may return an old one.
    pub(crate) async fn get(&self, id: D::Id) -> Result<Option<Versioned<D>>, StoreError> {
        let mut tries = Tries::new(&id, PATIENCE);
        loop {
            let (reply, answer) = oneshot::channel();
            self.gets.push(Get { id, reply }).map_err(|_| StoreError::Overloaded)?;
            match answer.await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(ReadError::Passing(error))) => {
                    if !tries.again().await {
                        return Err(error);
                    }
                }
                Ok(Err(ReadError::Lasting(error))) => return Err(error),
                Err(_) => return Err(StoreError::stopped()),
            }
        }
    }

    /// One try of a write. A reply that is lost inside the program counts as unknown, like one that is lost
    /// on the network.
    async fn write(&self, id: D::Id, kind: Kind<D>) -> ItemOutcome {
        let makes_a_version = matches!(kind, Kind::Put(..) | Kind::Rewrite(_));
        let (reply, answer) = oneshot::channel();
        if self.writes.push(Write { id, kind, reply }).is_err() {
            return ItemOutcome::Refused(StoreError::Overloaded);
        }
        let outcome =
            answer.await.unwrap_or_else(|_| ItemOutcome::Unknown(StoreError::stopped().to_string()));
        if let (ItemOutcome::Written(version), true) = (&outcome, makes_a_version) {
            self.durable.insert(id, *version);
        }
        outcome
    }

    /// Replaces the document, if it still has `version`.
    pub(crate) async fn put_if(&self, id: D::Id, version: Version, document: D) -> WriteOutcome {
        let document = Arc::new(document);
        let mut tries = Tries::new(&id, PATIENCE);
        let mut arrived = false;
        let error = loop {
            match self.write(id, Kind::Put(version, Arc::clone(&document))).await {
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
        if arrived { self.settle_refusal(id, version, error).await } else { WriteOutcome::Unavailable(error) }
    }

    /// The outcome of a refused item. The refusal may belong to the repetition of a write that was made, or that is
    /// still on its way to the primary. So the version that the write was based on is replaced.
    async fn settle_refusal(&self, id: D::Id, version: Version, error: StoreError) -> WriteOutcome {
        match self.write(id, Kind::Rewrite(version)).await {
            ItemOutcome::Written(_) => WriteOutcome::Unavailable(error),
            // The block refuses this rewrite as it refused the write, and it would refuse a write that is still on its
            // way. A read now reaches the primary that the write went to first, or the copy that replaced it. On the
            // first, a write that was made is visible; on the second it is too, unless it was lost with the first.
            ItemOutcome::Refused(refusal) if refusal != StoreError::Overloaded => match self.get(id).await {
                Ok(Some(found)) if found.version == version => WriteOutcome::Unavailable(error),
                Ok(_) | Err(_) => WriteOutcome::Unknown(error.to_string()),
            },
            _ => WriteOutcome::Unknown(error.to_string()),
        }
    }

    /// Whether the document has this version, or with `None` whether there is none, at a moment during the call.
    pub(crate) async fn confirm(
        self: &Arc<Self>,
        id: D::Id,
        version: Option<Version>,
    ) -> Result<bool, StoreError> {
        let documents = Arc::clone(self);
        let make = move |version| {
            let documents = Arc::clone(&documents);
            async move { documents.confirm_now(id, version).await }
        };
        self.confirmations.ask(id, version, make).await
    }

    async fn confirm_now(&self, id: D::Id, version: Option<Version>) -> Result<bool, StoreError> {
        let mut tries = Tries::new(&id, PATIENCE);
        loop {
            let found = match version {
                None => self.write(id, Kind::LookForNone).await,
                Some(version) if self.durable.get(&id) == Some(version) => {
                    self.write(id, Kind::Look(version)).await
                }
                Some(version) => self.rewrite(id, version).await,
            };
            match found {
                ItemOutcome::Written(_) => return Ok(true),
                ItemOutcome::Conflict => return Ok(false),
                ItemOutcome::Absent => return Ok(version.is_none()),
                ItemOutcome::Refused(error) => return Err(error),
                // Asking twice is harmless.
                ItemOutcome::NotSent(why) | ItemOutcome::Rejected(why) | ItemOutcome::Unknown(why) => {
                    if !tries.again().await {
                        return Err(StoreError::Unavailable(why));
                    }
                }
            }
        }
    }

    /// Rewrites the document unchanged, if it has this version, at least [`REWRITE_PAUSE`] after this server last did.
    async fn rewrite(&self, id: D::Id, version: Version) -> ItemOutcome {
        if let Some(last) = self.rewritten.get(&id) {
            sleep_until(last + REWRITE_PAUSE).await;
        }
        let outcome = self.write(id, Kind::Rewrite(version)).await;
        if matches!(outcome, ItemOutcome::Written(_)) {
            self.rewritten.insert(id, Instant::now());
        }
        outcome
    }

    /// One try to add documents; an outcome for each, in order.
    pub(crate) async fn create(&self, documents: &[&(D::Id, D)]) -> Vec<ItemOutcome> {
        let items: Vec<Item<'_, D>> =
            documents.iter().map(|(id, document)| Item::Create(*id, document)).collect();
        let prepared = self.prepare().await;
        let outcomes = self.shared.bulk(prepared, &items, CREATE_PATIENCE).await;
        self.shared.observe_writes(Operation::Create, &outcomes);
        outcomes
    }

    /// At most `limit` documents that match an Elasticsearch query, starting at a place that an earlier call returned.
    pub(crate) async fn list(
        &self,
        query: &Value,
        from: Option<&str>,
        limit: usize,
    ) -> Result<Listed<D>, StoreError> {
        self.prepare().await?;
        let (nodes, index) = (&self.shared.nodes, self.shared.name());
        let listed = scan::list(nodes, index, query, from, limit).await;
        self.shared.observe_scan(listed, |listed| listed.documents.len())
    }

    /// Makes acknowledged writes visible to lists and aggregations.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        self.prepare().await?;
        scan::refresh(&self.shared.nodes, self.shared.name()).await
    }

    /// The aggregations of an Elasticsearch search.
    pub(crate) async fn aggregate<T: DeserializeOwned>(&self, search: &Value) -> Result<T, StoreError> {
        self.prepare().await?;
        let found = scan::aggregate(&self.shared.nodes, self.shared.name(), search).await;
        self.shared.observe_scan(found, |_| 1)
    }

    /// Whether the cluster accepts writes. Takes the path of a write and writes nothing, so that a read-only cluster
    /// does not count as available. Reads first, so that a missing index is not written to.
    pub(crate) async fn ping(self: &Arc<Self>) -> Result<(), StoreError> {
        self.get(D::NOBODY).await?;
        self.confirm(D::NOBODY, None).await.map(|_| ())
    }
}

async fn send_gets<D: Document>(shared: Arc<OpenIndex>, mut batch: Vec<Get<D>>) {
    let prepared = shared.prepare().await;
    // This may have taken a while.
    batch.retain(|get| !get.reply.is_closed());
    if batch.is_empty() {
        return;
    }
    let ids: Vec<D::Id> = batch.iter().map(|get| get.id).collect();
    let found = match prepared {
        Ok(()) => get::get::<D>(&shared.nodes, shared.name(), &ids).await,
        Err(error) => ids.iter().map(|_| Err(ReadError::Passing(error.clone()))).collect(),
    };
    let outcome =
        if found.iter().any(Result::is_err) { RequestOutcome::Failed } else { RequestOutcome::Done };
    shared.observer.request(Operation::Get, outcome, ids.len());
    for (get, found) in batch.into_iter().zip(found) {
        // The caller is gone when its request has timed out or its client has disconnected.
        let _ = get.reply.send(found);
    }
}

async fn send_writes<D: Document>(shared: Arc<OpenIndex>, mut batch: Vec<Write<D>>) {
    let prepared = shared.prepare().await;
    // This may have taken a while.
    batch.retain(|write| !write.reply.is_closed());
    if batch.is_empty() {
        return;
    }
    let items: Vec<Item<'_, D>> = batch.iter().map(Write::item).collect();
    let outcomes = shared.bulk(prepared, &items, WRITE_PATIENCE).await;
    drop(items);
    shared.observe_writes(Operation::Put, &outcomes);
    for (write, outcome) in batch.into_iter().zip(outcomes) {
        let _ = write.reply.send(outcome);
    }
}
