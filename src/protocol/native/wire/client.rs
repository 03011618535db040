//! What a client says.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::PingId;

/// A text message from a client. Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ClientMessage {
    /// The first message: what the client can do and wants.
    #[serde(rename = "hello")]
    Hello(Box<Hello>),
    /// Settings to change; what is absent stays.
    #[serde(rename = "update")]
    Update(Box<SettingsChange>),
    /// The turn is complete (push-to-talk released), or the running utterance ends now.
    #[serde(rename = "input.commit")]
    InputCommit,
    /// Uncommitted audio is to be forgotten.
    #[serde(rename = "input.clear")]
    InputClear,
    /// The microphone was switched off or on.
    #[serde(rename = "input.mute")]
    InputMute {
        /// Off?
        muted: bool,
    },
    /// Typed words.
    #[serde(rename = "text")]
    Text {
        /// The words.
        text: String,
        /// Whether they ask for a reply.
        #[serde(default = "yes")]
        reply: bool,
        /// A note to the agent rather than the user's words.
        #[serde(default, skip_serializing_if = "is_false")]
        system: bool,
    },
    /// A reply is wanted now.
    #[serde(rename = "reply.create")]
    ReplyCreate {
        /// Replaces the instructions for this reply.
        #[serde(skip_serializing_if = "Option::is_none")]
        instructions: Option<String>,
        /// These very words are to be said; the agent is not asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// A reply is to stop.
    #[serde(rename = "reply.cancel")]
    ReplyCancel {
        /// Which; absent = the current one.
        #[serde(skip_serializing_if = "Option::is_none")]
        reply: Option<u32>,
    },
    /// What the client's player has done.
    #[serde(rename = "playback")]
    Playback {
        /// Of which reply.
        reply: u32,
        /// Milliseconds of it that have come out of the speaker.
        played_ms: u64,
        /// Milliseconds received and not yet played.
        #[serde(default)]
        buffered_ms: u64,
        /// What the player is doing.
        state: PlayerState,
    },
    /// The answer to a `tool.call`.
    #[serde(rename = "tool.result")]
    ToolResult {
        /// The call that it answers.
        call: String,
        /// What the tool gave: a string, or any JSON.
        #[serde(skip_serializing_if = "Option::is_none")]
        output: Option<Value>,
        /// Why it failed; then `output` is not looked at.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Are you there?
    #[serde(rename = "ping")]
    Ping {
        /// Comes back in the pong.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<PingId>,
        /// The client's time, in its own unit; comes back in the pong.
        #[serde(skip_serializing_if = "Option::is_none")]
        t: Option<Number>,
    },
    /// Goodbye.
    #[serde(rename = "bye")]
    Bye {
        /// Whether the reply in progress is to be finished first.
        #[serde(default)]
        flush: bool,
    },
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// The first message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Who is calling.
    #[serde(default)]
    pub client: ClientInfo,
    /// The agent to talk with; absent = `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// A stored conversation to go on with; absent or null = a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The microphone; absent = `pcm_s16le` at 16 kHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<AudioOffer>,
    /// The speaker; absent = `pcm_s16le` at 24 kHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<AudioOffer>,
    /// `v1` (a header before each frame) or `raw`; absent = `v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framing: Option<String>,
    /// What the client would like to use; names that the server does not know are ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Whether who speaks agreed to being kept; absent = nobody asked. Noted with the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<bool>,
    /// A dropped session to go on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// Settings that differ from the agent's.
    #[serde(flatten)]
    pub settings: SettingsChange,
}

/// Who is calling; for the server's logs only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientInfo {
    /// Name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it runs on.
    pub platform: String,
}

/// Formats in the order in which the client likes them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AudioOffer {
    /// The first that the server supports is taken.
    #[serde(default)]
    pub formats: Vec<WireFormat>,
    /// Input only: `realtime` (absent means that) or `file`, as fast as the server reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<String>,
}

/// A format as a client names it. The codec is a plain word, so that an unknown one is passed over rather than an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WireFormat {
    /// `pcm_s16le`, `opus`, `pcmu`, `pcma`; input only: `webm/opus`, `ogg/opus`, `wav`.
    pub codec: String,
    /// Samples per second. Needed for `pcm_s16le`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Milliseconds per frame; 20 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_ms: Option<Number>,
}

/// Where a dropped session left off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// From the last `ready`.
    pub token: String,
    /// Number of the last message received.
    #[serde(default)]
    pub last_n: u64,
    /// The reply that was being played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<u32>,
    /// How much of it was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub played_ms: Option<u64>,
}

/// Settings that a client may set in `hello` and change by `update`; absent = unchanged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SettingsChange {
    /// Turn-taking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// What the agent is told to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The voice, in the words of the voice engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// BCP 47 tag of both sides' language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether replies are spoken; otherwise they are text only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speak: Option<bool>,
    /// Tools that run in the client; replaces those declared before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Tool>>,
}

/// Turn-taking.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Who ends the user's turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<TurnMode>,
    /// Quiet audio that ends an utterance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence_ms: Option<u32>,
    /// Audio kept from before speech was noticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preroll_ms: Option<u32>,
    /// Speech that counts as speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_speech_ms: Option<u32>,
    /// Speech that interrupts a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_interruption_ms: Option<u32>,
    /// Probability, 0…1, from which a frame counts as the beginning of speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Whether the end of a turn asks for a reply by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<bool>,
    /// Whether speech stops a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barge_in: Option<bool>,
}

/// Who decides that the user has finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnMode {
    /// The server, after enough silence.
    Auto,
    /// The client, by `input.commit`.
    Manual,
}

/// A tool that runs in the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Up to 64 of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// What it does, for the language model.
    #[serde(default)]
    pub description: String,
    /// JSON schema of its arguments, an object; absent = it takes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
}

/// What a player is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlayerState {
    /// Playing.
    Playing,
    /// Held.
    Paused,
    /// Everything received has been played.
    Drained,
    /// Everything unplayed has been thrown away.
    Flushed,
}

/// A text message that is none of [`ClientMessage`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not a JSON object with a `type`.
    #[error("not a JSON object with a `type`: {0}")]
    NotAMessage(String),
    /// Its type is unknown here; perhaps a later version knows it.
    #[error("no message type `{kind}`")]
    UnknownType {
        /// The type.
        kind: String,
        /// Its `id`, if it has one.
        id: Option<String>,
    },
    /// Its type is known, but a field is wrong or missing.
    #[error("`{kind}`: {problem}")]
    Malformed {
        /// The type.
        kind: String,
        /// Its `id`, if it has one.
        id: Option<String>,
        /// What is wrong with it.
        problem: String,
    },
}

/// The types of [`ClientMessage`].
pub const TYPES: [&str; 12] = [
    "hello",
    "update",
    "input.commit",
    "input.clear",
    "input.mute",
    "text",
    "reply.create",
    "reply.cancel",
    "playback",
    "tool.result",
    "ping",
    "bye",
];

/// Most characters of a client's own words that an error repeats.
const QUOTE_CHARS: usize = 64;

impl ClientMessage {
    /// Reads a text message.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        serde_json::from_str(text).map_err(|error| explain(text, &error))
    }
}

/// Why `text` could not be read. The slow path: it reads the message again.
fn explain(text: &str, error: &serde_json::Error) -> Unreadable {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "type")]
        kind: String,
        id: Option<Value>,
    }
    let problem = || error.to_string().chars().take(4 * QUOTE_CHARS).collect();
    let Ok(Head { kind, id }) = serde_json::from_str::<Head>(text) else {
        return Unreadable::NotAMessage(problem());
    };
    let kind: String = kind.chars().take(QUOTE_CHARS).collect();
    let id = match id {
        Some(Value::String(id)) => Some(id.chars().take(QUOTE_CHARS).collect()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    if TYPES.contains(&kind.as_str()) {
        Unreadable::Malformed { kind, id, problem: problem() }
    } else {
        Unreadable::UnknownType { kind, id }
    }
}
