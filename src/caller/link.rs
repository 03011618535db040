//! The socket: dial, hello, ready; then a writer beside the reader.

use std::time::Duration;

use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderValue, Uri, header};
use secrecy::ExposeSecret;
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{self, Message as WsMessage, client::IntoClientRequest, protocol::WebSocketConfig},
};

use super::{Error, Options};
use crate::protocol::native::wire::{ClientMessage, Numbered, Ready, SUBPROTOCOL, ServerMessage};

/// Bytes of one message from the server at most.
const MESSAGE_MAX_BYTES: usize = 1 << 20;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
pub(super) type Incoming = SplitStream<Socket>;
type Outgoing = SplitSink<Socket, WsMessage>;

/// A connection on which `ready` has come.
pub(super) struct Link {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
    pub(super) ready: Box<Ready>,
}

/// What the server sent.
pub(super) enum Received {
    /// A message, or `None` for a type that we do not know.
    Text(Box<Option<Numbered>>),
    /// A frame.
    Binary(bytes::Bytes),
    /// WebSocket's own business, which the library answers.
    Other,
}

/// Dials, says hello and waits for `ready`.
pub(super) async fn dial(options: &Options, hello: ClientMessage) -> Result<Link, Error> {
    let request = request(options)?;
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_MAX_BYTES)).max_frame_size(Some(MESSAGE_MAX_BYTES));
    // Small frames must not wait for each other's acknowledgement: no Nagle.
    let connector = options.trust.clone().map(Connector::Rustls);
    let dialing = connect_async_tls_with_config(request, Some(config), true, connector);
    let (socket, response) = timeout(options.connect_timeout, dialing)
        .await
        .map_err(|_| late("the connection", options.connect_timeout))?
        .map_err(|error| refused(&options.url, error))?;
    let chosen = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    if chosen.is_none_or(|name| name.as_bytes() != SUBPROTOCOL.as_bytes()) {
        return Err(Error::Protocol(format!("it did not choose the subprotocol {SUBPROTOCOL}")));
    }
    let (mut outgoing, mut incoming) = socket.split();
    outgoing.send(text(&hello)?).await.map_err(broken)?;
    let ready = timeout(options.connect_timeout, first(&mut incoming))
        .await
        .map_err(|_| late("ready", options.connect_timeout))??;
    Ok(Link { incoming, outgoing, ready })
}

fn request(options: &Options) -> Result<http::Request<()>, Error> {
    let bad = |reason: String| Error::BadUrl { url: options.url.clone(), reason };
    let uri: Uri = options.url.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
    let scheme = match uri.scheme_str() {
        Some("ws" | "http") => "ws",
        Some("wss" | "https") => "wss",
        _ => return Err(bad("it must begin with ws:// or wss://".to_owned())),
    };
    let authority = uri.authority().ok_or_else(|| bad("it names no host".to_owned()))?;
    let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
        "/" => "/v1/stream",
        path => path,
    };
    if scheme == "wss" {
        // Fails only if a provider is installed already: then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut request =
        format!("{scheme}://{authority}{path}").into_client_request().map_err(|error| bad(error.to_string()))?;
    let headers = request.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    if let Some(token) = &options.token {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| bad("the token holds characters that no header may have".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

async fn first(incoming: &mut Incoming) -> Result<Box<Ready>, Error> {
    loop {
        match next(incoming).await? {
            Received::Text(message) => match *message {
                Some(Numbered { message: ServerMessage::Ready(ready), .. }) => return Ok(ready),
                Some(Numbered { message: ServerMessage::Error { code, message, .. }, .. }) => {
                    return Err(Error::Fatal { code, message });
                }
                _ => return Err(Error::Protocol("its first message is not `ready`".to_owned())),
            },
            Received::Binary(_) => return Err(Error::Protocol("audio came before `ready`".to_owned())),
            Received::Other => {}
        }
    }
}

/// The next message. Waits as long as it takes; safe to drop.
pub(super) async fn next(incoming: &mut Incoming) -> Result<Received, Error> {
    match incoming.next().await {
        None => Err(Error::Closed { code: None, reason: String::new() }),
        Some(Err(error)) => Err(broken(error)),
        Some(Ok(WsMessage::Text(text))) => Numbered::parse(&text)
            .map(|message| Received::Text(Box::new(message)))
            .map_err(|error| Error::Protocol(format!("a message cannot be read: {error}"))),
        Some(Ok(WsMessage::Binary(bytes))) => Ok(Received::Binary(bytes)),
        Some(Ok(WsMessage::Close(frame))) => Err(match frame {
            None => Error::Closed { code: None, reason: String::new() },
            Some(frame) => Error::Closed { code: Some(frame.code.into()), reason: frame.reason.to_string() },
        }),
        Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_))) => Ok(Received::Other),
    }
}

/// Writes what comes out of `queue` until that is closed. Ends with an error if the server does not read for too long.
pub(super) async fn write(
    mut outgoing: Outgoing,
    mut queue: mpsc::Receiver<WsMessage>,
    patience: Duration,
) -> Result<(), Error> {
    while let Some(message) = queue.recv().await {
        match timeout(patience, outgoing.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(broken(error)),
            Err(_) => return Err(Error::Stalled { waited_s: patience.as_secs() }),
        }
    }
    Ok(())
}

/// A message as text.
pub(super) fn text(message: &ClientMessage) -> Result<WsMessage, Error> {
    let text = serde_json::to_string(message).map_err(|error| Error::Protocol(error.to_string()))?;
    Ok(WsMessage::text(text))
}

pub(super) const fn late(what: &'static str, waited: Duration) -> Error {
    Error::Timeout { what, waited_s: waited.as_secs() }
}

fn broken(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Io(_)
        | tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Error::Closed { code: None, reason: String::new() }
        }
        error => Error::Protocol(error.to_string()),
    }
}

fn refused(url: &str, error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => Error::Refused {
            status: response.status().as_u16(),
            retry_after_s: response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok()),
        },
        error => Error::Connect { url: url.to_owned(), reason: error.to_string() },
    }
}
