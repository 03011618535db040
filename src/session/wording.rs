//! From the conversation's items to what an agent reads.

use std::sync::Arc;

use crate::{
    agent::{Message, Request, ToolChoice, ToolSpec},
    conversation::{self, Content, Item, ReplyRequest},
};

/// What the agent is asked for one round of a reply.
pub(crate) fn request(request: &ReplyRequest) -> Request {
    let settings = &request.settings;
    let tools = if request.tool_choice != conversation::ToolChoice::Forbidden {
        let spec = |tool: &conversation::ToolSpec| ToolSpec {
            name: Arc::clone(&tool.name),
            description: Arc::clone(&tool.description),
            parameters: Arc::clone(&tool.parameters),
        };
        settings.tools.iter().map(spec).collect()
    } else {
        Vec::new()
    };
    Request {
        instructions: Arc::clone(&settings.instructions),
        messages: messages(request.history.iter()),
        tools,
        tool_choice: match &request.tool_choice {
            conversation::ToolChoice::Required => ToolChoice::Required,
            conversation::ToolChoice::Named(name) => ToolChoice::Named(Arc::clone(name)),
            conversation::ToolChoice::Auto | conversation::ToolChoice::Forbidden => ToolChoice::Auto,
        },
        output_tokens_max: settings.output_tokens_max,
        language: Arc::clone(&settings.language),
    }
}

/// The conversation as the agent and its tools see it: what was heard, oldest first.
pub(crate) fn messages<'a>(items: impl Iterator<Item = &'a Item>) -> Arc<[Message]> {
    items.filter_map(message).collect()
}

fn message(item: &Item) -> Option<Message> {
    let some_words = |text: &Arc<str>| (!text.trim().is_empty()).then(|| Arc::clone(text));
    Some(match &item.content {
        Content::Speech { text, .. } => Message::User(some_words(text.as_ref()?)?),
        Content::UserText(text) => Message::User(some_words(text)?),
        Content::SystemText(text) => Message::System(some_words(text)?),
        Content::Reply { text, .. } => Message::Assistant(some_words(text)?),
        Content::ToolCall { call, name, arguments, .. } => Message::ToolCall {
            id: format!("call_{}", call.0).into(),
            name: Arc::clone(name),
            arguments: Arc::clone(arguments),
        },
        Content::ToolOutput { call, output, .. } => {
            Message::ToolOutput { id: format!("call_{}", call.0).into(), output: Arc::clone(output) }
        }
    })
}
