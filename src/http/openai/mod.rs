//! What OpenAI's clients find under `/v1`: Realtime, its client secrets, models, transcription and speech.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{DefaultBodyLimit, Request},
    http::{Extensions, StatusCode, Uri},
    middleware,
    routing::{any, get},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use super::{
    App,
    auth::{self, visitor},
    openapi::documented,
    socket,
};
use crate::{
    auth::{Principal, Role, Scopes},
    protocol::openai::{ErrorKind, ErrorObject, Voices},
    session::registry::Permit,
};

mod error;
mod limits;
mod models;
mod realtime;
mod secrets;
mod speech;
mod subtitles;
mod transcriptions;
mod upload;

use error::Problem;

/// What OpenAI's clients meet.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether harmless misuse of Realtime is an error, as it is at OpenAI, rather than clamped.
    pub strict_errors: bool,
    /// Names of voices that clients ask for, and what the voice engine calls them, such as `{alloy = "en-us"}`.
    pub voices: BTreeMap<String, String>,
    /// Whether the voice engine gets the name of any other voice as it is. Otherwise the server's own voice speaks.
    pub any_voice: bool,
    /// Recordings processed, files transcribed and texts read out, at a time; further ones get 503 with `Retry-After`.
    pub jobs_max: usize,
    /// Largest file that may be processed or transcribed, in bytes. It is held in memory.
    pub upload_bytes_max: usize,
    /// Longest recording that may be processed or transcribed, in seconds.
    pub upload_audio_s_max: u64,
    /// Longest time that an upload may take, in milliseconds.
    pub upload_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            strict_errors: false,
            voices: BTreeMap::new(),
            any_voice: false,
            jobs_max: 8,
            upload_bytes_max: 25 << 20,
            upload_audio_s_max: 3_600,
            upload_timeout_ms: 300_000,
        }
    }
}

impl Config {
    /// How voices are called, given whether the voice engine knows OpenAI's names itself.
    pub fn names(&self, engine_is_openai: bool) -> Arc<Voices> {
        Arc::new(Voices { aliases: self.voices.clone(), any: self.any_voice || engine_is_openai })
    }
}

/// Everything below `/v1` but the native stream, and the other addresses under which clients look for Realtime.
pub(super) fn router(app: &App) -> OpenApiRouter<App> {
    let upload = DefaultBodyLimit::max(app.openai.upload_bytes_max.saturating_add(FORM_BYTES_MAX));
    let (v1, document) = OpenApiRouter::new()
        .routes(routes!(secrets::client_secrets))
        .routes(routes!(secrets::sessions))
        .routes(routes!(secrets::transcription_sessions))
        .routes(routes!(models::list))
        .routes(routes!(models::one))
        .routes(routes!(transcriptions::create).layer(upload))
        .routes(routes!(speech::create))
        .split_for_parts();
    let v1 = v1
        .route("/{*path}", any(nothing_here))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), limits::counted))
        .layer(middleware::from_fn_with_state(app.clone(), auth::identify))
        // Sockets have places instead of limits, and ask the door themselves.
        .route("/realtime", get(realtime::upgrade));
    OpenApiRouter::new()
        .nest("/v1", documented(v1, document))
        .route("/realtime", get(realtime::upgrade))
        .route("/openai/realtime", get(realtime::upgrade))
        .route("/openai/v1/realtime", get(realtime::upgrade))
}

async fn nothing_here(uri: Uri) -> Problem {
    let error = ErrorObject::invalid("unknown_url", format!("Unknown request URL: {}.", uri.path()));
    Problem::new(StatusCode::NOT_FOUND, error)
}

async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    let error = ErrorObject::invalid("method_not_supported", format!("{path} does not take {method}."));
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, error)
}

/// Lets in whoever may `need`. Tickets and client secrets open sessions and nothing else.
fn key_holder(extensions: &Extensions, need: Scopes) -> Result<&Principal, Problem> {
    let principal = &visitor(extensions)?.principal;
    let message = if principal.role == Role::Device {
        "A ticket or client secret opens sessions and nothing else. This needs an API key.".to_owned()
    } else if !principal.may(need) {
        format!("This key may not do that: it has not the scope \"{need}\".")
    } else {
        return Ok(principal);
    };
    let error = ErrorObject::new(ErrorKind::Permission, "insufficient_permissions", message);
    Err(Problem::new(StatusCode::FORBIDDEN, error))
}

/// A place for a job, under the same conditions as for a conversation.
fn admit(app: &App) -> Result<Permit, Problem> {
    if app.registry.is_draining() {
        return Err(crate::session::registry::Refusal::Draining.into());
    }
    socket::has_time(app)?;
    Ok(app.jobs.admit()?)
}

/// The JSON of a request, read by hand so that every complaint has OpenAI's shape.
async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let kind = request.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !(kind.is_empty() || kind.starts_with("application/json")) {
        let error = ErrorObject::invalid("unsupported_media_type", "Send JSON, with content-type application/json.");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    let body = axum::body::to_bytes(request.into_body(), JSON_BYTES_MAX).await.map_err(|_| {
        let message = format!("The body is not complete, or larger than {JSON_BYTES_MAX} bytes.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorObject::invalid("request_too_large", message))
    })?;
    let mut from = serde_json::Deserializer::from_slice(if body.is_empty() { b"{}" } else { &body });
    serde_path_to_error::deserialize(&mut from).map_err(|error| {
        let path = error.path().to_string();
        let wrong = ErrorObject::invalid("invalid_json", format!("The body cannot be read: {}.", error.inner()));
        Problem::bad(if path == "." { wrong } else { wrong.about(path) })
    })
}

/// The largest JSON body: tools and instructions of a session fit many times.
const JSON_BYTES_MAX: usize = 1 << 20;

/// What the other fields of an upload, and the form around them, may have.
const FORM_BYTES_MAX: usize = 1 << 20;
