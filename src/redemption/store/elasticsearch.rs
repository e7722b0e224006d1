//! Tickets in Elasticsearch, the store for production: one document for each ticket, and any number of servers.
//!
//! `src/engine/elasticsearch.rs` explains why its answers are correct. This module defines the ticket's part: its
//! document, the mapping of the index, the queries for lists and counts. Knows nothing of HTTP.

use std::sync::Arc;

use super::{
    BatchCount, BatchPlace, Created, Cursor, MAX_PAGE, Page, StoreError, StoreFuture, StoreObserver,
    TicketStore, Version, Versioned, WriteOutcome,
};
use crate::engine::IfMissing;
use crate::engine::elasticsearch as engine;
use crate::engine::elasticsearch::documents::Documents;
use crate::redemption::key::TicketId;
use crate::redemption::ticket::{Name, Ticket};

pub use engine::{Batching, Check, Checkup, IndexName, IndexNameError, Login, PasswordSource, Settings};

mod counts;
mod create;
pub(crate) mod document;

/// The default name of the index.
pub const INDEX: IndexName = IndexName::known("tickets");

/// The store.
pub struct ElasticsearchStore(Arc<Documents<Ticket>>);

impl ElasticsearchStore {
    /// A store that is not connected yet. The error names the file that cannot be used.
    pub fn new(
        settings: Settings,
        if_missing: IfMissing,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<Self, StoreError> {
        Documents::new(settings, if_missing, observer).map(|documents| Self(Arc::new(documents)))
    }

    /// Makes sure that the index exists and belongs to this program. Without this call, the first operation does so.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        self.0.prepare().await
    }
}

/// Runs all checks of a cluster, as far as the results of earlier checks allow.
pub async fn check(settings: &Settings) -> Checkup {
    engine::check::<Ticket>(settings).await
}

impl TicketStore for ElasticsearchStore {
    fn get(&self, id: TicketId) -> StoreFuture<Result<Option<Versioned<Ticket>>, StoreError>> {
        let documents = Arc::clone(&self.0);
        Box::pin(async move { documents.get(id).await })
    }

    fn put_if(&self, id: TicketId, version: Version, ticket: Ticket) -> StoreFuture<WriteOutcome> {
        let documents = Arc::clone(&self.0);
        Box::pin(async move { documents.put_if(id, version, ticket).await })
    }

    fn confirm(&self, id: TicketId, version: Option<Version>) -> StoreFuture<Result<bool, StoreError>> {
        let documents = Arc::clone(&self.0);
        Box::pin(async move { documents.confirm(id, version).await })
    }

    fn create(&self, tickets: Vec<(TicketId, Ticket)>) -> StoreFuture<Result<Vec<Created>, StoreError>> {
        let documents = Arc::clone(&self.0);
        Box::pin(async move { create::create(&documents, &tickets).await })
    }

    fn page(
        &self,
        batch: Option<Name>,
        from: Option<Cursor>,
        limit: usize,
    ) -> StoreFuture<Result<Page, StoreError>> {
        let documents = Arc::clone(&self.0);
        Box::pin(async move {
            let from = from.as_ref().map(|cursor| cursor.0.as_str());
            let listed =
                documents.list(&counts::batch_query(batch.as_ref()), from, limit.min(MAX_PAGE)).await?;
            Ok(Page { tickets: listed.documents, next: listed.next.map(Cursor) })
        })
    }

    fn stats(
        &self,
        batch: Option<Name>,
        after: Option<BatchPlace>,
        limit: usize,
    ) -> StoreFuture<Result<Vec<BatchCount>, StoreError>> {
        let documents = Arc::clone(&self.0);
        Box::pin(async move { counts::count(&documents, batch.as_ref(), after, limit.min(MAX_PAGE)).await })
    }

    fn ping(&self) -> StoreFuture<Result<(), StoreError>> {
        let documents = Arc::clone(&self.0);
        Box::pin(async move { documents.ping().await })
    }
}
