//! Whom a caller believes that it has reached the right server.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem, pem::PemObject as _},
};

/// A file of authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read, or is no PEM.
    #[error("it holds no certificates in PEM: {0}")]
    Pem(pem::Error),
    /// It holds none, or one that rustls refuses.
    #[error("its certificates cannot be used: {0}")]
    Certificates(rustls::Error),
}

/// TLS that believes the authorities in this PEM file and nobody else, such as Caddy's own for `localhost`. Reads the file.
/// For [`super::Options::trust`] and `--cacert`.
pub fn authorities(path: &str) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(Error::Pem)? {
        roots.add(certificate.map_err(Error::Pem)?).map_err(Error::Certificates)?;
    }
    if roots.is_empty() {
        return Err(Error::Pem(pem::Error::NoItemsFound));
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::Certificates)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(tls))
}
