//! `/api/v1`: what was said, and what it cost. Errors are problem+json (RFC 9457).

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::any,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    App, Kept,
    auth::{self, visitor},
    openapi::documented,
    socket::origin_is_welcome,
};
use crate::auth::{Role, Scopes};

mod asked;
mod audio;
mod conversations;
mod export;
pub(super) mod idempotency;
mod jobs;
mod keys;
pub(super) mod limits;
mod problem;
mod users;
mod webhooks;
mod who;
mod wire;

pub(super) use problem::Problem;

/// The routes below `/api/v1`.
pub(super) fn router(app: App) -> OpenApiRouter<App> {
    let (router, document) = OpenApiRouter::new()
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::read, conversations::delete))
        .routes(routes!(conversations::transcript))
        .routes(routes!(audio::list))
        .routes(routes!(audio::read))
        .routes(routes!(conversations::search))
        .routes(routes!(conversations::usage))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::read))
        .routes(routes!(jobs::retry))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::read, webhooks::delete))
        .routes(routes!(webhooks::test))
        .routes(routes!(users::export))
        .routes(routes!(users::erase))
        .routes(routes!(users::audit))
        .split_for_parts();
    let router = router
        // A route of its own and no fallback: the page's `/{*path}` would win over that.
        .route("/{*path}", any(|| async { Problem::not_found("There is no such resource.") }))
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn_with_state(app.clone(), idempotency::once))
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        // Outside of that: whoever tries keys is counted too.
        .layer(middleware::from_fn_with_state(app.clone(), limits::counted))
        .layer(middleware::from_fn_with_state(app, auth::identify));
    documented(router, document)
}

/// Pages of other origins may not read or delete what is kept here. (A page cannot read our answers without leave, but it
/// could send a request and not care.) Everything behind finds a [`Principal`](crate::auth::Principal) among the request's extensions.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    guarded(&app, request, next, if is_reading { Scopes::READ } else { Scopes::WRITE }).await
}

/// The same for those who may `need`.
pub(super) async fn guarded(app: &App, mut request: Request, next: Next, need: Scopes) -> Response {
    let mut response = match admit(app, &mut request, need) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    // What was said belongs to nobody's cache.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn admit(app: &App, request: &mut Request, need: Scopes) -> Result<(), Problem> {
    if !origin_is_welcome(request.headers(), &app.origins) {
        return Err(Problem::forbidden("This page may not ask. Its origin must be listed in server.origins."));
    }
    let principal = match visitor(request.extensions()) {
        Ok(visitor) => visitor.principal.clone(),
        Err(refused) => return Err(refused.into()),
    };
    if principal.role == Role::Device {
        return Err(Problem::forbidden("A ticket or client secret opens one session, and nothing else. Use a key."));
    }
    if !principal.may(need) {
        return Err(Problem::new(
            axum::http::StatusCode::FORBIDDEN,
            "insufficient_scope",
            format!("This key may not do that: it has not the scope \"{need}\"."),
        ));
    }
    request.extensions_mut().insert(principal);
    Ok(())
}

/// The store, or why there is none.
fn kept(app: &App) -> Result<&Kept, Problem> {
    app.kept.as_ref().ok_or_else(Problem::nothing_kept)
}
