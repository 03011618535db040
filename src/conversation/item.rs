//! The entries of a conversation.

use std::sync::Arc;

use crate::{
    audio::AudioPos,
    ids::{CallId, ItemId, ResponseId, UtteranceId},
};

/// One entry, in order of its beginning, or where a client put it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its id, unique within the conversation.
    pub id: ItemId,
    /// What it is.
    pub content: Content,
}

/// What an item holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The user spoke.
    Speech {
        /// The utterance.
        utterance: UtteranceId,
        /// Where speech began, in media time.
        start: AudioPos,
        /// Where it ended.
        end: AudioPos,
        /// The words; `None` until the final transcript is there, and for good if recognition failed.
        text: Option<Arc<str>>,
        /// Language as the recogniser names it.
        language: Arc<str>,
    },
    /// The user typed, or a client put words in.
    UserText(Arc<str>),
    /// A note for the agent that nobody said.
    SystemText(Arc<str>),
    /// The assistant's words.
    Reply {
        /// The response that made them; `None` if a client put them in.
        response: Option<ResponseId>,
        /// The words: all of them while the reply goes on; cut to what was heard if it was interrupted.
        text: Arc<str>,
        /// Whether it was cut off by the user, the client or a failure.
        interrupted: bool,
    },
    /// The agent called a tool.
    ToolCall {
        /// The response within which; `None` if a client put it in.
        response: Option<ResponseId>,
        /// Which call.
        call: CallId,
        /// Name of the tool.
        name: Arc<str>,
        /// Arguments as JSON text.
        arguments: Arc<str>,
    },
    /// The tool's answer.
    ToolOutput {
        /// Which call.
        call: CallId,
        /// What it gave, or a sentence saying why it failed.
        output: Arc<str>,
        /// Whether it failed.
        failed: bool,
    },
}
