//! Tests of `agent`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "the stand-ins of tests panic like the tests they serve")]

use std::sync::Arc;

use floe::agent::{ChatModel, Delta, Error, Message, Request, ToolSpec};
use futures_util::StreamExt as _;

mod contract;
mod offline;
mod openai;
mod tools;

/// A request with this history.
fn request(messages: Vec<Message>, tools: Vec<ToolSpec>) -> Request {
    Request {
        instructions: "Be kind.".into(),
        messages: Arc::from(messages),
        tools,
        language: "en".into(),
        ..Request::default()
    }
}

/// A request of one utterance.
fn ask(text: &str) -> Request {
    request(vec![Message::User(text.into())], Vec::new())
}

/// Everything an engine answers.
async fn all(model: &dyn ChatModel, request: Request) -> Vec<Result<Delta, Error>> {
    let collected = model.generate(request).collect();
    tokio::time::timeout(std::time::Duration::from_secs(30), collected).await.expect("the engine never finished")
}

/// The words among deltas.
fn text_of(deltas: &[Result<Delta, Error>]) -> String {
    let text = |delta: &Result<Delta, Error>| match delta {
        Ok(Delta::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    deltas.iter().filter_map(text).collect()
}
