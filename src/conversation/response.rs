//! One reply, from request to its one and only end.

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use super::{
    history::History,
    input::{AgentStop, Usage},
    item::Content,
    outbox::Outbox,
    output::{Command, Event, Record, ReplyRequest, Status, Timings},
    playback::Playback,
    script::Script,
    segmenter::Segmenter,
    settings::{ClientCalls, Settings, ToolChoice, ToolPlace},
    time::Time,
    timer::Deadlines,
    user_turn::Turn,
};
use crate::{
    audio::{AudioChunk, Format},
    ids::{CallId, ItemId, ResponseId, SegmentId},
};

/// Segments with the voice at once: the one being spoken and the one after it.
const SEGMENTS_AT_VOICE_MAX: usize = 2;
/// Bytes of words in a reply; what exceeds it is not said.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// A reply in progress.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) id: ResponseId,
    pub(crate) turn: Option<Turn>,
    pub(crate) settings: Arc<Settings>,
    format: Option<Format>,
    words: Words,
    script: Script,
    segmenter: Segmenter,
    /// Cut, but not yet given to the voice. As long as the text: the voice's credit decides how fast it empties.
    unspoken: VecDeque<(SegmentId, Arc<str>)>,
    at_voice: VecDeque<SegmentId>,
    voice_heard_of: Time,
    calls: Vec<Call>,
    pub(crate) playback: Playback,
    usage: Usage,
    started: Time,
    first_text: Option<Time>,
    first_audio: Option<Time>,
    first_sent: Option<Time>,
}

/// Where the words come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    /// The agent will be asked when the user's last words are there.
    Held,
    /// The agent was asked and has said nothing yet.
    Asked { round: u32, at: Time },
    /// The agent is talking.
    Flowing { round: u32, latest: Time },
    /// The agent waits for its tools.
    AtTools { round: u32 },
    /// All words are there, and so the reply will end like this if nothing comes between.
    Complete(Status),
}

/// A tool call and whether it is answered.
#[derive(Debug)]
struct Call {
    id: CallId,
    state: CallState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallState {
    Running {
        deadline: Time,
    },
    Answered,
    /// The client answers it, in a reply of its own.
    HandedOver,
}

impl Response {
    pub(crate) fn new(
        id: ResponseId,
        turn: Option<Turn>,
        settings: Arc<Settings>,
        format: Option<Format>,
        now: Time,
    ) -> Self {
        Self {
            id,
            turn,
            settings,
            format,
            words: Words::Complete(Status::Completed),
            script: Script::new(id),
            segmenter: Segmenter::default(),
            unspoken: VecDeque::new(),
            at_voice: VecDeque::new(),
            voice_heard_of: now,
            calls: Vec::new(),
            playback: Playback::new(now),
            usage: Usage::default(),
            started: now,
            first_text: None,
            first_audio: None,
            first_sent: None,
        }
    }

    /// Asks the agent.
    pub(crate) fn ask(&mut self, now: Time, history: &History, outbox: &mut Outbox) {
        self.generate(now, 0, history, outbox);
    }

    /// Asks the agent later: the user's last words are still being recognised.
    pub(crate) fn hold(&mut self) {
        self.words = Words::Held;
    }

    /// Whether the agent is yet to be asked.
    pub(crate) fn is_held(&self) -> bool {
        self.words == Words::Held
    }

    /// Says these very words and then ends.
    pub(crate) fn say(&mut self, now: Time, text: &Arc<str>, history: &mut History, outbox: &mut Outbox) {
        self.append(now, text, history, outbox);
        self.cut_rest(history);
    }

    /// Whether these words are this reply's.
    pub(crate) fn holds(&self, item: ItemId) -> bool {
        self.script.holds(item)
    }

    /// Whether a call is this reply's.
    pub(crate) fn made(&self, call: CallId) -> bool {
        self.calls.iter().any(|made| made.id == call)
    }

    /// Whether the user has noticed anything of it.
    pub(crate) fn is_noticed(&self) -> bool {
        self.playback.is_audible() || (!self.settings.speak && !self.script.text().is_empty())
    }

    // ---- what the agent says; `None` means that the fact is about words that are over

    pub(crate) fn take_text(
        &mut self,
        now: Time,
        delta: &Arc<str>,
        history: &mut History,
        outbox: &mut Outbox,
    ) -> Option<()> {
        let round = self.round()?;
        self.words = Words::Flowing { round, latest: now };
        if delta.is_empty() {
            return Some(());
        }
        self.append(now, delta, history, outbox);
        self.cut_ready(history);
        if self.script.text().len() > REPLY_BYTES_MAX {
            self.end_words(Status::Completed, history);
        }
        Some(())
    }

    pub(crate) fn take_call(
        &mut self,
        now: Time,
        (call, name, arguments): (CallId, &Arc<str>, &Arc<str>),
        history: &mut History,
        outbox: &mut Outbox,
    ) -> Option<()> {
        let round = self.round()?;
        self.words = Words::Flowing { round, latest: now };
        self.cut_rest(history);
        let (response, name, arguments) = (self.id, Arc::clone(name), Arc::clone(arguments));
        let (called, with) = (Arc::clone(&name), Arc::clone(&arguments));
        let content = Content::ToolCall { response: Some(response), call, name: called, arguments: with };
        let item = history.push(content);
        let id = item.id;
        outbox.record(Record::Item(item));

        let tool = self.settings.tools.iter().find(|tool| tool.name == name && self.may_call_tools(round));
        let place = tool.map(|tool| tool.place);
        let state = match (place, self.settings.client_calls) {
            (Some(ToolPlace::Client), ClientCalls::EndReply) => CallState::HandedOver,
            _ => CallState::Running { deadline: now + self.settings.tool_timeout },
        };
        self.calls.push(Call { id: call, state });
        match place {
            Some(ToolPlace::Server) => outbox.command(Command::RunTool { response, call, name, arguments }),
            Some(ToolPlace::Client) => {
                outbox.event(Event::ToolCallRequested { response, item: id, call, name, arguments });
            }
            None => {
                let output = Arc::from("There is no such tool, or no more calls are allowed. Answer without it.");
                self.take_result(call, output, true, history, outbox);
            }
        }
        Some(())
    }

    pub(crate) fn take_end_of_round(&mut self, usage: Usage, stop: AgentStop, history: &mut History) -> Option<()> {
        let round = self.round()?;
        self.usage.input_tokens = self.usage.input_tokens.saturating_add(usage.input_tokens);
        self.usage.output_tokens = self.usage.output_tokens.saturating_add(usage.output_tokens);
        if self.calls.is_empty() || !self.may_call_tools(round) {
            let status = if stop == AgentStop::Finished { Status::Completed } else { Status::Incomplete(stop) };
            self.end_words(status, history);
        } else {
            self.cut_rest(history);
            self.words = Words::AtTools { round };
        }
        Some(())
    }

    /// The result of a call. `None` if that call is not waiting for one.
    pub(crate) fn take_result(
        &mut self,
        call: CallId,
        output: Arc<str>,
        failed: bool,
        history: &mut History,
        outbox: &mut Outbox,
    ) -> Option<()> {
        let is_running = |waiting: &&mut Call| matches!(waiting.state, CallState::Running { .. });
        let waiting = self.calls.iter_mut().filter(is_running).find(|waiting| waiting.id == call)?;
        waiting.state = CallState::Answered;
        outbox.record(Record::Item(history.push(Content::ToolOutput { call, output, failed })));
        Some(())
    }

    /// Gives up on whatever took too long.
    pub(crate) fn expire(&mut self, now: Time, history: &mut History, outbox: &mut Outbox) {
        let due = |deadline: Option<Time>| deadline.is_some_and(|at| at <= now);
        let deadlines = self.deadlines();
        if due(deadlines.first_delta) || due(deadlines.delta_gap) || due(deadlines.reply) {
            self.fail(now, "timeout", history, outbox);
        }
        let late =
            |call: &Call| matches!(call.state, CallState::Running { deadline } if deadline <= now).then_some(call.id);
        for call in self.calls.iter().filter_map(late).collect::<Vec<_>>() {
            self.take_result(call, Arc::from("The tool took too long."), true, history, outbox);
        }
    }

    /// There will be no more words. If none was given to the voice yet, an apology is: a failure is never silence.
    pub(crate) fn fail(
        &mut self,
        now: Time,
        reason: &'static str,
        history: &mut History,
        outbox: &mut Outbox,
    ) -> Option<()> {
        if matches!(self.words, Words::Complete(_)) {
            return None;
        }
        outbox.event(Event::Problem { code: "reply_failed", message: "The reply could not be finished." });
        self.cut_open_calls(history, outbox);
        if self.segmenter.count() == 0 && !self.settings.apology.is_empty() {
            self.script.end_line();
            let apology = Arc::clone(&self.settings.apology);
            self.append(now, &apology, history, outbox);
        }
        self.end_words(Status::Failed(reason), history);
        Some(())
    }

    // ---- what the voice says; `None` means that the segment is not the one being spoken

    pub(crate) fn take_chunk(&mut self, now: Time, segment: SegmentId, chunk: AudioChunk) -> Option<()> {
        self.at_voice.front().filter(|current| **current == segment)?;
        self.voice_heard_of = now;
        self.first_audio.get_or_insert(now);
        self.script.add_audio(segment, chunk.duration());
        let item = self.script.item_of(segment)?;
        self.playback.queue(item, chunk);
        Some(())
    }

    pub(crate) fn take_end_of_segment(&mut self, now: Time, segment: SegmentId) -> Option<()> {
        self.at_voice.front().filter(|current| **current == segment)?;
        self.at_voice.pop_front();
        self.voice_heard_of = now;
        self.script.end_track(segment);
        Some(())
    }

    /// The segment that the voice owes.
    pub(crate) fn segment_at_voice(&self) -> Option<SegmentId> {
        self.at_voice.front().copied()
    }

    pub(crate) fn take_sent(&mut self, now: Time, duration: Duration) {
        self.first_sent.get_or_insert(now);
        self.playback.sent(now, duration);
    }

    // ---- what follows

    /// Everything that has become possible: the next round, the next segment, the next chunk. How the reply ends, once it
    /// has.
    pub(crate) fn advance(
        &mut self,
        now: Time,
        releasing: Releasing,
        history: &History,
        outbox: &mut Outbox,
    ) -> Option<Status> {
        if let Words::AtTools { round } = self.words
            && !self.calls.iter().any(|call| matches!(call.state, CallState::Running { .. }))
        {
            if self.calls.drain(..).any(|call| call.state == CallState::HandedOver) {
                self.words = Words::Complete(Status::Completed);
            } else {
                self.generate(now, round + 1, history, outbox);
            }
        }
        while self.at_voice.len() < SEGMENTS_AT_VOICE_MAX
            && self.playback.queued() < self.settings.queued_audio_max
            && let Some((segment, text)) = self.unspoken.pop_front()
        {
            if self.at_voice.is_empty() {
                self.voice_heard_of = now;
            }
            self.at_voice.push_back(segment);
            let (voice, speed, format) = (Arc::clone(&self.settings.voice), self.settings.speed, self.format);
            outbox.command(Command::Speak { response: self.id, segment, text, voice, speed, format });
        }
        let Words::Complete(status) = self.words else {
            self.release(now, releasing, outbox);
            return None;
        };
        if self.unspoken.is_empty() && self.at_voice.is_empty() {
            self.playback.close();
        }
        self.release(now, releasing, outbox);
        (!self.settings.speak || self.playback.is_over(now, &self.settings)).then_some(status)
    }

    fn release(&mut self, now: Time, releasing: Releasing, outbox: &mut Outbox) {
        while releasing == Releasing::Allowed
            && let Some(released) = self.playback.release(now, &self.settings)
        {
            let (item, chunk, offset, last) = (released.item, released.chunk, released.offset, released.last);
            outbox.event(Event::ResponseAudio { response: self.id, item, chunk, offset, last });
        }
    }

    /// Ends the reply. The only producer of [`Event::ResponseDone`]; the script is for a later word on what was heard.
    pub(crate) fn finish(mut self, status: Status, now: Time, history: &mut History, outbox: &mut Outbox) -> Script {
        let is_cut = matches!(status, Status::Interrupted | Status::Cancelled);
        let heard = if is_cut && self.settings.speak {
            self.script.heard(self.playback.played(now))
        } else {
            self.script.text().len()
        };
        let text: Arc<str> = Arc::from(self.script.text()[..heard].trim_end());
        if is_cut {
            if self.playback.is_audible() {
                let (response, heard) = (self.id, self.playback.played(now));
                outbox.event(Event::PlaybackFlushed { response, heard, heard_text: Arc::clone(&text) });
            }
            outbox.command(Command::CancelResponse { response: self.id });
        } else {
            outbox.command(Command::ReleaseResponse { response: self.id });
        }
        self.cut_open_calls(history, outbox);
        self.script.record(heard, status != Status::Completed, history, outbox);
        let (response, usage, timings) = (self.id, self.usage, self.timings());
        outbox.event(Event::ResponseDone { response, status, text, usage, timings });
        outbox.record(Record::Receipt { response, status, usage, timings });
        self.script
    }

    /// The next deadline of each kind that a reply has.
    pub(crate) fn deadlines(&self) -> Deadlines {
        let settings = &self.settings;
        let is_writing = !matches!(self.words, Words::Complete(_));
        let running = |call: &Call| match call.state {
            CallState::Running { deadline } => Some(deadline),
            CallState::Answered | CallState::HandedOver => None,
        };
        Deadlines {
            first_delta: match self.words {
                Words::Asked { at, .. } => Some(at + settings.first_delta_timeout),
                _ => None,
            },
            delta_gap: match self.words {
                Words::Flowing { latest, .. } => Some(latest + settings.delta_gap_timeout),
                _ => None,
            },
            reply: is_writing.then(|| self.started + settings.reply_timeout),
            first_audio: (!self.at_voice.is_empty()).then(|| self.voice_heard_of + settings.first_audio_timeout),
            tool_call: self.calls.iter().filter_map(running).min(),
            send_ahead: self.playback.next_release(settings),
            played_out: self.playback.over_at(settings),
        }
    }

    fn generate(&mut self, now: Time, round: u32, history: &History, outbox: &mut Outbox) {
        self.words = Words::Asked { round, at: now };
        let request = ReplyRequest {
            history: history.view(),
            settings: Arc::clone(&self.settings),
            tool_choice: match &self.settings.tool_choice {
                _ if !self.may_call_tools(round) => ToolChoice::Forbidden,
                // Once it has called what it had to, the model is free to use what came of it.
                ToolChoice::Required | ToolChoice::Named(_) if round > 0 => ToolChoice::Auto,
                choice => choice.clone(),
            },
        };
        outbox.command(Command::Generate { response: self.id, request: Box::new(request) });
    }

    fn may_call_tools(&self, round: u32) -> bool {
        round < self.settings.tool_rounds_max && self.settings.tool_choice != ToolChoice::Forbidden
    }

    /// The round in which the agent is talking, if it is.
    fn round(&self) -> Option<u32> {
        match self.words {
            Words::Asked { round, .. } | Words::Flowing { round, .. } => Some(round),
            Words::Held | Words::AtTools { .. } | Words::Complete(_) => None,
        }
    }

    fn append(&mut self, now: Time, delta: &Arc<str>, history: &mut History, outbox: &mut Outbox) {
        self.first_text.get_or_insert(now);
        let (item, delta) = self.script.append(delta, history);
        outbox.event(Event::ResponseText { response: self.id, item, delta });
    }

    fn end_words(&mut self, status: Status, history: &mut History) {
        self.cut_rest(history);
        self.words = Words::Complete(status);
    }

    /// Cuts off whole segments. The history follows segment by segment: at every delta it would be copied too often.
    fn cut_ready(&mut self, history: &mut History) {
        while let Some(range) = self.segmenter.next(self.script.text()) {
            self.cut(range);
            self.script.write(usize::MAX, false, history);
        }
    }

    /// Cuts off what is left of the words, and ends the item.
    fn cut_rest(&mut self, history: &mut History) {
        self.cut_ready(history);
        if let Some(range) = self.segmenter.flush(self.script.text()) {
            self.cut(range);
        }
        self.script.write(usize::MAX, false, history);
        self.script.end_line();
    }

    fn cut(&mut self, range: std::ops::Range<usize>) {
        if self.settings.speak {
            let text = Arc::from(self.script.text()[range.clone()].trim());
            self.unspoken.push_back((self.script.add_track(range), text));
        }
    }

    /// Language models refuse a history in which a call has no answer.
    fn cut_open_calls(&mut self, history: &mut History, outbox: &mut Outbox) {
        let is_open = |call: &Call| matches!(call.state, CallState::Running { .. });
        for call in mem::take(&mut self.calls).into_iter().filter(is_open) {
            let output = Arc::from("The reply ended before the tool answered.");
            outbox.record(Record::Item(history.push(Content::ToolOutput { call: call.id, output, failed: true })));
        }
    }

    fn timings(&self) -> Timings {
        let Some(heard) = self.turn.and_then(|turn| turn.heard) else { return Timings::default() };
        let since = |at: Time| at.since(heard.end);
        Timings {
            endpoint: Some(since(heard.endpoint)),
            transcript: Some(since(heard.transcript)),
            first_text: self.first_text.map(since),
            first_audio: self.first_audio.map(since),
            first_sent: self.first_sent.map(since),
        }
    }
}

/// Whether audio may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Releasing {
    Allowed,
    /// Nobody is there to hear it.
    Held,
}
