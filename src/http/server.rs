//! The accept loop. Own, because `axum::serve` sets no header timeout and forgets upgraded sockets at shutdown.

use std::{io, net::IpAddr, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::tls;

/// What a connection may cost before it has said anything sensible.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Longest wait for a complete request head.
    pub header_timeout: Duration,
}

/// Serves until `stop`; then accepts nobody any more and lets requests in progress finish for at most two seconds.
/// Upgraded sockets are not requests any more: their sessions are drained by the registry. With `tls` every connection
/// begins with a handshake, in its own task and within the time that a request's head may take.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let finish = CancellationToken::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < limits.connections_max => match accepted {
                Ok((stream, peer)) => {
                    let _latency_only = stream.set_nodelay(true);
                    let peer = Peer(peer.ip());
                    connections.spawn(taken(stream, peer, tls.clone(), router.clone(), limits, finish.clone()));
                }
                // Out of file descriptors, or the peer left at once: neither ends the server.
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
    drop(listener);
    finish.cancel();
    let _rest = time::timeout(Duration::from_secs(2), async { while connections.join_next().await.is_some() {} }).await;
}

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

async fn taken(
    stream: TcpStream,
    peer: Peer,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    finish: CancellationToken,
) {
    match tls {
        None => connection(stream, peer, router, limits, finish).await,
        Some(acceptor) => {
            if let Some(stream) = tls::handshake(&acceptor, stream, limits.header_timeout).await {
                connection(stream, peer, router, limits, finish).await;
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: Peer,
    router: Router,
    limits: Limits,
    finish: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let served: Result<(), hyper::Error> = tokio::select! {
        served = &mut connection => served,
        () = finish.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// Binds, with an error that names the address.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Headers of one request.
const HEADERS_MAX: usize = 64;

/// Bytes of one request head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
