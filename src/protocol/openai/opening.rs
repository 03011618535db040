//! The beginning of a session: what the connection said, and what follows.

use std::sync::Arc;

use serde_json::Value;

use super::{
    RealtimeCodec,
    config::{SessionConfig, Voices},
    wire::server::{Body, Conversation},
};
use crate::{
    conversation::Settings,
    ids::SessionId,
    protocol::{Message, ProtocolError},
};

/// How events are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Today's.
    Ga,
    /// That of `OpenAI-Beta: realtime=v1` and of the subprotocol `openai-beta.realtime-v1`.
    Beta,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Talking.
    Realtime,
    /// Listening only (`?intent=transcription`).
    Transcription,
}

/// What was known when the connection was made.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The model asked for, told back as it is.
    pub model: String,
    /// How events are spelled.
    pub dialect: Dialect,
    /// What the session is for, unless `session` says otherwise.
    pub kind: Kind,
    /// The session object bound to the client secret that was shown, if any; checked when the secret was made.
    pub session: Option<Value>,
    /// Whether harmless misuse is an error, as it is at OpenAI, rather than clamped.
    pub strict: bool,
    /// When the session ends at the latest, in seconds since 1970; `None` where it has no limit.
    pub expires_at: Option<u64>,
    /// How the voices that clients ask for are called here.
    pub voices: Arc<Voices>,
}

impl RealtimeCodec {
    /// A codec for one connection, the settings to begin with, and the messages to send before anything else.
    ///
    /// `base` are the server's own settings. The error, for a bad `session`, closes the connection.
    pub fn accept(
        opening: Opening,
        base: &Settings,
        session: SessionId,
    ) -> Result<(Self, Settings, Vec<Message>), ProtocolError> {
        let Opening { model, dialect, kind, session: bound, strict, expires_at, voices } = opening;
        let config = SessionConfig::parse(bound.as_ref(), kind, &model, base, voices)
            .map_err(|error| ProtocolError::closing(super::CLOSE_VIOLATION, "invalid_session", error.message))?;
        let settings = config.settings();
        let mut codec = Self::new(config, dialect, strict, expires_at, session);
        let mut welcome = Vec::new();
        let created = codec.session_object();
        codec.outlet.write(Body::SessionCreated { session: created }, &mut welcome);
        if dialect == Dialect::Beta && codec.config.kind() == Kind::Realtime {
            let conversation = Conversation { id: codec.outlet.conversation(), object: "realtime.conversation" };
            codec.outlet.write(Body::ConversationCreated { conversation }, &mut welcome);
        }
        Ok((codec, settings, welcome))
    }
}
