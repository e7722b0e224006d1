//! Whether the last answer of a connection has reached its client, as far as that can be told: a connection that breaks after an
//! answer was given, and before the next request, may have lost it. (Nobody can tell when the client goes away silently.)

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::Extensions;

/// Wants to know when its answer may not have reached anybody: an extension of the answer.
#[derive(Clone)]
pub struct Delivery(pub Arc<dyn Undelivered>);

/// Is told that an answer may not have reached anybody.
pub trait Undelivered: Send + Sync {
    /// It may not.
    fn undelivered(&self);
}

/// The last answer of a connection.
#[derive(Default)]
pub(super) struct LastAnswer(Mutex<Option<Delivery>>);

impl LastAnswer {
    /// Another request has come, so the answer before was heard.
    pub(super) fn heard(&self) {
        self.set(None);
    }

    /// An answer is given.
    pub(super) fn given(&self, extensions: &mut Extensions) {
        if let Some(delivery) = extensions.remove::<Delivery>() {
            self.set(Some(delivery));
        }
    }

    /// The connection is broken.
    pub(super) fn lost(&self) {
        if let Some(Delivery(told)) = self.set(None) {
            told.undelivered();
        }
    }

    fn set(&self, delivery: Option<Delivery>) -> Option<Delivery> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), delivery)
    }
}
