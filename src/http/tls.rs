//! TLS: the operator's certificate, or one made at start for development.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{Config, secrets::now_s};

/// TLS cannot be set up. Each error names the setting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only one of the pair is set, or both ways at once.
    #[error("server.tls_cert and server.tls_key belong together, and without server.tls_self_signed")]
    Incomplete,
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file is no PEM of the right kind.
    #[error("{path} holds no {what} in PEM: {reason}")]
    Pem {
        /// Which.
        path: String,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not fit, or a name cannot stand in a certificate.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
}

/// What the configuration asks for; `None`: plain HTTP. Reads files; with `tls_self_signed` writes the certificate.
pub fn acceptor(config: &Config) -> Result<Option<TlsAcceptor>, Error> {
    let (chain, key) = match (config.tls_self_signed, config.tls_cert.as_str(), config.tls_key.as_str()) {
        (false, "", "") => return Ok(None),
        (true, "", "") => self_signed(config)?,
        (false, cert, key) if !cert.is_empty() && !key.is_empty() => read(cert, key)?,
        _ => return Err(Error::Incomplete),
    };
    let certificate = |error: rustls::Error| Error::Certificate(error.to_string());
    // Named here: what the process has installed as its default is nobody's business.
    let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(certificate)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(certificate)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(tls))))
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The operator's own.
fn read(cert: &str, key: &str) -> Result<Pair, Error> {
    let pem = |path: &str, what, error: rustls::pki_types::pem::Error| Error::Pem {
        path: path.to_owned(),
        what,
        reason: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem(cert, "certificate", error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, "private key", error))?;
    Ok((chain, key))
}

/// One for this start. Its key never leaves memory; the certificate is written where clients can be told to trust it.
fn self_signed(config: &Config) -> Result<Pair, Error> {
    let certificate = |error: rcgen::Error| Error::Certificate(error.to_string());
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    names.extend(config.tls_names.split_whitespace().map(str::to_owned));
    let mut params = CertificateParams::new(names).map_err(certificate)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "Floe, self-signed for development");
    // Apple's clients refuse more than 825 days; a year and its neighbours are less.
    let year = year_now();
    (params.not_before, params.not_after) = (date_time_ymd(year - 1, 12, 1), date_time_ymd(year + 1, 12, 31));
    let key = KeyPair::generate().map_err(certificate)?;
    let made = params.self_signed(&key).map_err(certificate)?;
    write(Path::new(&config.tls_self_signed_cert), &made.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok((vec![made.der().clone()], key))
}

fn write(path: &Path, pem: &str) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.display().to_string(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, pem).map_err(failed)
}

/// By the length of the mean year, which is right but for some hours of New Year.
fn year_now() -> i32 {
    i32::try_from(1_970 + now_s() / 31_556_952).unwrap_or(i32::MAX)
}

/// The handshake, in the connection's own task. `None`: there is none; whoever spoke plain HTTP has been told.
pub(super) async fn handshake(
    acceptor: &TlsAcceptor,
    mut stream: TcpStream,
    patience: Duration,
) -> Option<TlsStream<TcpStream>> {
    let shaken = time::timeout(patience, async {
        let mut first = [0];
        if stream.peek(&mut first).await.ok()? == 1 && first[0] != HANDSHAKE_RECORD {
            let _gone = stream.write_all(PLAIN_HTTP_ANSWER).await;
            let _gone = stream.shutdown().await;
            return None;
        }
        match acceptor.accept(stream).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!(%error, "no handshake");
                None
            }
        }
    });
    shaken.await.ok().flatten()
}

/// The first byte of every TLS connection.
const HANDSHAKE_RECORD: u8 = 0x16;

/// What plain HTTP is told.
const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 57\r\n\
    connection: close\r\n\r\nThis port speaks TLS: use https:// or wss:// to reach it.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_has_the_length_it_says() {
        let text = std::str::from_utf8(PLAIN_HTTP_ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
    }

    #[test]
    fn half_a_pair_is_refused() {
        let half = Config { tls_cert: "cert.pem".into(), ..Config::default() };
        assert!(matches!(acceptor(&half), Err(Error::Incomplete)));
        let both = Config { tls_self_signed: true, tls_cert: "a".into(), tls_key: "b".into(), ..Config::default() };
        assert!(matches!(acceptor(&both), Err(Error::Incomplete)));
        assert!(acceptor(&Config::default()).unwrap().is_none());
    }
}
