//! What both dialects' upgrades share: who may, the limits of the socket, its two halves, and the session on it.

use std::time::Duration;

use axum::{
    extract::ws::{CloseFrame, Message as Ws, WebSocket, WebSocketUpgrade},
    http::{HeaderMap, header},
};
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use tokio::time::{self, Instant};

use super::App;
use crate::{
    auth::Principal,
    conversation::Settings,
    ids::SessionId,
    protocol::{Codec, Message, native::close},
    session::{
        self, Attachment, Outgoing, Pace, Pass, Received, Start,
        attachment::Plain,
        past::Kept,
        registry::{Permit, Refusal},
        returns::Expected,
    },
    store::{Scribe, shared::Held},
    tape::Tape,
    telemetry::metrics,
};

/// The limits of a socket whose messages have at most `message_bytes_max`.
pub(super) fn limited(upgrade: WebSocketUpgrade, message_bytes_max: usize) -> WebSocketUpgrade {
    upgrade
        .max_message_size(message_bytes_max)
        .max_frame_size(message_bytes_max)
        .read_buffer_size(16 * 1024)
        .write_buffer_size(4 * 1024)
        .max_write_buffer_size(512 * 1024)
}

/// A place, unless those who are here already would have to wait too long for their words.
pub(super) fn admit(app: &App) -> Result<Permit, Refusal> {
    let permit = has_time(app).and_then(|()| app.registry.admit());
    match &permit {
        Ok(_) => metrics::sessions(app.registry.sessions()),
        Err(refusal) => metrics::refused(refusal.as_str()),
    }
    permit
}

/// Whether recognition keeps up.
pub(super) fn has_time(app: &App) -> Result<(), Refusal> {
    let wait = app.engines.stt.predicted_wait_ms().map(Duration::from_millis);
    match (wait, app.wait_max) {
        (Some(wait), Some(wait_max)) if wait > wait_max => Err(Refusal::Behind),
        _ => Ok(()),
    }
}

/// Both halves of a socket, without the library.
pub(super) fn halves(socket: WebSocket) -> Attachment {
    let (sender, receiver) = socket.split();
    let receiver = Box::pin(receiver.map(received));
    let sender = sender.with(|outgoing| futures_util::future::ready(Ok::<Ws, axum::Error>(to_ws(outgoing))));
    Attachment { receiver, sender: Box::pin(Plain(sender)) }
}

/// Who talks, and how.
pub(super) struct Talk {
    pub(super) id: SessionId,
    pub(super) codec: Box<dyn Codec>,
    pub(super) settings: Settings,
    pub(super) pace: Pace,
    pub(super) welcome: Vec<Message>,
    pub(super) began: Instant,
    /// Who writes down what is said, if it is kept.
    pub(super) scribe: Option<Scribe>,
    /// Keeps the sound of it, if that is wanted.
    pub(super) tape: Option<Tape>,
    /// What was said before, if the conversation goes on.
    pub(super) kept: Option<Kept>,
    /// Tells other servers that this one has the session.
    pub(super) held: Option<Held>,
    /// Where the client finds the session again, if it may come back.
    pub(super) expected: Option<Expected>,
    /// Ends with the client's credential.
    pub(super) pass: Pass,
}

/// Runs a session to its end and gives its place back.
pub(super) async fn talk(app: App, permit: Permit, talk: Talk, socket: Attachment) {
    let Talk { id, codec, settings, pace, welcome, began, scribe, tape, kept, held, expected, pass } = talk;
    let pass = Some(pass);
    let (draining, drain_grace) = (permit.draining.clone(), app.drain_grace);
    let start =
        Start { id, codec, settings, pace, welcome, draining, drain_grace, scribe, tape, kept, held, expected, pass };
    let outcome = match session::run(start, app.engines.clone(), socket).await {
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

/// Says something, and closes.
pub(super) async fn refuse<W: Sink<Outgoing> + Unpin>(sender: &mut W, message: Message, code: u16, reason: &str) {
    let reason = close::reason(reason).to_owned();
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
    is_own(origin, host) || listed.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin))
}

/// Whether the page that asks is one of ours.
pub(super) fn origin_is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    is_own(text(header::ORIGIN), text(header::HOST))
}

fn is_own(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, authority)| !host.is_empty() && authority == host)
}

/// The right to talk, as long as the credential is good.
pub(super) fn pass(app: &App, who: &Principal) -> Pass {
    let vigil = app.door.live.watch(who);
    Pass { ended: vigil.ended(), kept: Box::new(vigil) }
}

/// The subprotocols on offer.
pub(super) fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[expect(clippy::disallowed_methods, reason = "the length of a session, and the clock of its pongs")]
pub(super) fn now() -> Instant {
    Instant::now()
}
