//! The bodies of downloads: a file, or a part of one, at the client's pace.
//!
//! A download that waits for its client holds no memory of this process. The next piece is read when the system
//! has room for it, into a buffer from a shared pool, and the buffer returns to the pool as soon as the system has
//! the piece. When a download ends, an observer is told how it ended and how many bytes were sent. Knows bytes,
//! and not their origin.

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
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::lifecycle::{CutOff, Outlet};

mod buffers;
mod haste;

pub(crate) use buffers::Buffer;
use buffers::Buffers;
use haste::Haste;

/// The content of a download.
pub(crate) enum Content {
    /// It is in memory.
    Memory(Bytes),
    /// It is read a piece at a time.
    Elsewhere(Reader),
}

/// Begins to fill a buffer with the bytes at an offset, in bytes.
pub(crate) type Reader = Box<dyn Fn(u64, Buffer) -> Filling + Send>;
/// A buffer that is being filled.
pub(crate) type Filling = Pin<Box<dyn Future<Output = Result<Buffer, ReadError>> + Send>>;
/// Why a buffer was not filled.
pub(crate) type ReadError = Box<dyn std::error::Error + Send + Sync>;

/// How a download has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) how: How,
    /// Bytes that the system has accepted. A client that went away may have received less.
    pub(crate) bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Completely.
    Complete,
    /// Early, through no fault of the file.
    CutOff(CutOff),
    /// The file could not be read to its end. Holds the reason.
    Failed(String),
}

/// State shared by all downloads.
pub(crate) struct Sender {
    buffers: Arc<Buffers>,
    in_hurry: Arc<Semaphore>,
}

impl Sender {
    pub(crate) fn new() -> Arc<Self> {
        let in_hurry = Arc::new(Semaphore::new(haste::MAX_IN_HURRY));
        Arc::new(Self { buffers: Arc::default(), in_hurry })
    }

    /// A body with this range of a content, which must lie within it.
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
        Body::new(Sending {
            sender: Arc::clone(self),
            content,
            reading: None,
            range,
            given_way: GivenWay::NotYet,
            haste: Haste::new(Arc::clone(&self.in_hurry)),
            progress,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The progress of a download. Lives until both the body and its last piece are gone.
struct Progress {
    /// The bytes to send.
    bytes: u64,
    /// The bytes sent.
    taken: AtomicU64,
    /// Whether a piece was handed over that the system has not accepted yet.
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
    /// The bytes that the system had accepted on the connection when the piece was handed over.
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
        // A piece is dropped when the system has accepted it, or with the connection. The head is sent before the first
        // piece, so if the first piece was cut off, the count may be too high by up to the head's length.
        let taken = progress.outlet.as_ref().map_or(bytes, |outlet| outlet.taken() - self.taken_before);
        progress.taken.fetch_add(taken.min(bytes), Ordering::Relaxed);
        progress.piece_is_out.store(false, Ordering::Release);
        progress.piece_is_taken.wake();
    }
}

struct Sending {
    sender: Arc<Sender>,
    content: Content,
    /// The next piece, for which there is room.
    reading: Option<Reading>,
    /// The range still to be read.
    range: Range<u64>,
    given_way: GivenWay,
    haste: Haste,
    progress: Arc<Progress>,
}

/// Gives each of many simultaneous downloads its first piece before any gets its second.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GivenWay {
    NotYet,
    AtNextPiece,
    Done,
}

impl Sending {
    /// Waits until the previous piece has been accepted and there is room for another. Without a connection there is
    /// nothing to wait for.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = &self.progress;
        let Some(outlet) = &progress.outlet else { return Poll::Ready(Ok(())) };
        if progress.piece_is_out.load(Ordering::Acquire) {
            progress.piece_is_taken.register(cx.waker());
            if progress.piece_is_out.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        if self.given_way == GivenWay::AtNextPiece {
            self.given_way = GivenWay::Done;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        outlet.poll_room(cx)
    }

    /// Begins to read the next piece, for which there is room.
    fn begin_piece(&mut self) -> Reading {
        let most = match &self.progress.outlet {
            Some(outlet) => self.haste.next_piece_bytes(Instant::now(), outlet),
            None => haste::PIECE_BYTES,
        };
        let offset = self.range.start;
        let bytes = usize::try_from(self.range.end - offset).unwrap_or(usize::MAX).min(most);
        match &self.content {
            Content::Memory(content) => Reading::Memory(content.clone(), offset, bytes),
            Content::Elsewhere(read) => Reading::Elsewhere(read(offset, self.sender.buffers.take(bytes))),
        }
    }
}

/// A piece that is being read.
enum Reading {
    Memory(Bytes, u64, usize),
    Elsewhere(Filling),
}

impl Reading {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<PieceContent, ReadError>> {
        match self {
            Self::Memory(content, offset, bytes) => {
                let start = usize::try_from(*offset)?;
                Poll::Ready(Ok(PieceContent::Memory(content.slice(start..start + *bytes))))
            }
            Self::Elsewhere(filling) => filling.as_mut().poll(cx).map_ok(PieceContent::Buffer),
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
        if this.reading.is_none() {
            if let Err(error) = ready!(this.poll_turn(cx)) {
                return Poll::Ready(Some(Err(error.into())));
            }
            this.reading = Some(this.begin_piece());
        }
        let Some(reading) = &mut this.reading else { return Poll::Ready(None) };
        let read = ready!(reading.poll(cx));
        this.reading = None;
        let content = match read {
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
        if this.given_way == GivenWay::NotYet {
            this.given_way = GivenWay::AtNextPiece;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.range.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.range.end.saturating_sub(self.range.start))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use http_body_util::BodyExt as _;

    use super::*;

    /// Bytes that tell where they are from.
    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|place| u8::try_from(place % 251).unwrap()).collect()
    }

    /// A disk with this content, which cannot be read from a place on.
    fn disk(content: Vec<u8>, readable: u64) -> Content {
        Content::Elsewhere(Box::new(move |offset, mut buffer| {
            let start = usize::try_from(offset).unwrap();
            let end = start + buffer.as_mut().len();
            buffer.as_mut().copy_from_slice(&content[start..end]);
            let is_readable = end as u64 <= readable;
            Box::pin(async move { if is_readable { Ok(buffer) } else { Err("the disk is broken".into()) } })
        }))
    }

    fn send(content: Content, range: Range<u64>) -> (Body, Receiver<Ended>) {
        let (tell, told) = channel();
        (Sender::new().send(content, range, None, move |ended| tell.send(ended).unwrap()), told)
    }

    #[tokio::test]
    async fn a_range_is_sent_to_its_end_from_memory_as_from_a_disk() {
        let all = content(100_000);
        for from in [Content::Memory(all.clone().into()), disk(all.clone(), u64::MAX)] {
            let (body, told) = send(from, 10..90_000);
            assert!(body.collect().await.unwrap().to_bytes() == all[10..90_000]);
            assert_eq!(told.recv().unwrap(), Ended { how: How::Complete, bytes: 89_990 });
        }
    }

    #[tokio::test]
    async fn a_body_that_is_dropped_early_is_told_as_cut_off() {
        let (mut body, told) = send(disk(content(100_000), u64::MAX), 0..100_000);
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let bytes = piece.len() as u64;
        assert!(told.try_recv().is_err(), "it goes on");
        drop(body);
        assert!(told.try_recv().is_err(), "a piece of it is still on its way");
        drop(piece);
        assert_eq!(told.recv().unwrap(), Ended { how: How::CutOff(CutOff::ByClient), bytes });
    }

    #[tokio::test]
    async fn a_disk_that_fails_is_told_with_its_reason() {
        let (body, told) = send(disk(content(100_000), 50_000), 0..100_000);
        body.collect().await.unwrap_err();
        let ended = told.recv().unwrap();
        assert_eq!(ended.how, How::Failed("the disk is broken".to_owned()));
        assert!(ended.bytes <= 50_000);
    }

    #[tokio::test]
    async fn an_empty_file_is_complete() {
        let (body, told) = send(Content::Memory(Bytes::new()), 0..0);
        assert!(body.collect().await.unwrap().to_bytes().is_empty());
        assert_eq!(told.recv().unwrap(), Ended { how: How::Complete, bytes: 0 });
    }
}
