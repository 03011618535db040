//! The user's half: speech, its item, its words.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    RealtimeCodec,
    error::ErrorObject,
    items::{After, Entry},
    vendor::Segment,
    wire::{
        item::{Item, ItemStatus, Part, Role},
        server::{Body, DurationUsage, TranscriptionError},
        session::TurnDetection,
    },
};
use crate::{audio::AudioPos, conversation::StopReason, ids::ItemId, protocol::Message};

/// Commits that the conversation has not answered yet; it answers before the next message is read, unless a recording waits.
const COMMITS_MAX: usize = 64;

/// What the user is saying, or has said and nobody has written down yet.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// At most as many as the conversation awaits transcripts, and one more.
    open: Vec<Turn>,
    /// Commits of the client's, by its own ids of them. When full, the oldest is forgotten.
    commits: VecDeque<Option<String>>,
    /// Whether the server committed since the client last did: then there may be nothing left, and nothing wrong with it.
    committed_by_server: bool,
    /// Speech that no response was told to have heard.
    pub(super) unbilled: Duration,
}

#[derive(Debug)]
struct Turn {
    item: ItemId,
    name: String,
    start: AudioPos,
    /// The client was told that speech began.
    is_told: bool,
    /// The last item when it began: that is its place.
    after: Option<ItemId>,
    /// Words that will not change.
    stable: Arc<str>,
    /// Those of them that were told.
    told: String,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The item does not stand yet.
    Speaking,
    /// It does; the client wants its words, or not.
    Committed { wants_words: bool },
}

impl RealtimeCodec {
    pub(super) fn speech_started(&mut self, item: ItemId, at: AudioPos, out: &mut Vec<Message>) {
        let name = self.items.name(item, &mut self.outlet);
        let is_told = self.config.turn_detection.is_some();
        let turn = Turn {
            item,
            name: name.clone(),
            start: at,
            is_told,
            after: self.items.last(),
            stable: Arc::from(""),
            told: String::new(),
            state: State::Speaking,
        };
        self.turns.open.push(turn);
        if is_told {
            let audio_start_ms = at.before(self.padding()).as_ms();
            self.outlet.write(Body::SpeechStarted { audio_start_ms, item_id: name }, out);
        }
    }

    pub(super) fn speech_stopped(&mut self, item: ItemId, at: AudioPos, reason: StopReason, out: &mut Vec<Message>) {
        let Some(index) = self.turns.open.iter().position(|turn| turn.item == item) else { return };
        let turn = &mut self.turns.open[index];
        let (name, after, length) = (turn.name.clone(), turn.after, at.since(turn.start));
        if turn.is_told {
            // What was listened to includes the pause that ended it.
            let pause = if reason == StopReason::Silence { self.settings.silence } else { Duration::ZERO };
            let end = (at + pause).min(AudioPos::default() + self.microphone.appended()).max(at);
            self.outlet.write(Body::SpeechStopped { audio_end_ms: end.as_ms(), item_id: name.clone() }, out);
        }
        if reason == StopReason::Cleared {
            self.turns.open.remove(index);
            self.items.forget(item);
            return;
        }
        let wants_words = self.config.transcription.is_some();
        turn.state = State::Committed { wants_words };
        match reason {
            StopReason::Committed => {
                self.turns.commits.pop_front();
                self.turns.committed_by_server = false;
            }
            _ => self.turns.committed_by_server = true,
        }
        self.turns.unbilled += length;
        let after =
            if after.is_none_or(|after| self.items.entry(after).is_some()) { After::This(after) } else { After::All };
        self.commit_item(item, name, after, out);
        self.tell_words(index, out);
    }

    /// A user item stands, whose words are not there yet.
    fn commit_item(&mut self, id: ItemId, name: String, after: After, out: &mut Vec<Message>) {
        let content = vec![Part::InputAudio { transcript: None }];
        let item = Item::message(name.clone(), Role::User, ItemStatus::Completed, content);
        let entry = Entry { wire: item.clone(), stands: true, spoken: None };
        let previous_item_id = self.items.announce(id, entry, after);
        let previous = || previous_item_id.clone();
        self.outlet.write(Body::Committed { previous_item_id: previous(), item_id: name }, out);
        self.outlet.write(Body::ItemAdded { previous_item_id: previous(), item: item.clone() }, out);
        self.outlet.write(Body::ItemDone { previous_item_id: previous(), item }, out);
    }

    /// A recording that the client put in stands; its words are awaited.
    pub(super) fn await_words(&mut self, item: ItemId, name: String) {
        let wants_words = self.config.transcription.is_some();
        let state = State::Committed { wants_words };
        let (stable, told, start) = (Arc::from(""), String::new(), AudioPos(0));
        self.turns.open.push(Turn { item, name, start, is_told: false, after: None, stable, told, state });
    }

    pub(super) fn words_so_far(&mut self, item: ItemId, stable: &Arc<str>, out: &mut Vec<Message>) {
        if let Some(index) = self.turns.open.iter().position(|turn| turn.item == item) {
            self.turns.open[index].stable = Arc::clone(stable);
            self.tell_words(index, out);
        }
    }

    /// Tells the words that are new, once the item stands.
    fn tell_words(&mut self, index: usize, out: &mut Vec<Message>) {
        let turn = &mut self.turns.open[index];
        if turn.state != (State::Committed { wants_words: true }) {
            return;
        }
        let Some(delta) = turn.stable.strip_prefix(turn.told.as_str()).filter(|delta| !delta.is_empty()) else {
            return;
        };
        let delta = delta.to_owned();
        turn.told.push_str(&delta);
        let item_id = turn.name.clone();
        self.outlet.write(Body::TranscriptionDelta { item_id, content_index: 0, delta }, out);
    }

    pub(super) fn words(
        &mut self,
        item: ItemId,
        text: &Arc<str>,
        (end, confidence): (AudioPos, f32),
        out: &mut Vec<Message>,
    ) {
        let Some(index) = self.turns.open.iter().position(|turn| turn.item == item) else { return };
        self.turns.open[index].stable = Arc::clone(text);
        let stands = self.items.entry(item).is_some_and(|entry| {
            entry.wire.content = Some(vec![Part::InputAudio { transcript: Some(text.to_string()) }]);
            // What was no speech after all is an item for the client only.
            entry.stands = !text.is_empty();
            true
        });
        if stands {
            self.tell_words(index, out);
        }
        let turn = self.turns.open.remove(index);
        if stands && turn.state == (State::Committed { wants_words: true }) {
            self.tell_transcript(turn.name.clone(), text.to_string(), end.since(turn.start), out);
            self.tell_segment(turn.name, &Segment { text, start: turn.start, end, confidence }, out);
        }
    }

    fn tell_transcript(&mut self, item_id: String, transcript: String, length: Duration, out: &mut Vec<Message>) {
        let usage = DurationUsage { kind: "duration", seconds: length.as_secs_f64() };
        self.outlet.write(Body::TranscriptionCompleted { item_id, content_index: 0, transcript, usage }, out);
    }

    pub(super) fn words_lost(&mut self, item: ItemId, reason: &'static str, out: &mut Vec<Message>) {
        let Some(index) = self.turns.open.iter().position(|turn| turn.item == item) else { return };
        let turn = self.turns.open.remove(index);
        if turn.state == (State::Committed { wants_words: true }) && self.items.entry(item).is_some() {
            let message = "The words of this turn could not be found.";
            let error = TranscriptionError { kind: "transcription_error", code: reason, message };
            self.outlet.write(Body::TranscriptionFailed { item_id: turn.name, content_index: 0, error }, out);
        }
    }

    /// The user said nothing for the time that the client set.
    pub(super) fn timed_out(&mut self, item: ItemId, start: AudioPos, end: AudioPos, out: &mut Vec<Message>) {
        let name = self.items.name(item, &mut self.outlet);
        let (audio_start_ms, audio_end_ms) = (start.as_ms(), end.as_ms());
        self.outlet.write(Body::TimedOut { audio_start_ms, audio_end_ms, item_id: name.clone() }, out);
        self.commit_item(item, name.clone(), After::All, out);
        if self.config.transcription.is_some() {
            self.tell_transcript(name, String::new(), end.since(start), out);
        }
    }

    /// The client committed: remembered until the conversation answers.
    pub(super) fn committing(&mut self, event_id: Option<String>) {
        if self.turns.commits.len() >= COMMITS_MAX {
            self.turns.commits.pop_front();
        }
        self.turns.commits.push_back(event_id);
    }

    /// There was nothing to commit. No error if that is because the server was faster.
    pub(super) fn nothing_to_commit(&mut self, out: &mut Vec<Message>) {
        let Some(event_id) = self.turns.commits.pop_front() else { return };
        let by_server = std::mem::take(&mut self.turns.committed_by_server);
        if by_server && self.config.turn_detection.is_some() && !self.strict {
            return;
        }
        let message = "Error committing input audio buffer: the buffer is empty.";
        self.write_error(ErrorObject::invalid("input_audio_buffer_commit_empty", message), event_id, out);
    }

    /// Audio from before speech that is listened to.
    fn padding(&self) -> Duration {
        match self.config.turn_detection {
            Some(TurnDetection::ServerVad { prefix_padding_ms, .. }) => {
                Duration::from_millis(u64::from(prefix_padding_ms))
            }
            _ => self.config.base.preroll,
        }
    }
}
