//! Tools that run in the server: one file each, one line in the table.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future, future::BoxFuture};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ErrorKind, Message, ToolSpec};

pub mod calculator;
pub mod recall;
pub mod summary;
pub mod time;
pub mod timer;
mod zones;

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

/// The tools of the server, in the order in which the model sees them. Fails if the time zone does not exist.
pub fn server_tools(config: &super::Config) -> Result<Vec<Arc<dyn Tool>>, super::Error> {
    let zone = zones::configured(&config.time_zone)
        .ok_or_else(|| super::Error::new(ErrorKind::Rejected, "agent.time_zone is no time zone"))?;
    Ok(vec![
        Arc::new(time::TimeTool::new(zone, time::wall_clock())),
        Arc::new(calculator::Calculator),
        Arc::new(timer::Timer),
        Arc::new(recall::Recall),
        Arc::new(summary::Summary),
    ])
}

/// Longest arguments of a call.
const ARGUMENTS_BYTES_MAX: usize = 64 * 1024;

/// The tools by name. Cheap to clone; shared by all sessions.
#[derive(Clone)]
pub struct Registry {
    tools: Arc<[(ToolSpec, Arc<dyn Tool>)]>,
}

impl Registry {
    /// Of these tools. Of two with the same name, the first counts.
    pub fn new(tools: Vec<Arc<dyn Tool>>) -> Self {
        Self { tools: tools.into_iter().map(|tool| (tool.spec(), tool)).collect() }
    }

    /// What the model is told of them.
    pub fn specs(&self) -> Vec<ToolSpec> {
        self.tools.iter().map(|(spec, _)| spec.clone()).collect()
    }

    /// Whether there is one of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.tools.iter().any(|(spec, _)| *spec.name == *name)
    }

    /// Calls one. `arguments` is JSON text as the model wrote it and may be anything; what is wrong with it becomes a
    /// sentence for the model. Dropping the future stops the tool. The caller bounds the time.
    pub fn call(&self, name: &str, arguments: &str, context: Context) -> BoxFuture<'static, Result<Output, Error>> {
        let refuse = |sentence: String| future::ready(Err(Error(sentence))).boxed();
        let Some((_, tool)) = self.tools.iter().find(|(spec, _)| *spec.name == *name) else {
            return refuse("There is no tool of that name.".into());
        };
        if arguments.len() > ARGUMENTS_BYTES_MAX {
            return refuse("The arguments are too long.".into());
        }
        let text = if arguments.trim().is_empty() { "{}" } else { arguments };
        match serde_json::from_str(text) {
            Ok(Value::Null) => tool.call(Value::Object(serde_json::Map::new()), context),
            Ok(value @ Value::Object(_)) => tool.call(value, context),
            Ok(_) => refuse("The arguments must be a JSON object.".into()),
            Err(error) => refuse(format!("The arguments are no JSON: {error}.")),
        }
    }
}

/// Reads the arguments of a tool. A null counts as absent, because models write one where they mean nothing.
fn parse<T: DeserializeOwned>(mut arguments: Value) -> Result<T, Error> {
    if let Value::Object(map) = &mut arguments {
        map.retain(|_, value| !value.is_null());
    }
    serde_json::from_value(arguments).map_err(|error| Error(format!("The arguments do not fit: {error}.")))
}

/// A tool's answer that is ready at once.
fn ready(result: Result<Output, Error>) -> BoxFuture<'static, Result<Output, Error>> {
    future::ready(result).boxed()
}

/// An answer without effects.
fn json(value: &Value) -> Output {
    Output { text: value.to_string(), effects: Vec::new() }
}

/// The conversation before the words that are being answered: what the user asks *about*.
fn before_the_question(messages: &[Message]) -> &[Message] {
    let question = messages.iter().rposition(|message| matches!(message, Message::User(_)));
    &messages[..question.unwrap_or(messages.len())]
}
