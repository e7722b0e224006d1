//! The HTTP client underneath: connections, their bounds, and whose certificates are believed. Knows nothing of nodes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::outbound;
use crate::secret_file::SecretFile;

/// For name, connection and TLS handshake together. A node that does not answer by then is not there: nothing was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The CA file is read again at most this often.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// A client whose certificates can change while it is used.
pub(super) struct Client {
    ca_file: Option<SecretFile>,
    current: RwLock<reqwest::Client>,
    /// What the current client believes, and when the file was looked at last.
    loaded: Mutex<(Vec<u8>, Instant)>,
}

impl Client {
    /// The error says what is wrong with the CA file.
    pub(super) fn new(ca_file: Option<PathBuf>) -> Result<Self, String> {
        let pem = ca_file.as_deref().map_or_else(|| Ok(Vec::new()), outbound::read_ca_file)?;
        let current = build(ca_file.as_deref(), &pem)?;
        let ca_file = ca_file.as_deref().map(outbound::ca_file);
        Ok(Self { ca_file, current: RwLock::new(current), loaded: Mutex::new((pem, Instant::now())) })
    }

    /// The client to use now.
    pub(super) fn current(&self) -> reqwest::Client {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the CA file again, if that was not done just now, since a certificate was not believed. Says whether it
    /// has changed.
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
            let client = (pem != loaded.0).then(|| build(Some(path), &pem)).transpose()?;
            Ok(client.map(|client| (client, pem)))
        });
        match rebuilt {
            Ok(None) => false,
            Ok(Some((client, pem))) => {
                tracing::info!(file = %path.display(), "the CA file has changed and was read again");
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

    fn loaded(&self) -> MutexGuard<'_, (Vec<u8>, Instant)> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build(ca_file: Option<&Path>, pem: &[u8]) -> Result<reqwest::Client, String> {
    outbound::client(ca_file.map(|file| (file, pem)), CONNECT_TIMEOUT)
}
