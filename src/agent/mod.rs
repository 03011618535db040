//! The agent: a conversation in, words and tool calls out.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

pub use crate::engine::{Error, ErrorKind};

mod chunk;
pub mod extract;
pub mod offline;
pub mod openai;
mod prompt;
pub mod scripted;
pub mod tools;

/// Which engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// `openai` if a key or a base URL other than OpenAI's is configured, else `offline`.
    #[default]
    Auto,
    /// The built-in agent: no language model, answers from its tools alone.
    Offline,
    /// Any server that speaks OpenAI's chat completions.
    Openai,
    /// Canned replies in a given rhythm, for load tests.
    Scripted,
}

/// The agent.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which engine answers: `auto`, `offline`, `openai` or `scripted`.
    pub engine: EngineName,
    /// What the assistant is told to be, unless a client says otherwise.
    pub instructions: String,
    /// IANA time zone of the tools, such as `Europe/Berlin`; empty = that of the machine.
    pub time_zone: String,
    /// The engine `openai`.
    pub openai: openai::Config,
    /// The engine `scripted`.
    pub scripted: scripted::Config,
}

/// What a voice assistant must know about being heard rather than read.
const INSTRUCTIONS: &str = "You are a friendly and helpful voice assistant. Your words are spoken aloud, so answer in one to \
    three short sentences of plain speech: no lists, no headings, no markdown, no emoji, no links. The user's words come \
    from speech recognition and may be misheard; if they make no sense, ask. If you need a tool, call it without \
    announcing it. If you do not know something, say so.";

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: EngineName::default(),
            instructions: INSTRUCTIONS.into(),
            time_zone: String::new(),
            openai: openai::Config::default(),
            scripted: scripted::Config::default(),
        }
    }
}

impl Config {
    /// What a text that this engine has made is said to be made by: the model's name. None for the engine that has no model.
    pub fn model_name(&self) -> Option<String> {
        match self.resolved_engine() {
            EngineName::Auto | EngineName::Offline => None,
            EngineName::Openai => Some(self.openai.model.clone()),
            EngineName::Scripted => Some("scripted".to_owned()),
        }
    }

    /// The engine that `auto` stands for here; never [`EngineName::Auto`].
    pub fn resolved_engine(&self) -> EngineName {
        match self.engine {
            EngineName::Auto if self.openai.is_configured() => EngineName::Openai,
            EngineName::Auto => EngineName::Offline,
            named => named,
        }
    }
}

/// Builds the configured engine. Called once, at the start of the server. Fails if its configuration makes no sense; does
/// not connect to anything.
pub fn engine(config: &Config) -> Result<Arc<dyn ChatModel>, Error> {
    Ok(match config.resolved_engine() {
        EngineName::Auto | EngineName::Offline => Arc::new(offline::Offline::new()),
        EngineName::Openai => Arc::new(openai::OpenAi::new(&config.openai)?),
        EngineName::Scripted => Arc::new(scripted::Scripted::new(config.scripted.clone())),
    })
}

/// One entry of the conversation as a language model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A note by the server or the operator.
    System(Arc<str>),
    /// The user's words.
    User(Arc<str>),
    /// The assistant's words, as far as the user heard them.
    Assistant(Arc<str>),
    /// The assistant called a tool.
    ToolCall {
        /// Unique within the conversation.
        id: Arc<str>,
        /// Name of the tool.
        name: Arc<str>,
        /// Arguments as JSON text.
        arguments: Arc<str>,
    },
    /// The tool answered.
    ToolOutput {
        /// The id of the call.
        id: Arc<str>,
        /// What it gave.
        output: Arc<str>,
    },
}

/// A tool the model may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSpec {
    /// Name.
    pub name: Arc<str>,
    /// What it does.
    pub description: Arc<str>,
    /// JSON schema of the arguments, as JSON text.
    pub parameters: Arc<str>,
}

/// Whether a tool has to be called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// No.
    #[default]
    Auto,
    /// At least one.
    Required,
    /// This one.
    Named(Arc<str>),
}

/// Why an engine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// It has said everything.
    #[default]
    Finished,
    /// It wrote as many tokens as it may.
    TokensMax,
    /// Its own filter stopped it.
    Filtered,
}

/// What an engine is asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What the assistant is to be.
    pub instructions: Arc<str>,
    /// The conversation, oldest first. Ends with the user's words, with the outputs of the tools called last, or with a note
    /// if the assistant is to say something of its own accord.
    pub messages: Arc<[Message]>,
    /// Tools it may call; empty = none.
    pub tools: Vec<ToolSpec>,
    /// Whether it has to.
    pub tool_choice: ToolChoice,
    /// Tokens it may write; `None` = as many as it likes.
    pub output_tokens_max: Option<u32>,
    /// Language of the answer, as a BCP 47 tag; empty = that of the user.
    pub language: Arc<str>,
}

/// What an engine says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// More words.
    Text(Arc<str>),
    /// A complete tool call.
    ToolCall {
        /// Name of the tool.
        name: Arc<str>,
        /// Arguments as JSON text.
        arguments: Arc<str>,
    },
    /// The end; the last item of the stream.
    Finished {
        /// Tokens read.
        input_tokens: u64,
        /// Tokens written.
        output_tokens: u64,
        /// Why there is no more.
        stop: Stop,
    },
}

/// An engine that answers. Dropping the stream closes whatever it holds upstream.
pub trait ChatModel: Send + Sync {
    /// Answers one request (one round: tool calls end it). The stream ends after exactly one [`Delta::Finished`] or exactly
    /// one error, whichever comes first. Nothing happens before the stream is polled.
    fn generate(&self, request: Request) -> BoxStream<'static, Result<Delta, Error>>;
}
