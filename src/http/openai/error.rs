//! Refusals under `/v1`, in the shape that OpenAI's clients read.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    http::auth::Refused,
    protocol::{
        native::close,
        openai::{ErrorKind, ErrorObject, error_body},
    },
    session::registry::Refusal,
};

/// Why a request is refused: the status, the body, and when to come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Problem {
    pub(super) status: StatusCode,
    pub(super) error: Box<ErrorObject>,
    pub(super) retry_after_s: Option<u32>,
}

impl Problem {
    /// The request cannot be understood or done.
    pub(in crate::http) fn bad(error: ErrorObject) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// A value of the request is wrong.
    pub(in crate::http) fn value(param: &str, message: impl Into<String>) -> Self {
        Self::bad(ErrorObject::invalid("invalid_value", message).about(param))
    }

    pub(in crate::http) fn new(status: StatusCode, error: ErrorObject) -> Self {
        Self { status, error: Box::new(error), retry_after_s: None }
    }

    /// Not now.
    pub(in crate::http) fn busy(code: &'static str, message: impl Into<String>, retry_after_s: u32) -> Self {
        let error = ErrorObject::server(code, message);
        Self { retry_after_s: Some(retry_after_s), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, error) }
    }

    /// An engine did not do what was asked. `reason` is its word.
    pub(super) fn engine(reason: &'static str) -> Self {
        match reason {
            "busy" => Self::busy("busy", "The engines are busy. Try again in a moment.", 2),
            "rejected" => Self::bad(ErrorObject::invalid("rejected", "The engine cannot do this.")),
            "unavailable" | "timeout" => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                ErrorObject::server("engine_unavailable", "The engine did not answer in time."),
            ),
            _ => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorObject::server("engine_failed", "The engine failed."))
            }
        }
    }

    /// The code with which a WebSocket says the same.
    pub(super) const fn close_code(&self) -> u16 {
        match self.status {
            StatusCode::UNAUTHORIZED => close::UNAUTHENTICATED,
            StatusCode::FORBIDDEN => close::FORBIDDEN,
            StatusCode::NOT_FOUND => close::NOT_FOUND,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => close::RATE_LIMITED,
            _ => close::VIOLATION,
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::Unavailable => Self::busy("auth_unavailable", message, 2),
            Refused::NotAllowed | Refused::CrossSite => {
                let error = ErrorObject::new(ErrorKind::Permission, "not_allowed", message);
                Self::new(StatusCode::FORBIDDEN, error)
            }
            Refused::Missing | Refused::Wrong | Refused::InAddress => {
                let error = ErrorObject::new(ErrorKind::Authentication, "invalid_api_key", message);
                Self::new(StatusCode::UNAUTHORIZED, error)
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::busy(refusal.as_str(), format!("Not now: {refusal}."), refusal.retry_after_s())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(error_body(*self.error))).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}
