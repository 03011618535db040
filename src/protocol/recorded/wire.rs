//! What is asked and told. Several of these are passed on as they are by `POST /api/voice/process`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::protocol::Message;

/// What is asked of the session besides listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// That was all of the audio. Answered by [`Told::Listened`] once everything in it is understood and, where replies come
    /// by themselves, answered.
    End,
    /// A reply to everything that has been said.
    Reply,
    /// The end, once what is being said has been said.
    Bye,
}

/// What is told, in the order in which it happened. Speech of the reply comes between them, as binary messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Told {
    /// Something was said.
    Transcript(Utterance),
    /// Words could not be found; the word says why.
    TranscriptFailed {
        /// busy, rejected, unavailable, timeout, broken.
        reason: String,
    },
    /// A turn stands.
    TurnCommitted {
        /// Whether it is on disk.
        durable: bool,
    },
    /// A reply to everything said since the last one begins.
    ReplyStarted,
    /// More of its words.
    ReplyText {
        /// The words.
        delta: String,
    },
    /// The agent called a tool.
    ToolCall {
        /// Number of the call in this conversation.
        call: u64,
        /// Name of the tool.
        name: String,
        /// Arguments as JSON text, as the agent wrote them.
        arguments: String,
    },
    /// The tool answered.
    ToolOutput {
        /// Number of the call in this conversation.
        call: u64,
        /// What it gave, or a sentence saying why it failed.
        output: String,
        /// Whether it failed.
        failed: bool,
    },
    /// A part of the reply could not be spoken.
    SpeechFailed,
    /// The reply is over.
    ReplyDone(ReplyDone),
    /// Everything up to the end has been heard.
    Listened,
    /// The session broke.
    Broken {
        /// A word.
        code: String,
    },
    /// The session is over.
    Ended {
        /// Because the server restarts.
        restart: bool,
    },
}

/// Something that was said in the recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Utterance {
    /// Where it begins in the recording.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
    /// Its words.
    pub text: String,
    /// Language as the recogniser names it.
    pub language: String,
    /// 0 to 1.
    pub confidence: f32,
}

/// How a reply ended, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyDone {
    /// How it ended.
    pub status: State,
    /// Why, unless it is complete.
    pub reason: Option<String>,
    /// Its words.
    pub text: String,
    /// What it cost.
    pub usage: Spent,
    /// How long each stage took.
    pub latency_ms: Latency,
}

/// How a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplyStatus)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Said to the end.
    Completed,
    /// Cut off by the user's next words.
    Interrupted,
    /// Stopped.
    Cancelled,
    /// The agent stopped early: `reason` is `tokens_max` or `filtered`.
    Incomplete,
    /// Something broke: `reason` says what. The text is what was said, if only the apology.
    Failed,
}

/// Tokens that the language model counted; 0 if it counts none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TokensSpent)]
pub struct Spent {
    /// Read.
    pub input_tokens: u64,
    /// Written.
    pub output_tokens: u64,
}

/// Milliseconds from the moment at which the server had heard the last of the user's words; null if a stage was not reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Latency {
    /// Until the end of the turn was decided.
    pub eot: Option<u64>,
    /// Until the words were there.
    pub asr: Option<u64>,
    /// Until the agent's first word.
    pub llm_first: Option<u64>,
    /// Until the voice's first sound.
    pub tts_first: Option<u64>,
    /// Until the first sound was handed over.
    pub first_audio: Option<u64>,
}

impl Asked {
    /// As a message.
    pub fn message(self) -> Message {
        text(&self)
    }
}

impl Told {
    /// As a message.
    pub fn message(&self) -> Message {
        text(self)
    }

    /// The message read again; `None` if it is none of these.
    pub fn parse(message: &Message) -> Option<Self> {
        match message {
            Message::Text(text) => serde_json::from_str(text).ok(),
            Message::Binary(_) => None,
        }
    }
}

#[expect(clippy::expect_used, reason = "plain structs with string keys always serialise")]
fn text(value: &impl Serialize) -> Message {
    Message::Text(serde_json::to_string(value).expect("wire types serialise"))
}
