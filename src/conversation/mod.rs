//! The rules of a conversation, as a plain value: facts in, effects out.
//!
//! No IO, no clock, no task, no randomness: the same facts at the same times give the same outputs, byte for byte.
//!
//! Two parties speak at once, so there are two half-machines, the user's (`user_turn.rs`) and the assistant's
//! (`assistant_turn.rs`, with one `response.rs` at a time), and a table that says who may go ahead ([`floor`]). Work done
//! elsewhere carries the id of its utterance or response; a fact with an id that is over changes nothing.

mod assistant_turn;
mod durability;
mod endpointing;
pub mod floor;
pub mod history;
pub mod input;
pub mod item;
mod outbox;
pub mod output;
mod playback;
mod response;
mod script;
pub(crate) mod segmenter;
pub mod settings;
pub mod time;
pub mod timer;
mod user_turn;

use std::{collections::VecDeque, sync::Arc, time::Duration};

pub use history::History;
pub use input::{AgentStop, Busy, Context, ContextItem, Input, Place, PlaybackState, ResponseOptions, Usage};
pub use item::{Content, Item};
pub use output::{
    CloseReason, Command, Event, ItemRefusal, Output, Record, ReplyRequest, ResponseRefusal, Status, StopReason,
    Timings,
};
pub use settings::{ClientCalls, Delivery, Settings, SettingsPatch, ToolChoice, ToolPlace, ToolSpec, TurnMode};
pub use time::Time;
pub use timer::Timer;

use self::{
    assistant_turn::{Announcement, Aside, AssistantTurn, Spoken},
    durability::Unconfirmed,
    floor::{Happening, Verdict},
    outbox::Outbox,
    response::{Releasing, Response},
    timer::TimerTable,
    user_turn::UserTurn,
};
use crate::ids::{CallId, ResponseId};

/// One conversation.
///
/// *Contract:* after [`Conversation::new`] and after every `handle_*`, [`Conversation::poll_output`] is called until it
/// gives `None`, and only then the next fact is handed in. Nothing fails: what goes wrong outside is a fact, too.
#[derive(Debug)]
pub struct Conversation {
    settings: Arc<Settings>,
    now: Time,
    life: Life,
    releasing: Releasing,
    user: UserTurn,
    assistant: AssistantTurn,
    /// At most as many as `begin_aside` allows.
    asides: Vec<Aside>,
    /// Replies that are over, newest last; at most as many as `end_reply` keeps.
    spoken: VecDeque<Spoken>,
    /// Since when it is the user's turn to say something, once there was a reply.
    prompt_from: Option<Time>,
    history: History,
    unconfirmed: Unconfirmed,
    announcements: VecDeque<Announcement>,
    timers: TimerTable,
    outbox: Outbox,
    responses: ResponseId,
    calls: CallId,
    stale_facts: u64,
}

/// What was said before, in a session that is over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// The items in order. Places in the audio are those of that session.
    pub items: Vec<Item>,
    /// Its newest reply.
    pub response: ResponseId,
    /// Its newest tool call.
    pub call: CallId,
}

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Talking.
    Open,
    /// Finishing what is being said, beginning nothing; then closing for this reason.
    Leaving(CloseReason),
    /// Over. No fact changes anything.
    Closed,
}

impl Conversation {
    /// A conversation that begins `now`, with the greeting if there is one.
    pub fn new(settings: Settings, now: Time) -> Self {
        let greeting = Some(Arc::clone(&settings.greeting)).filter(|greeting| !greeting.is_empty());
        Self::begin(settings, Past::default(), greeting, now)
    }

    /// A conversation that goes on `now`, after the session that held it was lost. Whoever comes back is not greeted.
    pub fn going_on(settings: Settings, past: Past, now: Time) -> Self {
        Self::begin(settings, past, None, now)
    }

    fn begin(settings: Settings, past: Past, greeting: Option<Arc<str>>, now: Time) -> Self {
        let mut conversation = Self {
            settings: Arc::new(settings),
            now,
            life: Life::Open,
            releasing: Releasing::Allowed,
            user: UserTurn::default(),
            assistant: AssistantTurn::Idle,
            asides: Vec::new(),
            spoken: VecDeque::new(),
            prompt_from: None,
            history: History::going_on(past.items),
            unconfirmed: Unconfirmed::default(),
            announcements: VecDeque::new(),
            timers: TimerTable::default(),
            outbox: Outbox::default(),
            responses: past.response,
            calls: past.call,
            stale_facts: 0,
        };
        let session_max = conversation.settings.session_max;
        conversation.timers.set(Timer::SessionMax, (!session_max.is_zero()).then(|| now + session_max));
        if greeting.is_some() {
            conversation.begin_reply(None, ResponseOptions { say: greeting, ..ResponseOptions::default() });
        }
        conversation.settle();
        conversation
    }

    /// One fact. Time never runs backwards: a late `now` counts as the latest one.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        debug_assert!(self.outbox.is_empty(), "poll_output until None before the next fact");
        self.now = self.now.max(now);
        if self.life == Life::Closed {
            self.stale_facts += 1;
            return;
        }
        // Frames settle for themselves, if they change anything.
        if let Input::Frame { end, speech } = input {
            if self.hear(end, speech).is_none() {
                self.stale_facts += 1;
            }
            return;
        }
        if self.take(input).is_none() {
            self.stale_facts += 1;
        }
        self.settle();
    }

    /// The time of [`Conversation::poll_timeout`] has come. Afterwards the next one lies in the future.
    pub fn handle_timeout(&mut self, now: Time) {
        debug_assert!(self.outbox.is_empty(), "poll_output until None before the next fact");
        self.now = self.now.max(now);
        loop {
            while let Some(timer) = self.timers.take_due(self.now) {
                self.fire(timer);
            }
            self.settle();
            if self.timers.next().is_none_or(|(at, _)| at > self.now) {
                break;
            }
        }
    }

    /// The next effect; `None` when there is no more.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    /// When [`Conversation::handle_timeout`] is to be called, and why.
    pub fn poll_timeout(&self) -> Option<(Time, Timer)> {
        self.timers.next()
    }

    /// What was said and heard.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What governs the conversation now.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Facts that came too late to change anything.
    pub fn stale_facts(&self) -> u64 {
        self.stale_facts
    }

    /// The two halves as they are.
    pub fn halves(&self) -> (floor::User, floor::Assistant) {
        (self.user.half(), self.assistant.half())
    }

    /// Whether nobody is saying anything, nor about to.
    pub fn is_at_rest(&self) -> bool {
        let nobody = (floor::User::Silent, floor::Assistant::Idle);
        self.is_open() && self.halves() == nobody && self.announcements.is_empty() && self.asides.is_empty()
    }

    /// Whether what the user says now interrupts nothing and is awaited by nobody: the assistant has neither the floor nor
    /// the user's last words before it. A recording that comes faster than it was spoken waits for this.
    pub fn is_listening(&self) -> bool {
        let (user, assistant) = self.halves();
        user != floor::User::Committing && assistant == floor::Assistant::Idle
    }

    fn is_open(&self) -> bool {
        self.life == Life::Open
    }

    fn decide(&self, happening: Happening) -> Verdict {
        let (user, assistant) = self.halves();
        floor::decide(user, assistant, happening)
    }

    /// Applies a fact. `None`: it was about something that is over.
    fn take(&mut self, input: Input) -> Option<()> {
        let now = self.now;
        match input {
            Input::SettingsChanged(patch) => self.change_settings(*patch),
            Input::TextEntered { text, system } => self.typed(text, system),
            Input::ItemInserted { item, place, content } => self.insert(Item { id: item, content }, place),
            Input::RecordingInserted { item, place, end } => self.insert_recording(item, place, end),
            Input::ItemDeleted(item) => self.delete(item),
            Input::ItemTruncated { item, heard } => self.truncate(item, heard),
            Input::AudioCommitted => self.commit_audio(),
            Input::AudioCleared => {
                self.clear_audio();
                self.outbox.event(Event::AudioCleared);
            }
            Input::Muted(muted) => {
                if muted && self.settings.turn_mode == TurnMode::Auto {
                    self.end_speech(StopReason::AudioGap);
                }
            }
            Input::ResponseRequested(options) => self.request_reply(*options),
            Input::ResponseCancelled(Some(id)) if self.asides.iter().any(|aside| aside.response.id == id) => {
                self.end_aside(id, Status::Cancelled)?;
            }
            Input::ResponseCancelled(id) => {
                self.assistant.current().filter(|response| id.is_none_or(|id| id == response.id))?;
                self.end_reply(Status::Cancelled);
            }
            Input::PlaybackProgress { response, played, state } => self.playback_progress(response, played, state)?,
            Input::Frame { end, speech } => self.hear(end, speech)?,
            Input::TranscriptPartial { utterance, stable, tail } => self.partial(utterance, stable, tail)?,
            Input::TranscriptFinal { utterance, at, text, language, confidence } => {
                self.transcript((utterance, at), (text, language), confidence)?;
            }
            Input::RecognitionFailed { utterance, reason } => self.recognition_failed(utterance, reason)?,
            Input::AnnouncementSet { after, text } => self.set_announcement(after, text),
            Input::AnnouncementsCancelled => self.announcements.clear(),
            Input::ItemStored(item) => self.confirm(item, true)?,
            Input::ItemNotStored(item) => self.confirm(item, false)?,
            Input::PeerLost => self.lose_peer(),
            Input::PeerBack => self.releasing = Releasing::Allowed,
            Input::Draining { deadline } => self.leave(CloseReason::Restart, deadline),
            Input::Goodbye { flush: true } => self.leave(CloseReason::Goodbye, now + self.settings.reply_timeout),
            Input::Goodbye { flush: false } => self.close(CloseReason::Goodbye),
            of_reply => self.take_of_reply(of_reply)?,
        }
        Some(())
    }

    /// Facts about a reply in progress, or stale ones about others.
    fn take_of_reply(&mut self, input: Input) -> Option<()> {
        let now = self.now;
        match input {
            Input::ReplyText { response, delta } => {
                self.with_reply(response, |reply, history, outbox| reply.take_text(now, &delta, history, outbox))
            }
            Input::ToolCalled { response, name, arguments } => {
                let call = self.calls.next();
                self.with_reply(response, |reply, history, outbox| {
                    reply.take_call(now, (call, &name, &arguments), history, outbox)
                })?;
                self.calls = call;
                Some(())
            }
            Input::ReplyFinished { response, usage, stop } => {
                self.with_reply(response, |reply, history, _| reply.take_end_of_round(usage, stop, history))
            }
            Input::ReplyFailed { response, reason } => {
                self.with_reply(response, |reply, history, outbox| reply.fail(now, reason, history, outbox))
            }
            Input::ToolFinished { call, output, failed } => {
                let response = self.caller_of(call)?;
                self.with_reply(response, |reply, history, outbox| {
                    reply.take_result(call, output, failed, history, outbox)
                })
            }
            Input::SpeechChunk { response, segment, audio } => {
                self.with_reply(response, |reply, _, _| reply.take_chunk(now, segment, audio))
            }
            Input::SpeechFinished { response, segment } => {
                self.with_reply(response, |reply, _, _| reply.take_end_of_segment(now, segment))
            }
            Input::SpeechFailed { response, segment, .. } => self.fail_segment(response, segment),
            Input::AudioSent { response, duration } => self.with_reply(response, |reply, _, _| {
                reply.take_sent(now, duration);
                Some(())
            }),
            _ => None,
        }
    }

    fn fire(&mut self, timer: Timer) {
        let now = self.now;
        match timer {
            Timer::AudioGap => {
                self.end_speech(StopReason::AudioGap);
            }
            Timer::TranscriptOverdue => self.expire_transcripts(),
            Timer::StoreOverdue => self.expire_confirmations(),
            Timer::FirstDelta | Timer::DeltaGap | Timer::ReplyOverdue | Timer::ToolCall => self.expire_replies(),
            Timer::FirstAudio => self.expire_speech(),
            Timer::Prompt => self.prompt(),
            // Settling does what has become possible.
            Timer::SendAhead | Timer::PlayedOut | Timer::Announcement => {}
            Timer::Idle => self.close(CloseReason::Idle),
            Timer::SessionMax => self.leave(CloseReason::TooLong, now + self.settings.reply_timeout),
            Timer::Drain => {
                if let Life::Leaving(reason) = self.life {
                    self.close(reason);
                }
            }
        }
    }

    /// Gives up on agents and tools that took too long.
    fn expire_replies(&mut self) {
        let now = self.now;
        for id in self.replies() {
            self.with_reply(id, |reply, history, outbox| {
                reply.expire(now, history, outbox);
                Some(())
            });
        }
    }

    /// Gives up on segments whose speech took too long.
    fn expire_speech(&mut self) {
        let now = self.now;
        for id in self.replies() {
            let is_late = |reply: &Response| reply.deadlines().first_audio.is_some_and(|at| at <= now);
            let owed = |reply: &mut Response, _: &mut History, _: &mut Outbox| {
                is_late(reply).then(|| reply.segment_at_voice()).flatten()
            };
            if let Some(segment) = self.with_reply(id, owed) {
                self.fail_segment(id, segment);
            }
        }
    }

    /// Every reply in progress.
    fn replies(&mut self) -> Vec<ResponseId> {
        let current = self.assistant.current().map(|reply| reply.id);
        current.into_iter().chain(self.asides.iter().map(|aside| aside.response.id)).collect()
    }

    fn change_settings(&mut self, patch: SettingsPatch) {
        let settings = self.settings.patched(patch);
        match (self.settings.turn_mode, settings.turn_mode) {
            (TurnMode::Auto, TurnMode::Manual) => {
                self.end_speech(StopReason::Committed);
            }
            (TurnMode::Manual, TurnMode::Auto) => self.clear_audio(),
            _ => {}
        }
        self.settings = Arc::new(settings);
        self.outbox.event(Event::SettingsUpdated(Arc::clone(&self.settings)));
    }

    /// The client is gone and may come back with the audio it kept: what it was saying is not over yet.
    fn lose_peer(&mut self) {
        self.releasing = Releasing::Held;
        if self.timers.is_set(Timer::AudioGap) {
            self.timers.set(Timer::AudioGap, Some(self.now + LOST_GAP.max(self.settings.audio_gap)));
        }
    }

    /// Begins to leave: what is being said is finished and what was said is understood, but nothing new is begun.
    fn leave(&mut self, reason: CloseReason, deadline: Time) {
        if self.is_open() {
            match self.settings.turn_mode {
                TurnMode::Auto => drop(self.end_speech(StopReason::Committed)),
                TurnMode::Manual => self.clear_audio(),
            }
            self.life = Life::Leaving(reason);
            self.announcements.clear();
            self.timers.clear(Timer::SessionMax);
        }
        self.timers.set(Timer::Drain, Some(deadline));
        if reason != CloseReason::Goodbye {
            self.outbox.event(Event::GoingAway { within: deadline.since(self.now) });
        }
        if deadline <= self.now {
            self.close(reason);
        }
    }

    fn leave_if_free(&mut self) {
        if let Life::Leaving(reason) = self.life
            && self.decide(Happening::Leaving) == Verdict::Proceed
            && self.unconfirmed.is_empty()
        {
            self.close(reason);
        }
    }

    /// The end, at once.
    fn close(&mut self, reason: CloseReason) {
        self.end_reply(Status::Cancelled);
        for id in self.replies() {
            self.end_aside(id, Status::Cancelled);
        }
        for utterance in self.user.take_open() {
            self.outbox.command(Command::CancelRecognition { utterance });
        }
        self.give_up_confirmations();
        self.life = Life::Closed;
        self.announcements.clear();
        self.timers = TimerTable::default();
        self.outbox.event(Event::Ended(reason));
        self.outbox.command(Command::Close(reason));
    }
}

/// How long what a lost client was saying waits for its end: as long as clients keep audio.
const LOST_GAP: Duration = Duration::from_secs(10);
