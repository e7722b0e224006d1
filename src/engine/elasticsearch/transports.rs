//! One `Transport` of the crate `elasticsearch` for each node, and the CAs that they trust.
//!
//! A transport has no connect timeout, and it trusts the public CAs in addition to the given one; [`super::node`] and
//! the documentation say how that is handled. Knows nothing of which node is asked for what.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use reqwest::Url;
use tokio::time::Instant;

use crate::outbound;
use crate::secret_file::SecretFile;

/// The CA file is read again at most this often.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// The transports, whose certificates can change while they are used.
pub(super) struct Transports {
    urls: Vec<Url>,
    ca_file: Option<SecretFile>,
    /// One for each URL.
    current: RwLock<Arc<[Transport]>>,
    /// The CA of the current transports, and when its file was last read.
    loaded: Mutex<(Vec<u8>, Instant)>,
}

impl Transports {
    /// The error says what is wrong with the CA file.
    pub(super) fn new(urls: &[Url], ca_file: Option<&Path>) -> Result<Self, String> {
        let pem = ca_file.map_or_else(|| Ok(Vec::new()), outbound::read_ca_file)?;
        let current = RwLock::new(build(urls, ca_file, &pem)?);
        let loaded = Mutex::new((pem, Instant::now()));
        let ca_file = ca_file.map(outbound::ca_file);
        Ok(Self { urls: urls.to_vec(), ca_file, current, loaded })
    }

    /// The transports to use now, in the order of the URLs.
    pub(super) fn current(&self) -> Arc<[Transport]> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the CA file again after a certificate was rejected, unless it was read just now. Returns whether
    /// it has changed.
    pub(super) async fn reload(&self) -> bool {
        let Some(ca_file) = &self.ca_file else { return false };
        {
            let mut loaded = self.loaded();
            if loaded.1.elapsed() < RELOAD_PAUSE {
                return false;
            }
            loaded.1 = Instant::now();
        }
        let path = ca_file.path();
        let read = ca_file.read().await;
        let mut loaded = self.loaded();
        let rebuilt = outbound::ca_content(path, read).and_then(|pem| {
            let transports = (pem != loaded.0).then(|| build(&self.urls, Some(path), &pem)).transpose()?;
            Ok(transports.map(|transports| (transports, pem)))
        });
        match rebuilt {
            Ok(None) => false,
            Ok(Some((transports, pem))) => {
                tracing::info!(file = %path.display(), "the CA file has changed and was read again");
                loaded.0 = pem;
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = transports;
                true
            }
            Err(error) => {
                tracing::warn!(error, "the CA file could not be read again: the old one stays in use");
                false
            }
        }
    }

    fn loaded(&self) -> MutexGuard<'_, (Vec<u8>, Instant)> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build(urls: &[Url], ca_file: Option<&Path>, pem: &[u8]) -> Result<Arc<[Transport]>, String> {
    if let Some(ca_file) = ca_file {
        outbound::check_ca(ca_file, pem)?;
    }
    let transport = |url: &Url| {
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url.clone()))
            .disable_proxy()
            .enable_meta_header(false);
        if ca_file.is_some() {
            let certificates = Certificate::from_pem(pem).map_err(|error| error.to_string())?;
            builder = builder.cert_validation(CertificateValidation::Full(certificates));
        }
        builder.build().map_err(|error| format!("the HTTP client cannot be set up: {error}"))
    };
    urls.iter().map(transport).collect()
}
