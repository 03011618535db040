//! Items and what they hold.

use serde::{Deserialize, Serialize};

/// An item as a client puts it in, or gives it to one response.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct NewItem {
    pub id: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub role: Option<String>,
    pub content: Option<Vec<NewPart>>,
    pub call_id: Option<String>,
    pub name: Option<String>,
    pub arguments: Option<String>,
    pub output: Option<String>,
}

/// A piece of a message as a client puts it in. Audio is base64.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct NewPart {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub text: Option<String>,
    pub transcript: Option<String>,
    pub audio: Option<String>,
}

/// An item as it is told. What it does not have is left out: clients refuse `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct Item {
    pub id: String,
    pub object: &'static str,
    #[serde(rename = "type")]
    pub kind: ItemKind,
    pub status: ItemStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Vec<Part>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// See [`Item::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the values are OpenAI's")]
pub enum ItemKind {
    Message,
    FunctionCall,
    FunctionCallOutput,
}

/// See [`Item::status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the values are OpenAI's")]
pub enum ItemStatus {
    InProgress,
    Completed,
    Incomplete,
}

/// See [`Item::role`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the values are OpenAI's")]
pub enum Role {
    System,
    User,
    Assistant,
}

/// A piece of a message. In `response.content_part.*`, and in the beta's items, what the assistant says is `Text` or `Audio`;
/// in today's items it is `OutputText` or `OutputAudio`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub enum Part {
    InputText {
        text: String,
    },
    /// The transcript is there even if it is `null`: a client fails without the key.
    InputAudio {
        transcript: Option<String>,
    },
    OutputText {
        text: String,
    },
    OutputAudio {
        transcript: String,
    },
    Text {
        text: String,
    },
    Audio {
        transcript: String,
    },
}

impl Item {
    /// A message.
    pub fn message(id: String, role: Role, status: ItemStatus, content: Vec<Part>) -> Self {
        Self { role: Some(role), content: Some(content), ..Self::bare(id, ItemKind::Message, status) }
    }

    /// A call of a function.
    pub fn function_call(id: String, status: ItemStatus, (call_id, name, arguments): (String, String, String)) -> Self {
        Self {
            call_id: Some(call_id),
            name: Some(name),
            arguments: Some(arguments),
            ..Self::bare(id, ItemKind::FunctionCall, status)
        }
    }

    /// What a function gave.
    pub fn function_call_output(id: String, call_id: String, output: String) -> Self {
        Self {
            call_id: Some(call_id),
            output: Some(output),
            ..Self::bare(id, ItemKind::FunctionCallOutput, ItemStatus::Completed)
        }
    }

    const fn bare(id: String, kind: ItemKind, status: ItemStatus) -> Self {
        Self {
            id,
            object: "realtime.item",
            kind,
            status,
            role: None,
            content: None,
            name: None,
            call_id: None,
            arguments: None,
            output: None,
        }
    }
}
