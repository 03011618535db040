//! OpenAI Realtime, today's dialect and the beta's: a projection of the conversation. Described in `docs/realtime.md`.
//!
//! Lenient with what comes, exact in what goes: several client libraries end their session over one event they do not
//! expect, so nothing is sent that the protocol does not name, and nothing that is named is left out.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Codec, Incoming, Message, ProtocolError, native::close};
use crate::{
    audio,
    conversation::{CloseReason, Content, Event, Item, ItemRefusal, ResponseRefusal, Settings},
    ids::{ItemId, SessionId},
};

mod beta;
mod config;
mod detection;
pub mod error;
pub mod formats;
mod items;
mod microphone;
mod opening;
mod outcome;
mod outlet;
mod refusal;
mod replies;
mod requests;
mod turns;
mod update;
mod vendor;
pub mod wire;

pub use config::{SessionConfig, Voices};
pub use detection::patience;
pub use error::{ErrorBody, ErrorKind, ErrorObject, error_body};
pub use microphone::{APPEND_BYTES_MAX, RECORDING_S_MAX};
pub use opening::{Dialect, Kind, Opening};
pub use outcome::{INPUT_MS_PER_TOKEN, OUTPUT_MS_PER_TOKEN};
pub use refusal::refusal;
pub use update::TOOLS_MAX;
pub use vendor::{LATENCY, SEGMENT_TIMINGS};

use items::Items;
use microphone::Microphone;
use outlet::Outlet;
use replies::{Manner, Reply};
use turns::Turns;
use wire::server::Body;

/// Bytes of a text message at most: the socket's own limit is this, too. An append of 15 MiB is 20 MiB of base64.
pub const TEXT_BYTES_MAX: usize = 24 << 20;

/// One connection's OpenAI Realtime.
pub struct RealtimeCodec {
    config: SessionConfig,
    /// What governs the conversation now.
    settings: Arc<Settings>,
    strict: bool,
    expires_at: Option<u64>,
    outlet: Outlet,
    microphone: Microphone,
    items: Items,
    turns: Turns,
    /// Responses in progress: one of the conversation, and those beside it.
    replies: Vec<Reply>,
    /// Responses asked for and not begun: the client's id of the event, and how they are to come. The conversation answers
    /// before the next message is read.
    asked: HashMap<u64, (Option<String>, Manner)>,
    tags: u64,
    /// Deletions and truncations asked for, by the client's ids of the events; answered likewise.
    changes: HashMap<ItemId, Option<String>>,
    /// Accepted updates that the conversation has not confirmed.
    updates: u32,
    has_spoken: bool,
    base64: String,
}

impl RealtimeCodec {
    fn new(config: SessionConfig, dialect: Dialect, strict: bool, expires_at: Option<u64>, session: SessionId) -> Self {
        Self {
            settings: Arc::new(config.settings()),
            microphone: Microphone::new(config.input),
            config,
            strict,
            expires_at,
            outlet: Outlet::new(dialect, session),
            items: Items::default(),
            turns: Turns::default(),
            replies: Vec::new(),
            asked: HashMap::new(),
            tags: 0,
            changes: HashMap::new(),
            updates: 0,
            has_spoken: false,
            base64: String::new(),
        }
    }

    fn session_object(&self) -> wire::session::Session {
        self.config.echo(&self.outlet.session(), self.outlet.dialect, self.expires_at)
    }

    /// A deletion or truncation was asked for: the conversation answers by the item.
    fn note_change(&mut self, item: ItemId, event_id: Option<String>) {
        self.changes.insert(item, event_id);
    }

    fn tell(&mut self, event: &Event, out: &mut Vec<Message>) {
        match event {
            Event::SettingsUpdated(settings) => {
                self.settings = Arc::clone(settings);
                if let Some(rest) = self.updates.checked_sub(1) {
                    self.updates = rest;
                    let session = self.session_object();
                    self.outlet.write(Body::SessionUpdated { session }, out);
                }
            }
            Event::SpeechStarted { item, at } => self.speech_started(*item, *at, out),
            Event::SpeechStopped { item, at, reason } => self.speech_stopped(*item, *at, *reason, out),
            Event::TranscriptPartial { item, stable, .. } => self.words_so_far(*item, stable, out),
            Event::TranscriptFinal { item, text, end, confidence, .. } => {
                self.words(*item, text, (*end, *confidence), out);
            }
            Event::TranscriptFailed { item, reason } => self.words_lost(*item, reason, out),
            Event::InputTimedOut { item, start, end } => self.timed_out(*item, *start, *end, out),
            Event::AudioCleared => self.outlet.write(Body::Cleared {}, out),
            Event::ResponseStarted { response, tag, aside, .. } => self.response_started(*response, *tag, *aside, out),
            Event::ResponseRefused { tag, reason } => self.response_refused(*tag, *reason, out),
            Event::ResponseText { response, item, delta } => self.response_text(*response, *item, delta, out),
            Event::ResponseAudio { response, item, chunk, .. } => self.response_audio(*response, *item, chunk, out),
            Event::ToolCallRequested { response, item, call, name, arguments } => {
                self.tool_call(*response, (*item, *call, name.clone(), arguments.clone()), out);
            }
            Event::ResponseDone { response, status, usage, timings, .. } => {
                self.response_done(*response, *status, (*usage, timings), out);
            }
            Event::ItemAdded { item, .. } => self.item_added(item, out),
            Event::ItemRefused { item, reason } => self.item_refused(*item, *reason, out),
            Event::ItemDeleted { item } => {
                self.changes.remove(item);
                if let Some(item_id) = self.items.remove(*item) {
                    self.outlet.write(Body::ItemDeleted { item_id }, out);
                }
            }
            Event::ItemTruncated { item, heard, text } => self.item_truncated(*item, *heard, text, out),
            Event::Problem { code: "input_empty", .. } => self.nothing_to_commit(out),
            Event::Ended(CloseReason::TooLong) => {
                let message = "Your session hit its maximum duration.";
                self.write_error(ErrorObject::invalid("session_expired", message), None, out);
            }
            // A turn was told when it was committed; a flush is the client's own affair; what broke is told where the
            // response ends; and of a restart the close frame tells.
            Event::TurnCommitted { .. }
            | Event::PlaybackFlushed { .. }
            | Event::Problem { .. }
            | Event::GoingAway { .. }
            | Event::Ended(_) => {}
        }
    }

    fn response_refused(&mut self, tag: u64, reason: ResponseRefusal, out: &mut Vec<Message>) {
        let Some((event_id, _)) = self.asked.remove(&tag) else { return };
        let error = match reason {
            ResponseRefusal::Busy => {
                let which = self.active().map_or_else(String::new, |(_, reply)| format!(" ({})", reply.name));
                let message = format!(
                    "Conversation already has an active response in progress{which}. Wait until the response is \
                     finished before creating a new one."
                );
                ErrorObject::invalid("conversation_already_has_active_response", message)
            }
            ResponseRefusal::Leaving => ErrorObject::server("session_ending", "The session is about to end."),
            ResponseRefusal::TooMany => {
                let message = "Too many responses are in progress beside the conversation.";
                ErrorObject::new(ErrorKind::RateLimit, "too_many_responses", message)
            }
        };
        self.write_error(error, event_id, out);
    }

    fn item_added(&mut self, item: &Item, out: &mut Vec<Message>) {
        let Some((previous_item_id, told)) = self.items.added(item.id) else { return };
        if matches!(item.content, Content::Speech { .. }) {
            self.await_words(item.id, told.id.clone());
        }
        let (previous, same) = (previous_item_id.clone(), told.clone());
        self.outlet.write(Body::ItemAdded { previous_item_id: previous, item: same }, out);
        self.outlet.write(Body::ItemDone { previous_item_id, item: told }, out);
    }

    fn item_refused(&mut self, id: ItemId, reason: ItemRefusal, out: &mut Vec<Message>) {
        let (event_id, call) = match (self.items.refused(id), self.changes.remove(&id)) {
            (Some(asked), _) => (asked.event_id.clone(), asked.call_id().unwrap_or_default().to_owned()),
            (None, Some(event_id)) => (event_id, String::new()),
            (None, None) => return,
        };
        let error = match reason {
            ItemRefusal::UnknownCall => items::unknown_call(&call).about("item.call_id"),
            ItemRefusal::NotSpoken => requests::not_spoken(),
            ItemRefusal::Unknown => {
                ErrorObject::invalid("invalid_item_id", "The item does not exist any more.").about("item_id")
            }
            ItemRefusal::Duplicate | ItemRefusal::UnknownPlace => {
                ErrorObject::invalid("item_create_failed", "The item could not be put in there.").about("item")
            }
        };
        self.write_error(error, event_id, out);
    }

    fn item_truncated(&mut self, id: ItemId, heard: Duration, text: &str, out: &mut Vec<Message>) {
        use wire::item::{ItemStatus, Part};
        self.changes.remove(&id);
        let Some(entry) = self.items.entry(id) else { return };
        entry.wire.status = ItemStatus::Incomplete;
        entry.wire.content = Some(vec![Part::OutputAudio { transcript: text.to_owned() }]);
        entry.spoken = Some(heard);
        let (item_id, audio_end_ms) = (entry.wire.id.clone(), u64::try_from(heard.as_millis()).unwrap_or(u64::MAX));
        self.outlet.write(Body::ItemTruncated { item_id, content_index: 0, audio_end_ms }, out);
    }
}

impl Codec for RealtimeCodec {
    fn decode(&mut self, message: Message) -> Result<Vec<Incoming>, ProtocolError> {
        match message {
            Message::Text(text) => Ok(self.read(&text)),
            Message::Binary(_) => {
                let message = "Events are text messages; audio is base64 in input_audio_buffer.append.";
                Ok(vec![self.refuse(ErrorObject::invalid("invalid_event", message), None)])
            }
        }
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<Message>) {
        self.tell(event, out);
    }

    fn encode_error(&mut self, error: &ProtocolError, out: &mut Vec<Message>) {
        self.write_error(ErrorObject::invalid(error.code, error.message.clone()), None, out);
    }

    fn farewell(&self, reason: CloseReason) -> (u16, String) {
        let (code, text) = match reason {
            CloseReason::Goodbye => (close::NORMAL, "goodbye"),
            CloseReason::Idle => (close::GOING_AWAY, "Nothing happened for too long."),
            CloseReason::TooLong => (close::GOING_AWAY, "Your session hit its maximum duration."),
            CloseReason::Restart => (close::RESTART, "The server restarts; connect again."),
        };
        (code, text.to_owned())
    }

    fn input_format(&self) -> audio::Format {
        formats::native(self.config.input)
    }

    fn output_format(&self) -> audio::Format {
        formats::native(self.config.output)
    }
}

/// The close code of a connection whose session cannot begin.
const CLOSE_VIOLATION: u16 = close::VIOLATION;
