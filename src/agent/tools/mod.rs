//! Tools that run in the server: one file each, one line in the table.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::{Message, ToolSpec};

/// What a tool may look at.
#[derive(Debug, Clone)]
pub struct Context {
    /// The conversation so far, oldest first.
    pub messages: Arc<[Message]>,
}

/// What a tool gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// For the agent: a short text or JSON.
    pub text: String,
    /// What else is to happen.
    pub effects: Vec<Effect>,
}

/// Something a tool wants from the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Say this after a while, of the assistant's own accord.
    Announce {
        /// In how long.
        after: Duration,
        /// What.
        text: String,
    },
    /// Forget all announcements not yet made.
    CancelAnnouncements,
}

/// A tool cannot do what it was asked; the sentence is for the agent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// A tool. Called on a tokio worker: it must not block.
pub trait Tool: Send + Sync {
    /// Name, description and arguments, for the model.
    fn spec(&self) -> ToolSpec;

    /// Does it. `arguments` is what the model wrote, and may be anything.
    fn call(&self, arguments: serde_json::Value, context: Context) -> BoxFuture<'static, Result<Output, Error>>;
}
