//! A proxy in front of a real node that does to requests what networks and clusters do to them.
//!
//! Faults are set for the next requests of an endpoint (`_bulk`, `_mget`), so that a test reads like a story.
//! Everything else passes through unchanged. Knows HTTP and Elasticsearch's shapes, and nothing of the store under
//! test.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to one request.
#[derive(Clone)]
pub(crate) enum Fault {
    /// Nothing: for the requests before the one that matters.
    Pass,
    /// The connection breaks before the node sees it.
    LoseRequest,
    /// The node carries it out, and the connection breaks before the answer.
    LoseReply,
    /// The node carries it out, and the answer comes so late.
    DelayReply(Duration),
    /// The node gets it so late.
    DelayRequest(Duration),
    /// It is never answered.
    Hang,
    /// It is answered with this, and the node never sees it.
    Answer(u16, String),
    /// The items at these places are answered with 429, and the node sees the others only.
    RejectItems(Vec<usize>),
    /// The node carries it out, and its answer is changed.
    Change(fn(&mut Value)),
}

/// The proxy. Ends with its test.
pub(crate) struct Proxy {
    pub(crate) url: Url,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    node: Url,
    client: reqwest::Client,
    faults: Mutex<HashMap<&'static str, VecDeque<Fault>>>,
    seen: Mutex<Vec<Seen>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) authorization: Option<String>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// A proxy on a port of its own, before this node.
    pub(crate) async fn before(node: Url, ca_pem: &[u8]) -> Self {
        Self::before_at(node, ca_pem, "127.0.0.1:0").await
    }

    /// The same at this address.
    pub(crate) async fn before_at(node: Url, ca_pem: &[u8], address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let shared = Arc::new(Shared {
            node,
            client: client_that_believes(ca_pem),
            faults: Mutex::default(),
            seen: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { url, shared, task }
    }

    /// Faults of the next requests of an endpoint, in this order.
    pub(crate) fn fail(&self, endpoint: &'static str, faults: impl IntoIterator<Item = Fault>) -> &Self {
        self.shared.faults.lock().unwrap().entry(endpoint).or_default().extend(faults);
        self
    }

    /// Every fault that was set has happened.
    pub(crate) fn told(&self) {
        let left: usize = self.shared.faults.lock().unwrap().values().map(VecDeque::len).sum();
        assert_eq!(left, 0, "faults that never happened");
    }

    /// The requests of an endpoint so far.
    pub(crate) fn seen(&self, endpoint: &str) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().iter().filter(|seen| seen.path.contains(endpoint)).cloned().collect()
    }

    /// Breaks all connections and leaves nobody at the URL, which it gives.
    pub(crate) async fn close(mut self) -> Url {
        self.task.abort();
        assert!((&mut self.task).await.is_err_and(|end| end.is_cancelled()));
        self.url.clone()
    }
}

/// A client that believes this CA alone.
pub(crate) fn client_that_believes(ca_pem: &[u8]) -> reqwest::Client {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder().use_preconfigured_tls(config).no_proxy().build().unwrap()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            // A connection that breaks is what this is for.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Answers a request; an error breaks the connection.
async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    shared.seen.lock().unwrap().push(Seen {
        path: path.clone(),
        body: String::from_utf8_lossy(&body).into_owned(),
        authorization: head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()),
    });
    let forward = |body: Bytes| forward(&shared, &head, &path, body);
    match shared.next_fault(&path) {
        Fault::Pass => forward(body).await,
        Fault::LoseRequest => Err(io::ErrorKind::ConnectionReset.into()),
        Fault::LoseReply => {
            forward(body).await?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Fault::DelayReply(pause) => {
            let reply = forward(body).await;
            tokio::time::sleep(pause).await;
            reply
        }
        Fault::DelayRequest(pause) => {
            tokio::time::sleep(pause).await;
            forward(body).await
        }
        Fault::Hang => std::future::pending().await,
        Fault::Answer(status, text) => Ok(reply(status, text.into())),
        Fault::RejectItems(places) => {
            let (kept, rejected) = split_items(&body, &places);
            let forwarded = forward(kept).await?;
            Ok(reply(200, merge_items(&body_of(forwarded).await, &rejected)))
        }
        Fault::Change(change) => {
            let mut value: Value = serde_json::from_slice(&body_of(forward(body).await?).await)?;
            change(&mut value);
            Ok(reply(200, value.to_string().into()))
        }
    }
}

impl Shared {
    fn next_fault(&self, path: &str) -> Fault {
        let mut faults = self.faults.lock().unwrap();
        let queue = faults.iter_mut().find(|(endpoint, _)| path.contains(**endpoint));
        queue.and_then(|(_, queue)| queue.pop_front()).unwrap_or(Fault::Pass)
    }
}

async fn forward(
    shared: &Shared,
    head: &hyper::http::request::Parts,
    path: &str,
    body: Bytes,
) -> io::Result<Response<Full<Bytes>>> {
    let url = shared.node.join(path.trim_start_matches('/')).map_err(io::Error::other)?;
    let mut request = shared.client.request(head.method.clone(), url).body(body);
    for name in ["authorization", "content-type"] {
        if let Some(value) = head.headers.get(name) {
            request = request.header(name, value.clone());
        }
    }
    let response = request.send().await.map_err(io::Error::other)?;
    let status = response.status().as_u16();
    Ok(reply(status, response.bytes().await.map_err(io::Error::other)?))
}

fn reply(status: u16, body: Bytes) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::new(body))
        .unwrap()
}

async fn body_of(response: Response<Full<Bytes>>) -> Bytes {
    response.into_body().collect().await.unwrap_or_else(|never: Infallible| match never {}).to_bytes()
}

/// An item of a bulk is two lines here: no deletes. Gives the kept lines, and ids and places of the others.
fn split_items(body: &[u8], places: &[usize]) -> (Bytes, Vec<(usize, String, Value)>) {
    let text = std::str::from_utf8(body).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (mut kept, mut rejected) = (String::new(), Vec::new());
    for (place, pair) in lines.chunks(2).enumerate() {
        if places.contains(&place) {
            let action: Value = serde_json::from_str(pair[0]).unwrap();
            let (kind, item) = action.as_object().unwrap().iter().next().unwrap();
            rejected.push((place, kind.clone(), item["_id"].clone()));
        } else {
            kept.extend(pair.iter().flat_map(|line| [line, "\n"]));
        }
    }
    (kept.into(), rejected)
}

fn merge_items(answer: &[u8], rejected: &[(usize, String, Value)]) -> Bytes {
    let mut answer: Value = serde_json::from_slice(answer).unwrap_or_else(|_| json!({"items": []}));
    if !answer["items"].is_array() {
        answer = json!({"items": []});
    }
    let items = answer["items"].as_array_mut().unwrap();
    for (place, kind, id) in rejected {
        let error = json!({"type": "es_rejected_execution_exception", "reason": "a full queue"});
        let item = json!({"_id": id, "status": 429, "error": error});
        items.insert(*place, json!({(kind.as_str()): item}));
    }
    answer.to_string().into()
}
