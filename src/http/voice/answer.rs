//! The answer: what a conversation's updates add up to.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{
    Problem,
    sound::{File, Sound},
};
use crate::{
    audio::{self, AudioPos},
    converse::{Called, Turn, Update},
    http::socket,
    protocol::recorded::wire::{Latency, ReplyDone, Spent, State, Told, Utterance},
};

/// A recording and what was answered to it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Processed {
    /// `voice.process`.
    object: &'static str,
    /// Under which id it is kept; null if it is not.
    conversation: Option<String>,
    /// Whether every turn is on disk. Otherwise some of them will not be found again.
    stored: bool,
    /// Length of the recording.
    audio_ms: u64,
    /// From the end of the upload until now.
    processing_ms: u64,
    /// Everything that was said in the recording. Empty: nobody spoke.
    text: String,
    /// What was said and what was answered, in order.
    turns: Vec<TurnView>,
    /// Sum of the replies'.
    usage: Spent,
}

/// What was said, and what was answered.
#[derive(Debug, Serialize, ToSchema)]
struct TurnView {
    /// What was said since the reply before. Empty if the assistant spoke up by itself (a timer).
    utterances: Vec<Utterance>,
    /// Null if nobody answered.
    reply: Option<ReplyView>,
}

/// What the assistant answered.
#[derive(Debug, Serialize, ToSchema)]
struct ReplyView {
    status: State,
    /// Why it is not complete, as a word.
    reason: Option<String>,
    /// Its words.
    text: String,
    /// The tools that the agent called for it, in order.
    tool_calls: Vec<CallView>,
    usage: Spent,
    latency_ms: Latency,
    /// Its speech, if that was asked for.
    audio: Option<Speech>,
    /// Why there is less speech than words: `speech_failed`, or `too_much` beyond 32 MiB in one answer (ask for opus, or for
    /// `Accept: audio/…`).
    audio_missing: Option<&'static str>,
}

/// A tool call.
#[derive(Debug, Serialize, ToSchema)]
struct CallView {
    name: String,
    /// As JSON text, as the agent wrote it.
    arguments: String,
    /// What it gave, or a sentence saying why it failed; null if the reply ended before.
    output: Option<String>,
    failed: bool,
}

/// Speech as a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplyAudio)]
struct Speech {
    /// `audio/wav` or `audio/ogg`.
    content_type: &'static str,
    duration_ms: u64,
    /// The file in Base64.
    #[schema(content_encoding = "base64")]
    data: String,
}

/// What is told at the beginning of a stream of events.
#[derive(Serialize)]
struct Begun<'a> {
    conversation: Option<&'a str>,
    audio_ms: u64,
}

#[derive(Serialize)]
struct Progress {
    read_ms: u64,
}

#[derive(Serialize)]
struct Text<'a> {
    delta: &'a str,
}

/// One server-sent event: its name and its JSON.
pub(super) type Event = (&'static str, String);

/// Gathers updates.
pub(super) struct Gathered {
    answer: Processed,
    began: Instant,
    sound: Option<Sound>,
    /// The speech of the reply in progress.
    speech: Option<File>,
    speech_bytes: usize,
    audio_missing: Option<&'static str>,
}

/// What an update came to.
pub(super) enum Step {
    /// Something to tell, if somebody wants to hear it.
    Event(Option<Event>),
    /// The end.
    Done(Box<Processed>),
}

impl Gathered {
    /// `began` is when the upload ended.
    pub(super) fn new(conversation: Option<String>, length: AudioPos, sound: Option<Sound>, began: Instant) -> Self {
        let answer = Processed {
            object: "voice.process",
            conversation,
            stored: false,
            audio_ms: length.as_ms(),
            processing_ms: 0,
            text: String::new(),
            turns: Vec::new(),
            usage: Spent::default(),
        };
        Self { answer, began, sound, speech: None, speech_bytes: 0, audio_missing: None }
    }

    /// The first event.
    pub(super) fn begun(&self) -> Event {
        let conversation = self.answer.conversation.as_deref();
        ("begun", json(&Begun { conversation, audio_ms: self.answer.audio_ms }))
    }

    /// Takes one update. Whatever is not told is gathered all the same.
    pub(super) fn take(&mut self, update: Update) -> Result<Step, Problem> {
        let event = match update {
            Update::Progress(at) => Some(("progress", json(&Progress { read_ms: at.as_ms() }))),
            Update::Utterance(utterance) => {
                if !self.answer.text.is_empty() {
                    self.answer.text.push(' ');
                }
                self.answer.text.push_str(&utterance.text);
                Some(("transcript", json(&utterance)))
            }
            Update::Text(delta) => Some(("reply.text", json(&Text { delta: &delta }))),
            Update::Tool(told) => {
                let name = if matches!(told, Told::ToolCall { .. }) { "tool.call" } else { "tool.output" };
                Some((name, json(&told)))
            }
            Update::Speech(payload) => {
                self.hear(payload).map_err(|error| failed(&error))?;
                None
            }
            Update::Turn(turn) => {
                let view = self.turn(turn).map_err(|error| failed(&error))?;
                let event = ("turn", json(&view));
                self.answer.turns.push(view);
                Some(event)
            }
            Update::Done(stored) => {
                let (stored, processing) = (stored, socket::now().duration_since(self.began));
                let processing_ms = u64::try_from(processing.as_millis()).unwrap_or(u64::MAX);
                let nothing = Self::new(None, AudioPos::default(), None, self.began).answer;
                let answer = std::mem::replace(&mut self.answer, nothing);
                return Ok(Step::Done(Box::new(Processed { stored, processing_ms, ..answer })));
            }
        };
        Ok(Step::Event(event))
    }

    fn hear(&mut self, payload: bytes::Bytes) -> Result<(), audio::Error> {
        let Some(sound) = self.sound else { return Ok(()) };
        let mut file = match self.speech.take() {
            Some(file) => file,
            None => File::new(sound)?,
        };
        if self.speech_bytes + file.len() + payload.len() > SPEECH_BYTES_MAX {
            self.audio_missing = Some("too_much");
        } else {
            file.push(payload)?;
        }
        self.speech = Some(file);
        Ok(())
    }

    fn turn(&mut self, turn: Turn) -> Result<TurnView, audio::Error> {
        let Turn { utterances, tools, speech_failed, reply } = turn;
        let too_much = self.audio_missing.take();
        let speech = self.speech.take();
        let Some(done) = reply else { return Ok(TurnView { utterances, reply: None }) };
        let audio = match (speech, self.sound, too_much) {
            (Some(file), Some(sound), None) => {
                let (bytes, duration_ms) = file.finish()?;
                self.speech_bytes += bytes.len();
                let data = STANDARD.encode(&bytes);
                Some(Speech { content_type: sound.content_type(), duration_ms, data })
            }
            _ => None,
        };
        let ReplyDone { status, reason, text, usage, latency_ms } = done;
        let total = &mut self.answer.usage;
        total.input_tokens = total.input_tokens.saturating_add(usage.input_tokens);
        total.output_tokens = total.output_tokens.saturating_add(usage.output_tokens);
        let tool_calls = tools.into_iter().map(CallView::of).collect();
        let audio_missing = too_much.or_else(|| speech_failed.then_some("speech_failed"));
        let reply = ReplyView { status, reason, text, tool_calls, usage, latency_ms, audio, audio_missing };
        Ok(TurnView { utterances, reply: Some(reply) })
    }
}

impl CallView {
    fn of(called: Called) -> Self {
        let Called { name, arguments, output, .. } = called;
        let (output, failed) = output.map_or((None, true), |(output, failed)| (Some(output), failed));
        Self { name, arguments, output, failed }
    }
}

fn failed(error: &audio::Error) -> Problem {
    tracing::error!(%error, "speech cannot be written into its file");
    Problem::engine("broken")
}

/// Plain structs with string keys: they always serialise.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Speech in one answer; it is held in memory, and again as Base64.
const SPEECH_BYTES_MAX: usize = 32 << 20;
