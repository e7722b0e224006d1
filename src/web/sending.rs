//! The bodies of downloads: a file, or a part of one, at the pace of whoever takes it.
//!
//! A download that waits for its client holds no memory of this process: the next piece is read when the system takes it, into
//! a buffer out of a pool that all share, and the buffer goes back as soon as the system has the piece. What is in the page
//! cache is read at once; only for what is not, a thread waits, and of those there are so few that a disk that hangs does not
//! take all. When a download has ended, in whatever way, it is told how and after how many bytes.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::lifecycle::{CutOff, Outlet};

/// Bytes that are read and sent at once. No more than the system takes at once from a connection whose client is slow.
const PIECE_BYTES: usize = 16 * 1024;
/// Buffers that are kept for the pieces to come; when more are needed for a moment, they are made, and freed afterwards.
const KEPT_BUFFERS: usize = 64;
/// Threads that wait for a disk at once, for all downloads together.
const MAX_WAITING_READS: usize = 32;
/// How long a piece may take to be read, the wait for one of these threads included.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What is sent.
pub(crate) enum Content {
    /// It is in memory.
    Memory(Bytes),
    /// It is on disk.
    Disk(File),
}

/// How a download has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) how: How,
    /// Bytes that the system has taken. A client that went away may have got less.
    pub(crate) bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// To its end.
    Complete,
    /// Before that, by no fault of ours.
    CutOff(CutOff),
    /// The file could not be read to its end.
    Failed,
}

/// What all downloads share.
pub(crate) struct Sender {
    buffers: Mutex<Vec<Box<[u8]>>>,
    waiting_reads: Arc<Semaphore>,
}

impl Sender {
    pub(crate) fn new() -> Arc<Self> {
        let waiting_reads = Arc::new(Semaphore::new(MAX_WAITING_READS));
        Arc::new(Self { buffers: Mutex::default(), waiting_reads })
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
            failed: AtomicBool::new(false),
            piece_is_out: AtomicBool::new(false),
            piece_is_taken: AtomicWaker::new(),
            outlet,
            on_end: Mutex::new(Some(Box::new(on_end))),
        });
        let source = match content {
            Content::Memory(bytes) => Source::Memory(bytes),
            Content::Disk(file) => Source::Disk { file: Arc::new(file), can_hurry: true, waiting: None },
        };
        Body::new(Sending { sender: Arc::clone(self), source, range, progress })
    }

    fn buffer(self: &Arc<Self>) -> Buffer {
        let kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = kept.unwrap_or_else(|| vec![0; PIECE_BYTES].into_boxed_slice());
        Buffer { bytes, filled: 0, sender: Arc::clone(self) }
    }

    /// Reads on a thread that may wait for the disk.
    async fn read_patiently(self: Arc<Self>, file: Arc<File>, at: u64, bytes: usize) -> io::Result<Buffer> {
        let read = async {
            let permit = Arc::clone(&self.waiting_reads).acquire_owned().await.map_err(io::Error::other)?;
            let mut buffer = self.buffer();
            let read = tokio::task::spawn_blocking(move || {
                let outcome = file.read_at(&mut buffer.bytes[..bytes], at);
                drop(permit);
                buffer.filled = outcome?;
                Ok(buffer)
            });
            read.await.map_err(io::Error::other)?
        };
        timeout(READ_TIMEOUT, read).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A buffer that goes back to where it came from.
struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
    sender: Arc<Sender>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut buffers = self.sender.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < KEPT_BUFFERS {
            buffers.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// How far a download is. Lives until both the body and its last piece are gone.
struct Progress {
    /// To be sent.
    bytes: u64,
    /// Sent.
    taken: AtomicU64,
    failed: AtomicBool,
    /// Whether a piece was given away that the system has not taken yet.
    piece_is_out: AtomicBool,
    piece_is_taken: AtomicWaker,
    outlet: Option<Outlet>,
    on_end: Mutex<Option<OnEnd>>,
}

type OnEnd = Box<dyn FnOnce(Ended) + Send>;

impl Drop for Progress {
    fn drop(&mut self) {
        let bytes = self.taken.load(Ordering::Relaxed);
        let how = if bytes == self.bytes {
            How::Complete
        } else if self.failed.load(Ordering::Relaxed) {
            How::Failed
        } else {
            How::CutOff(self.outlet.as_ref().map_or(CutOff::ByClient, Outlet::cut_off))
        };
        let on_end = self.on_end.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(on_end) = on_end {
            on_end(Ended { how, bytes });
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
            PieceContent::Buffer(buffer) => &buffer.bytes[..buffer.filled],
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
    source: Source,
    /// What is still to be read.
    range: Range<u64>,
    progress: Arc<Progress>,
}

enum Source {
    Memory(Bytes),
    Disk {
        file: Arc<File>,
        /// Whether its file system can say that it would have to wait.
        can_hurry: bool,
        waiting: Option<Reading>,
    },
}

type Reading = Pin<Box<dyn Future<Output = io::Result<Buffer>> + Send>>;

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

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<PieceContent>> {
        let left = self.range.end - self.range.start;
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        match &mut self.source {
            Source::Memory(content) => {
                let start = usize::try_from(self.range.start).map_err(io::Error::other)?;
                Poll::Ready(Ok(PieceContent::Memory(content.slice(start..start + bytes))))
            }
            Source::Disk { file, can_hurry, waiting } => {
                if waiting.is_none() && *can_hurry {
                    match read_if_cached(&self.sender, file, self.range.start, bytes) {
                        Ok(Some(buffer)) => return Poll::Ready(Ok(PieceContent::Buffer(buffer))),
                        Ok(None) => {}
                        Err(_) => *can_hurry = false,
                    }
                }
                let reading = waiting.get_or_insert_with(|| {
                    let sender = Arc::clone(&self.sender);
                    Box::pin(sender.read_patiently(Arc::clone(file), self.range.start, bytes))
                });
                let read = ready!(reading.as_mut().poll(cx));
                *waiting = None;
                Poll::Ready(read.map(PieceContent::Buffer))
            }
        }
    }

    /// Whether a piece has begun to be read, for which there was room.
    fn is_reading(&self) -> bool {
        matches!(&self.source, Source::Disk { waiting: Some(_), .. })
    }
}

/// What is in memory already; nothing when the disk would have to be waited for. Fails when that cannot be told.
fn read_if_cached(sender: &Arc<Sender>, file: &File, at: u64, bytes: usize) -> Result<Option<Buffer>, Errno> {
    let mut buffer = sender.buffer();
    let mut into = [IoSliceMut::new(&mut buffer.bytes[..bytes])];
    match preadv2(file, &mut into, at, ReadWriteFlags::NOWAIT) {
        Ok(filled) => {
            buffer.filled = filled;
            Ok(Some(buffer))
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error),
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if this.is_end_stream() {
            return Poll::Ready(None);
        }
        if !this.is_reading()
            && let Err(error) = ready!(this.poll_turn(cx))
        {
            return Poll::Ready(Some(Err(error)));
        }
        let content = match ready!(this.poll_piece(cx)) {
            Ok(PieceContent::Buffer(buffer)) if buffer.filled == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            outcome => outcome,
        };
        let content = content.inspect_err(|error| {
            tracing::warn!(%error, "a file could not be read to its end");
            this.progress.failed.store(true, Ordering::Relaxed);
        })?;
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
