//! Events become messages.

use std::time::Duration;

use super::{
    Welcome, formats,
    hello::{Features, Negotiated, Offer},
    wire::{
        AppliedSettings, Latency, Limits, Numbered, Ready, ReplyDone, ReplyStatus, ResumeOffer, Said, ServerMessage,
        Turn, TurnMode, Usage, WireFormat,
    },
};
use crate::{
    conversation::{
        self, AgentStop, CloseReason, Content, Event, Item, ResponseRefusal, Settings, Status, StopReason, Timings,
        ToolPlace,
    },
    ids::CallId,
    protocol::{Back, Message, ProtocolError},
};

/// A call's id on the wire.
pub(super) fn call_id(call: CallId) -> String {
    format!("call_{}", call.0)
}

/// A message as text.
#[expect(clippy::expect_used, reason = "plain structs with string keys always serialise")]
pub(super) fn text(n: Option<u64>, message: ServerMessage) -> Message {
    Message::Text(serde_json::to_string(&Numbered { n, message }).expect("wire types serialise"))
}

pub(super) fn error(error: &ProtocolError, formats: Option<Vec<WireFormat>>) -> ServerMessage {
    ServerMessage::Error {
        code: error.code.to_owned(),
        message: error.message.clone().into_owned(),
        fatal: error.close.is_some(),
        about: error.about.clone(),
        retry_after_s: None,
        formats,
    }
}

pub(super) fn refusal(problem: &ProtocolError, formats: Option<Vec<WireFormat>>) -> Message {
    text(Some(1), error(problem, formats))
}

pub(super) fn ready(negotiated: &Negotiated, offer: &Offer, welcome: &Welcome<'_>, settings: &Settings) -> Ready {
    let resume = welcome.token.filter(|_| negotiated.features.resume);
    Ready {
        session: welcome.session.to_string(),
        conversation: welcome.conversation.map(|id| id.to_string()),
        recorded: welcome.recorded,
        agent: negotiated.agent.clone(),
        input: formats::applied(&negotiated.input, Some(negotiated.pace.as_str())),
        output: formats::applied(&negotiated.output, None),
        framing: negotiated.framing.as_str().to_owned(),
        features: negotiated.features.names(),
        settings: applied(settings),
        limits: limits(offer),
        resumed: negotiated.resume.as_ref().map(|_| false),
        reason: negotiated.resume.as_ref().map(|_| "unknown".to_owned()),
        input_next_seq: None,
        items: welcome.past.map(said),
        resume: resume.map(|token| resume_offer(token, offer.resume_window)),
        heartbeat_s: offer.heartbeat_s,
        server: offer.server.clone(),
    }
}

fn resume_offer(token: &str, window: Duration) -> ResumeOffer {
    let window_s = u32::try_from(window.as_secs()).unwrap_or(u32::MAX);
    ResumeOffer { token: token.to_owned(), window_s }
}

/// The `ready` of a client that is back: what was agreed on still holds.
pub(super) fn ready_again(ready: &Ready, back: &Back<'_>, next_up: Option<u32>) -> Ready {
    let is_resumed = back.resumed_after.is_some();
    Ready {
        settings: applied(back.settings),
        resumed: Some(is_resumed),
        reason: (!is_resumed).then(|| "missed".to_owned()),
        input_next_seq: Some(next_up.unwrap_or_default()),
        items: (!is_resumed).then(|| said(back.items)),
        resume: ready.resume.as_ref().map(|offer| ResumeOffer { token: back.token.to_owned(), ..offer.clone() }),
        ..ready.clone()
    }
}

/// The words of items, without what only the agent sees.
fn said(items: &[Item]) -> Vec<Said> {
    let said = |item: &Item| {
        let (role, text, interrupted) = match &item.content {
            Content::Speech { text, .. } => ("user", text.as_ref()?, false),
            Content::UserText(text) => ("user", text, false),
            Content::Reply { text, interrupted, .. } => ("assistant", text, *interrupted),
            Content::SystemText(_) | Content::ToolCall { .. } | Content::ToolOutput { .. } => return None,
        };
        Some(Said { id: item.id.0, role: role.to_owned(), text: text.to_string(), interrupted })
    };
    let said: Vec<Said> = items.iter().filter_map(said).collect();
    said[said.len().saturating_sub(SAID_MAX)..].to_vec()
}

/// Most items that a `ready` tells of: the newest. All of them are to be had by REST.
const SAID_MAX: usize = 200;

fn limits(offer: &Offer) -> Limits {
    let bytes = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    Limits {
        max_text_bytes: bytes(super::MAX_TEXT_BYTES),
        max_settings_bytes: bytes(super::MAX_SETTINGS_BYTES),
        max_binary_bytes: bytes(super::MAX_BINARY_BYTES),
        max_frame_ms: formats::MAX_FRAME_MS,
        messages_per_s: u32::try_from(super::MESSAGES_PER_S).unwrap_or(u32::MAX),
        frames_per_s: u32::try_from(super::FRAMES_PER_S).unwrap_or(u32::MAX),
        idle_s: offer.idle.as_secs(),
        max_session_s: offer.session_max.as_secs(),
        send_ahead_ms: ms(offer.send_ahead),
    }
}

fn applied(settings: &Settings) -> AppliedSettings {
    let ms = |duration: Duration| Some(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX));
    AppliedSettings {
        turn: Turn {
            mode: Some(match settings.turn_mode {
                conversation::TurnMode::Auto => TurnMode::Auto,
                conversation::TurnMode::Manual => TurnMode::Manual,
            }),
            silence_ms: ms(settings.silence),
            preroll_ms: ms(settings.preroll),
            min_speech_ms: ms(settings.min_speech),
            min_interruption_ms: ms(settings.min_interruption),
            threshold: Some(settings.speech_threshold),
            reply: Some(settings.reply_automatically),
            barge_in: Some(settings.barge_in),
        },
        voice: settings.voice.to_string(),
        language: settings.language.to_string(),
        speak: settings.speak,
        tools: settings
            .tools
            .iter()
            .filter(|tool| tool.place == ToolPlace::Client)
            .map(|tool| tool.name.to_string())
            .collect(),
    }
}

/// The message of an event; `None` if it has none in JSON (speech) or the client did not ask for it.
pub(super) fn event(event: &Event, features: Features, total: &mut Usage) -> Option<ServerMessage> {
    Some(match event {
        Event::SettingsUpdated(settings) => ServerMessage::Updated(Box::new(applied(settings))),
        Event::SpeechStarted { item, at } => ServerMessage::SpeechStarted { turn: item.0, t: at.as_ms() },
        Event::SpeechStopped { item, at, reason } => {
            ServerMessage::SpeechStopped { turn: item.0, t: at.as_ms(), reason: stop_reason(*reason).to_owned() }
        }
        Event::TurnCommitted { item, durable } => ServerMessage::TurnCommitted { turn: item.0, durable: *durable },
        Event::TranscriptPartial { .. } if !features.partials => return None,
        Event::TranscriptPartial { item, revision, stable, unstable } => ServerMessage::TranscriptPartial {
            turn: item.0,
            rev: *revision,
            stable: stable.to_string(),
            unstable: unstable.to_string(),
        },
        Event::TranscriptFinal { item, text, language, confidence, start, end } => ServerMessage::TranscriptFinal {
            turn: item.0,
            text: text.to_string(),
            language: language.to_string(),
            confidence: confidence.is_finite().then_some(*confidence),
            start_ms: start.as_ms(),
            end_ms: end.as_ms(),
            words: None,
        },
        Event::TranscriptFailed { item, reason } => ServerMessage::Warning {
            code: "transcription_failed".to_owned(),
            message: format!("The words of this turn could not be found ({reason})."),
            turn: Some(item.0),
        },
        Event::ResponseStarted { response, turn, .. } => {
            ServerMessage::ReplyStarted { reply: response.0, turn: turn.map(|item| item.0) }
        }
        Event::ResponseRefused { reason, .. } => refused(*reason),
        // What these tell is of use only to clients that edit the history, which this dialect does not.
        Event::ItemAdded { .. }
        | Event::ItemRefused { .. }
        | Event::ItemDeleted { .. }
        | Event::ItemTruncated { .. }
        | Event::AudioCleared
        | Event::InputTimedOut { .. } => return None,
        Event::ResponseText { response, delta, .. } => {
            ServerMessage::ReplyText { reply: response.0, delta: delta.to_string(), start_ms: None, end_ms: None }
        }
        Event::ResponseAudio { .. } => return None,
        Event::PlaybackFlushed { response, heard, heard_text } => {
            ServerMessage::ReplyInterrupted { reply: response.0, at_ms: ms(*heard), heard_text: heard_text.to_string() }
        }
        Event::ResponseDone { response, status, text, usage, timings } => {
            total.input_tokens += usage.input_tokens;
            total.output_tokens += usage.output_tokens;
            let usage = Usage { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens };
            let (reply, (status, reason)) = (response.0, reply_status(*status));
            let (reason, text, latency_ms) = (reason.map(str::to_owned), text.to_string(), Latency::from(timings));
            ServerMessage::ReplyDone(Box::new(ReplyDone { reply, status, reason, text, usage, latency_ms }))
        }
        Event::ToolCallRequested { response, call, name, arguments, .. } => ServerMessage::ToolCall {
            call: call_id(*call),
            name: name.to_string(),
            arguments: arguments.to_string(),
            reply: response.0,
        },
        Event::Problem { code, message } => {
            ServerMessage::Warning { code: (*code).to_owned(), message: (*message).to_owned(), turn: None }
        }
        Event::GoingAway { within } => ServerMessage::GoingAway {
            in_s: within.as_secs() + u64::from(within.subsec_nanos() > 0),
            reason: "restart".to_owned(),
        },
        Event::Ended(reason) => ServerMessage::Ended { reason: close_reason(*reason).to_owned(), usage: *total },
    })
}

fn refused(reason: ResponseRefusal) -> ServerMessage {
    let (code, message) = match reason {
        ResponseRefusal::Busy => ("busy", "Another reply is in progress."),
        ResponseRefusal::TooMany => ("busy", "Too many replies are in progress."),
        ResponseRefusal::Leaving => ("going_away", "No further reply is begun."),
    };
    ServerMessage::Warning { code: code.to_owned(), message: message.to_owned(), turn: None }
}

const fn stop_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Silence => "silence",
        StopReason::Committed => "committed",
        StopReason::TooLong => "too_long",
        StopReason::AudioGap => "audio_gap",
        StopReason::Cleared => "cleared",
    }
}

const fn close_reason(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Goodbye => "goodbye",
        CloseReason::Idle => "idle",
        CloseReason::TooLong => "too_long",
        CloseReason::Restart => "restart",
    }
}

const fn reply_status(status: Status) -> (ReplyStatus, Option<&'static str>) {
    match status {
        Status::Completed => (ReplyStatus::Completed, None),
        Status::Interrupted => (ReplyStatus::Interrupted, None),
        Status::Cancelled => (ReplyStatus::Cancelled, None),
        Status::Incomplete(AgentStop::TokensMax) => (ReplyStatus::Completed, Some("tokens_max")),
        Status::Incomplete(_) => (ReplyStatus::Completed, Some("filtered")),
        Status::Failed(reason) => (ReplyStatus::Failed, Some(reason)),
    }
}

impl From<&Timings> for Latency {
    fn from(timings: &Timings) -> Self {
        Self {
            eot: timings.endpoint.map(ms),
            asr: timings.transcript.map(ms),
            llm_first: timings.first_text.map(ms),
            tts_first: timings.first_audio.map(ms),
            first_audio: timings.first_sent.map(ms),
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
