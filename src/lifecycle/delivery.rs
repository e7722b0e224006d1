//! Detects answers that did not reach the client of a connection, as far as possible: an answer that could not be
//! written, and one that met a socket that was already closed. (A client that goes away silently cannot be detected.)

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::http::Extensions;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// An extension of an answer, whose observer is told when the answer has not reached its client.
#[derive(Clone)]
pub struct Delivery(pub Arc<dyn Undelivered>);

/// Observes that an answer has not reached its client.
pub trait Undelivered: Send + Sync {
    /// The answer has not reached its client.
    fn undelivered(&self);
}

/// The last answer of a connection.
#[derive(Default)]
pub(super) struct LastAnswer(Mutex<Option<Delivery>>);

impl LastAnswer {
    /// Another request has arrived, so the previous answer was received.
    pub(super) fn heard(&self) {
        self.set(None);
    }

    /// Notes the answer that is sent next.
    pub(super) fn given(&self, extensions: &mut Extensions) {
        if let Some(delivery) = extensions.remove::<Delivery>() {
            self.set(Some(delivery));
        }
    }

    fn lost(&self) {
        if let Some(Delivery(told)) = self.set(None) {
            told.undelivered();
        }
    }

    fn set(&self, delivery: Option<Delivery>) -> Option<Delivery> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), delivery)
    }
}

/// A connection that notices when an answer is lost.
pub(super) struct Noticing<S> {
    stream: S,
    last: Arc<LastAnswer>,
}

impl<S> Noticing<S> {
    pub(super) fn new(stream: S, last: Arc<LastAnswer>) -> Self {
        Self { stream, last }
    }

    fn notice<T>(&self, outcome: &Poll<io::Result<T>>, is_lost: impl Fn(&io::Error) -> bool) {
        if let Poll::Ready(Err(error)) = outcome
            && is_lost(error)
        {
            self.last.lost();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noticing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        // A read fails with this only when written bytes met a client that had closed. A reset, in contrast, may come
        // from a client that has read its answer.
        self.notice(&outcome, |error| error.kind() == ErrorKind::BrokenPipe);
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noticing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.notice(&outcome, |_| true);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.notice(&outcome, |_| true);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.notice(&outcome, |_| true);
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.notice(&outcome, |_| true);
        outcome
    }
}
