//! The built-in agent: no language model. It understands a small set of English questions, answers them from the tools of
//! the server alone, and says plainly of everything else that a language model is needed.
//!
//! It keeps no state: what it asked and said before is in the history. A question that needs a tool takes two rounds like
//! any model's: the call, and once the history ends with the output, the answer. It never waits for anything.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use serde_json::{Value, json};

use super::{ChatModel, Delta, Error, Message, Request, Stop, ToolChoice};
use intent::Intent;

mod arithmetic;
mod duration;
mod intent;
mod when;
mod wording;
mod words;

/// The engine. Answers in English, whatever the language asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offline;

impl Offline {
    /// The engine; there is nothing to configure.
    pub fn new() -> Self {
        Self
    }
}

impl ChatModel for Offline {
    fn generate(&self, request: Request) -> BoxStream<'static, Result<Delta, Error>> {
        stream::once(async move { stream::iter(answer(&request).into_iter().map(Ok)) }).flatten().boxed()
    }
}

/// What it does in this round.
enum Round {
    /// Calls a tool.
    Call { name: Arc<str>, arguments: Value },
    /// Says something.
    Say(String),
}

fn answer(request: &Request) -> Vec<Delta> {
    let mut stop = Stop::Finished;
    let mut deltas: Vec<Delta> = match round(request) {
        Round::Call { name, arguments } => vec![Delta::ToolCall { name, arguments: arguments.to_string().into() }],
        // A word counts as a token.
        Round::Say(text) => {
            let allowed = request.output_tokens_max.map_or(usize::MAX, |max| max as usize);
            if text.split_inclusive(' ').count() > allowed {
                stop = Stop::TokensMax;
            }
            text.split_inclusive(' ').take(allowed).map(|word| Delta::Text(Arc::from(word))).collect()
        }
    };
    // No tokens: there is no model.
    deltas.push(Delta::Finished { input_tokens: 0, output_tokens: 0, stop });
    deltas
}

fn round(request: &Request) -> Round {
    let messages = &request.messages[..];
    let asked = messages.iter().rposition(|message| matches!(message, Message::User(_)));
    let (before, after) = messages.split_at(asked.map_or(messages.len(), |at| at + 1));
    let text = match before.last() {
        Some(Message::User(text)) => &**text,
        _ => "",
    };
    if let Some(name) = demanded(request, after) {
        return Round::Call { name, arguments: json!({}) };
    }
    if let (Some(Message::Assistant(_)), Some(Message::System(_))) = (after.first(), after.last()) {
        return Round::Say("Are you still there?".into());
    }
    let words = words::words(text);
    if words.is_empty() {
        return Round::Say("Hello! How can I help you?".into());
    }
    let intent = intent::parse(&words, has_asked_duration(before));
    let output = after.iter().rev().find_map(|message| match message {
        Message::ToolOutput { output, .. } => Some(&**output),
        _ => None,
    });
    if let Some(output) = output {
        return Round::Say(wording::of_output(&intent, output));
    }
    match call_for(&intent) {
        Some((name, arguments)) if request.tools.iter().any(|tool| *tool.name == *name) => {
            Round::Call { name: name.into(), arguments }
        }
        Some(_) => Round::Say("I cannot do that in this conversation: the tool for it is switched off.".into()),
        None => Round::Say(wording::without_tool(&intent, text, before)),
    }
}

/// The tool that has to be called, and was not yet. What to call it with is for a language model to know.
fn demanded(request: &Request, after: &[Message]) -> Option<Arc<str>> {
    let is_called = after.iter().any(|message| matches!(message, Message::ToolOutput { .. }));
    match &request.tool_choice {
        _ if is_called => None,
        ToolChoice::Auto => None,
        ToolChoice::Required => request.tools.first().map(|tool| Arc::clone(&tool.name)),
        ToolChoice::Named(name) => Some(Arc::clone(name)),
    }
}

/// The tool that an intent needs.
fn call_for(intent: &Intent) -> Option<(&'static str, Value)> {
    Some(match intent {
        Intent::When(when) => ("time", json!({"time_zone": when.place, "days": when.days})),
        Intent::Sum(sum) => ("calculator", json!({"expression": sum.expression})),
        Intent::SetTimer { seconds, label } => ("timer", json!({"seconds": seconds, "label": label})),
        Intent::CancelTimers => ("timer", json!({"cancel": true})),
        Intent::Repeat => ("recall", json!({"who": "assistant", "nth_last": 1})),
        Intent::RecallUser { query } => ("recall", json!({"who": "user", "query": query})),
        Intent::RecallAssistant { query } => ("recall", json!({"who": "assistant", "query": query})),
        Intent::Summary => ("summary", json!({})),
        _ => return None,
    })
}

/// Whether the last thing the assistant said was the question how long a timer is to run.
fn has_asked_duration(before: &[Message]) -> bool {
    let last = before.iter().rev().find_map(|message| match message {
        Message::Assistant(text) => Some(text),
        _ => None,
    });
    last.is_some_and(|text| text.starts_with(wording::ASK_DURATION))
}
