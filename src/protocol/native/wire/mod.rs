//! The JSON of `floe.v1`, in both directions: server, callers and tests read and write the same types.

use serde::{Deserialize, Serialize};
use serde_json::Number;

pub mod client;
pub mod server;

pub use client::{
    AudioOffer, ClientInfo, ClientMessage, Hello, PlayerState, Resume, SettingsChange, Tool, Turn, TurnMode,
    Unreadable, WireFormat,
};
pub use server::{
    AppliedFormat, AppliedSettings, Latency, Limits, Numbered, Ready, ReplyDone, ReplyStatus, ResumeOffer, Said,
    ServerInfo, ServerMessage, Usage, Word,
};

/// The subprotocol's name.
pub const SUBPROTOCOL: &str = "floe.v1";

/// What stands before the token in the second subprotocol that a browser offers.
pub const AUTH_SUBPROTOCOL_PREFIX: &str = "floe.auth.";

/// The id of a `ping`, given back in its `pong`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PingId {
    /// A number.
    Number(Number),
    /// A word.
    Word(String),
}
