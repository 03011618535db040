//! The pieces of a streamed chat completion, put together. Tolerant of what "compatible" servers do: tool calls without an
//! index, unknown finish reasons, nulls, arguments as an object, usage in any chunk or none, an error in mid-stream. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::{Delta, Error, ErrorKind, Stop};

/// Tool calls of one round, at most.
const CALLS_MAX: usize = 32;
/// Arguments of all calls of one round, at most.
const ARGUMENTS_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    delta: Option<Increment>,
    finish_reason: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Increment {
    content: Option<Value>,
    tool_calls: Option<Vec<ToolIncrement>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolIncrement {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Function {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

#[derive(Debug)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

/// One reply in the making.
#[derive(Debug)]
pub(super) struct Assembler {
    text_bytes_left: usize,
    argument_bytes: usize,
    calls: Vec<Call>,
    usage: Usage,
    finished: bool,
    stop: Stop,
}

/// What a chunk brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// New words; may be empty.
    pub(super) text: String,
    /// The reply has reached its greatest length: read no further.
    pub(super) full: bool,
}

impl Assembler {
    /// For a reply of at most `text_bytes_max` of text; what is longer is cut off there, as a model's own limit would.
    pub(super) fn new(text_bytes_max: usize) -> Self {
        Self {
            text_bytes_left: text_bytes_max,
            argument_bytes: 0,
            calls: Vec::new(),
            usage: Usage::default(),
            finished: false,
            stop: Stop::Finished,
        }
    }

    /// Takes the next chunk.
    pub(super) fn push(&mut self, chunk: Value) -> Result<Step, Error> {
        // The message of serde would quote the value.
        let chunk: Chunk = serde_json::from_value(chunk).map_err(|_| {
            Error::new(ErrorKind::Broken, "a chunk of the reply has another shape than chat completions")
        })?;
        if chunk.error.is_some_and(|error| !error.is_null()) {
            return Err(Error::new(ErrorKind::Unavailable, "the server reported an error in the middle of the reply"));
        }
        self.usage = chunk.usage.unwrap_or(self.usage);
        let mut text = String::new();
        for choice in chunk.choices.unwrap_or_default() {
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_null()) {
                self.finished = true;
                self.stop = match reason.as_str() {
                    Some("length") => Stop::TokensMax,
                    Some("content_filter") => Stop::Filtered,
                    _ => Stop::Finished,
                };
            }
            let Some(increment) = choice.delta else { continue };
            text.push_str(&increment.content.map(text_of).unwrap_or_default());
            for piece in increment.tool_calls.unwrap_or_default() {
                self.push_call(piece)?;
            }
        }
        let full = text.len() >= self.text_bytes_left;
        text.truncate(text.floor_char_boundary(self.text_bytes_left));
        self.text_bytes_left -= text.len();
        self.finished |= full;
        Ok(Step { text, full })
    }

    fn push_call(&mut self, piece: ToolIncrement) -> Result<(), Error> {
        let function = piece.function.unwrap_or_default();
        let id = piece.id.unwrap_or_default();
        let name = function.name.unwrap_or_default();
        let arguments = match function.arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        self.argument_bytes += id.len() + name.len() + arguments.len();
        if self.argument_bytes > ARGUMENTS_BYTES_MAX {
            return Err(Error::new(ErrorKind::Broken, "the arguments of a tool call are too long"));
        }
        let known = match piece.index {
            Some(index) => self.calls.iter().rposition(|call| call.index == Some(index)),
            None => self.calls.len().checked_sub(1),
        };
        // A fresh id begins another call, even if its index says otherwise (or nothing); without an id, a name does.
        let begins = |call: &Call| {
            !name.is_empty()
                && (if id.is_empty() { piece.index.is_none() && !call.name.is_empty() } else { call.id != id })
        };
        let known = known.filter(|&at| self.calls.get(at).is_some_and(|call| !begins(call)));
        match known {
            Some(at) => {
                let call = &mut self.calls[at];
                if call.id.is_empty() {
                    call.id = id;
                }
                call.name.push_str(&name);
                call.arguments.push_str(&arguments);
            }
            None if self.calls.len() >= CALLS_MAX => return Err(Error::new(ErrorKind::Broken, "too many tool calls")),
            None => self.calls.push(Call { index: piece.index, id, name, arguments }),
        }
        Ok(())
    }

    /// The stream is over: the calls, complete now, and the end. Fails if the model had not finished.
    pub(super) fn finish(self) -> Result<Vec<Delta>, Error> {
        if !self.finished {
            return Err(Error::new(ErrorKind::Unavailable, "the reply broke off"));
        }
        let mut deltas = Vec::with_capacity(self.calls.len() + 1);
        for call in self.calls {
            if call.name.is_empty() {
                return Err(Error::new(ErrorKind::Broken, "a tool call without a name"));
            }
            let arguments = if call.arguments.trim().is_empty() { "{}" } else { &*call.arguments };
            deltas.push(Delta::ToolCall { name: call.name.into(), arguments: arguments.into() });
        }
        deltas.push(Delta::Finished {
            input_tokens: self.usage.prompt_tokens.unwrap_or(0),
            output_tokens: self.usage.completion_tokens.unwrap_or(0),
            stop: self.stop,
        });
        Ok(deltas)
    }
}

/// The words of a `content`: a string, or a list of parts of which those with a `text` count.
fn text_of(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn calls_of(pieces: &[Value]) -> Vec<(String, String)> {
        let mut assembler = Assembler::new(1_000);
        for piece in pieces {
            assembler.push(json!({"choices": [{"delta": {"tool_calls": [piece]}}]})).unwrap();
        }
        assembler.push(json!({"choices": [{"delta": {}, "finish_reason": "eos"}]})).unwrap();
        let deltas = assembler.finish().unwrap();
        deltas
            .into_iter()
            .filter_map(|delta| match delta {
                Delta::ToolCall { name, arguments } => Some((name.to_string(), arguments.to_string())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn calls_are_told_apart_whatever_the_server_leaves_out() {
        let named = |id: &str, name: &str| json!({"id": id, "function": {"name": name, "arguments": ""}});
        let more = |text: &str| json!({"function": {"arguments": text}});
        let want = vec![("a".to_owned(), r#"{"x":1}"#.to_owned()), ("b".to_owned(), "{}".to_owned())];
        assert_eq!(calls_of(&[named("1", "a"), more(r#"{"x""#), more(":1}"), named("2", "b")]), want);
        assert_eq!(calls_of(&[named("", "a"), more(r#"{"x":1}"#), named("", "b")]), want);
        let indexed = |index: u64, mut piece: Value| {
            piece["index"] = json!(index);
            piece
        };
        let crossed = [indexed(0, named("1", "a")), indexed(1, named("2", "b")), indexed(0, more(r#"{"x":1}"#))];
        assert_eq!(calls_of(&crossed), want);
        let all_zero = [indexed(0, named("1", "a")), indexed(0, more(r#"{"x":1}"#)), indexed(0, named("2", "b"))];
        assert_eq!(calls_of(&all_zero), want);
        let object = [json!({"function": {"name": "a", "arguments": {"x": 1}}}), named("", "b")];
        assert_eq!(calls_of(&object), want);
    }

    #[test]
    fn a_reply_too_long_is_cut_at_a_letter() {
        let mut assembler = Assembler::new(5);
        let step = assembler.push(json!({"choices": [{"delta": {"content": "äöü"}}]})).unwrap();
        assert_eq!(step, Step { text: "äö".into(), full: true });
        assert_eq!(assembler.finish().unwrap().len(), 1);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let key = prop::sample::select(vec![
                "choices",
                "delta",
                "content",
                "tool_calls",
                "function",
                "name",
                "arguments",
                "index",
                "id",
                "usage",
                "error",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(key.prop_map(str::to_owned), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn anything_is_a_step_or_an_error(chunks in prop::collection::vec(any_json(), 0..8)) {
            let mut assembler = Assembler::new(16);
            let mut bytes = 0;
            for chunk in chunks {
                if let Ok(step) = assembler.push(chunk) {
                    bytes += step.text.len();
                }
            }
            prop_assert!(bytes <= 16);
            if let Ok(deltas) = assembler.finish() {
                prop_assert_eq!(deltas.iter().filter(|delta| matches!(delta, Delta::Finished { .. })).count(), 1);
            }
        }
    }
}
