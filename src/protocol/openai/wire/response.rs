//! Responses: what a client asks for, and what it is told.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    item::{Item, NewItem},
    session::{AudioPatch, FlatFormat, Format, MaxTokens, ToolChoice, ToolPatch, Voice},
};

/// `response` of a `response.create`: what holds for this response only. The beta's flat fields are read, too.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct NewResponse {
    pub instructions: Option<String>,
    pub output_modalities: Option<Vec<String>>,
    pub audio: Option<AudioPatch>,
    pub tools: Option<Vec<ToolPatch>>,
    pub tool_choice: Option<ToolChoice>,
    pub max_output_tokens: Option<MaxTokens>,
    pub conversation: Option<String>,
    pub input: Option<Vec<NewItem>>,
    pub metadata: Option<Map<String, Value>>,
    pub prompt: Option<Value>,
    // ---- beta
    pub modalities: Option<Vec<String>>,
    pub voice: Option<Voice>,
    pub output_audio_format: Option<FlatFormat>,
    pub max_response_output_tokens: Option<MaxTokens>,
}

/// A response as it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct Response {
    pub id: String,
    pub object: &'static str,
    pub status: ResponseStatus,
    pub status_details: Option<StatusDetails>,
    pub output: Vec<Item>,
    pub conversation_id: Option<String>,
    #[serde(flatten)]
    pub shape: Shape,
    pub usage: Option<Usage>,
    pub metadata: Option<Map<String, Value>>,
}

/// See [`Response::status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the values are OpenAI's")]
pub enum ResponseStatus {
    InProgress,
    Completed,
    Cancelled,
    Failed,
    Incomplete,
}

/// How a response comes, in the words of its dialect.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub enum Shape {
    Ga {
        output_modalities: [&'static str; 1],
        max_output_tokens: MaxTokens,
        audio: ResponseAudio,
    },
    Beta {
        modalities: Vec<&'static str>,
        max_output_tokens: MaxTokens,
        voice: String,
        output_audio_format: &'static str,
        temperature: f64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct ResponseAudio {
    pub output: ResponseAudioOutput,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct ResponseAudioOutput {
    pub format: Format,
    pub voice: String,
}

/// Why a response ended otherwise than completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub enum StatusDetails {
    Cancelled { reason: &'static str },
    Incomplete { reason: &'static str },
    Failed { error: FailedError },
}

/// What broke. All three are there: a client fails without the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct FailedError {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub code: &'static str,
    pub message: &'static str,
}

/// What a response cost. Every number is always there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct Usage {
    pub total_tokens: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub input_token_details: InputTokens,
    pub output_token_details: OutputTokens,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct InputTokens {
    pub text_tokens: u64,
    pub audio_tokens: u64,
    pub image_tokens: u64,
    pub cached_tokens: u64,
    pub cached_tokens_details: CachedTokens,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct CachedTokens {
    pub text_tokens: u64,
    pub audio_tokens: u64,
    pub image_tokens: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct OutputTokens {
    pub text_tokens: u64,
    pub audio_tokens: u64,
}
