//! Events of the server.

use serde::Serialize;

use super::{
    item::{Item, Part},
    response::Response,
    session::Session,
};
use crate::protocol::{
    native::wire::Latency,
    openai::{error::ErrorObject, vendor},
};

/// An event as it is written.
#[derive(Debug, Serialize)]
pub struct Envelope<'a> {
    /// Unique within the session.
    pub event_id: &'a str,
    /// Its name in the connection's dialect.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The rest.
    #[serde(flatten)]
    pub body: &'a Body,
}

/// `response.output_audio.delta`, the one event of which there are many: it borrows everything.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct AudioDelta<'a> {
    pub event_id: &'a str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub response_id: &'a str,
    pub item_id: &'a str,
    pub output_index: usize,
    pub content_index: usize,
    pub delta: &'a str,
}

/// What an event says, beside its name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub enum Body {
    SessionCreated {
        session: Session,
    },
    SessionUpdated {
        session: Session,
    },
    ConversationCreated {
        conversation: Conversation,
    },
    Error {
        error: EventError,
    },
    SpeechStarted {
        audio_start_ms: u64,
        item_id: String,
    },
    SpeechStopped {
        audio_end_ms: u64,
        item_id: String,
    },
    Committed {
        previous_item_id: Option<String>,
        item_id: String,
    },
    Cleared {},
    TimedOut {
        audio_start_ms: u64,
        audio_end_ms: u64,
        item_id: String,
    },
    ItemAdded {
        previous_item_id: Option<String>,
        item: Item,
    },
    ItemDone {
        previous_item_id: Option<String>,
        item: Item,
    },
    /// The beta's only.
    ItemCreated {
        previous_item_id: Option<String>,
        item: Item,
    },
    ItemRetrieved {
        item: Item,
    },
    ItemTruncated {
        item_id: String,
        content_index: u32,
        audio_end_ms: u64,
    },
    ItemDeleted {
        item_id: String,
    },
    TranscriptionDelta {
        item_id: String,
        content_index: u32,
        delta: String,
    },
    TranscriptionCompleted {
        item_id: String,
        content_index: u32,
        transcript: String,
        usage: DurationUsage,
    },
    TranscriptionFailed {
        item_id: String,
        content_index: u32,
        error: TranscriptionError,
    },
    ResponseCreated {
        response: Box<Response>,
    },
    OutputItemAdded {
        response_id: String,
        output_index: usize,
        item: Item,
    },
    OutputItemDone {
        response_id: String,
        output_index: usize,
        item: Item,
    },
    PartAdded(PartEvent),
    PartDone(PartEvent),
    AudioDone(Place),
    TranscriptDelta(DeltaEvent),
    TranscriptDone {
        #[serde(flatten)]
        place: Place,
        transcript: String,
    },
    TextDelta(DeltaEvent),
    TextDone {
        #[serde(flatten)]
        place: Place,
        text: String,
    },
    ArgumentsDelta {
        response_id: String,
        item_id: String,
        output_index: usize,
        call_id: String,
        delta: String,
    },
    ArgumentsDone {
        response_id: String,
        item_id: String,
        output_index: usize,
        call_id: String,
        name: String,
        arguments: String,
    },
    ResponseDone {
        response: Box<Response>,
    },
    /// Not OpenAI's: see [`SEGMENT_TIMINGS`](crate::protocol::openai::SEGMENT_TIMINGS).
    SegmentTimings {
        item_id: String,
        content_index: u32,
        segments: Vec<SegmentTiming>,
    },
    /// Not OpenAI's: see [`LATENCY`](crate::protocol::openai::LATENCY).
    Latency {
        response_id: String,
        latency_ms: Latency,
    },
}

impl Body {
    /// Its name today.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SessionCreated { .. } => "session.created",
            Self::SessionUpdated { .. } => "session.updated",
            Self::ConversationCreated { .. } => "conversation.created",
            Self::Error { .. } => "error",
            Self::SpeechStarted { .. } => "input_audio_buffer.speech_started",
            Self::SpeechStopped { .. } => "input_audio_buffer.speech_stopped",
            Self::Committed { .. } => "input_audio_buffer.committed",
            Self::Cleared {} => "input_audio_buffer.cleared",
            Self::TimedOut { .. } => "input_audio_buffer.timeout_triggered",
            Self::ItemAdded { .. } => "conversation.item.added",
            Self::ItemDone { .. } => "conversation.item.done",
            Self::ItemCreated { .. } => "conversation.item.created",
            Self::ItemRetrieved { .. } => "conversation.item.retrieved",
            Self::ItemTruncated { .. } => "conversation.item.truncated",
            Self::ItemDeleted { .. } => "conversation.item.deleted",
            Self::TranscriptionDelta { .. } => "conversation.item.input_audio_transcription.delta",
            Self::TranscriptionCompleted { .. } => "conversation.item.input_audio_transcription.completed",
            Self::TranscriptionFailed { .. } => "conversation.item.input_audio_transcription.failed",
            Self::ResponseCreated { .. } => "response.created",
            Self::OutputItemAdded { .. } => "response.output_item.added",
            Self::OutputItemDone { .. } => "response.output_item.done",
            Self::PartAdded(_) => "response.content_part.added",
            Self::PartDone(_) => "response.content_part.done",
            Self::AudioDone(_) => "response.output_audio.done",
            Self::TranscriptDelta(_) => "response.output_audio_transcript.delta",
            Self::TranscriptDone { .. } => "response.output_audio_transcript.done",
            Self::TextDelta(_) => "response.output_text.delta",
            Self::TextDone { .. } => "response.output_text.done",
            Self::ArgumentsDelta { .. } => "response.function_call_arguments.delta",
            Self::ArgumentsDone { .. } => "response.function_call_arguments.done",
            Self::ResponseDone { .. } => "response.done",
            Self::SegmentTimings { .. } => vendor::SEGMENT_TIMINGS,
            Self::Latency { .. } => vendor::LATENCY,
        }
    }
}

/// Where a piece of a response stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct Place {
    pub response_id: String,
    pub item_id: String,
    pub output_index: usize,
    pub content_index: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct PartEvent {
    #[serde(flatten)]
    pub place: Place,
    pub part: Part,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct DeltaEvent {
    #[serde(flatten)]
    pub place: Place,
    pub delta: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct Conversation {
    pub id: String,
    pub object: &'static str,
}

/// `error` of an `error` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventError {
    /// What is wrong.
    #[serde(flatten)]
    pub error: ErrorObject,
    /// The client's own id of the event that was wrong.
    pub event_id: Option<String>,
}

/// What a transcription cost: the length of the audio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, utoipa::ToSchema)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct DurationUsage {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub seconds: f64,
}

/// One utterance, in milliseconds of all audio ever appended; of a recording put in as an item, from its own beginning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentTiming {
    /// Its words.
    pub text: String,
    /// Where the voice began, padding not included; of a turn of the client's, where its audio does.
    pub start_ms: u64,
    /// Where the voice ended, the pause not included; of a turn of the client's, where its audio does.
    pub end_ms: u64,
    /// 0…1.
    pub confidence: f32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are OpenAI's")]
pub struct TranscriptionError {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub code: &'static str,
    pub message: &'static str,
}
