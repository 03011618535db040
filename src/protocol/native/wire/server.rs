//! What the server says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::{PingId, Turn, WireFormat};

/// A text message from the server with its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// Counts from 1 (`ready`). Only `pong`, which overtakes everything, has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// The message.
    #[serde(flatten)]
    pub message: ServerMessage,
}

/// A text message from the server. A client ignores fields and types that it does not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ServerMessage {
    /// The answer to `hello`: what was chosen.
    #[serde(rename = "ready")]
    Ready(Box<Ready>),
    /// Settings now in force.
    #[serde(rename = "updated")]
    Updated(Box<AppliedSettings>),
    /// The user began to speak.
    #[serde(rename = "speech.started")]
    SpeechStarted {
        /// The turn that these words will become.
        turn: u32,
        /// Where in the microphone's audio, in milliseconds from its first sample.
        t: u64,
    },
    /// The user stopped.
    #[serde(rename = "speech.stopped")]
    SpeechStopped {
        /// The turn.
        turn: u32,
        /// Where in the microphone's audio.
        t: u64,
        /// `silence`, `committed`, `too_long` or `audio_gap`.
        reason: String,
    },
    /// A user turn stands.
    #[serde(rename = "turn.committed")]
    TurnCommitted {
        /// The turn.
        turn: u32,
        /// Whether it is on disk.
        durable: bool,
    },
    /// Words so far.
    #[serde(rename = "transcript.partial")]
    TranscriptPartial {
        /// The turn.
        turn: u32,
        /// Counts up within the turn.
        rev: u32,
        /// Words that will not change.
        stable: String,
        /// Words that may; put after `stable`.
        unstable: String,
    },
    /// The words of a turn; empty = it was no speech after all, and no reply follows.
    #[serde(rename = "transcript.final")]
    TranscriptFinal {
        /// The turn.
        turn: u32,
        /// The words.
        text: String,
        /// Language as the recogniser names it.
        language: String,
        /// 0…1.
        #[serde(skip_serializing_if = "Option::is_none")]
        confidence: Option<f32>,
        /// Where speech began, in the microphone's audio.
        start_ms: u64,
        /// Where it ended.
        end_ms: u64,
        /// Each word's place, where the recogniser knows it.
        #[serde(skip_serializing_if = "Option::is_none")]
        words: Option<Vec<Word>>,
    },
    /// A reply began.
    #[serde(rename = "reply.started")]
    ReplyStarted {
        /// Its number.
        reply: u32,
        /// The turn that it answers; null if none.
        turn: Option<u32>,
    },
    /// More of a reply's words, as written.
    #[serde(rename = "reply.text")]
    ReplyText {
        /// The reply.
        reply: u32,
        /// The words, with their blanks.
        delta: String,
        /// Where they begin in the reply's audio, if known.
        #[serde(skip_serializing_if = "Option::is_none")]
        start_ms: Option<u64>,
        /// Where they end.
        #[serde(skip_serializing_if = "Option::is_none")]
        end_ms: Option<u64>,
    },
    /// Throw away what has not been played of this reply.
    #[serde(rename = "reply.interrupted")]
    ReplyInterrupted {
        /// The reply.
        reply: u32,
        /// How much of it had been heard.
        at_ms: u64,
        /// The words of that.
        heard_text: String,
    },
    /// A reply is over.
    #[serde(rename = "reply.done")]
    ReplyDone(Box<ReplyDone>),
    /// Run this tool and answer with `tool.result`.
    #[serde(rename = "tool.call")]
    ToolCall {
        /// To be named in the answer.
        call: String,
        /// The tool.
        name: String,
        /// Its arguments, as JSON text.
        arguments: String,
        /// The reply within which.
        reply: u32,
    },
    /// Something went wrong; the conversation goes on.
    #[serde(rename = "warning")]
    Warning {
        /// A word that programs can match.
        code: String,
        /// A sentence.
        message: String,
        /// The turn that it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        turn: Option<u32>,
    },
    /// A message of the client was wrong.
    #[serde(rename = "error")]
    Error {
        /// A word that programs can match.
        code: String,
        /// A sentence that names the fix.
        message: String,
        /// Whether the connection closes now.
        fatal: bool,
        /// The `id` of the message that was wrong, else its type.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        about: Option<String>,
        /// Seconds to wait before another try.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_s: Option<u32>,
        /// What the server supports, if no format was in common.
        #[serde(skip_serializing_if = "Option::is_none")]
        formats: Option<Vec<WireFormat>>,
    },
    /// The answer to `ping`.
    #[serde(rename = "pong")]
    Pong {
        /// As it came.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<PingId>,
        /// As it came.
        #[serde(skip_serializing_if = "Option::is_none")]
        t: Option<Number>,
        /// Milliseconds on the server's clock; only differences mean anything.
        server_t: u64,
    },
    /// The server will close soon.
    #[serde(rename = "going_away")]
    GoingAway {
        /// In how many seconds at the latest.
        in_s: u64,
        /// `restart`.
        reason: String,
    },
    /// The session is over; the socket closes next.
    #[serde(rename = "ended")]
    Ended {
        /// `goodbye`, `idle`, `too_long` or `restart`.
        reason: String,
        /// What the whole session cost.
        usage: Usage,
    },
    /// Figures for developers; only with the feature `metrics`.
    #[serde(rename = "metrics")]
    Metrics {
        /// Name → value, the unit in the name.
        values: BTreeMap<String, f64>,
    },
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// The session's id, for support and logs.
    pub session: String,
    /// The conversation's id, where conversations are kept.
    pub conversation: Option<String>,
    /// Whether the sound of it is kept; absent if it is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
    /// The agent.
    pub agent: String,
    /// How the microphone's audio is to be sent.
    pub input: AppliedFormat,
    /// How speech will come.
    pub output: AppliedFormat,
    /// `v1` or `raw`.
    pub framing: String,
    /// Those asked for that the server has.
    pub features: Vec<String>,
    /// Settings in force.
    pub settings: AppliedSettings,
    /// What the server will not exceed, nor let the client exceed.
    pub limits: Limits,
    /// Whether `hello.resume` was granted; absent if it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<bool>,
    /// Why not: `unknown` (no such session waits here, or not any more), or `missed` (too much was missed; the session is the
    /// same).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// After `hello.resume`: the sequence number of the microphone frame that is expected next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_next_seq: Option<u32>,
    /// What was said before, if the conversation goes on without its messages being sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<Said>>,
    /// For going on after a drop; null where the server cannot.
    pub resume: Option<ResumeOffer>,
    /// How often a client should `ping`.
    pub heartbeat_s: u32,
    /// Who serves.
    pub server: ServerInfo,
}

/// A format in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedFormat {
    /// As in [`WireFormat`].
    pub codec: String,
    /// Samples per second; absent for containers, which say it themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Milliseconds per frame: of every frame but the last downwards, as announced upwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_ms: Option<Number>,
    /// Units per second of timestamps.
    pub clock: u32,
    /// Input only: `realtime` or `file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<String>,
}

/// Settings in force. The instructions are not told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedSettings {
    /// Turn-taking, all fields present.
    pub turn: Turn,
    /// The voice; empty = the engine's own.
    pub voice: String,
    /// The language; empty = the recogniser decides.
    pub language: String,
    /// Whether replies are spoken.
    pub speak: bool,
    /// Names of the tools that run in the client.
    pub tools: Vec<String>,
}

/// What is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a text message.
    pub max_text_bytes: u32,
    /// Bytes of a `hello` or `update`, which may hold tools.
    pub max_settings_bytes: u32,
    /// Bytes of a binary message.
    pub max_binary_bytes: u32,
    /// Milliseconds of audio in one binary message.
    pub max_frame_ms: u32,
    /// Text messages a second in the long run.
    pub messages_per_s: u32,
    /// Binary messages a second in the long run; not with `pace: file`.
    pub frames_per_s: u32,
    /// Seconds without speech, text or reply after which the session ends; 0 = never.
    pub idle_s: u64,
    /// Longest session in seconds; 0 = no limit.
    pub max_session_s: u64,
    /// Milliseconds of speech sent ahead of its playing time.
    pub send_ahead_ms: u64,
}

/// Something said earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Its number, as the API has it; a user's is that of the turn.
    pub id: u32,
    /// `user` or `assistant`.
    pub role: String,
    /// The words; of a reply that was interrupted, those that were heard.
    pub text: String,
    /// Whether it was cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// How to go on after a drop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeOffer {
    /// Good for one use.
    pub token: String,
    /// How long the session is kept.
    pub window_s: u32,
}

/// Who serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A word and its place in the microphone's audio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word.
    pub text: String,
    /// Where it begins.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
}

/// How a reply ended and what it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyDone {
    /// The reply.
    pub reply: u32,
    /// How it ended.
    pub status: ReplyStatus,
    /// With status `failed`: why, as a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its words; if it was cut off, those that were heard.
    pub text: String,
    /// What it cost.
    pub usage: Usage,
    /// How long each stage took.
    pub latency_ms: Latency,
}

/// How a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyStatus {
    /// Said to the end.
    Completed,
    /// The user spoke over it.
    Interrupted,
    /// The client, or a newer request, stopped it.
    Cancelled,
    /// Something broke.
    Failed,
    /// Something that only a newer server knows.
    #[serde(other)]
    Unknown,
}

/// What the agent was asked and said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

/// Milliseconds from the end of the user's speech to each stage; absent if a stage was not reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// The end of the turn was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eot: Option<u64>,
    /// The final transcript was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asr: Option<u64>,
    /// The agent's first word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_first: Option<u64>,
    /// The voice's first sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tts_first: Option<u64>,
    /// The first audio was handed to the socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_audio: Option<u64>,
}

/// The types of [`ServerMessage`].
pub const TYPES: [&str; 18] = [
    "ready",
    "updated",
    "speech.started",
    "speech.stopped",
    "turn.committed",
    "transcript.partial",
    "transcript.final",
    "reply.started",
    "reply.text",
    "reply.interrupted",
    "reply.done",
    "tool.call",
    "warning",
    "error",
    "pong",
    "going_away",
    "ended",
    "metrics",
];

impl Numbered {
    /// Reads a text message; `None` if its type is unknown here, which a client ignores.
    pub fn parse(text: &str) -> Result<Option<Self>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "type")]
            kind: String,
        }
        match serde_json::from_str(text) {
            Ok(message) => Ok(Some(message)),
            Err(error) => match serde_json::from_str::<Head>(text) {
                Ok(head) if !TYPES.contains(&head.kind.as_str()) => Ok(None),
                _ => Err(error),
            },
        }
    }
}
