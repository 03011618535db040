//! `GET /v1/stream`: from a request to a session in the `floe.v1` dialect.

use axum::{
    extract::{
        RawQuery, State,
        ws::{WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt as _};
use tokio::time;
use tracing::Instrument as _;

use super::{App, socket};
use crate::{
    ids::SessionId,
    protocol::{
        ProtocolError,
        native::{self, NativeCodec, Negotiated, wire::SUBPROTOCOL},
    },
    session::{Attachment, Pace, Received, registry::Permit},
    telemetry::metrics,
};

/// Largest message and frame. Small, because the library reserves what a frame header announces.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Origin, key, subprotocol, admission; then the upgrade.
pub(super) async fn upgrade(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !socket::origin_is_welcome(&headers, &app.origins) {
        metrics::refused("origin");
        let sentence =
            "This page may not connect. Its origin must be listed in server.origins (FLOE_SERVER_ORIGINS).\n";
        return (StatusCode::FORBIDDEN, sentence).into_response();
    }
    if let Err(refused) = app.door.who(&headers, query.as_deref()) {
        metrics::refused("key");
        let sentence = format!("{refused} A browser offers the subprotocol floe.auth.KEY beside floe.v1.\n");
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], sentence).into_response();
    }
    if !socket::offered(&headers).any(|name| name == SUBPROTOCOL) {
        metrics::refused("subprotocol");
        let sentence = "Offer the WebSocket subprotocol floe.v1 (Sec-WebSocket-Protocol: floe.v1).\n";
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    }
    let permit = match socket::admit(&app) {
        Ok(permit) => permit,
        Err(refusal) => {
            let seconds = refusal.retry_after_s().to_string();
            let sentence = format!("Not now: {refusal}. Try again in {seconds} s.\n");
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds)], sentence).into_response();
        }
    };
    socket::limited(upgrade, MESSAGE_BYTES_MAX).protocols([SUBPROTOCOL]).on_upgrade(move |socket| async move {
        let id = SessionId::new();
        let span = tracing::info_span!("session", %id);
        connection(app, permit, id, socket).instrument(span).await;
    })
}

/// One upgraded socket: hello, ready, session.
async fn connection(app: App, permit: Permit, id: SessionId, socket: WebSocket) {
    let began = socket::now();
    let Attachment { mut receiver, mut sender } = socket::halves(socket);
    let negotiated = match greet(&app, &mut receiver).await {
        Ok(negotiated) => negotiated,
        Err(error) => {
            metrics::protocol_error(error.code);
            let code = error.close.unwrap_or(native::close::VIOLATION);
            socket::refuse(&mut sender, native::refusal(&error, &app.offer), code, &error.message).await;
            return;
        }
    };
    let mut settings = app.settings.patched(negotiated.settings.clone());
    settings.playback_reports = negotiated.features.playback;
    let pace = if negotiated.pace == native::Pace::File { Pace::File } else { Pace::Live };
    let (agent, language) = (negotiated.agent.clone(), settings.language.to_string());
    let scribe = app.kept.as_ref().map(|kept| kept.begin(id, agent, language));
    settings.durable = scribe.is_some();
    let conversation = scribe.as_ref().map(|scribe| scribe.conversation().to_string());
    let clock = move || u64::try_from(socket::now().duration_since(began).as_millis()).unwrap_or(u64::MAX);
    let (codec, welcome) =
        NativeCodec::accept(&negotiated, &app.offer, id, conversation.as_deref(), &settings, Box::new(clock));
    let talk = socket::Talk { id, codec: Box::new(codec), settings, pace, welcome: vec![welcome], began, scribe };
    socket::talk(app, permit, talk, Attachment { receiver, sender }).await;
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
