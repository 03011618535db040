//! `floe.v1`: JSON for control, binary messages for audio. Specified in `docs/protocol.md`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{AudioPacket, Back, Codec, Incoming, Message, ProtocolError};
use crate::{
    audio::{self, AudioChunk, Format},
    conversation::{CloseReason, Event, Input, Item, PlaybackState, ResponseOptions, Settings, SettingsPatch},
    ids::{CallId, ConversationId, ResponseId, SessionId},
};

pub mod close;
mod encode;
pub mod formats;
pub mod frame;
pub mod hello;
mod rate;
pub mod wire;

pub use hello::{Features, Framing, Negotiated, Offer, Pace, negotiate, refusal, unknown_conversation};

use frame::Header;
use rate::Bucket;
use wire::{ClientMessage, PlayerState, ServerMessage, Unreadable, Usage};

/// Bytes of a text message at most.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Bytes of a `hello` or an `update` at most: they may hold tools.
pub const MAX_SETTINGS_BYTES: usize = 256 * 1024;
/// Bytes of a binary message at most.
pub const MAX_BINARY_BYTES: usize = 64 * 1024;
/// Text messages a second in the long run.
pub const MESSAGES_PER_S: u64 = 12;
/// Text messages at once.
pub const MESSAGES_BURST: u64 = 120;
/// Binary messages a second in the long run, unless a recording is sent.
pub const FRAMES_PER_S: u64 = 120;
/// Binary messages at once: what a client sends that was cut off for a while.
pub const FRAMES_BURST: u64 = 3_000;

/// Milliseconds on any clock that does not go backwards.
pub type Clock = Box<dyn Fn() -> u64 + Send>;

/// One session's `floe.v1`.
pub struct NativeCodec {
    input: Format,
    output: Format,
    framing: Framing,
    pace: Pace,
    features: Features,
    now_ms: Clock,
    /// Number of the last message; `ready` was 1.
    n: u64,
    /// What all replies so far cost.
    usage: Usage,
    messages: Bucket,
    frames: Bucket,
    /// Sequence number of the next frame from the microphone; `None` before the first.
    next_up: Option<u32>,
    /// The reply whose audio is being sent, and its next sequence number.
    down: (ResponseId, u32),
    /// What was agreed on, for a client that comes back.
    ready: Box<wire::Ready>,
}

/// What a new session's `ready` tells beside the settings.
#[derive(Debug, Clone, Copy)]
pub struct Welcome<'a> {
    /// The session.
    pub session: SessionId,
    /// The stored conversation, if there is one.
    pub conversation: Option<ConversationId>,
    /// What was said before, if the conversation goes on.
    pub past: Option<&'a [Item]>,
    /// For coming back.
    pub token: Option<&'a str>,
    /// Whether the sound is kept.
    pub recorded: bool,
}

impl Welcome<'_> {
    /// To a session of which nothing is kept.
    pub const fn new(session: SessionId) -> Self {
        Self { session, conversation: None, past: None, token: None, recorded: false }
    }
}

impl NativeCodec {
    /// A codec for what was negotiated, and the `ready` that must be the first message sent.
    ///
    /// `settings` are those in force ([`Negotiated::settings`] applied). `now_ms` stamps pongs and measures how often the
    /// client sends.
    pub fn accept(
        negotiated: &Negotiated,
        offer: &Offer,
        welcome: Welcome<'_>,
        settings: &Settings,
        now_ms: Clock,
    ) -> (Self, Message) {
        let ready = encode::ready(negotiated, offer, &welcome, settings);
        let codec = Self {
            input: negotiated.input,
            output: negotiated.output,
            framing: negotiated.framing,
            pace: negotiated.pace,
            features: negotiated.features,
            now_ms,
            n: 1,
            usage: Usage::default(),
            messages: Bucket::new(MESSAGES_PER_S, MESSAGES_BURST),
            frames: Bucket::new(FRAMES_PER_S, FRAMES_BURST),
            next_up: None,
            down: (ResponseId::default(), 0),
            ready: Box::new(ready.clone()),
        };
        (codec, encode::text(Some(1), ServerMessage::Ready(Box::new(ready))))
    }

    fn decode_text(&mut self, text: &str) -> Result<Vec<Incoming>, ProtocolError> {
        if text.len() > MAX_SETTINGS_BYTES {
            return Err(too_big("text message", MAX_SETTINGS_BYTES));
        }
        let now_ms = (self.now_ms)();
        if !self.messages.take(now_ms) {
            let message = format!("more than {MESSAGES_PER_S} text messages a second");
            return Err(ProtocolError::closing(close::RATE_LIMITED, "too_many_messages", message));
        }
        let message = match ClientMessage::parse(text) {
            Ok(message) => message,
            Err(_) if text.len() > MAX_TEXT_BYTES => return Err(too_big("text message", MAX_TEXT_BYTES)),
            Err(error) => return Ok(vec![Incoming::Refused(unreadable(error))]),
        };
        if text.len() > MAX_TEXT_BYTES && !matches!(message, ClientMessage::Update(_) | ClientMessage::Hello(_)) {
            return Err(too_big("text message", MAX_TEXT_BYTES));
        }
        Ok(meaning(message, now_ms).unwrap_or_else(|error| vec![Incoming::Refused(error)]))
    }

    fn decode_binary(&mut self, message: Bytes) -> Result<Vec<Incoming>, ProtocolError> {
        if message.len() > MAX_BINARY_BYTES {
            return Err(too_big("binary message", MAX_BINARY_BYTES));
        }
        if self.pace == Pace::Realtime && !self.frames.take((self.now_ms)()) {
            let message = format!("more than {FRAMES_PER_S} binary messages a second");
            return Err(ProtocolError::closing(close::RATE_LIMITED, "too_many_frames", message));
        }
        let packet = match self.framing {
            Framing::Raw => AudioPacket { payload: message, timestamp: None, gap: false },
            Framing::V1 => {
                let (header, payload) = Header::split(message).map_err(|error| bad_frame(error.to_string()))?;
                if header.kind != frame::AUDIO_UP {
                    return Ok(Vec::new());
                }
                match self.sequence(&header) {
                    Ok(missed) => {
                        let gap = missed || header.has(frame::START) || header.has(frame::DROPPED);
                        AudioPacket { payload, timestamp: Some(header.timestamp), gap }
                    }
                    Err(error) => return Ok(vec![Incoming::Refused(error)]),
                }
            }
        };
        self.check_payload(&packet.payload)?;
        Ok(vec![Incoming::Audio(packet)])
    }

    /// Whether frames are missing before this one.
    fn sequence(&mut self, header: &Header) -> Result<bool, ProtocolError> {
        let ahead = self.next_up.map_or(0, |expected| header.sequence.wrapping_sub(expected));
        // More than half the range ahead is behind.
        if ahead > u32::MAX / 2 {
            let message = format!("frame {} came before; it was thrown away", header.sequence);
            return Err(ProtocolError::harmless("stale_frame", message));
        }
        self.next_up = Some(header.sequence.wrapping_add(1));
        Ok(ahead > 0)
    }

    fn check_payload(&self, payload: &Bytes) -> Result<(), ProtocolError> {
        if self.input.codec == audio::Codec::PcmS16le && payload.len() % 2 == 1 {
            return Err(bad_frame("a frame of pcm_s16le has an odd number of bytes"));
        }
        match formats::max_payload_bytes(&self.input) {
            Some(max) if payload.len() > max => {
                Err(bad_frame(format!("a frame holds more than {} ms of audio", formats::MAX_FRAME_MS)))
            }
            _ => Ok(()),
        }
    }

    fn encode_audio(
        &mut self,
        response: ResponseId,
        chunk: &AudioChunk,
        offset: Duration,
        last: bool,
    ) -> Option<Message> {
        if self.framing == Framing::Raw {
            return (!chunk.payload.is_empty()).then(|| Message::Binary(chunk.payload.clone()));
        }
        if self.down.0 != response {
            self.down = (response, 0);
        }
        let sequence = self.down.1;
        self.down.1 = sequence.wrapping_add(1);
        let first = if sequence == 0 { frame::START } else { 0 };
        let clock = u128::from(self.output.clock_hz());
        // Rounded, so that offsets cut to microseconds give back whole samples.
        let timestamp = (offset.as_nanos() * clock + 500_000_000) / 1_000_000_000;
        #[expect(clippy::cast_possible_truncation, reason = "stream numbers and timestamps wrap, says the protocol")]
        let header = Header {
            kind: frame::AUDIO_DOWN,
            flags: first | if last { frame::LAST } else { 0 },
            stream: response.0 as u16,
            sequence,
            timestamp: timestamp as u32,
        };
        Some(Message::Binary(header.join(&chunk.payload)))
    }

    fn next_n(&mut self) -> Option<u64> {
        self.n += 1;
        Some(self.n)
    }
}

impl Codec for NativeCodec {
    fn decode(&mut self, message: Message) -> Result<Vec<Incoming>, ProtocolError> {
        match message {
            Message::Text(text) => self.decode_text(&text),
            Message::Binary(bytes) => self.decode_binary(bytes),
        }
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<Message>) {
        if let Event::ResponseAudio { response, chunk, offset, last, .. } = event {
            out.extend(self.encode_audio(*response, chunk, *offset, *last));
        } else if let Some(message) = encode::event(event, self.features, &mut self.usage) {
            out.push(encode::text(self.next_n(), message));
        }
    }

    fn encode_error(&mut self, error: &ProtocolError, out: &mut Vec<Message>) {
        out.push(encode::text(self.next_n(), encode::error(error, None)));
    }

    fn farewell(&self, reason: CloseReason) -> (u16, String) {
        (close::code_for(reason), close::farewell(reason).to_owned())
    }

    fn number(&self) -> Option<u64> {
        self.features.resume.then_some(self.n)
    }

    fn welcome_back(&mut self, back: Back<'_>) -> Option<Message> {
        let ready = encode::ready_again(&self.ready, &back, self.next_up);
        // Numbered like the last message that the client has: what it missed comes after that.
        let n = back.resumed_after.or_else(|| self.next_n());
        Some(encode::text(n, ServerMessage::Ready(Box::new(ready))))
    }

    fn input_format(&self) -> Format {
        self.input
    }

    fn output_format(&self) -> Format {
        self.output
    }
}

/// What a client's message means.
fn meaning(message: ClientMessage, now_ms: u64) -> Result<Vec<Incoming>, ProtocolError> {
    let input = match message {
        ClientMessage::Hello(_) => return Err(wrong("hello", "unexpected_hello", "hello is the first message only")),
        ClientMessage::Update(change) => {
            let patch =
                hello::patch(&change).map_err(|error| ProtocolError { about: Some("update".into()), ..error })?;
            Input::SettingsChanged(Box::new(patch))
        }
        ClientMessage::InputCommit => Input::AudioCommitted,
        ClientMessage::InputClear => Input::AudioCleared,
        ClientMessage::InputMute { muted } => Input::Muted(muted),
        ClientMessage::Text { text, .. } if text.trim().is_empty() => {
            return Err(wrong("text", "empty_text", "`text` holds no words"));
        }
        ClientMessage::Text { text, reply, system } => {
            let mut facts = vec![Incoming::Input(Input::TextEntered { text: Arc::from(text), system })];
            if reply {
                facts.push(Incoming::Input(Input::ResponseRequested(Box::default())));
            }
            return Ok(facts);
        }
        ClientMessage::ReplyCreate { instructions, text } => Input::ResponseRequested(Box::new(ResponseOptions {
            say: text.filter(|text| !text.trim().is_empty()).map(Arc::from),
            patch: SettingsPatch { instructions: instructions.map(Arc::from), ..SettingsPatch::default() },
            ..ResponseOptions::default()
        })),
        ClientMessage::ReplyCancel { reply } => Input::ResponseCancelled(reply.map(ResponseId)),
        ClientMessage::Playback { reply, played_ms, state, .. } => Input::PlaybackProgress {
            response: ResponseId(reply),
            played: Duration::from_millis(played_ms),
            state: playback_state(state),
        },
        ClientMessage::ToolResult { call, output, error } => tool_result(&call, output, error)?,
        ClientMessage::Ping { id, t } => {
            let pong = ServerMessage::Pong { id, t, server_t: now_ms };
            return Ok(vec![Incoming::Answer(encode::text(None, pong))]);
        }
        ClientMessage::Bye { flush } => Input::Goodbye { flush },
    };
    Ok(vec![Incoming::Input(input)])
}

fn tool_result(call: &str, output: Option<serde_json::Value>, error: Option<String>) -> Result<Input, ProtocolError> {
    let number = call.strip_prefix("call_").and_then(|number| number.parse().ok());
    let Some(number) = number else {
        return Err(wrong("tool.result", "unknown_call", "`call` is the id of a `tool.call`"));
    };
    let failed = error.is_some();
    let output = match (error, output) {
        (Some(error), _) => error,
        (None, Some(serde_json::Value::String(output))) => output,
        (None, Some(output)) => output.to_string(),
        (None, None) => return Err(wrong("tool.result", "no_output", "give `output` or `error`")),
    };
    Ok(Input::ToolFinished { call: CallId(number), output: Arc::from(output), failed })
}

const fn playback_state(state: PlayerState) -> PlaybackState {
    match state {
        PlayerState::Playing => PlaybackState::Playing,
        PlayerState::Paused => PlaybackState::Paused,
        PlayerState::Drained => PlaybackState::Drained,
        PlayerState::Flushed => PlaybackState::Flushed,
    }
}

fn wrong(about: &str, code: &'static str, message: &'static str) -> ProtocolError {
    ProtocolError { about: Some(about.to_owned()), ..ProtocolError::harmless(code, message) }
}

fn unreadable(error: Unreadable) -> ProtocolError {
    let message = error.to_string();
    let (code, about) = match error {
        Unreadable::NotAMessage(_) => ("not_a_message", None),
        Unreadable::UnknownType { kind, id } => ("unknown_type", Some(id.unwrap_or(kind))),
        Unreadable::Malformed { kind, id, .. } => ("malformed", Some(id.unwrap_or(kind))),
    };
    ProtocolError { about, ..ProtocolError::harmless(code, message) }
}

fn too_big(what: &str, max_bytes: usize) -> ProtocolError {
    ProtocolError::closing(close::TOO_BIG, "too_big", format!("a {what} has at most {max_bytes} bytes"))
}

fn bad_frame(message: impl Into<std::borrow::Cow<'static, str>>) -> ProtocolError {
    ProtocolError::closing(close::VIOLATION, "bad_frame", message)
}
