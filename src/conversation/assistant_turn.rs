//! The assistant's half: facts about its reply, and when the next may begin.

use std::{sync::Arc, time::Duration};

use super::{
    Conversation,
    floor::{self, Happening, Verdict},
    input::{PlaybackState, ResponseOptions},
    output::{Event, Status},
    response::{Deadlines, Releasing, Response},
    script::Script,
    time::Time,
    timer::Timer,
    user_turn::{Answer, Turn},
};
use crate::ids::{ResponseId, SegmentId};

/// Announcements waiting; a further one is refused with a [`Event::Problem`].
const ANNOUNCEMENTS_MAX: usize = 64;

/// Whether the assistant has something to say. Thinking, speaking and playing out are read off the reply itself
/// ([`AssistantTurn::half`]): two accounts of one thing could disagree.
#[derive(Debug)]
pub(crate) enum AssistantTurn {
    /// No. The last reply may have been cut off; its client may still tell what was heard of it.
    Idle { cut: Option<Cut> },
    /// Yes.
    Replying(Box<Response>),
}

/// A reply that was cut off, kept for a last word on what was heard of it.
#[derive(Debug)]
pub(crate) struct Cut {
    response: ResponseId,
    script: Script,
    /// What left: a client cannot have heard more.
    sent: Duration,
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
            Self::Idle { .. } => floor::Assistant::Idle,
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
            Self::Idle { .. } => None,
        }
    }
}

impl Conversation {
    /// Begins a reply, ending the one in progress.
    pub(super) fn request_reply(&mut self, options: ResponseOptions) {
        if !self.is_open() {
            return self.outbox.event(Event::Problem { code: "going_away", message: "No further reply is begun." });
        }
        match self.decide(Happening::ReplyRequested) {
            Verdict::Wait => return,
            Verdict::TakeTheFloor => self.end_reply(Status::Cancelled),
            Verdict::Proceed => {}
        }
        let turn = self.user.unanswered.take();
        self.begin_reply(turn, options);
    }

    /// Begins a reply on a free floor.
    pub(super) fn begin_reply(&mut self, turn: Option<Turn>, options: ResponseOptions) {
        self.responses = self.responses.next();
        let mut response = Response::new(self.responses, turn, Arc::clone(&self.settings), self.now);
        self.outbox.event(Event::ResponseStarted { response: response.id, turn: turn.map(|turn| turn.item) });
        match options.say {
            Some(text) => response.say(self.now, &text, &mut self.history, &mut self.outbox),
            None => response.ask(self.now, options.instructions, &self.history, &mut self.outbox),
        }
        self.assistant = AssistantTurn::Replying(Box::new(response));
    }

    /// Ends the reply in progress, if there is one.
    pub(super) fn end_reply(&mut self, status: Status) {
        let AssistantTurn::Replying(response) =
            std::mem::replace(&mut self.assistant, AssistantTurn::Idle { cut: None })
        else {
            return;
        };
        // A question whose answer nobody noticed is still open: if what came between was no speech, it is answered yet.
        if status == Status::Interrupted && !response.is_noticed() && response.turn.is_some() {
            self.user.unanswered = response.turn.map(|turn| Turn { answer: Answer::Now, ..turn });
        }
        let (id, is_audible, sent) = (response.id, response.playback.is_audible(), response.playback.sent_so_far());
        let script = response.finish(status, self.now, &mut self.history, &mut self.outbox);
        let is_cut = is_audible && matches!(status, Status::Interrupted | Status::Cancelled);
        self.assistant = AssistantTurn::Idle { cut: is_cut.then_some(Cut { response: id, script, sent }) };
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
        let AssistantTurn::Idle { cut } = &mut self.assistant else { return None };
        let cut = cut.take_if(|cut| cut.response == id && state == PlaybackState::Flushed)?;
        let heard = cut.script.heard(played.min(cut.sent));
        cut.script.record(heard, true, &mut self.history, &mut self.outbox);
        Some(())
    }

    /// A segment cannot be spoken. Its words have been shown; the reply goes on.
    pub(super) fn fail_segment(&mut self, id: ResponseId, segment: SegmentId) -> Option<()> {
        self.assistant.reply(id)?.take_end_of_segment(self.now, segment)?;
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
        loop {
            if let Some(response) = self.assistant.current() {
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
            self.begin_reply(None, ResponseOptions { say: Some(first.text), instructions: None });
            return true;
        }
        false
    }

    fn set_deadlines(&mut self) {
        let deadlines = match &self.assistant {
            AssistantTurn::Replying(response) => response.deadlines(),
            AssistantTurn::Idle { .. } => Deadlines::default(),
        };
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
        if !self.is_at_rest() {
            self.timers.clear(Timer::Idle);
        } else if !self.timers.is_set(Timer::Idle) && !self.settings.idle_timeout.is_zero() {
            self.timers.set(Timer::Idle, Some(self.now + self.settings.idle_timeout));
        }
    }
}
