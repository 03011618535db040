//! Limits under `/v1`, in the words that OpenAI's clients read.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{App, Problem};
use crate::{
    http::limits::{seconds, set, take},
    protocol::openai::{ErrorKind, ErrorObject},
};

/// Answers, or says that it is too much.
pub(super) async fn counted(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(taken) = take(&app, &request).await else { return next.run(request).await };
    let mut response = if taken.is_allowed {
        next.run(request).await
    } else {
        let message = "Rate limit reached for requests. Try again after the time in retry-after.";
        let error = ErrorObject::new(ErrorKind::RateLimit, "rate_limit_exceeded", message);
        let retry_after_s = Some(seconds(taken.retry_after_ms).max(1));
        Problem { retry_after_s, ..Problem::new(StatusCode::TOO_MANY_REQUESTS, error) }.into_response()
    };
    let headers = response.headers_mut();
    if !taken.is_allowed {
        set(headers, [("retry-after-ms", taken.retry_after_ms.to_string())]);
    }
    set(
        headers,
        [
            ("x-ratelimit-limit-requests", taken.limit.to_string()),
            ("x-ratelimit-remaining-requests", taken.remaining.to_string()),
            ("x-ratelimit-reset-requests", format!("{}ms", taken.reset_ms)),
        ],
    );
    response
}
