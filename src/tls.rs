//! TLS for the connections that this program opens: one provider of cryptography, and whose certificates are believed.
//! Knows nothing of who is spoken to.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

/// What a client believes: only what `roots` have signed; without any, what the system believes.
pub(crate) fn client_config(roots: Option<RootCertStore>) -> Result<ClientConfig, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let config = match roots {
        Some(roots) => config.with_root_certificates(roots),
        None => config.with_platform_verifier()?,
    };
    Ok(config.with_no_client_auth())
}
