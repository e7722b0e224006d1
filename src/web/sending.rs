//! The bodies of downloads: a file, or a part of one, at the pace of whoever takes it.
//!
//! A download that waits for its client holds no memory of this process: the next piece is read when the system takes it, into
//! a buffer out of a pool that all share, and the buffer goes back as soon as the system has the piece. When a download has
//! ended, in whatever way, it is told how and after how many bytes. Knows bytes, and not where they are from.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Frame, SizeHint};

use crate::lifecycle::{CutOff, Outlet};

/// Bytes that are read and sent at once. No more than the system takes at once from a connection whose client is slow.
const PIECE_BYTES: usize = 16 * 1024;
/// Buffers that are kept for the pieces to come; when more are needed for a moment, they are made, and freed afterwards.
const KEPT_BUFFERS: usize = 64;

/// What is sent.
pub(crate) enum Content {
    /// It is in memory.
    Memory(Bytes),
    /// It is read a piece at a time.
    Elsewhere(Reader),
}

/// Begins to fill a buffer with what is at an offset, in bytes.
pub(crate) type Reader = Box<dyn Fn(u64, Buffer) -> Reading + Send>;
/// A buffer that is being filled.
pub(crate) type Reading = Pin<Box<dyn Future<Output = Result<Buffer, ReadError>> + Send>>;
/// Why one was not.
pub(crate) type ReadError = Box<dyn std::error::Error + Send + Sync>;

/// How a download has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) how: How,
    /// Bytes that the system has taken. A client that went away may have got less.
    pub(crate) bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// To its end.
    Complete,
    /// Before that, by no fault of ours.
    CutOff(CutOff),
    /// The file could not be read to its end. Says why.
    Failed(String),
}

/// What all downloads share.
#[derive(Default)]
pub(crate) struct Sender {
    buffers: Mutex<Vec<Box<[u8]>>>,
}

impl Sender {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A body that gives this range of a content, which must lie within it.
    pub(crate) fn send(
        self: &Arc<Self>,
        content: Content,
        range: Range<u64>,
        outlet: Option<Outlet>,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Body {
        let progress = Arc::new(Progress {
            bytes: range.end.saturating_sub(range.start),
            taken: AtomicU64::new(0),
            piece_is_out: AtomicBool::new(false),
            piece_is_taken: AtomicWaker::new(),
            outlet,
            end: Mutex::new(End { failure: None, tell: Some(Box::new(on_end)) }),
        });
        Body::new(Sending { sender: Arc::clone(self), content, reading: None, range, progress })
    }

    fn buffer(self: &Arc<Self>, bytes: usize) -> Buffer {
        let kept = lock(&self.buffers).pop();
        let content = kept.unwrap_or_else(|| vec![0; PIECE_BYTES].into_boxed_slice());
        Buffer { content, bytes: bytes.min(PIECE_BYTES), sender: Arc::clone(self) }
    }
}

/// A buffer that goes back to where it came from.
pub(crate) struct Buffer {
    content: Box<[u8]>,
    /// To be filled.
    bytes: usize,
    sender: Arc<Sender>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.content[..self.bytes]
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.content[..self.bytes]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut buffers = lock(&self.sender.buffers);
        if buffers.len() < KEPT_BUFFERS {
            buffers.push(std::mem::take(&mut self.content));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a download is. Lives until both the body and its last piece are gone.
struct Progress {
    /// To be sent.
    bytes: u64,
    /// Sent.
    taken: AtomicU64,
    /// Whether a piece was given away that the system has not taken yet.
    piece_is_out: AtomicBool,
    piece_is_taken: AtomicWaker,
    outlet: Option<Outlet>,
    end: Mutex<End>,
}

struct End {
    failure: Option<String>,
    tell: Option<Box<dyn FnOnce(Ended) + Send>>,
}

impl Drop for Progress {
    fn drop(&mut self) {
        let bytes = self.taken.load(Ordering::Relaxed);
        let end = self.end.get_mut().unwrap_or_else(PoisonError::into_inner);
        let how = match end.failure.take() {
            _ if bytes == self.bytes => How::Complete,
            Some(why) => How::Failed(why),
            None => How::CutOff(self.outlet.as_ref().map_or(CutOff::ByClient, Outlet::cut_off)),
        };
        if let Some(tell) = end.tell.take() {
            tell(Ended { how, bytes });
        }
    }
}

/// Some bytes on their way from the body to the system.
struct Piece {
    content: PieceContent,
    progress: Arc<Progress>,
    /// What the system had taken on the connection when the piece was given away.
    taken_before: u64,
}

enum PieceContent {
    Memory(Bytes),
    Buffer(Buffer),
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        match &self.content {
            PieceContent::Memory(bytes) => bytes,
            PieceContent::Buffer(buffer) => buffer.as_ref(),
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let bytes = self.as_ref().len() as u64;
        let progress = &self.progress;
        // It is dropped when the system has taken it, or with the connection. Before the first piece there is a head to be
        // taken, so up to its length more may be counted of a first piece that was cut off.
        let taken = progress.outlet.as_ref().map_or(bytes, |outlet| outlet.taken() - self.taken_before);
        progress.taken.fetch_add(taken.min(bytes), Ordering::Relaxed);
        progress.piece_is_out.store(false, Ordering::Release);
        progress.piece_is_taken.wake();
    }
}

struct Sending {
    sender: Arc<Sender>,
    content: Content,
    /// The next piece, for which there was room.
    reading: Option<Reading>,
    /// What is still to be read.
    range: Range<u64>,
    progress: Arc<Progress>,
}

impl Sending {
    /// Waits until the piece before has been taken, and there is room for another.
    fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = &self.progress;
        if progress.piece_is_out.load(Ordering::Acquire) {
            progress.piece_is_taken.register(cx.waker());
            if progress.piece_is_out.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        match &progress.outlet {
            Some(outlet) => outlet.poll_room(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<PieceContent, ReadError>> {
        let offset = self.range.start;
        let bytes = usize::try_from(self.range.end - offset).unwrap_or(usize::MAX).min(PIECE_BYTES);
        match &self.content {
            Content::Memory(content) => {
                let start = usize::try_from(offset)?;
                Poll::Ready(Ok(PieceContent::Memory(content.slice(start..start + bytes))))
            }
            Content::Elsewhere(reader) => {
                let reading = self.reading.get_or_insert_with(|| reader(offset, self.sender.buffer(bytes)));
                let read = ready!(reading.as_mut().poll(cx));
                self.reading = None;
                Poll::Ready(read.map(PieceContent::Buffer))
            }
        }
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        let this = self.get_mut();
        if this.is_end_stream() {
            return Poll::Ready(None);
        }
        if this.reading.is_none()
            && let Err(error) = ready!(this.poll_turn(cx))
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        let content = match ready!(this.poll_piece(cx)) {
            Ok(content) => content,
            Err(error) => {
                lock(&this.progress.end).failure = Some(error.to_string());
                return Poll::Ready(Some(Err(error)));
            }
        };
        let taken_before = this.progress.outlet.as_ref().map_or(0, Outlet::taken);
        this.progress.piece_is_out.store(true, Ordering::Release);
        let piece = Piece { content, progress: Arc::clone(&this.progress), taken_before };
        this.range.start += piece.as_ref().len() as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.range.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.range.end.saturating_sub(self.range.start))
    }
}
