//! Accepting connections, and the way to an orderly end.
//!
//! Connections are bounded in number and in the time that they may take to send a head or to accept an answer. On SIGTERM the
//! server says at `/readyz` that it is leaving, goes on serving for the drain delay so that load balancers notice (and asks
//! clients to open another connection for their next request), then takes no more connections and lets what is in flight finish. Knows HTTP connections, and nothing of routes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

mod completion;
mod delivery;

pub use completion::Completion;
pub use delivery::{Delivery, Undelivered};
use delivery::{LastAnswer, Noticing};

/// Bytes of a request's head, at most: hyper answers 431 to more.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// The pause after a connection could not be accepted, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits of a server's connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Open at once; further ones wait in the system's backlog.
    pub max_connections: usize,
    /// Time for a request's head to arrive, and time that a connection may idle between requests.
    pub head_timeout: Duration,
    /// Time during which a client takes nothing of its answer before it is given up.
    pub write_timeout: Duration,
}

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub struct ShutdownTimes {
    /// Between SIGTERM and the last accepted connection.
    pub drain_delay: Duration,
    /// What is in flight has so long after that.
    pub grace: Duration,
}

/// Whether the server is leaving. Cloned freely; all clones agree.
#[derive(Clone, Debug, Default)]
pub struct Leaving(Arc<AtomicBool>);

impl Leaving {
    /// Whether SIGTERM has come.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn leave(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The address of the other end of a connection, as an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A listening socket and what answers on it.
pub struct Listener {
    /// Where connections come from.
    pub socket: TcpListener,
    /// What answers.
    pub router: Router,
}

/// Lets this process have as many open files as the system allows, since every connection is one.
pub fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Serves until SIGTERM or SIGINT, then ends in order: with the requests that are in flight, and with what is under way for
/// clients that are gone. A second signal ends it at once.
pub async fn serve(
    listeners: Vec<Listener>,
    limits: ConnectionLimits,
    shutdown: ShutdownTimes,
    leaving: Leaving,
    underway: Vec<Completion>,
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop_accepting, _) = watch::channel(false);
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(accept(listener, limits, leaving.clone(), stop_accepting.subscribe())))
        .collect();
    tokio::select! {
        _ = terminate.recv() => {
            tracing::info!("SIGTERM: leaving; not ready from now on");
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
        () = finish => tracing::info!("all requests were finished"),
        () = tokio::time::sleep(shutdown.grace) => {
            tracing::warn!("some requests were not finished in time and are cut off");
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Accepts connections until told to stop, and gives those that are still open.
async fn accept(
    listener: Listener,
    limits: ConnectionLimits,
    leaving: Leaving,
    mut stop: watch::Receiver<bool>,
) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(limits.max_connections));
    let mut stop = pin!(stop.wait_for(|stop| *stop));
    loop {
        let next = async {
            // The semaphore is never closed; were it, there would be nothing left to accept for.
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            (permit, listener.socket.accept().await)
        };
        let accepted = tokio::select! {
            _ = &mut stop => return connections,
            accepted = next => accepted,
        };
        match accepted {
            (Some(permit), Ok((stream, peer))) => {
                let router = listener.router.clone();
                converse(stream, peer, router, limits, leaving.clone(), &connections, permit);
            }
            (None, _) => return connections,
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers the requests of one connection in a task of its own.
fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ConnectionLimits,
    leaving: Leaving,
    connections: &GracefulShutdown,
    permit: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not to be had");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_timeout));
    let last_answer = Arc::new(LastAnswer::default());
    let last = Arc::clone(&last_answer);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        last.heard();
        request.extensions_mut().insert(Peer(peer));
        let answer = router.clone().oneshot(request.map(Body::new));
        let (leaving, last) = (leaving.clone(), Arc::clone(&last));
        async move {
            let mut answer = answer.await.unwrap_or_else(|never| match never {});
            last.given(answer.extensions_mut());
            // So that clients who keep connections go elsewhere before this one is closed, perhaps in the very moment
            // in which they send the next request.
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
        // A client that has nothing more to send may still want its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(Noticing::new(Box::pin(stream), last_answer)), service);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(permit);
    });
}
