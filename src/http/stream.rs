//! `GET /v1/stream`: from a request to a session in the `floe.v1` dialect.

use std::time::Duration;

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

use super::{App, auth::Refused, socket};
use crate::{
    auth::{Principal, Role, Scopes},
    ids::{ConversationId, ResponseId, SessionId},
    protocol::{
        ProtocolError,
        native::{self, NativeCodec, Negotiated, Welcome, wire::SUBPROTOCOL},
    },
    session::{
        Attachment, LeftOff, Pace, Received,
        past::Kept,
        registry::{Permit, Refusal},
        returns::{self, Expected, Return},
    },
    store::{Reach, Scope, Scribe},
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
    if !socket::offered(&headers).any(|name| name == SUBPROTOCOL) {
        metrics::refused("subprotocol");
        let sentence = "Offer the WebSocket subprotocol floe.v1 (Sec-WebSocket-Protocol: floe.v1).\n";
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    }
    let who = match app.door.who_talks(&headers, query.as_deref()).await {
        Ok(visitor) if visitor.principal.may(Scopes::TALK) => visitor.principal,
        Ok(_) => {
            metrics::refused("scope");
            let sentence = "This key may not talk: it has not the scope \"talk\".\n";
            return (StatusCode::FORBIDDEN, sentence).into_response();
        }
        Err(refused @ Refused::Unavailable) => {
            metrics::refused("key");
            let headers = [(header::RETRY_AFTER, "2")];
            return (StatusCode::SERVICE_UNAVAILABLE, headers, format!("{refused}\n")).into_response();
        }
        Err(refused) => {
            metrics::refused("key");
            let sentence = format!("{refused} A browser offers the subprotocol floe.auth.TICKET beside floe.v1.\n");
            return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], sentence).into_response();
        }
    };
    let permit = match socket::admit(&app) {
        Ok(permit) => Some(permit),
        // Whoever comes back has a place already; the hello will tell.
        Err(Refusal::Full) if !app.returns.is_empty() => None,
        Err(refusal) => {
            let seconds = refusal.retry_after_s().to_string();
            let sentence = format!("Not now: {refusal}. Try again in {seconds} s.\n");
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds)], sentence).into_response();
        }
    };
    socket::limited(upgrade, MESSAGE_BYTES_MAX).protocols([SUBPROTOCOL]).on_upgrade(move |socket| async move {
        let id = SessionId::new();
        let span = tracing::info_span!("session", %id);
        connection(app, who, permit, id, socket).instrument(span).await;
    })
}

/// One upgraded socket: hello, ready, session.
async fn connection(app: App, who: Principal, permit: Option<Permit>, id: SessionId, socket: WebSocket) {
    let began = socket::now();
    let mut socket = socket::halves(socket);
    let outcome = match greet(&app, &mut socket.receiver).await {
        Ok(negotiated) => match returned(&app, &who, &negotiated, socket) {
            None => return,
            Some(fresh) => {
                socket = fresh;
                begin(&app, &who, permit, id, &negotiated, began).await
            }
        },
        Err(error) => Err(error),
    };
    match outcome {
        Ok((permit, talk)) => socket::talk(app, permit, talk, socket).await,
        Err(error) => {
            metrics::protocol_error(error.code);
            let code = error.close.unwrap_or(native::close::VIOLATION);
            socket::refuse(&mut socket.sender, native::refusal(&error, &app.offer), code, &error.message).await;
        }
    }
}

/// Hands the socket of a client that is back to its session. Gives it back if no session waits for it here.
fn returned(app: &App, who: &Principal, negotiated: &Negotiated, socket: Attachment) -> Option<Attachment> {
    let Some(resume) = &negotiated.resume else { return Some(socket) };
    let played = Duration::from_millis(resume.played_ms.unwrap_or_default());
    let reply = resume.reply.map(|reply| (ResponseId(reply), played));
    let pass = Some(socket::pass(app, who));
    let back = Return { socket, pass, left_off: LeftOff { last_n: resume.last_n, reply } };
    app.returns.send(&resume.token, who.owner(), back).err().map(|back| back.socket)
}

/// A new session, perhaps one that goes on with a stored conversation.
async fn begin(
    app: &App,
    who: &Principal,
    permit: Option<Permit>,
    id: SessionId,
    negotiated: &Negotiated,
    began: time::Instant,
) -> Result<(Permit, socket::Talk), ProtocolError> {
    let permit = permit.ok_or_else(|| {
        metrics::refused(Refusal::Full.as_str());
        ProtocolError::closing(native::close::OVERLOADED, "full", format!("Not now: {}.", Refusal::Full))
    })?;
    let mut settings = app.settings.patched(negotiated.settings.clone());
    settings.playback_reports = negotiated.features.playback;
    let pace = if negotiated.pace == native::Pace::File { Pace::File } else { Pace::Live };
    let conversation = match negotiated.conversation {
        Some(conversation) => Some((conversation, who.scope())),
        None => left_elsewhere(app, who, negotiated).await,
    };
    let Begun { id, kept, scribe } = match conversation {
        None => {
            let (agent, language) = (negotiated.agent.clone(), settings.language.to_string());
            let scribe = app.kept.as_ref().map(|kept| kept.begin(who, id, agent, language, negotiated.consent));
            Begun { id, kept: None, scribe }
        }
        Some((conversation, scope)) => go_on(app, scope, conversation, negotiated.consent).await?,
    };
    settings.durable = scribe.is_some();
    let held = scribe.as_ref().map(|scribe| app.shared.hold(scribe.session(), scribe.epoch()));
    let tape = app.tape(scribe.as_ref());
    let window = app.offer.resume_window;
    let expected = (negotiated.features.resume && !window.is_zero()).then(|| app.returns.expect(window, who.owner()));
    let welcome = Welcome {
        session: id,
        conversation: scribe.as_ref().map(Scribe::conversation),
        past: kept.as_ref().map(|kept| kept.past.items.as_slice()),
        token: expected.as_ref().map(Expected::token),
        recorded: tape.is_some(),
    };
    let clock = move || u64::try_from(socket::now().duration_since(began).as_millis()).unwrap_or(u64::MAX);
    let (codec, welcome) = NativeCodec::accept(negotiated, &app.offer, welcome, &settings, Box::new(clock));
    let (codec, welcome) = (Box::new(codec), vec![welcome]);
    let pass = socket::pass(app, who);
    Ok((permit, socket::Talk { id, codec, settings, pace, welcome, began, kept, scribe, tape, held, expected, pass }))
}

/// A session with what keeps it.
struct Begun {
    id: SessionId,
    kept: Option<Kept>,
    scribe: Option<Scribe>,
}

/// The conversation of a session that another server had, and has lost: its token says which. Whoever shows the token may see
/// that conversation, if it is the same user's.
async fn left_elsewhere<'a>(
    app: &App,
    who: &'a Principal,
    negotiated: &Negotiated,
) -> Option<(ConversationId, Scope<'a>)> {
    let token = returns::digest(&negotiated.resume.as_ref()?.token);
    // Without a shared memory, or while it is away, nobody can say.
    let session = app.shared.take_resume_token(token).await.ok()??;
    let left = app.shared.snapshot(session).await.ok()??.conversation;
    let scope = match (who.role, &who.user) {
        (Role::Device, Some(user)) => Scope::user(&who.tenant, user),
        (Role::Device, None) => Scope { tenant: &who.tenant, reach: Reach::One(left) },
        (Role::Admin | Role::Member, _) => who.scope(),
    };
    Some((left, scope))
}

/// Takes a stored conversation over: whoever held it before writes no more.
async fn go_on(
    app: &App,
    scope: Scope<'_>,
    conversation: ConversationId,
    consent: Option<bool>,
) -> Result<Begun, ProtocolError> {
    let keeper = app.kept.as_ref().ok_or_else(native::unknown_conversation)?;
    let claimed = keeper.claim(&app.shared, scope, conversation, consent).await.map_err(|error| {
        tracing::warn!(%error, "a conversation cannot go on");
        ProtocolError::closing(
            native::close::OVERLOADED,
            "store_unavailable",
            "The database does not answer. Try again.",
        )
    })?;
    let (claim, kept) = claimed.ok_or_else(native::unknown_conversation)?;
    metrics::peer("went_on");
    Ok(Begun { id: claim.session, kept: Some(kept), scribe: Some(keeper.recorder.go_on(claim)) })
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
