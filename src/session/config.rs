//! What an operator may set about conversations; a client may change much of it for itself.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::conversation::{Settings, ToolPlace, ToolSpec, TurnMode};

/// Conversations.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Quiet audio that ends the user's turn.
    pub silence_ms: u64,
    /// Speech shorter than this is none.
    pub min_speech_ms: u64,
    /// Speech shorter than this does not interrupt the assistant.
    pub min_interruption_ms: u64,
    /// Audio kept from before speech was noticed.
    pub preroll_ms: u64,
    /// Longest utterance; then the turn ends.
    pub utterance_max_ms: u64,
    /// Whether speech stops a reply.
    pub barge_in: bool,
    /// Whether clients that ask for partial transcripts get them.
    pub partials: bool,
    /// Language of both sides, as a BCP 47 tag; empty = the engines decide.
    pub language: String,
    /// The voice, in the words of the voice engine; empty = its default.
    pub voice: String,
    /// Said when a session begins; empty = nothing.
    pub greeting: String,
    /// Said when a reply fails before a word of it was spoken.
    pub apology: String,
    /// How far speech is sent ahead of its playing time.
    pub send_ahead_ms: u64,
    /// Rounds of tool calls within one reply.
    pub tool_rounds_max: u32,
    /// Longest wait for a tool's result.
    pub tool_timeout_ms: u64,
    /// Longest wait for the agent's first word.
    pub first_word_timeout_ms: u64,
    /// Time without speech, text or reply after which a session ends; 0 = never.
    pub idle_s: u64,
    /// Longest session; 0 = no limit.
    pub session_max_s: u64,
    /// How long a session waits for a client that lost its socket and may come back; 0 = not at all.
    pub resume_window_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        let settings = Settings::default();
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            silence_ms: ms(settings.silence),
            min_speech_ms: ms(settings.min_speech),
            min_interruption_ms: ms(settings.min_interruption),
            preroll_ms: ms(settings.preroll),
            utterance_max_ms: ms(settings.utterance_max),
            barge_in: settings.barge_in,
            partials: settings.partials,
            language: settings.language.to_string(),
            voice: settings.voice.to_string(),
            greeting: settings.greeting.to_string(),
            apology: settings.apology.to_string(),
            send_ahead_ms: ms(settings.send_ahead),
            tool_rounds_max: settings.tool_rounds_max,
            tool_timeout_ms: ms(settings.tool_timeout),
            first_word_timeout_ms: ms(settings.first_delta_timeout),
            idle_s: settings.idle_timeout.as_secs(),
            session_max_s: settings.session_max.as_secs(),
            resume_window_s: 120,
        }
    }
}

impl Config {
    /// What a conversation begins with, given the agent's instructions and the server's tools.
    pub fn settings(&self, instructions: &str, tools: Vec<crate::agent::ToolSpec>) -> Settings {
        let ms = Duration::from_millis;
        Settings {
            turn_mode: TurnMode::Auto,
            barge_in: self.barge_in,
            min_speech: ms(self.min_speech_ms),
            min_interruption: ms(self.min_interruption_ms),
            silence: ms(self.silence_ms),
            preroll: ms(self.preroll_ms),
            utterance_max: ms(self.utterance_max_ms),
            instructions: Arc::from(instructions),
            voice: Arc::from(self.voice.as_str()),
            language: Arc::from(self.language.as_str()),
            tools: tools.into_iter().map(of_server).collect(),
            tool_rounds_max: self.tool_rounds_max,
            greeting: Arc::from(self.greeting.as_str()),
            apology: Arc::from(self.apology.as_str()),
            send_ahead: ms(self.send_ahead_ms),
            partials: self.partials,
            first_delta_timeout: ms(self.first_word_timeout_ms),
            tool_timeout: ms(self.tool_timeout_ms),
            idle_timeout: Duration::from_secs(self.idle_s),
            session_max: Duration::from_secs(self.session_max_s),
            ..Settings::default()
        }
    }
}

fn of_server(tool: crate::agent::ToolSpec) -> ToolSpec {
    let crate::agent::ToolSpec { name, description, parameters } = tool;
    ToolSpec { name, description, parameters, place: ToolPlace::Server }
}
