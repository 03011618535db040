//! The agent: a conversation in, words and tool calls out.

use std::sync::Arc;

use futures_util::stream::BoxStream;

pub use crate::engine::Error;

pub mod tools;

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

/// What an engine is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the assistant is to be.
    pub instructions: Arc<str>,
    /// The conversation, oldest first. Ends with the user's words or with the outputs of the tools called last.
    pub messages: Arc<[Message]>,
    /// Tools it may call; empty = none.
    pub tools: Vec<ToolSpec>,
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
    },
}

/// An engine that answers. Dropping the stream closes whatever it holds upstream.
pub trait ChatModel: Send + Sync {
    /// Answers one request (one round: tool calls end it).
    fn generate(&self, request: Request) -> BoxStream<'static, Result<Delta, Error>>;
}
