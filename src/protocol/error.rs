//! What can be wrong with a client's message.

use std::borrow::Cow;

/// A wrong message, in words for the client's developer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ProtocolError {
    /// A word that programs can match.
    pub code: &'static str,
    /// A sentence that names the fix.
    pub message: Cow<'static, str>,
    /// The WebSocket close code, if the connection cannot go on.
    pub close: Option<u16>,
    /// The message type, or the value of its `id`, that this is about.
    pub about: Option<String>,
}

impl ProtocolError {
    /// An error after which the conversation goes on.
    pub fn harmless(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), close: None, about: None }
    }

    /// An error that closes the connection.
    pub fn closing(close: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), close: Some(close), about: None }
    }
}
