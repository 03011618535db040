//! `GET /v1/stream`: from a request to a session in the `floe.v1` dialect.

use std::time::Duration;

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message as Ws, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::time::{self, Instant};
use tracing::Instrument as _;

use super::{App, TENANT};
use crate::{
    ids::SessionId,
    protocol::{
        Message, ProtocolError,
        native::{self, NativeCodec, Negotiated, Offer},
    },
    session::{
        self, Attachment, Outgoing, Pace, Received, Start,
        registry::{Permit, Refusal},
    },
    store::record::Opening,
    telemetry::metrics,
};

/// The subprotocol's name.
const SUBPROTOCOL: &str = "floe.v1";

/// Largest message and frame. Small, because the library reserves what a frame header announces.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Origin, admission, subprotocol; then the upgrade.
pub(super) async fn upgrade(State(app): State<App>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if !origin_is_welcome(&headers, &app.origins) {
        metrics::refused("origin");
        let sentence =
            "This page may not connect. Its origin must be listed in server.origins (FLOE_SERVER_ORIGINS).\n";
        return (StatusCode::FORBIDDEN, sentence).into_response();
    }
    if !offers_our_subprotocol(&headers) {
        metrics::refused("subprotocol");
        let sentence = "Offer the WebSocket subprotocol floe.v1 (Sec-WebSocket-Protocol: floe.v1).\n";
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    }
    let permit = match admit(&app) {
        Ok(permit) => permit,
        Err(refusal) => {
            metrics::refused(refusal.as_str());
            let seconds = refusal.retry_after_s().to_string();
            let sentence = format!("Not now: {refusal}. Try again in {seconds} s.\n");
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds)], sentence).into_response();
        }
    };
    metrics::sessions(app.registry.sessions());
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(16 * 1024)
        .write_buffer_size(4 * 1024)
        .max_write_buffer_size(512 * 1024)
        .on_upgrade(move |socket| async move {
            let id = SessionId::new();
            let span = tracing::info_span!("session", %id);
            connection(app, permit, id, socket).instrument(span).await;
        })
}

/// A place, unless those who are here already would have to wait too long for their words.
fn admit(app: &App) -> Result<Permit, Refusal> {
    let wait = app.engines.stt.predicted_wait_ms().map(Duration::from_millis);
    if let (Some(wait), Some(wait_max)) = (wait, app.wait_max)
        && wait > wait_max
    {
        return Err(Refusal::Behind);
    }
    app.registry.admit()
}

/// One upgraded socket: hello, ready, session.
async fn connection(app: App, permit: Permit, id: SessionId, socket: WebSocket) {
    let began = now();
    let (sender, receiver) = socket.split();
    let mut receiver = Box::pin(receiver.map(received));
    let mut sender =
        Box::pin(sender.with(|outgoing| futures_util::future::ready(Ok::<Ws, axum::Error>(to_ws(outgoing)))));
    let negotiated = match greet(&app, &mut receiver).await {
        Ok(negotiated) => negotiated,
        Err(error) => {
            metrics::protocol_error(error.code);
            refuse(&mut sender, &error, &app.offer).await;
            return;
        }
    };
    let mut settings = app.settings.patched(negotiated.settings.clone());
    settings.playback_reports = negotiated.features.playback;
    let pace = if negotiated.pace == native::Pace::File { Pace::File } else { Pace::Live };
    let clock = move || u64::try_from(now().duration_since(began).as_millis()).unwrap_or(u64::MAX);
    let scribe = app.kept.as_ref().map(|kept| {
        let language = settings.language.to_string();
        let opening = Opening { tenant: TENANT.to_owned(), user: None, agent: negotiated.agent.clone(), language };
        kept.recorder.begin(id, opening)
    });
    settings.durable = scribe.is_some();
    let conversation = scribe.as_ref().map(|scribe| scribe.conversation().to_string());
    let (codec, welcome) =
        NativeCodec::accept(&negotiated, &app.offer, id, conversation.as_deref(), &settings, Box::new(clock));
    let start = Start {
        id,
        codec: Box::new(codec),
        settings,
        pace,
        welcome: vec![welcome],
        draining: permit.draining.clone(),
        drain_grace: app.drain_grace,
        scribe,
    };
    let attachment = Attachment { receiver, sender };
    let outcome = match session::run(start, app.engines.clone(), attachment).await {
        Ok(session::Ended::Orderly) => "ended",
        Ok(session::Ended::Panicked) => "panicked",
        Err(error) => {
            tracing::warn!(%error, "the session could not begin");
            "refused"
        }
    };
    drop(permit);
    metrics::sessions(app.registry.sessions());
    metrics::session_over(outcome, now().duration_since(began));
    tracing::info!(outcome, seconds = now().duration_since(began).as_secs(), "session over");
}

/// Waits for the client's hello and settles what both sides speak.
async fn greet<R>(app: &App, receiver: &mut R) -> Result<Negotiated, ProtocolError>
where
    R: Stream<Item = Received> + Unpin,
{
    let first = time::timeout(app.hello_timeout, async {
        loop {
            match receiver.next().await {
                Some(Received::Alive) => {}
                other => return other,
            }
        }
    });
    match first.await {
        Ok(Some(Received::Message(message))) => native::negotiate(&message, &app.offer),
        Ok(Some(Received::Violation(code, reason))) => Err(ProtocolError::closing(code, "violation", reason)),
        Ok(_) => Err(ProtocolError::closing(1000, "gone", "The client left before its hello.")),
        Err(_elapsed) => Err(ProtocolError::closing(native::close::TIMEOUT, "hello_timeout", "No hello came in time.")),
    }
}

/// Says what is wrong, and closes.
async fn refuse<W: Sink<Outgoing> + Unpin>(sender: &mut W, error: &ProtocolError, offer: &Offer) {
    let message = native::refusal(error, offer);
    let code = error.close.unwrap_or(native::close::VIOLATION);
    let reason = native::close::reason(&error.message).to_owned();
    let said = async {
        let _gone = sender.send(Outgoing::Message(message)).await;
        let _gone = sender.send(Outgoing::Close(code, reason)).await;
        let _gone = sender.close().await;
    };
    let _slow = time::timeout(Duration::from_secs(2), said).await;
}

fn received(message: Result<Ws, axum::Error>) -> Received {
    match message {
        Ok(Ws::Text(text)) => Received::Message(Message::Text(text.as_str().to_owned())),
        Ok(Ws::Binary(bytes)) => Received::Message(Message::Binary(bytes)),
        Ok(Ws::Ping(_) | Ws::Pong(_)) => Received::Alive,
        Ok(Ws::Close(_)) => Received::Gone,
        Err(error) => violation(&error),
    }
}

/// The library answers a violation with an error and no close frame; the code is ours to choose.
fn violation(error: &axum::Error) -> Received {
    use tokio_tungstenite::tungstenite::Error as Tungstenite;
    let inner = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Tungstenite>());
    match inner {
        Some(Tungstenite::Capacity(_)) => Received::Violation(1009, "the message is too big"),
        Some(Tungstenite::Utf8(_)) => Received::Violation(1007, "text must be UTF-8"),
        Some(Tungstenite::Protocol(problem)) if !is_loss(problem) => {
            Received::Violation(1002, "that is not the WebSocket protocol")
        }
        _ => Received::Gone,
    }
}

fn is_loss(problem: &tokio_tungstenite::tungstenite::error::ProtocolError) -> bool {
    matches!(problem, tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)
}

fn to_ws(outgoing: Outgoing) -> Ws {
    match outgoing {
        Outgoing::Message(Message::Text(text)) => Ws::Text(text.into()),
        Outgoing::Message(Message::Binary(bytes)) => Ws::Binary(bytes),
        Outgoing::Ping => Ws::Ping(session::attachment::PING),
        Outgoing::Close(code, reason) => Ws::Close(Some(CloseFrame { code, reason: reason.into() })),
    }
}

/// Browsers always say where a page comes from, other clients never do. Our own page, and pages that are listed, may.
pub(super) fn origin_is_welcome(headers: &HeaderMap, listed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = origin.split_once("://").is_some_and(|(_, authority)| !host.is_empty() && authority == host);
    own || listed.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin))
}

fn offers_our_subprotocol(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|name| name.trim() == SUBPROTOCOL)
}

#[expect(clippy::disallowed_methods, reason = "the length of a session, and the clock of its pongs")]
fn now() -> Instant {
    Instant::now()
}
