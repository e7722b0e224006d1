//! Common parts of HTTP clients of other servers: TLS, connection limits, and why a connection failed.
//!
//! Knows no server and no request.

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::secret_file::{self, Content, SecretFile, SecretFileError};

/// Connections kept to each server; more than are ever under way at once.
const MAX_IDLE_CONNECTIONS: usize = 32;
/// Idle connections are closed after this, well before the balancers and firewalls in between forget them.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// A connection is closed after this time without a sign of its other end.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest CA file that is read, in bytes.
const MAX_CA_FILE_BYTES: u64 = 1024 * 1024;

/// The program's `User-Agent`.
pub(crate) const USER_AGENT: &str = concat!("tickey/", env!("CARGO_PKG_VERSION"));

/// The content of a CA file, read at the start.
pub(crate) fn read_ca_file(path: &Path) -> Result<Vec<u8>, String> {
    ca_content(path, secret_file::read(path, MAX_CA_FILE_BYTES))
}

/// A CA file that is read again while the server runs.
pub(crate) fn ca_file(path: &Path) -> SecretFile {
    SecretFile::new(path, MAX_CA_FILE_BYTES)
}

/// The usable content of a CA file, from the result of reading it.
pub(crate) fn ca_content(path: &Path, read: Result<Content, SecretFileError>) -> Result<Vec<u8>, String> {
    match read {
        Ok(Content { is_cut: true, .. }) => {
            Err(format!("{} is too large for a file of certificates", path.display()))
        }
        Ok(mut content) => Ok(std::mem::take(&mut *content.bytes)),
        Err(error) => Err(format!("the CA file {} cannot be read: {error}", path.display())),
    }
}

/// A client that trusts only the given CA (a file and its content) or, without one, the system's CAs.
///
/// `connect_timeout` covers name resolution, connection and TLS handshake together.
pub(crate) fn client(
    ca: Option<(&Path, &[u8])>,
    connect_timeout: Duration,
) -> Result<reqwest::Client, String> {
    let tls_failed = |error: rustls::Error| format!("TLS cannot be set up: {error}");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(tls_failed)?;
    let config = match ca {
        Some((ca_file, pem)) => config.with_root_certificates(roots(ca_file, pem)?),
        None => config.with_platform_verifier().map_err(tls_failed)?,
    };
    reqwest::Client::builder()
        .use_preconfigured_tls(config.with_no_client_auth())
        .http1_only()
        .no_proxy()
        // The crate `elasticsearch` makes reqwest unpack gzip, which would hide how long an answer is.
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect_timeout)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_user_timeout(TCP_TIMEOUT)
        .user_agent(USER_AGENT)
        .build()
        .map_err(|error| format!("the HTTP client cannot be set up: {error}"))
}

/// Whether the content of a CA file is usable. The error says why it is not.
pub(crate) fn check_ca(ca_file: &Path, pem: &[u8]) -> Result<(), String> {
    roots(ca_file, pem).map(drop)
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

/// Why the body of an answer was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection broke, or reading took too long.
    #[error("{}", root_cause(.0))]
    Broken(reqwest::Error),
    /// It is longer than any expected answer.
    #[error("an answer has more than {max_bytes} bytes")]
    TooLong {
        /// The longest expected answer.
        max_bytes: u64,
    },
}

/// The body of an answer, of at most `max_bytes`.
pub(crate) async fn read_body(mut answer: reqwest::Response, max_bytes: u64) -> Result<Bytes, BodyError> {
    let mut parts = Vec::new();
    let mut length = 0;
    while let Some(part) = answer.chunk().await.map_err(BodyError::Broken)? {
        length += part.len() as u64;
        if length > max_bytes {
            return Err(BodyError::TooLong { max_bytes });
        }
        parts.push(part);
    }
    // Most bodies arrive in one part, which needs no copy.
    Ok(if parts.len() == 1 { parts.remove(0) } else { parts.concat().into() })
}

/// The fault of the server's certificate, if that is why a connection failed.
pub(crate) fn certificate_error(error: &reqwest::Error) -> Option<rustls::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return matches!(error, rustls::Error::InvalidCertificate(_)).then(|| error.clone());
        }
        // An I/O error gives access to its inner error only through `get_ref`.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The last and most exact cause of an error. Unlike the error itself, it never holds the request's address, which can
/// be a secret.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = match error.source() {
        Some(source) => source,
        None if error.is_timeout() => return "no answer in time".to_owned(),
        None => return "the request could not be made".to_owned(),
    };
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
