//! Row 12: TLS with a certificate made at start.

use std::{fs, path::Path, sync::Arc, time::Duration};

use floe::config::Config;
use futures_util::StreamExt as _;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

use crate::support::{
    duplex::{engines, rhythm},
    server::Server,
};

async fn server(folder: &Path) -> (Server, Vec<u8>) {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let path = folder.join("below/cert.pem");
    let mut config = Config::default();
    config.server.tls_self_signed = true;
    config.server.tls_names = "floe.test".into();
    config.server.tls_self_signed_cert = path.display().to_string();
    config.server.header_timeout_ms = 1_000;
    let server = Server::start(config, engines(&["hello"], rhythm(1, 1, 3))).await;
    // The port was open before; the certificate is there once anything answers.
    let pem = time::timeout(Duration::from_secs(20), async {
        loop {
            match fs::read(&path) {
                Ok(pem) if pem.ends_with(b"-----\n") || pem.ends_with(b"-----\r\n") => return pem,
                _ => time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    (server, pem.await.expect("the certificate is written"))
}

fn trusting(pem: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

#[tokio::test]
async fn row_12_https_and_wss_work_for_who_trusts_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (server, pem) = server(folder.path()).await;
    let port = server.address.port();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(trusting(&pem))
        .resolve("floe.test", server.address)
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    for host in ["127.0.0.1", "floe.test"] {
        let answer = client.get(format!("https://{host}:{port}/livez")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{host}");
    }
    let connector = Connector::Rustls(Arc::new(trusting(&pem)));
    let url = format!("wss://127.0.0.1:{port}/v1/realtime?model=m");
    let (mut socket, _) = connect_async_tls_with_config(url, None, true, Some(connector)).await.unwrap();
    let first = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(first.contains("session.created"), "{first}");
    let stranger = crate::http::routes::client();
    assert!(stranger.get(format!("https://127.0.0.1:{port}/livez")).send().await.is_err());
}

#[tokio::test]
async fn plain_http_is_told_and_silence_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (server, pem) = server(folder.path()).await;
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let read = time::timeout(Duration::from_secs(20), plain.read_to_string(&mut answer)).await;
    assert!(read.is_ok());
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https://"), "{answer}");
    // Some who say nothing do not keep others from being served, and are let go.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let client = reqwest::Client::builder().tls_backend_preconfigured(trusting(&pem)).build().unwrap();
    let answer = client.get(format!("https://127.0.0.1:{}/livez", server.address.port())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut rest = Vec::new();
    let closed = time::timeout(Duration::from_secs(20), silent[0].read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "a handshake that never comes is waited for");
    drop(silent);
}

#[tokio::test]
async fn a_certificate_of_the_operators_own_serves_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = Config::default();
    config.server.tls_cert = cert.display().to_string();
    config.server.tls_key = key.display().to_string();
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let server = Server::start(config, engines(&[], rhythm(1, 1, 1))).await;
    let trusting = trusting(made.cert.pem().as_bytes());
    let client = reqwest::Client::builder().tls_backend_preconfigured(trusting).build().unwrap();
    let answer = client.get(format!("https://{}/livez", server.address)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
