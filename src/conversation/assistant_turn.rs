//! The assistant's half: facts about its reply, and when the next may begin.

use std::{sync::Arc, time::Duration};

use super::{
    Conversation, SettingsPatch,
    floor::{self, Happening, Verdict},
    history::History,
    input::{Busy, Context, ContextItem, Place, PlaybackState, ResponseOptions},
    item::{Content, Item},
    outbox::Outbox,
    output::{Event, ItemRefusal, Record, ResponseRefusal, Status},
    response::{Releasing, Response},
    script::Script,
    time::Time,
    timer::{Deadlines, Timer},
    user_turn::{Answer, Turn},
};
use crate::ids::{CallId, ItemId, ResponseId, SegmentId};

/// Announcements waiting; a further one is refused with a [`Event::Problem`].
const ANNOUNCEMENTS_MAX: usize = 64;

/// What the agent is told of a user who says nothing.
const SILENCE: &str = "The user has said nothing for a while.";

/// Replies that are over and whose items a client may still cut to what was heard.
const SPOKEN_MAX: usize = 16;

/// Replies beside the conversation at a time.
const ASIDES_MAX: usize = 4;

/// Whether the assistant has something to say. Thinking, speaking and playing out are read off the reply itself
/// ([`AssistantTurn::half`]): two accounts of one thing could disagree.
#[derive(Debug)]
pub(crate) enum AssistantTurn {
    /// No.
    Idle,
    /// Yes.
    Replying(Box<Response>),
}

/// A reply that is over, kept for a last word on what was heard of it.
#[derive(Debug)]
pub(crate) struct Spoken {
    response: ResponseId,
    script: Script,
    /// What left: a client cannot have heard more.
    sent: Duration,
    /// It was cut off, and the client has not yet told what it had played by then.
    is_cut: bool,
}

/// A reply that stands beside the conversation, and the history that only it sees.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) response: Response,
    pub(crate) history: History,
}

/// Something to be said when it is due and the floor is free.
#[derive(Debug)]
pub(crate) struct Announcement {
    pub(crate) due: Time,
    text: Arc<str>,
}

impl AssistantTurn {
    /// The half that the floor knows.
    pub(crate) fn half(&self) -> floor::Assistant {
        match self {
            Self::Idle => floor::Assistant::Idle,
            Self::Replying(response) if response.playback.is_sent() => floor::Assistant::PlayingOut,
            Self::Replying(response) if response.playback.is_audible() => floor::Assistant::Speaking,
            Self::Replying(_) => floor::Assistant::Thinking,
        }
    }

    /// The reply in progress, if it is this one.
    pub(crate) fn reply(&mut self, id: ResponseId) -> Option<&mut Response> {
        self.current().filter(|response| response.id == id)
    }

    /// The reply in progress.
    pub(crate) fn current(&mut self) -> Option<&mut Response> {
        match self {
            Self::Replying(response) => Some(response),
            Self::Idle => None,
        }
    }
}

impl Conversation {
    /// Begins a reply that the client asked for.
    pub(super) fn request_reply(&mut self, options: ResponseOptions) {
        if let Err(reason) = self.make_room(&options) {
            return self.outbox.event(Event::ResponseRefused { tag: options.tag, reason });
        }
        if options.aside {
            return self.begin_aside(options);
        }
        let turn = self.user.unanswered.take();
        self.begin_reply(turn, options);
    }

    /// Whether a requested reply may begin now; the one in progress ends for it if it must.
    fn make_room(&mut self, options: &ResponseOptions) -> Result<(), ResponseRefusal> {
        if !self.is_open() {
            return Err(ResponseRefusal::Leaving);
        }
        if options.aside {
            return if self.asides.len() < ASIDES_MAX { Ok(()) } else { Err(ResponseRefusal::TooMany) };
        }
        match (self.decide(Happening::ReplyRequested), options.busy) {
            (Verdict::Proceed, _) => Ok(()),
            (Verdict::TakeTheFloor, Busy::Replace) => {
                self.end_reply(Status::Cancelled);
                Ok(())
            }
            (Verdict::TakeTheFloor, Busy::Refuse) | (Verdict::Wait, _) => Err(ResponseRefusal::Busy),
        }
    }

    /// Begins a reply on a free floor.
    pub(super) fn begin_reply(&mut self, turn: Option<Turn>, options: ResponseOptions) {
        let mut response = self.start_reply(turn, &options);
        match (options.say, options.context) {
            (Some(text), _) => response.say(self.now, &text, &mut self.history, &mut self.outbox),
            (None, Context::Only(items)) => {
                let history = self.history.beside(self.chosen(items));
                response.ask(self.now, &history, &mut self.outbox);
            }
            // What the user has just said belongs to the question.
            (None, Context::History) if self.user.awaits_words() => response.hold(),
            (None, Context::History) => response.ask(self.now, &self.history, &mut self.outbox),
        }
        self.assistant = AssistantTurn::Replying(Box::new(response));
    }

    /// Begins a reply beside the conversation.
    fn begin_aside(&mut self, options: ResponseOptions) {
        let mut response = self.start_reply(None, &options);
        let items = match options.context {
            Context::History => self.history.view(),
            Context::Only(items) => self.chosen(items),
        };
        let mut history = self.history.beside(items);
        match options.say {
            Some(text) => response.say(self.now, &text, &mut history, &mut self.outbox),
            None => response.ask(self.now, &history, &mut self.outbox),
        }
        self.history.share_ids(&history);
        self.asides.push(Aside { response, history });
    }

    fn start_reply(&mut self, turn: Option<Turn>, options: &ResponseOptions) -> Response {
        self.responses = self.responses.next();
        let id = self.responses;
        let settings = if options.patch == SettingsPatch::default() {
            Arc::clone(&self.settings)
        } else {
            Arc::new(self.settings.patched(options.patch.clone()))
        };
        let turn_item = turn.map(|turn| turn.item);
        let (tag, aside) = (options.tag, options.aside);
        let governed = Arc::clone(&settings);
        self.outbox.event(Event::ResponseStarted { response: id, turn: turn_item, tag, settings: governed, aside });
        Response::new(id, turn, settings, options.format, self.now)
    }

    /// The items of a context, those that do not stand left out.
    fn chosen(&self, items: Vec<ContextItem>) -> Vec<Item> {
        let item = |item| match item {
            ContextItem::Existing(id) => self.history.item(id).cloned(),
            ContextItem::New(content) => Some(Item { id: ItemId::default(), content }),
        };
        items.into_iter().filter_map(item).collect()
    }

    /// Ends the reply in progress, if there is one.
    pub(super) fn end_reply(&mut self, status: Status) {
        let AssistantTurn::Replying(response) = std::mem::replace(&mut self.assistant, AssistantTurn::Idle) else {
            return;
        };
        // A question whose answer nobody noticed is still open: if what came between was no speech, it is answered yet.
        if status == Status::Interrupted && !response.is_noticed() && response.turn.is_some() {
            self.user.unanswered = response.turn.map(|turn| Turn { answer: Answer::Now, ..turn });
        }
        let (id, sent) = (response.id, response.playback.sent_so_far());
        let is_cut = response.playback.is_audible() && matches!(status, Status::Interrupted | Status::Cancelled);
        let prompt_from = if is_cut { self.now } else { response.playback.played_out(&response.settings) };
        self.prompt_from = Some(prompt_from.max(self.now));
        let script = response.finish(status, self.now, &mut self.history, &mut self.outbox);
        if self.spoken.len() >= SPOKEN_MAX {
            self.spoken.pop_front();
        }
        self.spoken.push_back(Spoken { response: id, script, sent, is_cut });
    }

    /// Ends a reply beside the conversation.
    pub(super) fn end_aside(&mut self, id: ResponseId, status: Status) -> Option<()> {
        let index = self.asides.iter().position(|aside| aside.response.id == id)?;
        let Aside { response, mut history } = self.asides.remove(index);
        let mut outbox = Outbox::default();
        response.finish(status, self.now, &mut history, &mut outbox);
        self.outbox.take_all_but_records(outbox);
        self.history.share_ids(&history);
        Some(())
    }

    /// Does something to a reply: the one in progress, or one beside the conversation, whose items nobody keeps.
    pub(super) fn with_reply<T>(
        &mut self,
        id: ResponseId,
        act: impl FnOnce(&mut Response, &mut History, &mut Outbox) -> Option<T>,
    ) -> Option<T> {
        if let Some(response) = self.assistant.reply(id) {
            return act(response, &mut self.history, &mut self.outbox);
        }
        let aside = self.asides.iter_mut().find(|aside| aside.response.id == id)?;
        aside.history.share_ids(&self.history);
        let mut outbox = Outbox::default();
        let done = act(&mut aside.response, &mut aside.history, &mut outbox);
        self.outbox.take_all_but_records(outbox);
        self.history.share_ids(&aside.history);
        done
    }

    /// Which reply made a call.
    pub(super) fn caller_of(&mut self, call: CallId) -> Option<ResponseId> {
        let beside = self.asides.iter().map(|aside| &aside.response);
        let mut replies = self.assistant.current().map(|response| &*response).into_iter().chain(beside);
        replies.find(|response| response.made(call)).map(|response| response.id)
    }

    /// The client told what it has played: of the reply in progress, or a last word on one that was cut off.
    pub(super) fn playback_progress(&mut self, id: ResponseId, played: Duration, state: PlaybackState) -> Option<()> {
        if let Some(response) = self.assistant.reply(id) {
            response.playback.report(self.now, played, state);
            if state == PlaybackState::Flushed {
                self.end_reply(Status::Cancelled);
            }
            return Some(());
        }
        let AssistantTurn::Idle = self.assistant else { return None };
        let spoken = self.spoken.back_mut().filter(|spoken| spoken.response == id && spoken.is_cut)?;
        if state != PlaybackState::Flushed {
            return None;
        }
        spoken.is_cut = false;
        let heard = spoken.script.heard(played.min(spoken.sent));
        spoken.script.record(heard, true, &mut self.history, &mut self.outbox);
        Some(())
    }

    /// The client cut an item to what was heard of it.
    pub(super) fn truncate(&mut self, item: ItemId, heard: Duration) {
        if self.assistant.current().is_some_and(|response| response.holds(item)) {
            self.end_reply(Status::Cancelled);
        }
        let script = self.spoken.iter().rev().find(|spoken| spoken.script.holds(item)).map(|spoken| &spoken.script);
        let cut = script.and_then(|script| script.cut(item, heard, &mut self.history));
        let Some((heard, cut)) = cut else {
            let stands = self.history.item(item).is_some();
            let reason = if stands { ItemRefusal::NotSpoken } else { ItemRefusal::Unknown };
            return self.outbox.event(Event::ItemRefused { item, reason });
        };
        if let Content::Reply { text, .. } = &cut.content {
            self.outbox.event(Event::ItemTruncated { item, heard, text: Arc::clone(text) });
        }
        self.outbox.record(Record::Item(cut));
    }

    /// The client took an item out.
    pub(super) fn delete(&mut self, item: ItemId) {
        if self.assistant.current().is_some_and(|response| response.holds(item)) {
            self.end_reply(Status::Cancelled);
        }
        let event = if self.history.item(item).is_some() && self.history.remove(item) {
            Event::ItemDeleted { item }
        } else {
            Event::ItemRefused { item, reason: ItemRefusal::Unknown }
        };
        self.outbox.event(event);
    }

    /// The client put an item in.
    pub(super) fn insert(&mut self, item: Item, place: Place) {
        match self.history.insert(item.clone(), place) {
            Ok(after) => {
                self.outbox.record(Record::Item(item.clone()));
                self.outbox.event(Event::ItemAdded { item, after });
            }
            Err(reason) => self.outbox.event(Event::ItemRefused { item: item.id, reason }),
        }
    }

    /// The user has said nothing since the last reply: the assistant speaks up, if it does so by itself.
    pub(super) fn prompt(&mut self) {
        let (Some(wait), Some(_)) = (self.settings.prompt_after, self.prompt_from.take()) else { return };
        let end = self.user.heard_to();
        let item = self.history.push(Content::SystemText(Arc::from(SILENCE)));
        self.outbox.event(Event::InputTimedOut { item: item.id, start: end.before(wait), end });
        self.outbox.record(Record::Item(item));
        if self.settings.reply_automatically {
            self.begin_reply(None, ResponseOptions::default());
        }
    }

    /// A segment cannot be spoken. Its words have been shown; the reply goes on.
    pub(super) fn fail_segment(&mut self, id: ResponseId, segment: SegmentId) -> Option<()> {
        let now = self.now;
        self.with_reply(id, |reply, _, _| reply.take_end_of_segment(now, segment))?;
        self.outbox.event(Event::Problem { code: "speech_failed", message: "A part of the reply cannot be spoken." });
        Some(())
    }

    /// Notes something to be said later. Those due at the same time keep their order.
    pub(super) fn set_announcement(&mut self, after: Duration, text: Arc<str>) {
        if self.announcements.len() >= ANNOUNCEMENTS_MAX {
            let message = "Too many announcements are waiting; this one was dropped.";
            return self.outbox.event(Event::Problem { code: "announcements_full", message });
        }
        let due = self.now + after;
        let place = self.announcements.partition_point(|waiting| waiting.due <= due);
        self.announcements.insert(place, Announcement { due, text });
    }

    /// Lets everything happen that has become possible, and sets the deadlines that follow.
    pub(super) fn settle(&mut self) {
        self.settle_asides();
        loop {
            if let Some(response) = self.assistant.current() {
                if response.is_held() && !self.user.awaits_words() {
                    response.turn = response.turn.or(self.user.unanswered.take());
                    response.ask(self.now, &self.history, &mut self.outbox);
                }
                match response.advance(self.now, self.releasing, &self.history, &mut self.outbox) {
                    Some(status) => self.end_reply(status),
                    None => break,
                }
            } else if !self.take_up() {
                break;
            }
        }
        self.set_deadlines();
    }

    fn settle_asides(&mut self) {
        let (now, releasing) = (self.now, self.releasing);
        for id in self.asides.iter().map(|aside| aside.response.id).collect::<Vec<_>>() {
            let advance = |reply: &mut Response, history: &mut History, outbox: &mut Outbox| {
                reply.advance(now, releasing, history, outbox)
            };
            if let Some(status) = self.with_reply(id, advance) {
                self.end_aside(id, status);
            }
        }
    }

    /// What the assistant turns to next; false if it rests.
    fn take_up(&mut self) -> bool {
        if !self.is_open() {
            self.leave_if_free();
            return false;
        }
        let answers = self.settings.reply_automatically;
        if let Some(turn) = self.user.unanswered.filter(|turn| answers && turn.answer == Answer::Now)
            && self.decide(Happening::TurnStands) == Verdict::Proceed
        {
            self.user.unanswered = None;
            self.begin_reply(Some(turn), ResponseOptions::default());
            return true;
        }
        if self.announcements.front().is_some_and(|first| first.due <= self.now)
            && self.decide(Happening::AnnouncementDue) == Verdict::Proceed
            && let Some(first) = self.announcements.pop_front()
        {
            self.begin_reply(None, ResponseOptions { say: Some(first.text), ..ResponseOptions::default() });
            return true;
        }
        false
    }

    fn set_deadlines(&mut self) {
        let deadlines = match &self.assistant {
            AssistantTurn::Replying(response) => response.deadlines(),
            AssistantTurn::Idle => Deadlines::default(),
        };
        let beside = self.asides.iter().map(|aside| aside.response.deadlines());
        let deadlines = beside.fold(deadlines, Deadlines::or);
        self.timers.set(Timer::FirstDelta, deadlines.first_delta);
        self.timers.set(Timer::DeltaGap, deadlines.delta_gap);
        self.timers.set(Timer::ReplyOverdue, deadlines.reply);
        self.timers.set(Timer::FirstAudio, deadlines.first_audio);
        self.timers.set(Timer::ToolCall, deadlines.tool_call);
        let is_releasing = self.releasing == Releasing::Allowed;
        self.timers.set(Timer::SendAhead, deadlines.send_ahead.filter(|_| is_releasing));
        self.timers.set(Timer::PlayedOut, deadlines.played_out);

        // One that is due already waits for the floor, not for the clock.
        let next = self.announcements.front().map(|first| first.due).filter(|due| *due > self.now && self.is_open());
        self.timers.set(Timer::Announcement, next);
        let prompt = self.settings.prompt_after.zip(self.prompt_from).filter(|_| self.is_at_rest());
        self.timers.set(Timer::Prompt, prompt.map(|(wait, from)| from + wait));
        if !self.is_at_rest() {
            self.timers.clear(Timer::Idle);
        } else if !self.timers.is_set(Timer::Idle) && !self.settings.idle_timeout.is_zero() {
            self.timers.set(Timer::Idle, Some(self.now + self.settings.idle_timeout));
        }
    }
}
