//! Is it alive, is it ready, what does it count.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::App;
use crate::telemetry::metrics;

/// The process answers.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// New sessions are welcome: models are loaded (or there would be no server), nobody is leaving, and the database has been
/// reached once. If it goes away later, conversations go on and wait in the spool.
pub(super) async fn ready(State(app): State<App>) -> Response {
    if app.registry.is_leaving() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    match &app.kept {
        Some(kept) if !kept.store.is_ready() => {
            (StatusCode::SERVICE_UNAVAILABLE, "the database has not been reached yet\n").into_response()
        }
        Some(kept) if kept.recorder.spooled() > 0 => {
            format!("ready; {} records wait for the database\n", kept.recorder.spooled()).into_response()
        }
        // Nobody needs Redis to talk.
        _ if app.shared.is_away() => "ready; Redis is away, and nothing is shared with other servers\n".into_response(),
        _ => "ready\n".into_response(),
    }
}

/// Prometheus' text format.
pub(super) async fn numbers(State(app): State<App>) -> Response {
    let Some(handle) = metrics::start() else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "another metrics recorder is installed\n").into_response();
    };
    metrics::sessions(app.registry.sessions());
    if let Some(wait_ms) = app.engines.stt.predicted_wait_ms() {
        metrics::predicted_wait(wait_ms);
    }
    handle.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], handle.render()).into_response()
}
