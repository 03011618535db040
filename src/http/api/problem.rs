//! Errors as a program and a person can read them.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{http::auth::Refused, session::registry::Refusal, store};

/// An answer that says what went wrong (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct Problem {
    /// Always `about:blank`: the status and `code` say what it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A word that programs can match.
    code: &'static str,
    /// A sentence.
    detail: String,
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

impl Problem {
    /// Any.
    pub(in crate::http) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), code, detail: detail.into(), retry_after_s: None }
    }

    /// Come again in so many seconds.
    pub(in crate::http) fn again_in(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// An engine did not do what was asked. `reason` is its word.
    pub(in crate::http) fn engine(reason: &str) -> Self {
        match reason {
            "busy" => {
                let detail = "The engines are busy. Try again in a moment.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).again_in(2)
            }
            "unavailable" | "timeout" => {
                let detail = "The engine did not answer in time.";
                Self::new(StatusCode::GATEWAY_TIMEOUT, "engine_unavailable", detail)
            }
            "rejected" => Self::new(StatusCode::BAD_REQUEST, "rejected", "The engine cannot do this."),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "engine_failed", "The engine failed."),
        }
    }

    /// The request makes no sense.
    pub(in crate::http) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// It is not there, or belongs to somebody else: both look the same.
    pub(in crate::http) fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// There is something here, but not with this method.
    pub(in crate::http) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This resource does not know that method.")
    }

    /// Who are you?
    pub(in crate::http) fn unauthorized(detail: String) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// Not for you.
    pub(in crate::http) fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// Too much at once.
    pub(super) fn too_many(retry_after_s: u32) -> Self {
        let detail = "You have asked more than server.requests_per_minute allows. Come again after Retry-After.";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        Self { retry_after_s: Some(retry_after_s), ..problem }
    }

    /// It was asked before, and cannot be answered like that.
    pub(super) fn conflict(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// The name stands for another request.
    pub(super) fn other_request(detail: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", detail)
    }

    /// It cannot be written down who asked.
    pub(super) fn unnoted() -> Self {
        let detail = "The audit trail cannot be written, and nothing is read without it.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable", detail).again_in(2)
    }

    /// Nobody wrote it down.
    pub(in crate::http) fn nothing_kept() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_kept", "This server keeps no conversations (store.engine is none).")
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Unavailable => Self::new(StatusCode::SERVICE_UNAVAILABLE, "auth_unavailable", detail).again_in(2),
            Refused::NotAllowed | Refused::CrossSite => Self::new(StatusCode::FORBIDDEN, "forbidden", detail),
            Refused::Missing | Refused::Wrong | Refused::InAddress => Self::unauthorized(detail),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, detail) = (refusal.as_str(), format!("Not now: {refusal}."));
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).again_in(refusal.retry_after_s())
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        tracing::warn!(%error, "the store did not answer");
        let detail = "The database does not answer. What is being said is kept all the same.";
        Self { retry_after_s: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after_s = self.retry_after_s;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
