//! `/api/v1`: what was said, and what it cost. Errors are problem+json (RFC 9457).

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};

use super::{App, Kept, stream::origin_is_welcome};

mod conversations;
mod export;
mod problem;
mod wire;

use problem::Problem;

/// The routes below `/api/v1`.
pub(super) fn router(app: App) -> Router<App> {
    Router::new()
        .route("/conversations", get(conversations::list))
        .route("/conversations/{id}", get(conversations::read).delete(conversations::delete))
        .route("/conversations/{id}/transcript", get(conversations::transcript))
        .route("/search", get(conversations::search))
        .route("/usage", get(conversations::usage))
        .fallback(|| async { Problem::not_found("There is no such resource.") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn_with_state(app, guard))
}

/// Pages of other origins may not read or delete what is kept here. (A page cannot read our answers without leave, but it
/// could send a request and not care.)
async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if origin_is_welcome(request.headers(), &app.origins) {
        let mut response = next.run(request).await;
        // What was said belongs to nobody's cache.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    } else {
        Problem::forbidden("This page may not ask. Its origin must be listed in server.origins.").into_response()
    }
}

/// The store, or why there is none.
fn kept(app: &App) -> Result<&Kept, Problem> {
    app.kept.as_ref().ok_or_else(Problem::nothing_kept)
}
