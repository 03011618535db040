//! What all engines share: one way to fail, and one way to reach a remote server.

use std::fmt;

pub mod remote;

/// What kind of failure it was; decides what the conversation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No room now; the same request may work later.
    Busy,
    /// Somebody dropped the request.
    Cancelled,
    /// The request itself is wrong; repeating it is pointless.
    Rejected,
    /// Did not answer in time, or cannot be reached.
    Unavailable,
    /// The engine broke.
    Broken,
}

impl ErrorKind {
    /// The word for metrics and clients.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::Broken => "broken",
        }
    }

    /// Whether the same request may succeed later.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure of an engine. The kind decides what happens; the message is for the log and never holds what was said.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Error {
    /// What kind.
    pub kind: ErrorKind,
    /// What happened, without any of the user's words.
    pub message: String,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}
