//! The user's half: frames become utterances, utterances become turns.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Conversation,
    endpointing::{Heard, Onset, Sound, TAIL},
    floor::{self, Happening, Verdict},
    input::Place,
    item::{Content, Item},
    output::{Command, Event, Record, Status, StopReason},
    settings::TurnMode,
    time::Time,
    timer::Timer,
};
use crate::{
    audio::AudioPos,
    ids::{ItemId, UtteranceId},
};

/// Utterances whose words are awaited; beyond it the oldest is given up.
const AWAITED_MAX: usize = 8;

/// What is known of the user.
#[derive(Debug, Default)]
pub(crate) struct UserTurn {
    voice: Voice,
    /// Finished utterances whose words are not there yet, oldest first; at most [`AWAITED_MAX`].
    awaited: VecDeque<Awaited>,
    /// The newest turn that no reply has taken up.
    pub(crate) unanswered: Option<Turn>,
    /// Up to where frames were heard.
    heard_to: AudioPos,
    /// Up to where audio was given to recognition: nothing is transcribed twice.
    recognized_to: AudioPos,
    utterances: UtteranceId,
}

/// What the user's voice is doing.
///
/// A speculative final, and a draft reply on it, would live in `Pausing`: that is the moment in which they are begun, and
/// leaving it either way is what decides on them. This version has neither (`Settings::drafts` is off).
#[derive(Debug)]
enum Voice {
    /// Nothing, or not enough to count.
    Silent(Onset),
    /// Speaking.
    Speaking(Utterance),
    /// Quiet since a position, but not for long enough.
    Pausing { utterance: Utterance, since: AudioPos },
    /// Push-to-talk: everything is recorded until the client commits it. `loudest` tells talk from an open microphone.
    Recording { utterance: Utterance, loudest: f32 },
}

impl Default for Voice {
    fn default() -> Self {
        Self::Silent(Onset::default())
    }
}

/// A stretch of speech in progress.
#[derive(Debug, Clone, Copy)]
struct Utterance {
    id: UtteranceId,
    /// The item its words will become.
    item: ItemId,
    start: AudioPos,
    /// When the last voiced frame arrived: the end of speech in session time.
    voiced_at: Time,
    /// Of its partial transcripts.
    revision: u32,
}

/// An utterance that has ended.
#[derive(Debug)]
struct Awaited {
    utterance: Utterance,
    end: AudioPos,
    /// The position of its `RecognizeTo`.
    at: AudioPos,
    reason: StopReason,
    ended: Time,
    deadline: Time,
    origin: Origin,
}

/// Where an utterance came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Microphone,
    /// The client put it in, and nobody answers it unasked.
    Recording,
}

/// A turn that may be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) item: ItemId,
    pub(crate) answer: Answer,
    /// `None` for typed words.
    pub(crate) heard: Option<HeardAt>,
}

/// Who wants a turn answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The rules, as soon as the floor is free.
    Now,
    /// Nobody, until the client asks.
    OnRequest,
}

/// When a spoken turn reached each stage, in session time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeardAt {
    pub(crate) end: Time,
    pub(crate) endpoint: Time,
    pub(crate) transcript: Time,
}

impl UserTurn {
    /// The half that the floor knows.
    pub(crate) fn half(&self) -> floor::User {
        match self.voice {
            Voice::Speaking(_) => floor::User::Speaking,
            Voice::Pausing { .. } => floor::User::Pausing,
            _ if self.awaited.is_empty() => floor::User::Silent,
            _ => floor::User::Committing,
        }
    }

    /// Ids of all utterances whose recognition is open; they are forgotten here.
    pub(crate) fn take_open(&mut self) -> Vec<UtteranceId> {
        let awaited = self.awaited.drain(..).map(|awaited| awaited.utterance.id);
        let mut open: Vec<_> = awaited.collect();
        match std::mem::take(&mut self.voice) {
            Voice::Silent(_) => {}
            Voice::Speaking(utterance) | Voice::Pausing { utterance, .. } | Voice::Recording { utterance, .. } => {
                open.push(utterance.id);
            }
        }
        open
    }

    /// Whether words of the user's are on their way.
    pub(crate) fn awaits_words(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Up to where frames were heard.
    pub(crate) fn heard_to(&self) -> AudioPos {
        self.heard_to
    }

    fn take_awaited(&mut self, id: UtteranceId) -> Option<Awaited> {
        let index = self.awaited.iter().position(|awaited| awaited.utterance.id == id)?;
        self.awaited.remove(index)
    }

    fn utterance(&mut self, id: UtteranceId) -> Option<&mut Utterance> {
        let open = match &mut self.voice {
            Voice::Silent(_) => None,
            Voice::Speaking(utterance) | Voice::Pausing { utterance, .. } | Voice::Recording { utterance, .. } => {
                Some(utterance)
            }
        };
        let awaited = self.awaited.iter_mut().map(|awaited| &mut awaited.utterance);
        open.into_iter().chain(awaited).find(|utterance| utterance.id == id)
    }
}

/// What a frame changed.
enum Edge {
    Nothing,
    Began(AudioPos),
    Ended(AudioPos, StopReason),
    RecordingFull,
}

impl Conversation {
    /// A frame was heard. The one thing done sixty times a second: it allocates nothing unless something begins or ends.
    pub(super) fn hear(&mut self, end: AudioPos, speech: f32) -> Option<()> {
        if end <= self.user.heard_to || !self.is_open() {
            return None;
        }
        let frame = Heard::new(self.user.heard_to, end, speech, &self.settings);
        self.user.heard_to = end;
        let edge = match self.settings.turn_mode {
            TurnMode::Auto => self.follow(frame),
            TurnMode::Manual => self.record(frame, speech),
        };
        match edge {
            Edge::Nothing => return Some(()),
            Edge::Began(start) => self.speech_began(start),
            Edge::Ended(at, reason) => {
                let goes_on = reason == StopReason::TooLong && self.user.half() == floor::User::Speaking;
                self.end_utterance(at, reason);
                if goes_on {
                    self.begin_utterance(at);
                }
            }
            Edge::RecordingFull => {
                self.end_utterance(end, StopReason::TooLong);
            }
        }
        self.settle();
        Some(())
    }

    fn follow(&mut self, frame: Heard) -> Edge {
        let needed = if self.assistant.half().is_audible() && self.settings.barge_in {
            self.settings.min_interruption
        } else {
            self.settings.min_speech
        };
        let utterance = match &mut self.user.voice {
            Voice::Silent(onset) => return onset.hear(frame, needed).map_or(Edge::Nothing, Edge::Began),
            Voice::Recording { .. } => return Edge::Nothing,
            Voice::Speaking(utterance) | Voice::Pausing { utterance, .. } => utterance,
        };
        self.timers.set(Timer::AudioGap, Some(self.now + self.settings.audio_gap));
        let (start, mut speaking) = (utterance.start, *utterance);
        match (&mut self.user.voice, frame.sound) {
            (Voice::Speaking(utterance), Sound::Speech | Sound::Unsure) => utterance.voiced_at = self.now,
            (Voice::Speaking(_), Sound::Silence) => {
                self.user.voice = Voice::Pausing { utterance: speaking, since: frame.start };
            }
            (Voice::Pausing { .. }, Sound::Speech) => {
                speaking.voiced_at = self.now;
                self.user.voice = Voice::Speaking(speaking);
            }
            _ => {}
        }
        if let Voice::Pausing { since, .. } = self.user.voice
            && frame.end.since(since) >= self.settings.silence
        {
            return Edge::Ended(since, StopReason::Silence);
        }
        if frame.end.since(start) >= self.settings.utterance_max {
            return Edge::Ended(frame.end, StopReason::TooLong);
        }
        Edge::Nothing
    }

    fn record(&mut self, frame: Heard, speech: f32) -> Edge {
        match &mut self.user.voice {
            Voice::Recording { utterance, loudest } => {
                utterance.voiced_at = self.now;
                *loudest = loudest.max(speech);
                if frame.end.since(utterance.start) < self.settings.utterance_max {
                    return Edge::Nothing;
                }
                if *loudest >= self.settings.silence_threshold {
                    return Edge::RecordingFull;
                }
                self.clear_audio();
                Edge::Nothing
            }
            _ => {
                let item = self.history.allocate();
                let utterance = self.open_utterance(item, frame.start, frame.start);
                self.user.voice = Voice::Recording { utterance, loudest: speech };
                Edge::Nothing
            }
        }
    }

    fn speech_began(&mut self, start: AudioPos) {
        let happening = if self.settings.barge_in { Happening::SpeechBegan } else { Happening::SpeechBeganPolitely };
        let verdict = self.decide(happening);
        if verdict == Verdict::Wait {
            return;
        }
        self.prompt_from = None;
        self.begin_utterance(start);
        if verdict == Verdict::TakeTheFloor {
            self.end_reply(Status::Interrupted);
        }
    }

    fn begin_utterance(&mut self, start: AudioPos) {
        let item = self.history.allocate();
        self.outbox.event(Event::SpeechStarted { item, at: start });
        let utterance = self.open_utterance(item, start, start.before(self.settings.preroll));
        self.user.voice = Voice::Speaking(utterance);
        self.timers.set(Timer::AudioGap, Some(self.now + self.settings.audio_gap));
    }

    fn open_utterance(&mut self, item: ItemId, start: AudioPos, from: AudioPos) -> Utterance {
        self.user.utterances = self.user.utterances.next();
        let id = self.user.utterances;
        let from = from.max(self.user.recognized_to);
        self.outbox.command(Command::StartRecognition { utterance: id, from });
        Utterance { id, item, start, voiced_at: self.now, revision: 0 }
    }

    /// Ends what is being said or recorded. False if that is nothing.
    pub(super) fn end_speech(&mut self, reason: StopReason) -> bool {
        let end = match &self.user.voice {
            Voice::Silent(_) => return false,
            Voice::Pausing { since, .. } => *since,
            Voice::Speaking(_) | Voice::Recording { .. } => self.user.heard_to,
        };
        self.end_utterance(end, reason);
        true
    }

    fn end_utterance(&mut self, end: AudioPos, reason: StopReason) {
        let utterance = match std::mem::take(&mut self.user.voice) {
            Voice::Silent(_) => return,
            Voice::Speaking(utterance) | Voice::Pausing { utterance, .. } => utterance,
            Voice::Recording { utterance, .. } => {
                self.outbox.event(Event::SpeechStarted { item: utterance.item, at: utterance.start });
                utterance
            }
        };
        self.timers.clear(Timer::AudioGap);
        let at = (end + TAIL).min(self.user.heard_to);
        self.user.recognized_to = at;
        self.outbox.event(Event::SpeechStopped { item: utterance.item, at: end, reason });
        self.outbox.command(Command::RecognizeTo { utterance: utterance.id, at });
        let (id, start) = (utterance.id, utterance.start);
        let content = Content::Speech { utterance: id, start, end, text: None, language: Arc::from("") };
        self.history.put(utterance.item, content);
        self.await_words(utterance, (end, at), reason, Origin::Microphone);
    }

    fn await_words(
        &mut self,
        utterance: Utterance,
        (end, at): (AudioPos, AudioPos),
        reason: StopReason,
        origin: Origin,
    ) {
        if self.user.awaited.len() >= AWAITED_MAX
            && let Some(oldest) = self.user.awaited.pop_front()
        {
            self.give_up(&oldest, "busy");
        }
        let (ended, deadline) = (self.now, self.now + self.settings.transcript_timeout);
        self.user.awaited.push_back(Awaited { utterance, end, at, reason, ended, deadline, origin });
        self.set_transcript_deadline();
    }

    /// The client put in something that was said before.
    pub(super) fn insert_recording(&mut self, item: ItemId, place: Place, end: AudioPos) {
        let (id, start) = (self.user.utterances.next(), AudioPos(0));
        let content = Content::Speech { utterance: id, start, end, text: None, language: Arc::from("") };
        let inserted = Item { id: item, content };
        match self.history.insert(inserted.clone(), place) {
            Ok(after) => self.outbox.event(Event::ItemAdded { item: inserted, after }),
            Err(reason) => return self.outbox.event(Event::ItemRefused { item, reason }),
        }
        self.user.utterances = id;
        self.outbox.command(Command::RecognizeRecording { utterance: id, item, at: end });
        let utterance = Utterance { id, item, start, voiced_at: self.now, revision: 0 };
        self.await_words(utterance, (end, end), StopReason::Committed, Origin::Recording);
    }

    /// The client committed what it recorded, or wants the running utterance to end.
    pub(super) fn commit_audio(&mut self) {
        if matches!(self.user.voice, Voice::Silent(_)) {
            return self.outbox.event(Event::Problem { code: "input_empty", message: "There is no audio to commit." });
        }
        if self.settings.turn_mode == TurnMode::Manual
            && self.settings.reply_automatically
            && self.decide(Happening::ReplyRequested) == Verdict::TakeTheFloor
        {
            self.end_reply(Status::Cancelled);
        }
        self.end_speech(StopReason::Committed);
    }

    /// What was recorded or is being said is forgotten.
    pub(super) fn clear_audio(&mut self) {
        let utterance = match std::mem::take(&mut self.user.voice) {
            Voice::Silent(_) => return,
            Voice::Recording { utterance, .. } => utterance,
            // It was announced, so it has an end too: it was no speech after all.
            Voice::Speaking(utterance) | Voice::Pausing { utterance, .. } => {
                let (item, at) = (utterance.item, self.user.heard_to);
                self.outbox.event(Event::SpeechStopped { item, at, reason: StopReason::Cleared });
                let (text, language) = (Arc::from(""), Arc::from(""));
                let start = utterance.start;
                self.outbox.event(Event::TranscriptFinal { item, text, language, confidence: 0.0, start, end: at });
                utterance
            }
        };
        self.timers.clear(Timer::AudioGap);
        self.user.recognized_to = self.user.heard_to;
        self.history.remove(utterance.item);
        self.outbox.command(Command::CancelRecognition { utterance: utterance.id });
    }

    /// Words so far.
    pub(super) fn partial(&mut self, id: UtteranceId, stable: Arc<str>, unstable: Arc<str>) -> Option<()> {
        let utterance = self.user.utterance(id)?;
        utterance.revision += 1;
        let (item, revision) = (utterance.item, utterance.revision);
        self.outbox.event(Event::TranscriptPartial { item, revision, stable, unstable });
        Some(())
    }

    /// The words of an utterance: a turn stands, or it was no speech after all.
    pub(super) fn transcript(
        &mut self,
        (id, at): (UtteranceId, AudioPos),
        (text, language): (Arc<str>, Arc<str>),
        confidence: f32,
    ) -> Option<()> {
        self.user.awaited.iter().find(|awaited| awaited.utterance.id == id && awaited.at == at)?;
        let awaited = self.user.take_awaited(id)?;
        self.set_transcript_deadline();
        let text = if text.trim().len() == text.len() { text } else { Arc::from(text.trim()) };
        let Utterance { item, start, voiced_at, .. } = awaited.utterance;
        self.outbox.command(Command::CancelRecognition { utterance: id });
        let (words, spoken) = (Arc::clone(&text), Arc::clone(&language));
        self.outbox.event(Event::TranscriptFinal { item, text, language, confidence, start, end: awaited.end });
        if words.is_empty() {
            self.history.remove(item);
            return Some(());
        }
        if let Some(item) = self.history.set_words(item, words, spoken) {
            self.outbox.record(Record::Item(item));
        }
        // A recording that was merely full goes on; the commit ends the turn.
        if awaited.origin == Origin::Recording {
            return Some(());
        }
        let is_whole = awaited.reason != StopReason::TooLong || self.settings.turn_mode == TurnMode::Auto;
        let heard = HeardAt { end: voiced_at.min(awaited.ended), endpoint: awaited.ended, transcript: self.now };
        let asks = awaited.reason != StopReason::Committed || self.settings.reply_to_commits;
        let answer = if is_whole && asks { Answer::Now } else { Answer::OnRequest };
        self.stand(Turn { item, answer, heard: Some(heard) });
        Some(())
    }

    /// The words of an utterance cannot be found: listen again.
    pub(super) fn recognition_failed(&mut self, id: UtteranceId, reason: &'static str) -> Option<()> {
        if let Some(awaited) = self.user.take_awaited(id) {
            self.give_up(&awaited, reason);
            self.set_transcript_deadline();
            return Some(());
        }
        // It broke while the user is still speaking: the words are lost, the rest of the utterance with them.
        self.user.utterance(id)?;
        self.end_speech(StopReason::Committed);
        let awaited = self.user.awaited.pop_back()?;
        self.give_up(&awaited, reason);
        self.set_transcript_deadline();
        Some(())
    }

    /// Gives up on transcripts that took too long.
    pub(super) fn expire_transcripts(&mut self) {
        while let Some(awaited) = self.user.awaited.pop_front_if(|awaited| awaited.deadline <= self.now) {
            self.give_up(&awaited, "timeout");
        }
        self.set_transcript_deadline();
    }

    fn give_up(&mut self, awaited: &Awaited, reason: &'static str) {
        let Utterance { id, item, .. } = awaited.utterance;
        self.outbox.command(Command::CancelRecognition { utterance: id });
        self.outbox.event(Event::TranscriptFailed { item, reason });
        if let Some(item) = self.history.item(item) {
            self.outbox.record(Record::Item(item.clone()));
        }
    }

    fn set_transcript_deadline(&mut self) {
        let first = self.user.awaited.iter().map(|awaited| awaited.deadline).min();
        self.timers.set(Timer::TranscriptOverdue, first);
    }

    /// Words were typed.
    pub(super) fn typed(&mut self, text: Arc<str>, system: bool) {
        if text.trim().is_empty() {
            return self.outbox.event(Event::Problem { code: "input_empty", message: "There are no words in this." });
        }
        let content = if system { Content::SystemText(text) } else { Content::UserText(text) };
        let item = self.history.push(content);
        let id = item.id;
        self.outbox.record(Record::Item(item));
        if !system {
            self.stand(Turn { item: id, answer: Answer::OnRequest, heard: None });
        }
        self.timers.clear(Timer::Idle);
    }

    /// A turn stands. The reply does not wait for a store to confirm it; only the client's notice does.
    fn stand(&mut self, turn: Turn) {
        self.announce_turn(turn.item);
        self.user.unanswered = Some(turn);
    }
}
