//! What is kept of a session: its items, receipts and totals become rows.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Ended, handover::Handover, past::Kept, taping::Taping};
use crate::{
    audio::{AudioPos, Format, Frame},
    conversation::{AgentStop, CloseReason, Content, Event, History, Input, Item, Record, Status, Timings, Usage},
    ids::{ItemId, ResponseId},
    store::{
        Progress, Refused, Scribe,
        record::{Change, Closing, ItemRow, ReceiptRow},
        shared::{Digest, Held},
    },
    tape::Tape,
};

/// Turns a session's records into rows. Its maps grow with the history, which the conversation holds anyway.
pub(crate) struct Recording {
    scribe: Scribe,
    /// Where each recorded item stands.
    positions: HashMap<ItemId, f64>,
    /// When each spoken item was heard.
    spoken: HashMap<ItemId, Spoken>,
    /// The words of replies as they were written.
    written: HashMap<ItemId, String>,
    /// The item that each reply in progress answers.
    answers: HashMap<ResponseId, ItemId>,
    /// Turns on their way to the disk, with their revisions, oldest first; at most as many as the recorder's queue holds.
    awaited: VecDeque<(i64, ItemId)>,
    heard_to: AudioPos,
    audio_out: Duration,
    /// Where the conversation's media time was when this session began; what is heard now comes after that.
    began_ms: i64,
    /// Audio heard and sent before this session, in milliseconds.
    before_ms: (i64, i64),
    /// What another server would go on with.
    handover: Option<Handover>,
    /// The sound, if that is kept.
    taping: Option<Taping>,
    /// Where the last reply's speech ends, in the user's media time: the next one begins there at the earliest, for where no
    /// microphone is on that time stands still.
    spoken_to: AudioPos,
}

/// The speech of an item.
#[derive(Debug, Clone, Copy)]
struct Spoken {
    response: ResponseId,
    /// Where the user's audio was when it began.
    start: AudioPos,
    /// Where it begins in the reply's own audio.
    offset: Duration,
    length: Duration,
}

impl Spoken {
    fn end(&self) -> AudioPos {
        self.start + self.length
    }
}

impl Recording {
    /// The recording of one session, which goes on with what was kept.
    pub(crate) fn new(scribe: Scribe, kept: Kept, held: Option<Held>, tape: Option<Tape>) -> Self {
        Self {
            scribe,
            handover: held.map(|held| Handover::new(held, kept.rows)),
            positions: kept.positions,
            spoken: HashMap::new(),
            written: HashMap::new(),
            answers: HashMap::new(),
            awaited: VecDeque::new(),
            heard_to: AudioPos::default(),
            audio_out: Duration::ZERO,
            taping: tape.map(|tape| Taping::new(tape, kept.ended_ms)),
            spoken_to: AudioPos::default(),
            began_ms: kept.ended_ms,
            before_ms: kept.audio_ms,
        }
    }

    /// How far the recorder has come.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.scribe.progress()
    }

    /// The user's audio was heard up to the end of this frame.
    pub(crate) fn heard(&mut self, frame: &Frame) {
        self.heard_to = frame.end;
        if let Some(taping) = &mut self.taping {
            taping.heard(frame, &mut self.scribe);
        }
    }

    /// The user has muted, or not any more.
    pub(crate) fn mute(&mut self, is_muted: bool) {
        if let Some(taping) = &mut self.taping {
            taping.mute(is_muted);
        }
    }

    /// A reply is spoken in this format.
    pub(crate) fn speaks(&mut self, response: ResponseId, format: Format) {
        if let Some(taping) = &mut self.taping {
            taping.speaks(response, format);
        }
    }

    /// Notes what the records alone do not say: when replies were heard, and what they would have said.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::ResponseStarted { response, turn: Some(turn), .. } => {
                self.answers.insert(*response, *turn);
            }
            Event::ResponseText { item, delta, .. } => self.written.entry(*item).or_default().push_str(delta),
            Event::ResponseAudio { response, item, chunk, offset, .. } => {
                let start = self.heard_to.max(self.spoken_to);
                let fresh = Spoken { response: *response, start, offset: *offset, length: Duration::ZERO };
                let spoken = self.spoken.entry(*item).or_insert(fresh);
                if let Some(taping) = &mut self.taping {
                    taping.said(spoken.end(), chunk, *response, &mut self.scribe);
                }
                spoken.length += chunk.duration();
                self.spoken_to = spoken.end();
                self.audio_out += chunk.duration();
            }
            Event::PlaybackFlushed { response, heard, .. } => {
                for spoken in self.spoken.values_mut().filter(|spoken| spoken.response == *response) {
                    spoken.length = spoken.length.min(heard.saturating_sub(spoken.offset));
                }
                self.cut();
            }
            Event::ItemTruncated { item, heard, .. } => {
                if let Some(spoken) = self.spoken.get_mut(item) {
                    spoken.length = spoken.length.min(*heard);
                }
                self.cut();
            }
            Event::ResponseDone { response, status, .. } => {
                if let Some(taping) = &mut self.taping {
                    taping.over(*response, matches!(status, Status::Interrupted | Status::Cancelled));
                }
            }
            Event::ItemDeleted { item } => {
                let position = self.positions.remove(item).unwrap_or_default();
                let row = ItemRow { item: number(item.0), position, kind: "deleted".into(), ..ItemRow::default() };
                // Not on disk, and nobody waits for it: the item is gone from the conversation either way.
                let _refused = self.write(row);
            }
            _ => {}
        }
    }

    /// Something that was sent was not heard: speech ends where the last of it that was heard does.
    fn cut(&mut self) {
        let end = self.spoken.values().filter(|spoken| !spoken.length.is_zero()).map(Spoken::end).max();
        let end = end.unwrap_or_default();
        if end < self.spoken_to {
            self.spoken_to = end;
            if let Some(taping) = &mut self.taping {
                taping.cut(end);
            }
        }
    }

    /// Hands a record over. An error names the turn that will not be kept.
    pub(crate) fn keep(&mut self, record: Record, history: &History) -> Result<(), ItemId> {
        let item = match record {
            Record::Item(item) => item,
            Record::Receipt { response, status, usage, timings } => {
                let turn = self.answers.remove(&response);
                // Counted by the recorder; nobody waits for it.
                let _refused = self.scribe.put(Change::Receipt(receipt(response, turn, status, usage, timings)));
                return Ok(());
            }
        };
        let is_turn = matches!(&item.content, Content::Speech { text: Some(_), .. } | Content::UserText(_));
        let row = self.row(&item, history);
        let revision = self.write(row).map_err(|_| item.id)?;
        if is_turn {
            self.awaited.push_back((revision, item.id));
        }
        Ok(())
    }

    /// Hands a row to the recorder, and leaves it for another server.
    fn write(&mut self, row: ItemRow) -> Result<i64, Refused> {
        let revision = self.scribe.put(Change::Item(Box::new(row.clone())))?;
        if let Some(handover) = &mut self.handover {
            handover.note(&row, revision, &self.scribe);
        }
        Ok(revision)
    }

    /// The token by which the client may take up the session elsewhere.
    pub(crate) fn put_token(&self, token: Digest) {
        if let Some(handover) = &self.handover {
            handover.put_token(token);
        }
    }

    /// Cancelled once another server has the session.
    pub(crate) fn taken_over(&self) -> Option<CancellationToken> {
        self.handover.as_ref().map(Handover::taken_over)
    }

    /// The turns whose fate is known now.
    pub(crate) fn confirm(&mut self, progress: Progress) -> Vec<Input> {
        let decided_to = progress.durable_to.max(progress.lost_to);
        let mut facts = Vec::new();
        while let Some((revision, item)) = self.awaited.pop_front_if(|(revision, _)| *revision <= decided_to) {
            // If both moved since we looked, the doubtful ones count as lost: that errs on the honest side.
            let is_lost = revision <= progress.lost_to;
            facts.push(if is_lost { Input::ItemNotStored(item) } else { Input::ItemStored(item) });
        }
        facts
    }

    /// The session is over. Waits for the end of its sound, if that is kept: not long (see [`Tape::finish`]).
    pub(crate) async fn end(mut self, ended: Ended, reason: &'static str) {
        if let Some(taping) = self.taping.take() {
            taping.finish(&mut self.scribe).await;
        }
        let closing = Closing {
            lost: ended == Ended::Panicked,
            reason: if ended == Ended::Panicked { "panicked" } else { reason }.to_owned(),
            audio_in_ms: self.before_ms.0 + ms(Duration::from_millis(self.heard_to.as_ms())),
            audio_out_ms: self.before_ms.1 + ms(self.audio_out),
        };
        let _too_late = self.scribe.put(Change::Closed(closing));
        // Whoever did not mean to leave may go on elsewhere.
        if let Some(handover) =
            self.handover.filter(|_| reason != word(CloseReason::Restart) && ended == Ended::Orderly)
        {
            handover.end();
        }
    }

    /// A place in this session's audio, in the conversation's media time.
    fn media_ms(&self, here_ms: u64) -> i64 {
        self.began_ms + ms(Duration::from_millis(here_ms))
    }

    fn row(&mut self, item: &Item, history: &History) -> ItemRow {
        let position = self.position(item.id, history);
        let (role, kind) = names(&item.content);
        let mut row = ItemRow {
            item: number(item.id.0),
            position,
            role: role.to_owned(),
            kind: kind.to_owned(),
            ..ItemRow::default()
        };
        match &item.content {
            Content::Speech { start, end, text, language, .. } => {
                row.text = text.as_deref().unwrap_or_default().to_owned();
                row.failed = text.is_none();
                row.language = language.to_string();
                row.start_ms = Some(self.media_ms(start.as_ms()));
                row.end_ms = Some(self.media_ms(end.as_ms()));
            }
            Content::UserText(text) | Content::SystemText(text) => {
                row.text = text.to_string();
                row.start_ms = Some(self.media_ms(self.heard_to.as_ms()));
                row.end_ms = row.start_ms;
            }
            Content::Reply { response, text, interrupted } => {
                row.response = response.map(|id| number(id.0));
                row.text = text.to_string();
                row.interrupted = *interrupted;
                let written = self.written.get(&item.id).filter(|written| *interrupted && written.trim() != &**text);
                row.written = written.map(|written| written.trim().to_owned());
                if let Some(spoken) = self.spoken.get(&item.id) {
                    let start_ms = self.media_ms(spoken.start.as_ms());
                    row.start_ms = Some(start_ms);
                    row.end_ms = Some(start_ms + ms(spoken.length));
                }
            }
            Content::ToolCall { response, call, name, arguments } => {
                row.response = response.map(|id| number(id.0));
                row.call = Some(number(call.0));
                row.tool = Some(name.to_string());
                row.arguments = Some(arguments.to_string());
            }
            Content::ToolOutput { call, output, failed } => {
                row.call = Some(number(call.0));
                row.text = output.to_string();
                row.failed = *failed;
            }
        }
        row
    }

    /// Where an item stands among those recorded so far: between its neighbours.
    fn position(&mut self, id: ItemId, history: &History) -> f64 {
        if let Some(position) = self.positions.get(&id) {
            return *position;
        }
        let items = history.items();
        let index = items.iter().rposition(|item| item.id == id).unwrap_or(items.len());
        let known = |item: &Item| self.positions.get(&item.id).copied();
        let before = items.iter().take(index).rev().find_map(known);
        let after = items.iter().skip(index + 1).find_map(known);
        let position = match (before, after) {
            (None, None) => 1.0,
            (Some(before), None) => before.floor() + 1.0,
            (None, Some(after)) => after - 1.0,
            (Some(before), Some(after)) => f64::midpoint(before, after),
        };
        self.positions.insert(id, position);
        position
    }
}

/// Waits until the recorder has come further. For ever if nobody records, or the recorder has ended.
pub(crate) async fn changed(progress: &mut Option<watch::Receiver<Progress>>) -> Progress {
    if let Some(receiver) = progress {
        if receiver.changed().await.is_ok() {
            return *receiver.borrow_and_update();
        }
        *progress = None;
    }
    std::future::pending().await
}

/// Waits until another server has the session. For ever without anybody who could say so.
pub(crate) async fn cancelled(taken_over: &Option<CancellationToken>) {
    match taken_over {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

/// Why a session ended, as a word.
pub(crate) const fn word(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Goodbye => "goodbye",
        CloseReason::Idle => "idle",
        CloseReason::TooLong => "too_long",
        CloseReason::Restart => "restart",
    }
}

const fn names(content: &Content) -> (&'static str, &'static str) {
    match content {
        Content::Speech { .. } => ("user", "speech"),
        Content::UserText(_) => ("user", "text"),
        Content::SystemText(_) => ("system", "note"),
        Content::Reply { .. } => ("assistant", "reply"),
        Content::ToolCall { .. } => ("assistant", "tool_call"),
        Content::ToolOutput { .. } => ("tool", "tool_output"),
    }
}

fn receipt(response: ResponseId, turn: Option<ItemId>, status: Status, usage: Usage, timings: Timings) -> ReceiptRow {
    let (status, reason) = match status {
        Status::Completed => ("completed", None),
        Status::Interrupted => ("interrupted", None),
        Status::Cancelled => ("cancelled", None),
        Status::Incomplete(AgentStop::Finished) => ("incomplete", None),
        Status::Incomplete(AgentStop::TokensMax) => ("incomplete", Some("tokens_max")),
        Status::Incomplete(AgentStop::Filtered) => ("incomplete", Some("filtered")),
        Status::Failed(reason) => ("failed", Some(reason)),
    };
    ReceiptRow {
        response: number(response.0),
        turn: turn.map(|turn| number(turn.0)),
        status: status.to_owned(),
        reason: reason.map(str::to_owned),
        endpoint_ms: timings.endpoint.map(ms),
        transcript_ms: timings.transcript.map(ms),
        first_text_ms: timings.first_text.map(ms),
        first_audio_ms: timings.first_audio.map(ms),
        first_sent_ms: timings.first_sent.map(ms),
        input_tokens: i64::try_from(usage.input_tokens).unwrap_or(i64::MAX),
        output_tokens: i64::try_from(usage.output_tokens).unwrap_or(i64::MAX),
    }
}

fn number(id: u32) -> i64 {
    i64::from(id)
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
