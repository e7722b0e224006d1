//! The HTTP client underneath: connections, their bounds, and whose certificates are believed. Knows nothing of nodes.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::time::Instant;

use crate::tls;

/// For name, connection and TLS handshake together. A node that does not answer by then is not there: nothing was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections kept to each node; more than are ever under way at once.
const MAX_IDLE_CONNECTIONS: usize = 32;
/// Idle connections are closed after this, well before the balancers and firewalls in between forget them.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// A connection whose other end has vanished is given up after this.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// The CA file is read again at most this often.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);
/// The largest CA file that is read, in bytes.
const MAX_CA_FILE_BYTES: u64 = 1024 * 1024;

/// A client whose certificates can change while it is used.
pub(super) struct Client {
    ca_file: Option<PathBuf>,
    current: RwLock<reqwest::Client>,
    /// What the current client believes, and when the file was looked at last.
    loaded: Mutex<(Vec<u8>, Instant)>,
}

impl Client {
    /// The error says what is wrong with the CA file.
    pub(super) fn new(ca_file: Option<PathBuf>) -> Result<Self, String> {
        let pem = ca_file.as_deref().map_or_else(|| Ok(Vec::new()), read)?;
        let current = build(ca_file.as_deref(), &pem)?;
        Ok(Self { ca_file, current: RwLock::new(current), loaded: Mutex::new((pem, Instant::now())) })
    }

    /// The client to use now.
    pub(super) fn current(&self) -> reqwest::Client {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the CA file again, if that was not done just now, since a certificate was not believed. Says whether it
    /// has changed.
    pub(super) fn reload(&self) -> bool {
        let Some(ca_file) = &self.ca_file else { return false };
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.1.elapsed() < RELOAD_PAUSE {
            return false;
        }
        loaded.1 = Instant::now();
        let rebuilt = read(ca_file).and_then(|pem| {
            let client = (pem != loaded.0).then(|| build(Some(ca_file), &pem)).transpose()?;
            Ok(client.map(|client| (client, pem)))
        });
        match rebuilt {
            Ok(None) => false,
            Ok(Some((client, pem))) => {
                tracing::info!(file = %ca_file.display(), "the CA file has changed and was read again");
                loaded.0 = pem;
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = client;
                true
            }
            Err(error) => {
                tracing::warn!(error, "the CA file could not be read again: the old one stays in use");
                false
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable =
        |error: std::io::Error| format!("the CA file {} cannot be read: {error}", path.display());
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_CA_FILE_BYTES {
        return Err(format!("{} is too large for a file of certificates", path.display()));
    }
    std::fs::read(path).map_err(unreadable)
}

fn build(ca_file: Option<&Path>, pem: &[u8]) -> Result<reqwest::Client, String> {
    let tls_failed = |error: rustls::Error| format!("TLS cannot be set up: {error}");
    let roots = ca_file.map(|ca_file| roots(ca_file, pem)).transpose()?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config(roots).map_err(tls_failed)?)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_user_timeout(TCP_TIMEOUT)
        .user_agent(concat!("tickey/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("the HTTP client cannot be set up: {error}"))
}

fn roots(ca_file: &Path, pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| format!("the CA file {} is damaged: {error}", ca_file.display()))?;
        roots
            .add(certificate)
            .map_err(|error| format!("the CA file {} cannot be used: {error}", ca_file.display()))?;
    }
    if roots.is_empty() {
        return Err(format!("the CA file {} has no certificate in PEM form", ca_file.display()));
    }
    Ok(roots)
}

/// What was wrong with the other end's certificate, if that is why a connection failed.
pub(super) fn certificate_error(error: &reqwest::Error) -> Option<rustls::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return matches!(error, rustls::Error::InvalidCertificate(_)).then(|| error.clone());
        }
        // An I/O error names what it was made of only this way.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The last and most exact of an error's reasons.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
