//! The socket of one connection, shared by the HTTP implementation and by bodies that wait for room in it.
//!
//! A body that reads from a disk should hold nothing in memory while its client is slow. So it waits here until the
//! system accepts more bytes, and only then reads the next piece. Knows nothing of HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::leaving::Leaving;
use super::pace::{Pace, Slowest};

/// The approximate number of unsent bytes that the system buffers for each connection: little enough for thousands of
/// slow clients, and enough for a fast one, since bytes in flight do not count.
const UNSENT_BYTES: u32 = 16 * 1024;
/// The same for a fast connection, so that it is woken less often.
const UNSENT_BYTES_IN_HURRY: u32 = 256 * 1024;
/// The bytes from a client that the system buffers until they are read; it uses twice as much memory. Heads and bodies
/// of requests are small, and a client that pipelines must wait.
const UNREAD_BYTES: usize = 16 * 1024;

/// The most connections that the system has established and the server has not accepted yet; the system allows no more
/// by default. In a flood, this queue saves other clients a one-second wait before they retry.
const BACKLOG: i32 = 4096;

/// Makes the connections of a listener use little memory of the system, and send data at once.
pub(super) fn tune(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    // On a socket that is already listening, this only changes the length of the queue.
    socket.listen(BACKLOG)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.set_recv_buffer_size(UNREAD_BYTES)
}

/// A connection's socket, and how its client keeps up.
pub(super) struct Wire {
    stream: TcpStream,
    leaving: Leaving,
    state: Mutex<State>,
}

struct State {
    pace: Pace,
    /// Bytes that were read from the socket.
    received: u64,
    /// The value of `received` when the last request began.
    received_at_request: u64,
    /// Bytes that the system has accepted for sending.
    taken: u64,
    too_slow: bool,
}

/// The sending side of a connection, as an extension of its requests.
#[derive(Clone)]
pub struct Outlet(Arc<Wire>);

/// Why an answer was not sent completely, when the answer itself is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// The client went away.
    ByClient,
    /// The client took it too slowly.
    TooSlow,
    /// The server stopped.
    Stopped,
}

impl Outlet {
    /// Waits until the system accepts more bytes. The client's allowance of time runs out meanwhile.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_room(cx)
    }

    /// Lets the system buffer more bytes, for a client that takes them fast, or sets the usual limit again.
    pub fn hurry(&self, hurry: bool) {
        let bytes = if hurry { UNSENT_BYTES_IN_HURRY } else { UNSENT_BYTES };
        if let Err(error) = SockRef::from(&self.0.stream).set_tcp_notsent_lowat(bytes) {
            tracing::debug!(%error, "the limit of unsent bytes of a connection stays as it is");
        }
    }

    /// Bytes that the system has accepted on this connection so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.0.state().taken
    }

    /// Why the connection ended before an answer was complete.
    #[must_use]
    pub fn cut_off(&self) -> CutOff {
        if self.0.state().too_slow {
            CutOff::TooSlow
        } else if self.0.leaving.is_cutting_off() {
            CutOff::Stopped
        } else {
            CutOff::ByClient
        }
    }
}

impl Wire {
    pub(super) fn new(stream: TcpStream, slowest: Slowest, leaving: Leaving) -> Arc<Self> {
        let state = State {
            pace: Pace::new(slowest),
            received: 0,
            received_at_request: 0,
            taken: 0,
            too_slow: false,
        };
        Arc::new(Self { stream, leaving, state: Mutex::new(state) })
    }

    pub(super) fn outlet(self: &Arc<Self>) -> Outlet {
        Outlet(Arc::clone(self))
    }

    /// Notes that a request begins; returns whether it was pipelined.
    pub(super) fn begin_request(&self) -> bool {
        let mut state = self.state();
        let received = state.received;
        std::mem::replace(&mut state.received_at_request, received) == received
    }

    /// Notes that an answer is ready. The request's body has arrived by then, so later bytes belong to
    /// the next request.
    pub(super) fn end_request(&self) {
        let mut state = self.state();
        state.received_at_request = state.received;
    }

    /// Whether bytes have arrived since the last request ended.
    pub(super) fn has_begun_head(&self) -> bool {
        let state = self.state();
        state.received > state.received_at_request
    }

    /// When the client is dropped.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.state().pace.ends_at()
    }

    /// Drops the client: unsent bytes are discarded at once instead of staying in the system for minutes.
    pub(super) fn give_up(&self) {
        self.state().too_slow = true;
        if let Err(error) = self.stream.set_zero_linger() {
            tracing::debug!(%error, "unsent bytes of a slow client stay in the system for a while");
        }
    }

    /// Waits until the system accepts more bytes.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.stream.poll_write_ready(cx)?.is_pending() {
                self.state().pace.wait(Instant::now());
                return Poll::Pending;
            }
            match self.stream.try_io(Interest::WRITABLE, || has_room(&self.stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => {
                    self.go_on(0);
                    return Poll::Ready(outcome);
                }
            }
        }
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.stream.poll_write_ready(cx)?.is_pending() {
                self.state().pace.wait(Instant::now());
                return Poll::Pending;
            }
            match send(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(bytes) => {
                    self.go_on(bytes);
                    return Poll::Ready(Ok(bytes));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn go_on(&self, bytes: usize) {
        let mut state = self.state();
        if state.pace.is_waiting() {
            state.pace.go_on(Instant::now());
        }
        state.pace.take(bytes);
        state.taken += bytes as u64;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the system, since the runtime considers a socket writable until a write has failed.
fn has_room(stream: &TcpStream) -> io::Result<()> {
    const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut asked = [PollFd::new(stream, PollFlags::OUT)];
    match poll(&mut asked, Some(&AT_ONCE))? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// Reads the available bytes. A short read means that no more are available: the runtime is told so, as its own sockets
/// do, which saves a useless read after each request.
fn read(stream: &TcpStream, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
    let (room, mut bytes) = (buffer.remaining(), 0);
    let read = stream.try_io(Interest::READABLE, || {
        bytes = stream.try_read_buf(buffer)?;
        if (1..room).contains(&bytes) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    if bytes > 0 { Ok(bytes) } else { read.map(|()| 0) }
}

/// The reader and writer that the HTTP implementation uses.
pub(super) struct WireIo(pub(super) Arc<Wire>);

impl AsyncRead for WireIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match read(&self.0.stream, buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(bytes) => {
                    self.0.state().received += bytes as u64;
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for WireIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, |stream| stream.try_write_vectored(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0.stream).shutdown(std::net::Shutdown::Write))
    }
}
