//! Events of clients. Unknown fields are ignored.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::{item::NewItem, response::NewResponse, session::SessionPatch};
use crate::protocol::openai::error::{self, ErrorObject};

/// The names of all events that clients may send; the last is the beta's.
pub const KINDS: [&str; 12] = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
    "output_audio_buffer.clear",
    "transcription_session.update",
];

/// What a client wants.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub enum ClientEvent<'a> {
    SessionUpdate(Box<SessionPatch>),
    /// Base64, not yet checked.
    Append(Cow<'a, str>),
    Commit,
    Clear,
    ItemCreate {
        previous_item_id: Option<String>,
        item: Box<NewItem>,
    },
    ItemRetrieve {
        item_id: String,
    },
    ItemTruncate {
        item_id: String,
        content_index: i64,
        audio_end_ms: f64,
    },
    ItemDelete {
        item_id: String,
    },
    ResponseCreate(Box<NewResponse>),
    ResponseCancel {
        response_id: Option<String>,
    },
    OutputClear,
}

/// What is read of every event first. Both are strings, or nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    #[serde(rename = "type")]
    kind: Value,
    event_id: Value,
}

#[derive(Deserialize)]
struct Append<'a> {
    #[serde(borrow)]
    audio: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Update {
    session: SessionPatch,
}

#[derive(Deserialize)]
struct Create {
    #[serde(default)]
    previous_item_id: Option<String>,
    item: NewItem,
}

#[derive(Deserialize)]
struct OfItem {
    item_id: String,
}

#[derive(Deserialize)]
struct Truncate {
    item_id: String,
    #[serde(default)]
    content_index: i64,
    audio_end_ms: f64,
}

#[derive(Deserialize)]
struct Respond {
    #[serde(default)]
    response: Option<NewResponse>,
}

#[derive(Deserialize)]
struct Cancel {
    #[serde(default)]
    response_id: Option<String>,
}

/// Reads an event: the client's own id of it, and what it means or why it means nothing.
pub fn parse(text: &str) -> (Option<String>, Result<ClientEvent<'_>, ErrorObject>) {
    let head: Head = match serde_json::from_str(text) {
        Ok(head) => head,
        Err(error) => {
            let message = format!("This is no JSON object with a string `type`: {error}.");
            return (None, Err(ErrorObject::invalid("invalid_event", message)));
        }
    };
    let event_id = match head.event_id {
        Value::String(id) => Some(id),
        _ => None,
    };
    let event = match head.kind.as_str() {
        Some(kind) => body(kind, text),
        None => Err(ErrorObject::invalid("invalid_event", "The event has no string `type`.").about("type")),
    };
    (event_id, event)
}

fn body<'a>(kind: &str, text: &'a str) -> Result<ClientEvent<'a>, ErrorObject> {
    Ok(match kind {
        // The one event of which there are many: its path is known without being traced.
        "input_audio_buffer.append" => {
            let append: Append<'_> = serde_json::from_str(text)
                .map_err(|error| ErrorObject::invalid("invalid_event", error.to_string()).about("audio"))?;
            ClientEvent::Append(append.audio)
        }
        "session.update" | "transcription_session.update" => {
            let Update { session } = read(text)?;
            ClientEvent::SessionUpdate(Box::new(session))
        }
        "input_audio_buffer.commit" => ClientEvent::Commit,
        "input_audio_buffer.clear" => ClientEvent::Clear,
        "conversation.item.create" => {
            let Create { previous_item_id, item } = read(text)?;
            ClientEvent::ItemCreate { previous_item_id, item: Box::new(item) }
        }
        "conversation.item.retrieve" => {
            let OfItem { item_id } = read(text)?;
            ClientEvent::ItemRetrieve { item_id }
        }
        "conversation.item.truncate" => {
            let Truncate { item_id, content_index, audio_end_ms } = read(text)?;
            ClientEvent::ItemTruncate { item_id, content_index, audio_end_ms }
        }
        "conversation.item.delete" => {
            let OfItem { item_id } = read(text)?;
            ClientEvent::ItemDelete { item_id }
        }
        "response.create" => {
            let Respond { response } = read(text)?;
            ClientEvent::ResponseCreate(Box::new(response.unwrap_or_default()))
        }
        "response.cancel" => {
            let Cancel { response_id } = read(text)?;
            ClientEvent::ResponseCancel { response_id }
        }
        "output_audio_buffer.clear" => ClientEvent::OutputClear,
        unknown => {
            let name: String = unknown.chars().take(100).collect();
            let message = format!("There is no event '{name}'. Supported are: {}.", KINDS.join(", "));
            return Err(ErrorObject::invalid("unknown_event_type", message).about("type"));
        }
    })
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ErrorObject> {
    let mut from = serde_json::Deserializer::from_str(text);
    error::read(&mut from, "").map_err(|error| ErrorObject { code: Some("invalid_event".into()), ..error })
}
