//! The socket of one connection, shared by what speaks HTTP on it and by bodies that ask it for room.
//!
//! A body that reads a disk should hold nothing in memory while its client is slow. So it waits here until the system
//! takes more bytes, and only then reads the next piece. Knows nothing of HTTP.

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

/// Bytes that wait in the system until the network takes them, for each connection, about: little enough for thousands
/// of slow clients, and enough for a fast one, since what is on its way is not among them.
const UNSENT_BYTES: u32 = 16 * 1024;
/// The same for a connection that hurries, so that it is not always woken for little.
const UNSENT_BYTES_IN_HURRY: u32 = 256 * 1024;
/// Bytes that the system keeps of what a client sends and nobody has read; it takes twice as much memory. Heads and
/// bodies of requests are small, and who pipelines waits.
const UNREAD_BYTES: usize = 16 * 1024;

/// Connections that the system has made and nobody has accepted yet, at most; it allows no more by default. In a flood
/// this is what keeps everybody else from waiting a second for their next try.
const BACKLOG: i32 = 4096;

/// Has the connections of a listener need little memory of the system's, and send what there is at once.
pub(super) fn tune(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    // Of a socket that listens already, this only changes the length of the queue.
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
    /// Bytes that were read from it.
    received: u64,
    /// Those of them that were there when the last request began.
    received_at_request: u64,
    /// Bytes that the system has taken.
    taken: u64,
    too_slow: bool,
}

/// The sending side of a connection, as an extension of its requests.
#[derive(Clone)]
pub struct Outlet(Arc<Wire>);

/// Why an answer was not sent to its end, when nothing is wrong with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// The client went away.
    ByClient,
    /// The client took it too slowly.
    TooSlow,
    /// The server ended.
    Stopped,
}

impl Outlet {
    /// Waits until the system takes more bytes. The client's allowance of time runs out meanwhile.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_room(cx)
    }

    /// Lets more bytes wait in the system, for a client that takes them fast; or no more than usual again.
    pub fn hurry(&self, hurry: bool) {
        let bytes = if hurry { UNSENT_BYTES_IN_HURRY } else { UNSENT_BYTES };
        if let Err(error) = SockRef::from(&self.0.stream).set_tcp_notsent_lowat(bytes) {
            tracing::debug!(%error, "a connection stays as fast as it is");
        }
    }

    /// Bytes that the system has taken on this connection so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.0.state().taken
    }

    /// Why the connection has ended before an answer was whole.
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

    /// A request begins; gives whether it came together with the one before.
    pub(super) fn begin_request(&self) -> bool {
        let mut state = self.state();
        let received = state.received;
        std::mem::replace(&mut state.received_at_request, received) == received
    }

    /// The answer to a request is ready, before which its body has come: what comes now belongs to the next.
    pub(super) fn end_request(&self) {
        let mut state = self.state();
        state.received_at_request = state.received;
    }

    /// Whether something has come since the last request ended.
    pub(super) fn has_begun_head(&self) -> bool {
        let state = self.state();
        state.received > state.received_at_request
    }

    /// When the client is to be given up.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.state().pace.ends_at()
    }

    /// Gives the client up: what it did not take is thrown away at once instead of being kept by the system for
    /// minutes.
    pub(super) fn give_up(&self) {
        self.state().too_slow = true;
        if let Err(error) = self.stream.set_zero_linger() {
            tracing::debug!(%error, "what a slow client did not take stays for a while");
        }
    }

    /// Waits until the system takes more bytes.
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

/// Asks the system, since the runtime takes a socket for writable until a write has failed.
fn has_room(stream: &TcpStream) -> io::Result<()> {
    const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut asked = [PollFd::new(stream, PollFlags::OUT)];
    match poll(&mut asked, Some(&AT_ONCE))? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// What speaks HTTP reads and writes by this.
pub(super) struct WireIo(pub(super) Arc<Wire>);

impl AsyncRead for WireIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match self.0.stream.try_read_buf(buffer) {
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
