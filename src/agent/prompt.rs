//! A request as the messages of OpenAI's chat completions. Pure.
//!
//! The beginning stays the same from turn to turn (instructions first, then a history that only grows and whose window
//! moves in steps), because providers cache what they have read before by its beginning.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::{Error, ErrorKind, Message, Request, ToolChoice, ToolSpec};

/// Said to the model in place of a result that never came: strict servers refuse a call without one.
const INTERRUPTED: &str = "The call was interrupted; there is no result.";

/// A message in the provider's words.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum Wire<'a> {
    System {
        content: String,
    },
    User {
        content: &'a str,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

/// A tool call the assistant made.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct WireCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: WireFunction<'a>,
}

#[derive(Debug, PartialEq, Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// A tool it may call.
#[derive(Debug, Serialize)]
pub(super) struct WireTool<'a> {
    r#type: &'static str,
    function: WireSpec<'a>,
}

#[derive(Debug, Serialize)]
struct WireSpec<'a> {
    name: &'a str,
    description: &'a str,
    parameters: Value,
}

/// Whether it has to call one.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum WireChoice<'a> {
    Word(&'static str),
    Function { r#type: &'static str, function: WireName<'a> },
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct WireName<'a> {
    name: &'a str,
}

/// The choice of tools, where it is not what every server does by itself.
pub(super) fn choice(request: &Request) -> Option<WireChoice<'_>> {
    match &request.tool_choice {
        _ if request.tools.is_empty() => None,
        ToolChoice::Auto => None,
        ToolChoice::Required => Some(WireChoice::Word("required")),
        ToolChoice::Named(name) => Some(WireChoice::Function { r#type: "function", function: WireName { name } }),
    }
}

/// The messages of a request: instructions, then about the last `items_max` entries of the history (see [`window`]).
/// Calls that the assistant made in one breath become one message, each followed by its output at once, wherever that
/// stands in the history.
pub(super) fn messages(request: &Request, items_max: usize) -> Vec<Wire<'_>> {
    let history = window(&request.messages, items_max);
    let mut wire = Vec::with_capacity(history.len() + 1);
    if let Some(content) = system(request) {
        wire.push(Wire::System { content });
    }
    let outputs: HashMap<&str, &str> = history.iter().filter_map(output_of).collect();
    let mut at = 0;
    while let Some(message) = history.get(at) {
        at += 1;
        let content = match message {
            Message::System(text) => {
                if !text.is_empty() {
                    wire.push(Wire::System { content: text.to_string() });
                }
                continue;
            }
            Message::User(text) => {
                if !text.is_empty() {
                    wire.push(Wire::User { content: text });
                }
                continue;
            }
            // Written with its call. One without a call would be refused.
            Message::ToolOutput { .. } => continue,
            Message::Assistant(text) => Some(&**text).filter(|text| !text.is_empty()),
            Message::ToolCall { .. } => {
                at -= 1;
                None
            }
        };
        let calls: Vec<WireCall<'_>> = history[at..].iter().map_while(call_of).collect();
        at += calls.len();
        let ids: Vec<&str> = calls.iter().map(|call| call.id).collect();
        if content.is_some() || !calls.is_empty() {
            wire.push(Wire::Assistant { content, tool_calls: calls });
        }
        wire.extend(
            ids.into_iter()
                .map(|id| Wire::Tool { tool_call_id: id, content: outputs.get(id).copied().unwrap_or(INTERRUPTED) }),
        );
    }
    wire
}

/// The tools of a request. Fails if a schema is no JSON.
pub(super) fn tools(specs: &[ToolSpec]) -> Result<Vec<WireTool<'_>>, Error> {
    specs
        .iter()
        .map(|spec| {
            let parameters = serde_json::from_str(&spec.parameters)
                .map_err(|_| Error::new(ErrorKind::Rejected, "the schema of a tool is no JSON"))?;
            let function = WireSpec { name: &spec.name, description: &spec.description, parameters };
            Ok(WireTool { r#type: "function", function })
        })
        .collect()
}

/// What stands first: the instructions and the language. The same for all requests of a session.
fn system(request: &Request) -> Option<String> {
    let mut text = request.instructions.to_string();
    if !request.language.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str("Answer in the language with the tag ");
        text.push_str(&request.language);
        text.push('.');
    }
    (!text.is_empty()).then_some(text)
}

/// The end of the history: at most `items_max` entries, unless one exchange alone is longer. It begins with the user's
/// words where it can, and never between a tool call and its output. Its beginning moves in steps of a quarter window, so
/// that most requests begin like the one before.
fn window(history: &[Message], items_max: usize) -> &[Message] {
    let items_max = items_max.max(1);
    if history.len() <= items_max {
        return history;
    }
    let step = (items_max / 4).max(1);
    let earliest = (history.len() - items_max).div_ceil(step) * step;
    let is_user = |message: &Message| matches!(message, Message::User(_));
    let forward = history.iter().skip(earliest).position(is_user).map(|after| earliest + after);
    let backward = || history.iter().take(earliest).rposition(is_user);
    let start = forward.or_else(backward).unwrap_or(0);
    &history[start..]
}

fn output_of(message: &Message) -> Option<(&str, &str)> {
    match message {
        Message::ToolOutput { id, output } => Some((id, output)),
        _ => None,
    }
}

fn call_of(message: &Message) -> Option<WireCall<'_>> {
    match message {
        Message::ToolCall { id, name, arguments } => {
            Some(WireCall { id, r#type: "function", function: WireFunction { name, arguments } })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn user(text: &str) -> Message {
        Message::User(text.into())
    }

    fn call(id: &str) -> Message {
        Message::ToolCall { id: id.into(), name: "time".into(), arguments: "{}".into() }
    }

    fn output(id: &str) -> Message {
        Message::ToolOutput { id: id.into(), output: format!("of {id}").into() }
    }

    fn request(messages: Vec<Message>) -> Request {
        let messages = Arc::from(messages);
        Request { instructions: "Be kind.".into(), messages, ..Request::default() }
    }

    fn json_of(messages: Vec<Message>) -> Value {
        serde_json::to_value(super::messages(&request(messages), 100)).unwrap()
    }

    #[test]
    fn calls_of_one_breath_are_one_message() {
        let history = vec![
            user("now?"),
            Message::Assistant("Let me see.".into()),
            call("a"),
            call("b"),
            output("b"),
            output("a"),
        ];
        let one = |id| json!({"id": id, "type": "function", "function": {"name": "time", "arguments": "{}"}});
        assert_eq!(
            json_of(history),
            json!([
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "now?"},
                {"role": "assistant", "content": "Let me see.", "tool_calls": [one("a"), one("b")]},
                {"role": "tool", "tool_call_id": "a", "content": "of a"},
                {"role": "tool", "tool_call_id": "b", "content": "of b"},
            ])
        );
    }

    #[test]
    fn a_choice_is_told_only_where_there_is_one() {
        let tool = ToolSpec { name: "time".into(), description: "".into(), parameters: "{}".into() };
        let told = |tool_choice, tools: &[ToolSpec]| {
            let request = Request { tool_choice, tools: tools.to_vec(), ..Request::default() };
            serde_json::to_value(choice(&request)).unwrap()
        };
        let tools = [tool];
        assert_eq!(told(ToolChoice::Auto, &tools), Value::Null);
        assert_eq!(told(ToolChoice::Required, &[]), Value::Null);
        assert_eq!(told(ToolChoice::Required, &tools), "required");
        let named = json!({"type": "function", "function": {"name": "time"}});
        assert_eq!(told(ToolChoice::Named("time".into()), &tools), named);
    }

    #[test]
    fn an_interrupted_call_gets_an_output_and_an_orphan_output_goes() {
        let wire = json_of(vec![output("z"), user("one"), call("a"), user("two")]);
        assert_eq!(wire[2]["tool_calls"][0]["id"], "a");
        assert_eq!(wire[3], json!({"role": "tool", "tool_call_id": "a", "content": INTERRUPTED}));
        assert_eq!(wire[4]["content"], "two");
        assert_eq!(wire.as_array().unwrap().len(), 5);
    }

    #[test]
    fn the_window_moves_in_steps_and_begins_with_the_user() {
        let history: Vec<Message> =
            (0..40).flat_map(|n| [user(&n.to_string()), Message::Assistant("ok".into())]).collect();
        assert_eq!(window(&history, 20).len(), 20);
        let starts: Vec<usize> = (21..60).map(|len| len - window(&history[..len], 20).len()).collect();
        let changes = starts.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes <= 39 / 4, "the beginning moved {changes} times");
    }

    #[test]
    fn one_exchange_longer_than_the_window_stays_whole() {
        let mut history = vec![user("first"), user("second")];
        history.extend((0..30).flat_map(|n| [call(&n.to_string()), output(&n.to_string())]));
        assert_eq!(window(&history, 8)[0], user("second"));
    }

    fn history() -> impl Strategy<Value = Vec<Message>> {
        let one = prop_oneof![
            "[a-z]{0,4}".prop_map(|text| user(&text)),
            "[a-z]{0,4}".prop_map(|text| Message::Assistant(text.into())),
            (0..6u8).prop_map(|id| call(&id.to_string())),
            (0..6u8).prop_map(|id| output(&id.to_string())),
        ];
        prop::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn every_call_is_answered_at_once_and_nothing_is_empty(history in history(), items_max in 0..50usize) {
            let request = request(history);
            let mut open: Vec<&str> = Vec::new();
            for message in super::messages(&request, items_max) {
                match message {
                    Wire::Tool { tool_call_id, content } => {
                        prop_assert_eq!(Some(tool_call_id), (!open.is_empty()).then(|| open.remove(0)));
                        prop_assert!(!content.is_empty());
                    }
                    other => {
                        prop_assert!(open.is_empty(), "a call stayed without output");
                        if let Wire::Assistant { content, tool_calls } = other {
                            prop_assert!(content.is_some() || !tool_calls.is_empty());
                            open = tool_calls.iter().map(|call| call.id).collect();
                        }
                    }
                }
            }
            prop_assert!(open.is_empty());
        }
    }
}
