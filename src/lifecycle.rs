//! Accepting connections, and orderly shutdown.
//!
//! The number of connections is bounded, in total and for each network. So is the time in which a client must send a
//! head or take its answers. On SIGTERM, `/readyz` reports that the server is leaving. It keeps serving for the drain
//! delay so that load balancers notice, and asks clients to open another connection for their next request. Then it
//! accepts no more connections and lets requests in flight finish. Knows HTTP connections, and nothing of routes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt as _;

use crate::client::{ClientPrefix, TrustedProxies};

mod completion;
mod delivery;
mod leaving;
mod pace;
mod rejection;
mod shares;
mod wire;

pub use completion::Completion;
pub use delivery::{Delivery, Undelivered};
use delivery::{LastAnswer, Noticing};
pub use leaving::Leaving;
use pace::Slowest;
pub use rejection::ConnectionMetrics;
use rejection::Rejection;
use shares::{Place, Shares};
pub use wire::{CutOff, Outlet};
use wire::{Wire, WireIo};

/// The largest head of a request, in bytes: hyper answers 431 to a larger one.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// The pause after a connection could not be accepted, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The lowest average rate at which a client must take an answer: half of what a phone gets from GPRS.
const SLOWEST_BYTES_PER_SECOND: NonZeroU32 = NonZeroU32::new(1024).unwrap();

/// The most memory that a connection needs in this process and in the system, in bytes, without data in flight in the
/// network. The chart's memory limit follows from it.
pub const BYTES_PER_CONNECTION: usize = 56 * 1024;
/// The most memory that a server needs besides its connections, in bytes.
pub const BYTES_WITHOUT_CONNECTIONS: usize = 64 * 1024 * 1024;

/// Limits of a server's connections.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Time for a request's head to arrive, and time that a connection may idle between requests.
    pub head_timeout: Duration,
    /// How long a client may take nothing of its answers, or stay below the slowest rate, before it is dropped.
    pub write_timeout: Duration,
    /// Proxies: their connections carry many clients and are not limited by network.
    pub trusted_proxies: TrustedProxies,
}

/// The phases of a shutdown.
#[derive(Clone, Copy, Debug)]
pub struct ShutdownTimes {
    /// The time between SIGTERM and the last accepted connection.
    pub drain_delay: Duration,
    /// The time after that in which requests in flight may finish.
    pub grace: Duration,
}

/// The address of the other end of a connection, as an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A listening socket and the router that answers on it.
pub struct Listener {
    /// Accepts the connections.
    pub socket: TcpListener,
    /// Answers the requests.
    pub router: Router,
    /// The most open connections; further ones wait in the system's backlog. One network gets half of what
    /// the others leave.
    pub max_connections: usize,
}

/// Raises this process's limit of open files to the system's maximum, since every connection needs one, and a download
/// another. Returns the limit.
#[must_use]
pub fn raise_open_files_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    // `None` means unlimited.
    match raised {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            limit.current.unwrap_or(u64::MAX)
        }
    }
}

/// State shared by the connections of all listeners.
#[derive(Clone)]
struct Common {
    limits: ConnectionLimits,
    leaving: Leaving,
    metrics: Arc<ConnectionMetrics>,
}

/// Serves until SIGTERM or SIGINT, then shuts down in order: requests in flight finish, and so does work under way for
/// clients that are gone. A second signal ends the server at once.
pub async fn serve(
    listeners: Vec<Listener>,
    limits: ConnectionLimits,
    shutdown: ShutdownTimes,
    leaving: Leaving,
    metrics: ConnectionMetrics,
    underway: Vec<Completion>,
) -> io::Result<()> {
    let common = Common { limits, leaving: leaving.clone(), metrics: Arc::new(metrics) };
    let outcome = serve_until_told(listeners, common, shutdown, underway).await;
    // Requests still in flight end with the runtime.
    leaving.cut_off();
    outcome
}

async fn serve_until_told(
    listeners: Vec<Listener>,
    common: Common,
    shutdown: ShutdownTimes,
    underway: Vec<Completion>,
) -> io::Result<()> {
    let leaving = common.leaving.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop_accepting, _) = watch::channel(false);
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(accept(listener, common.clone(), stop_accepting.subscribe())))
        .collect();
    tokio::select! {
        _ = terminate.recv() => {
            tracing::info!("SIGTERM: shutting down; not ready from now on");
            leaving.leave();
            tokio::select! {
                () = tokio::time::sleep(shutdown.drain_delay) => {}
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
        _ = interrupt.recv() => leaving.leave(),
    }
    stop_accepting.send_replace(true);
    let finish = async {
        for task in accepting {
            match task.await {
                Ok(connections) => connections.shutdown().await,
                Err(error) => tracing::error!(%error, "the acceptor ended unexpectedly"),
            }
        }
        for work in underway {
            work.finish().await;
        }
    };
    tokio::select! {
        () = finish => tracing::info!("all requests have finished"),
        () = tokio::time::sleep(shutdown.grace) => {
            tracing::warn!("some requests were not finished in time and are cut off");
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Accepts connections until told to stop, and returns those that are still open.
async fn accept(listener: Listener, common: Common, mut stop: watch::Receiver<bool>) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    if let Err(error) = wire::tune(&listener.socket) {
        tracing::warn!(%error, "connections may need more memory than usual");
    }
    let room = Arc::new(Semaphore::new(listener.max_connections));
    let shares = Shares::new(listener.max_connections, common.limits.trusted_proxies.clone());
    let mut stop = pin!(stop.wait_for(|stop| *stop));
    loop {
        let next = async {
            // The semaphore is never closed. If it were, the loop would end here.
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            (permit, listener.socket.accept().await)
        };
        let accepted = tokio::select! {
            _ = &mut stop => return connections,
            accepted = next => accepted,
        };
        match accepted {
            (Some(permit), Ok((stream, peer))) => match shares.enter(peer.ip()) {
                Some(place) => {
                    converse(stream, peer, &listener.router, &common, &connections, (permit, place));
                }
                None => turn_away(&stream, peer, &common),
            },
            (None, _) => return connections,
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Closes a connection at once, without an answer: a flood of connections gets no more work, and the system frees
/// the socket immediately.
fn turn_away(stream: &TcpStream, peer: SocketAddr, common: &Common) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a rejected connection could not be closed at once");
    }
    common.metrics.rejected(Rejection::TooManyConnections, ClientPrefix::of(peer.ip()));
}

/// Answers the requests of one connection in a task of its own.
fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    common: &Common,
    connections: &GracefulShutdown,
    place: (OwnedSemaphorePermit, Place),
) {
    let limits = &common.limits;
    let slowest = Slowest { allowance: limits.write_timeout, bytes_per_second: SLOWEST_BYTES_PER_SECOND };
    let wire = Wire::new(stream, slowest, common.leaving.clone());
    let last_answer = Arc::new(LastAnswer::default());
    let (answering, last, leaving) = (Arc::clone(&wire), Arc::clone(&last_answer), common.leaving.clone());
    let router = router.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        last.heard();
        let came_with_another = answering.begin_request();
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(answering.outlet());
        let answer = router.clone().oneshot(request.map(Body::new));
        let (wire, last, leaving) = (Arc::clone(&answering), Arc::clone(&last), leaving.clone());
        async move {
            if came_with_another {
                wait_for_turn(&wire).await;
            }
            let mut answer = answer.await.unwrap_or_else(|never| match never {});
            last.given(answer.extensions_mut());
            wire.end_request();
            // Makes clients with kept-alive connections reconnect elsewhere. Otherwise this connection could close just
            // when the client sends its next request.
            if leaving.is_leaving() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        // A client that has closed its sending side may still want its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(Noticing::new(WireIo(Arc::clone(&wire)), last_answer)), service);
    let connection = connections.watch(connection);
    let common = common.clone();
    tokio::spawn(async move {
        let rejection = match keep_pace(connection, &wire).await {
            Some(Ok(())) => None,
            Some(Err(error)) => {
                tracing::debug!(%error, "a connection ended early");
                Rejection::of(&error, wire.has_begun_head())
            }
            None => Some(Rejection::TooSlow),
        };
        if let Some(why) = rejection {
            common.metrics.rejected(why, ClientPrefix::of(peer.ip()));
        }
        drop(place);
    });
}

/// Makes a pipelined request wait until the previous answer is on its way, so that answers do not pile up here, and
/// until requests of other connections have had their turn.
async fn wait_for_turn(wire: &Wire) {
    tokio::task::yield_now().await;
    // The next write to a broken connection reports the error.
    let _ = std::future::poll_fn(|cx| wire.poll_room(cx)).await;
}

/// Drives a connection to its end. If its client falls behind, the connection is dropped and the result is `None`.
async fn keep_pace<E>(connection: impl Future<Output = Result<(), E>>, wire: &Wire) -> Option<Result<(), E>> {
    let mut connection = Box::pin(connection);
    let mut timer: Option<std::pin::Pin<Box<tokio::time::Sleep>>> = None;
    std::future::poll_fn(move |cx| {
        if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        // Every event that stops or resumes the wait for the client wakes this same task.
        let Some(ends_at) = wire.ends_at() else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(ends_at)));
        if timer.deadline() != ends_at {
            timer.as_mut().reset(ends_at);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        wire.give_up();
        Poll::Ready(None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever changes what a connection needs, or the chart, changes both.
    #[test]
    fn the_charts_memory_limit_follows_from_the_number_of_connections() {
        let chart = include_str!("../charts/redeemer/templates/_helpers.tpl");
        let arithmetic = format!(
            "$kibibytes := add {} (mul {} (int64 $.Values.server.limits.maxConnections))",
            BYTES_WITHOUT_CONNECTIONS / 1024,
            BYTES_PER_CONNECTION / 1024
        );
        assert!(chart.contains(&arithmetic), "the chart does not say {arithmetic:?}");
    }
}
