//! Limits under `/api`: what is left is told with every answer.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::Problem;
use crate::http::{
    App,
    limits::{seconds, set, take},
};

/// Answers, or says that it is too much. A layer for every route below `/api`.
pub(in crate::http) async fn counted(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(taken) = take(&app, &request).await else { return next.run(request).await };
    let mut response = if taken.is_allowed {
        next.run(request).await
    } else {
        Problem::too_many(seconds(taken.retry_after_ms).max(1)).into_response()
    };
    let (limit, remaining, reset_s) = (taken.limit, taken.remaining, seconds(taken.reset_ms));
    set(
        response.headers_mut(),
        [
            ("ratelimit-limit", limit.to_string()),
            ("ratelimit-remaining", remaining.to_string()),
            ("ratelimit-reset", reset_s.to_string()),
            ("ratelimit-policy", format!("{limit};w=60")),
        ],
    );
    response
}
