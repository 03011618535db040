//! The way out: ids are made, the dialect is applied, JSON is written.

use serde::Serialize;

use super::{
    Dialect, beta,
    wire::server::{AudioDelta, Body, Envelope},
};
use crate::{ids::SessionId, protocol::Message};

/// Digits of the session's id in the ids of everything inside it: clients carry items from one session into the next.
const SUFFIX_DIGITS: usize = 16;

/// Bytes of an audio delta beside the audio, about.
const AUDIO_DELTA_BYTES: usize = 320;

/// Writes one session's events.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) dialect: Dialect,
    session: String,
    events: u64,
    names: u64,
    event_id: String,
}

impl Outlet {
    pub(super) fn new(dialect: Dialect, session: SessionId) -> Self {
        let id = session.to_string();
        let digits = id.rsplit('_').next().unwrap_or_default().to_owned();
        Self { dialect, session: digits, events: 0, names: 0, event_id: String::new() }
    }

    /// The session's id.
    pub(super) fn session(&self) -> String {
        format!("sess_{}", self.session)
    }

    /// The id of the session's one conversation.
    pub(super) fn conversation(&self) -> String {
        format!("conv_{}", self.suffix())
    }

    /// A fresh id: `item_…`, at most 32 characters long as long as there are less than 2³² of them.
    pub(super) fn name(&mut self, of: &str) -> String {
        self.names += 1;
        format!("{of}_{}{:x}", self.suffix(), self.names)
    }

    /// Writes an event in the connection's dialect, if it is told there.
    pub(super) fn write(&mut self, body: Body, out: &mut Vec<Message>) {
        let (kind, body) = match self.dialect {
            Dialect::Ga => (body.kind(), body),
            Dialect::Beta => match beta::translate(body) {
                Some(body) => (beta::kind(&body), body),
                None => return,
            },
        };
        let event_id = self.next_event();
        out.push(text(&Envelope { event_id: &event_id, kind, body: &body }, 512));
        self.event_id = event_id;
    }

    /// Writes the event of which there are many; it is the same in every dialect but for its name.
    pub(super) fn write_audio(&mut self, delta: &AudioDelta<'_>, out: &mut Vec<Message>) {
        let event_id = self.next_event();
        let room = delta.delta.len() + AUDIO_DELTA_BYTES;
        out.push(text(&AudioDelta { event_id: &event_id, ..*delta }, room));
        self.event_id = event_id;
    }

    /// The next event's id, in the memory of the one before.
    fn next_event(&mut self) -> String {
        use std::fmt::Write as _;
        self.events += 1;
        let mut id = std::mem::take(&mut self.event_id);
        id.clear();
        let _always_ok = write!(id, "event_{}{:x}", self.suffix(), self.events);
        id
    }

    fn suffix(&self) -> &str {
        &self.session[self.session.len().saturating_sub(SUFFIX_DIGITS)..]
    }
}

/// A message as text.
#[expect(clippy::expect_used, reason = "plain structs with string keys always serialise, and to UTF-8")]
fn text<T: Serialize>(event: &T, room: usize) -> Message {
    let mut bytes = Vec::with_capacity(room);
    serde_json::to_writer(&mut bytes, event).expect("wire types serialise");
    Message::Text(String::from_utf8(bytes).expect("JSON is UTF-8"))
}
