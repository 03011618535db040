//! `/api/v1`: what was said, and what it cost. Errors are problem+json (RFC 9457).

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::any,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{App, Kept, auth::Caller, openapi::documented, socket::origin_is_welcome};

mod asked;
mod conversations;
mod export;
pub(super) mod idempotency;
mod jobs;
pub(super) mod limits;
mod problem;
mod users;
mod webhooks;
pub(super) mod who;
mod wire;

pub(super) use problem::Problem;

/// The routes below `/api/v1`.
pub(super) fn router(app: App) -> OpenApiRouter<App> {
    let (router, document) = OpenApiRouter::new()
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::read, conversations::delete))
        .routes(routes!(conversations::transcript))
        .routes(routes!(conversations::search))
        .routes(routes!(conversations::usage))
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
        // Outermost: whoever tries keys is counted too.
        .layer(middleware::from_fn_with_state(app, limits::counted));
    documented(router, document)
}

/// Pages of other origins may not read or delete what is kept here. (A page cannot read our answers without leave, but it
/// could send a request and not care.)
pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let mut response = match admit(&app, &request) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    // What was said belongs to nobody's cache.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn admit(app: &App, request: &Request) -> Result<who::Who, Problem> {
    if !origin_is_welcome(request.headers(), &app.origins) {
        return Err(Problem::forbidden("This page may not ask. Its origin must be listed in server.origins."));
    }
    match app.door.who(request.headers(), request.uri().query()) {
        Ok(caller @ (Caller::Anybody | Caller::Key)) => Ok(who::Who::of(&caller)),
        Ok(Caller::Secret(_)) => {
            Err(Problem::forbidden("A client secret opens one session, and nothing else. Use a key."))
        }
        Err(refused) => Err(Problem::unauthorized(refused.to_string())),
    }
}

/// The store, or why there is none.
fn kept(app: &App) -> Result<&Kept, Problem> {
    app.kept.as_ref().ok_or_else(Problem::nothing_kept)
}
