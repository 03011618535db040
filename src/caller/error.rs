//! What can go wrong with a call.

use crate::audio;

/// Why a call ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be called.
    #[error("cannot call {url}: {reason}")]
    BadUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answered, or not as a WebSocket server does.
    #[error("cannot connect to {url}: {reason}")]
    Connect {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server answered the upgrade with an HTTP error.
    #[error("the server refused the connection with HTTP status {status}{}", retry(*.retry_after_s))]
    Refused {
        /// The status.
        status: u16,
        /// Its `Retry-After`, if that was a number.
        retry_after_s: Option<u32>,
    },
    /// The server sent a fatal `error`.
    #[error("the server ended the call: {code}: {message}")]
    Fatal {
        /// The word.
        code: String,
        /// The sentence.
        message: String,
    },
    /// The connection was closed.
    #[error("the connection was closed{}", closed(*.code, .reason))]
    Closed {
        /// The close code; `None` if it simply ended.
        code: Option<u16>,
        /// The reason given.
        reason: String,
    },
    /// Something did not come in time.
    #[error("nothing came within {waited_s} s while waiting for {what}")]
    Timeout {
        /// What.
        what: &'static str,
        /// How long.
        waited_s: u64,
    },
    /// The server does not take what we send.
    #[error("the server did not read for {waited_s} s")]
    Stalled {
        /// How long.
        waited_s: u64,
    },
    /// The server does not speak `floe.v1` as we know it.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// Our own audio could not be encoded, or the reply's not decoded.
    #[error(transparent)]
    Audio(#[from] audio::Error),
}

impl Error {
    /// The word under which it is counted.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BadUrl { .. } => "bad_url",
            Self::Connect { .. } => "connect",
            Self::Refused { .. } => "refused",
            Self::Fatal { .. } => "fatal",
            Self::Closed { .. } => "closed",
            Self::Timeout { .. } => "timeout",
            Self::Stalled { .. } => "stalled",
            Self::Protocol(_) => "protocol",
            Self::Audio(_) => "audio",
        }
    }
}

fn retry(after_s: Option<u32>) -> String {
    after_s.map(|after_s| format!("; it asks to wait {after_s} s")).unwrap_or_default()
}

fn closed(code: Option<u16>, reason: &str) -> String {
    match (code, reason) {
        (None, _) => " without a close frame".to_owned(),
        (Some(code), "") => format!(" with code {code}"),
        (Some(code), reason) => format!(" with code {code}: {reason}"),
    }
}
