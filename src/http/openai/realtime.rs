//! `GET /v1/realtime`: from a request to a session in OpenAI's dialect.

use std::sync::Arc;

use axum::{
    extract::{
        Query, RawQuery, State,
        ws::{WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tracing::Instrument as _;

use super::{Problem, models};
use crate::{
    auth::{Principal, Scopes},
    http::{
        App,
        auth::Visitor,
        secrets::{Bound, now_s},
        socket,
    },
    ids::SessionId,
    protocol::{
        ProtocolError,
        openai::{Dialect, ErrorKind, ErrorObject, Kind, Opening, RealtimeCodec, TEXT_BYTES_MAX, refusal},
    },
    session::{Attachment, Pace, registry::Permit},
    telemetry::metrics,
};

/// The subprotocol that is selected when it is offered: never another, for the others hold keys and version marks.
const SUBPROTOCOL: &str = "realtime";

/// The subprotocol by which browsers ask for the beta's dialect.
const BETA_SUBPROTOCOL: &str = "openai-beta.realtime-v1";

/// What the address says.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    model: Option<String>,
    /// Azure's word for the model.
    deployment: Option<String>,
    intent: Option<String>,
    call_id: Option<String>,
}

/// Origin, key, what is asked for, admission; then the upgrade. A browser cannot read a refused upgrade: it is let in, told,
/// and let go.
pub(super) async fn upgrade(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let let_in = enter(&app, &uri, query.as_deref(), &headers).await;
    let (upgrade, let_in) = match (upgrade, let_in) {
        (Ok(upgrade), let_in) => (upgrade, let_in),
        (Err(_), Err(problem)) => return problem.into_response(),
        (Err(_), Ok(_)) => {
            let message = "This is a WebSocket: connect to it with ws:// or wss://.";
            let error = ErrorObject::invalid("websocket_required", message);
            return Problem::new(StatusCode::UPGRADE_REQUIRED, error).into_response();
        }
    };
    let upgrade = socket::limited(upgrade, TEXT_BYTES_MAX).protocols([SUBPROTOCOL]);
    let dialect = dialect(&headers);
    match let_in {
        Ok((who, opening, permit)) => upgrade.on_upgrade(move |socket| async move {
            let id = SessionId::new();
            let span = tracing::info_span!("session", %id);
            connection(app, who, permit, id, opening, socket).instrument(span).await;
        }),
        Err(problem) if headers.contains_key(header::ORIGIN) => upgrade.on_upgrade(move |socket| async move {
            let code = problem.close_code();
            let reason = problem.error.message.clone();
            let mut sender = socket::halves(socket).sender;
            socket::refuse(&mut sender, refusal(*problem.error, dialect), code, &reason).await;
        }),
        Err(problem) => problem.into_response(),
    }
}

/// Who this is, what is wanted, and a place for it.
async fn enter(
    app: &App,
    uri: &Uri,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(Principal, Opening, Permit), Problem> {
    if !socket::origin_is_welcome(headers, &app.origins) {
        metrics::refused("origin");
        let message = "This page may not connect. Its origin must be listed in server.origins.";
        let error = ErrorObject::new(ErrorKind::Permission, "origin_not_allowed", message);
        return Err(Problem::new(StatusCode::FORBIDDEN, error));
    }
    let Visitor { principal, bound } =
        app.door.who_talks(headers, query).await.inspect_err(|_| metrics::refused("key"))?;
    if !principal.may(Scopes::TALK) {
        metrics::refused("scope");
        let message = "This key may not talk: it has not the scope \"talk\".";
        let error = ErrorObject::new(ErrorKind::Permission, "insufficient_permissions", message);
        return Err(Problem::new(StatusCode::FORBIDDEN, error));
    }
    let Query(asked) = Query::<Asked>::try_from_uri(uri)
        .map_err(|_| Problem::bad(ErrorObject::invalid("invalid_query", "The query cannot be read.")))?;
    if asked.call_id.is_some() {
        let message = "There are no calls to attach to: only WebSocket sessions of their own.";
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            ErrorObject::invalid("call_not_found", message).about("call_id"),
        ));
    }
    let opening = opening(app, bound, asked, dialect(headers))?;
    let permit = socket::admit(app)?;
    Ok((principal, opening, permit))
}

fn opening(app: &App, bound: Option<Bound>, asked: Asked, dialect: Dialect) -> Result<Opening, Problem> {
    let intended = match asked.intent.as_deref() {
        None | Some("" | "conversation" | "realtime") => Kind::Realtime,
        Some("transcription") => Kind::Transcription,
        Some(_) => return Err(Problem::value("intent", "intent is \"transcription\", or left out.")),
    };
    let (kind, session) = match bound {
        Some(bound) => (bound.kind, bound.session),
        None => (intended, None),
    };
    let longest = app.settings.session_max.as_secs();
    Ok(Opening {
        model: asked.model.or(asked.deployment).unwrap_or_else(|| models::REALTIME.to_owned()),
        dialect,
        kind,
        session,
        strict: app.openai.strict_errors,
        expires_at: (longest > 0).then(|| now_s() + longest),
        voices: Arc::clone(&app.voices),
    })
}

fn dialect(headers: &HeaderMap) -> Dialect {
    let asks = |value: &str| value.split(',').any(|feature| feature.trim() == "realtime=v1");
    let by_header = headers.get_all("openai-beta").iter().filter_map(|value| value.to_str().ok()).any(asks);
    let by_subprotocol = socket::offered(headers).any(|name| name == BETA_SUBPROTOCOL);
    if by_header || by_subprotocol { Dialect::Beta } else { Dialect::Ga }
}

/// One upgraded socket: the session begins unasked.
async fn connection(app: App, who: Principal, permit: Permit, id: SessionId, opening: Opening, socket: WebSocket) {
    let began = socket::now();
    let (dialect, agent) = (opening.dialect, opening.model.clone());
    let Attachment { receiver, mut sender } = socket::halves(socket);
    match RealtimeCodec::accept(opening, &app.settings, id) {
        Ok((codec, mut settings, welcome)) => {
            let codec = Box::new(codec);
            let scribe = app.kept.as_ref().map(|kept| kept.begin(&who, id, agent, settings.language.to_string(), None));
            settings.durable = scribe.is_some();
            let held = scribe.as_ref().map(|scribe| app.shared.hold(scribe.session(), scribe.epoch()));
            let tape = app.tape(scribe.as_ref());
            let talk = socket::Talk {
                id,
                codec,
                settings,
                pace: Pace::Unpaced,
                welcome,
                began,
                scribe,
                tape,
                kept: None,
                held,
                expected: None,
                pass: socket::pass(&app, &who),
            };
            socket::talk(app, permit, talk, Attachment { receiver, sender }).await;
        }
        Err(ProtocolError { code, message, close, .. }) => {
            metrics::protocol_error(code);
            let error = ErrorObject::invalid(code, message.clone());
            let close = close.unwrap_or(crate::protocol::native::close::VIOLATION);
            socket::refuse(&mut sender, refusal(error, dialect), close, &message).await;
        }
    }
}
