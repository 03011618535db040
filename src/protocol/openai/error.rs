//! Errors in OpenAI's shape, shared by the socket and by everything under `/v1`.

use std::borrow::Cow;

use serde::Serialize;

/// What is wrong, as OpenAI's clients expect to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error, utoipa::ToSchema)]
#[error("{message}")]
pub struct ErrorObject {
    /// A sentence that names the fix.
    pub message: String,
    /// Whose fault it is.
    #[serde(rename = "type")]
    pub kind: ErrorKind,
    /// The path of the field that this is about: `session.audio.input.format.rate`.
    pub param: Option<String>,
    /// A word that programs can match.
    pub code: Option<Cow<'static, str>>,
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub enum ErrorKind {
    /// The request is wrong, or names something that is not there.
    #[serde(rename = "invalid_request_error")]
    InvalidRequest,
    /// The key is missing, wrong or expired.
    #[serde(rename = "authentication_error")]
    Authentication,
    /// The key does not allow this.
    #[serde(rename = "permission_error")]
    Permission,
    /// Too much at once.
    #[serde(rename = "rate_limit_error")]
    RateLimit,
    /// It is ours.
    #[serde(rename = "server_error")]
    Server,
}

/// The body of a failed HTTP request: `{"error": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorObject,
}

/// The body that tells of `error`.
pub const fn error_body(error: ErrorObject) -> ErrorBody {
    ErrorBody { error }
}

impl ErrorObject {
    /// The request is wrong.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, code, message)
    }

    /// The server broke, or cannot now.
    pub fn server(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Server, code, message)
    }

    /// Any error.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), kind, param: None, code: Some(Cow::Borrowed(code)) }
    }

    /// The same error, about a field.
    #[must_use]
    pub fn about(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }
}

/// A field holds what it cannot hold.
pub(super) fn invalid_value(param: impl Into<String>, message: impl Into<String>) -> ErrorObject {
    ErrorObject::invalid("invalid_value", message).about(param)
}

/// A value of the right shape read from JSON text or a [`serde_json::Value`], or an error that names the field.
pub(super) fn read<'de, T, D>(from: D, prefix: &str) -> Result<T, ErrorObject>
where
    T: serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
    D::Error: std::fmt::Display,
{
    serde_path_to_error::deserialize(from).map_err(|error| {
        let path = error.path().to_string();
        let param = match (prefix, path.as_str()) {
            (prefix, ".") => prefix.to_owned(),
            ("", path) => path.to_owned(),
            (prefix, path) => format!("{prefix}.{path}"),
        };
        let error = ErrorObject::invalid("invalid_value", error.inner().to_string());
        if param.is_empty() { error } else { error.about(param) }
    })
}
