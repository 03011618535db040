//! Client secrets: `POST /v1/realtime/client_secrets`, and the two addresses that the beta had for the same.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Problem, json, key_holder, models};
use crate::{
    auth::{Principal, Role, Scopes},
    http::{
        App,
        openapi::{Keyed, Said},
        secrets::{Bound, TTL_DEFAULT_S, TTL_S, now_s},
    },
    ids::SessionId,
    protocol::openai::{Dialect, Kind, SessionConfig, wire::session::Session},
};

/// For how long, and for what.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = SecretWanted)]
struct Wanted {
    expires_after: Option<ExpiresAfter>,
    /// As in a `session.update`.
    #[schema(value_type = Option<Object>)]
    session: Option<Value>,
}

#[derive(Deserialize, utoipa::ToSchema)]
struct ExpiresAfter {
    /// `created_at`.
    anchor: Option<String>,
    #[schema(minimum = 10, maximum = 7200)]
    seconds: Option<i64>,
}

/// A secret that opens sessions for a while.
#[derive(Serialize, utoipa::ToSchema)]
struct ClientSecret {
    value: String,
    expires_at: u64,
}

/// A client secret, and the session that it opens.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SecretMade)]
struct Made {
    #[serde(flatten)]
    secret: ClientSecret,
    /// As in `session.created`.
    #[schema(value_type = Object)]
    session: Session,
}

/// The beta's answer: a session, with its secret in it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BetaSession)]
struct MadeBeta {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    session: Session,
    client_secret: ClientSecret,
}

#[utoipa::path(
    post, path = "/realtime/client_secrets", operation_id = "create_client_secret", tag = "openai", summary = "A short-lived secret for a browser or device",
    request_body(content = Wanted),
    responses((status = 200, description = "The secret", body = Made), Keyed, Said),
)]
pub(super) async fn client_secrets(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let maker = key_holder(request.extensions(), Scopes::TICKETS)?.clone();
    let wanted: Wanted = json(request).await?;
    let ttl_s = ttl_s(wanted.expires_after.as_ref(), "expires_after")?;
    let (secret, session) = make(&app, &maker, wanted.session, Kind::Realtime, Dialect::Ga, ttl_s)?;
    Ok(Json(Made { secret, session }).into_response())
}

#[utoipa::path(
    post, path = "/realtime/sessions", operation_id = "create_beta_session", tag = "openai", summary = "The same for clients of the beta",
    request_body(content = Object),
    responses((status = 200, description = "The session with its secret", body = MadeBeta), Keyed, Said),
)]
pub(super) async fn sessions(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    beta(&app, request, Kind::Realtime).await
}

#[utoipa::path(
    post, path = "/realtime/transcription_sessions", operation_id = "create_beta_transcription_session", tag = "openai", summary = "The same for transcription alone",
    request_body(content = Object),
    responses((status = 200, description = "The session with its secret", body = MadeBeta), Keyed, Said),
)]
pub(super) async fn transcription_sessions(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    beta(&app, request, Kind::Transcription).await
}

/// The body is the session itself; what it may say about the secret stands in `client_secret.expires_after`.
async fn beta(app: &App, request: Request, kind: Kind) -> Result<Response, Problem> {
    let maker = key_holder(request.extensions(), Scopes::TICKETS)?.clone();
    let mut session: Value = json(request).await?;
    let about_secret = session.as_object_mut().and_then(|session| session.remove("client_secret"));
    let expires_after = about_secret
        .and_then(|mut secret| secret.as_object_mut().and_then(|secret| secret.remove("expires_after")))
        .map(serde_json::from_value::<ExpiresAfter>)
        .transpose()
        .map_err(|error| Problem::value("client_secret.expires_after", error.to_string()))?;
    let ttl_s = ttl_s(expires_after.as_ref(), "client_secret.expires_after")?;
    let (client_secret, session) = make(app, &maker, Some(session), kind, Dialect::Beta, ttl_s)?;
    Ok(Json(MadeBeta { session, client_secret }).into_response())
}

/// Checks the session, binds it to a new secret, and tells what it will be.
fn make(
    app: &App,
    maker: &Principal,
    session: Option<Value>,
    kind: Kind,
    dialect: Dialect,
    ttl_s: u64,
) -> Result<(ClientSecret, Session), Problem> {
    let voices = Arc::clone(&app.voices);
    let config =
        SessionConfig::parse(session.as_ref(), kind, models::REALTIME, &app.settings, voices).map_err(Problem::bad)?;
    let expires_at = now_s() + ttl_s;
    // Whatever its maker may see, whoever holds a secret sees the sessions that it opens.
    let holder = Principal {
        role: Role::Device,
        scopes: Scopes::TALK.and(maker.scopes),
        credential: maker.credential.child(format!("secret_{}", uuid::Uuid::now_v7().simple())),
        ..maker.clone()
    };
    let value = app.door.secrets.make(holder, Bound { kind: config.kind(), session, expires_at });
    let id = SessionId::new().to_string().replacen("ses_", "sess_", 1);
    Ok((ClientSecret { value, expires_at }, config.echo(&id, dialect, None)))
}

fn ttl_s(wanted: Option<&ExpiresAfter>, param: &str) -> Result<u64, Problem> {
    if let Some(anchor) = wanted.and_then(|wanted| wanted.anchor.as_deref()).filter(|anchor| *anchor != "created_at") {
        return Err(Problem::value(&format!("{param}.anchor"), format!("anchor is \"created_at\", not {anchor:?}.")));
    }
    let Some(seconds) = wanted.and_then(|wanted| wanted.seconds) else { return Ok(TTL_DEFAULT_S) };
    u64::try_from(seconds).ok().filter(|seconds| TTL_S.contains(seconds)).ok_or_else(|| {
        let message = format!("seconds is between {} and {}, not {seconds}.", TTL_S.start(), TTL_S.end());
        Problem::value(&format!("{param}.seconds"), message)
    })
}
