//! The call itself: one loop that speaks, listens and notes.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use serde_json::Number;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::Message as WsMessage;

use super::{
    Error, Options, Recording, Reply, Report, Turn,
    link::{self, Received},
    microphone::Microphone,
    now,
    player::Player,
};
use crate::{
    audio::{Codec, Format, Playout},
    protocol::native::{
        Pace, formats,
        frame::{AUDIO_DOWN, Header},
        wire::{
            self, AudioOffer, ClientInfo, ClientMessage, Hello, Numbered, PingId, ReplyStatus, ServerMessage,
            SettingsChange, WireFormat,
        },
    },
};

/// Messages on their way to the socket. When full, the microphone waits; nothing is lost.
const QUEUE: usize = 32;

/// Messages other than audio that wait for a place in the queue; more mean that the server does not read.
const OUTBOX_MAX: usize = 64;

/// Nothing may come for so long before a call counts as over.
const QUIET: Duration = Duration::from_secs(1);

/// Longest wait for the goodbye to be answered.
const BYE_TIMEOUT: Duration = Duration::from_secs(5);

/// Milliseconds of speech kept at most.
const KEPT_MS_MAX: usize = 600_000;

/// Id of the ping that proves that the server has read everything before it.
const LAST_PING: u32 = 1;

pub(super) async fn run(
    recording: &Recording,
    options: &Options,
    due: Instant,
    report: &mut Report,
) -> Result<(), Error> {
    options.input.check_output()?;
    let link = link::dial(options, hello(options)).await?;
    let begin = now();
    report.connect = Some(begin.saturating_duration_since(due));
    let pace = if link.ready.input.pace.as_deref() == Some(Pace::File.as_str()) { Pace::File } else { Pace::Realtime };
    let output = applied(&link.ready.output)?;
    report.audio_rate_hz = output.clock_hz();
    let mut conversing = Conversing {
        options,
        recording,
        report,
        microphone: Microphone::new(recording.clone(), options.tail, options.input, pace, begin)?,
        player: Player::new(output.clock_hz(), pace == Pace::File),
        playout: if options.keep_audio { Some(Playout::new(output)?) } else { None },
        output,
        outbox: VecDeque::new(),
        last_event: begin,
        barge_in: None,
        pong: false,
        asked: false,
        mute: false,
    };
    let (queue, queued) = mpsc::channel(QUEUE);
    let mut incoming = link.incoming;
    // The writer ends when the conversation has dropped the queue, so the goodbye is on its way before we listen for more.
    let talking = async {
        conversing.talk(&mut incoming, &queue).await?;
        let dropped = conversing.report.dropped;
        if !dropped {
            let bye = link::text(&ClientMessage::Bye { flush: false })?;
            timeout(BYE_TIMEOUT, queue.send(bye))
                .await
                .map_err(|_| link::late("the goodbye to leave", BYE_TIMEOUT))?
                .ok();
            farewell(&mut incoming).await?;
        }
        Ok(())
    };
    tokio::pin!(talking);
    tokio::select! {
        biased;
        result = &mut talking => result,
        result = link::write(link.outgoing, queued, options.step_timeout) => match result {
            // A socket that breaks while writing has often been closed with a reason that is still to be read.
            Err(Error::Closed { .. }) | Ok(()) => match timeout(BYE_TIMEOUT, talking).await {
                Ok(result) => result,
                Err(_) => Err(Error::Closed { code: None, reason: String::new() }),
            },
            Err(error) => Err(error),
        },
    }
}

fn hello(options: &Options) -> ClientMessage {
    let offer = |format: &Format| WireFormat {
        codec: format.codec.name().to_owned(),
        rate: Some(format.rate_hz),
        frame_ms: Some(Number::from(format.frame_ms)),
    };
    let fast = options.pace == Pace::File;
    let turn = fast.then(|| wire::Turn { barge_in: Some(false), ..wire::Turn::default() });
    ClientMessage::Hello(Box::new(Hello {
        client: ClientInfo {
            name: "floe-caller".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            platform: std::env::consts::OS.to_owned(),
        },
        input: Some(AudioOffer { formats: vec![offer(&options.input)], pace: Some(options.pace.as_str().to_owned()) }),
        output: Some(AudioOffer { formats: vec![offer(&options.output)], pace: None }),
        features: vec!["playback".to_owned(), "partials".to_owned()],
        settings: SettingsChange { turn, ..SettingsChange::default() },
        ..Hello::default()
    }))
}

fn applied(format: &wire::AppliedFormat) -> Result<Format, Error> {
    let offer = WireFormat { codec: format.codec.clone(), rate: format.rate, frame_ms: format.frame_ms.clone() };
    formats::accept(&offer, &formats::OUTPUT_CODECS, formats::Direction::Output)
        .ok_or_else(|| Error::Protocol(format!("it chose an output format that does not exist: {}", format.codec)))
}

/// Waits for the server to close.
async fn farewell(incoming: &mut link::Incoming) -> Result<(), Error> {
    let closed = async {
        loop {
            match link::next(incoming).await {
                Err(Error::Closed { code: None | Some(1000), .. }) => return Ok(()),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
    };
    timeout(BYE_TIMEOUT, closed).await.unwrap_or_else(|_| Err(link::late("the server to close", BYE_TIMEOUT)))
}

struct Conversing<'a> {
    options: &'a Options,
    recording: &'a Recording,
    report: &'a mut Report,
    microphone: Microphone,
    player: Player,
    /// Only if speech is kept.
    playout: Option<Playout>,
    output: Format,
    outbox: VecDeque<WsMessage>,
    last_event: Instant,
    /// When the first word of the barge-in was due.
    barge_in: Option<Instant>,
    /// The last ping has been sent.
    asked: bool,
    /// And answered.
    pong: bool,
    /// Nothing can be sent any more.
    mute: bool,
}

impl Conversing<'_> {
    async fn talk(&mut self, incoming: &mut link::Incoming, queue: &mpsc::Sender<WsMessage>) -> Result<(), Error> {
        loop {
            let at = now();
            self.tick(at)?;
            if self.is_over(at) || self.report.dropped {
                return Ok(());
            }
            let due = self.microphone.due();
            let speak = !self.mute && (!self.outbox.is_empty() || due <= at);
            let wake = self.wake(due);
            tokio::select! {
                received = link::next(incoming) => self.receive(received?)?,
                place = queue.reserve(), if speak => {
                    let Ok(place) = place else {
                        // The writer is gone: only the server's last words are left to be read.
                        self.mute = true;
                        continue;
                    };
                    match self.outbox.pop_front() {
                        Some(message) => place.send(message),
                        None => place.send(WsMessage::Binary(self.microphone.take(at)?)),
                    }
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Everything that time brings.
    fn tick(&mut self, at: Instant) -> Result<(), Error> {
        if let Some(message) = self.player.report(at) {
            self.post(&message)?;
        }
        if self.options.drop_after.is_some_and(|after| self.microphone.elapsed() >= after) {
            self.report.dropped = true;
        }
        if let (Some(after), None, Some(reply)) =
            (self.options.barge_in_after, self.barge_in, self.report.replies.last())
            && reply.status.is_none()
            && self.player.is_playing()
            && self.player.played(reply.reply, at) >= after
        {
            self.barge_in = self.microphone.speak_again(self.recording, self.options.tail);
        }
        if self.microphone.is_through() && !self.asked {
            self.asked = true;
            self.post(&ClientMessage::Ping { id: Some(PingId::Number(Number::from(LAST_PING))), t: None })?;
        }
        let waited = at.saturating_duration_since(self.last_event);
        match self.missing() {
            Some(what) if self.microphone.is_through() && waited >= self.options.step_timeout => {
                Err(link::late(what, self.options.step_timeout))
            }
            _ => Ok(()),
        }
    }

    fn wake(&self, due: Instant) -> Instant {
        // A microphone that is due waits for its place in the queue instead.
        let tick = now() + Duration::from_millis(50);
        let due = if due <= now() { tick } else { due };
        self.player.wake().map_or(due, |wake| wake.min(due)).min(tick)
    }

    fn is_over(&self, at: Instant) -> bool {
        self.microphone.is_through()
            && self.pong
            && self.missing().is_none()
            && self.outbox.is_empty()
            && at.saturating_duration_since(self.last_event) >= QUIET
    }

    /// What still has to come.
    fn missing(&self) -> Option<&'static str> {
        let answered = |turn: &Turn| self.report.replies.iter().any(|reply| reply.turn == Some(turn.turn));
        if self.report.turns.iter().any(|turn| turn.text.is_none() && !turn.failed) {
            return Some("the final transcript of a turn");
        }
        if let Some(turn) = self.report.turns.last()
            && turn.text.as_deref().is_some_and(|text| !text.is_empty())
            && !answered(turn)
        {
            return Some("the reply to a turn");
        }
        if self.report.replies.iter().any(|reply| reply.status.is_none()) {
            return Some("the end of a reply");
        }
        if self.player.is_playing() {
            return Some("the last frame of a reply");
        }
        (!self.pong).then_some("the answer to a ping")
    }

    fn post(&mut self, message: &ClientMessage) -> Result<(), Error> {
        if self.outbox.len() >= OUTBOX_MAX {
            return Err(Error::Stalled { waited_s: 0 });
        }
        self.outbox.push_back(link::text(message)?);
        Ok(())
    }

    fn receive(&mut self, received: Received) -> Result<(), Error> {
        let at = now();
        match received {
            Received::Binary(message) => {
                self.last_event = at;
                self.frame(message, at)
            }
            Received::Text(message) => {
                self.last_event = at;
                match *message {
                    Some(Numbered { message, .. }) => self.message(message, at),
                    None => Ok(()),
                }
            }
            Received::Other => Ok(()),
        }
    }

    fn frame(&mut self, message: Bytes, at: Instant) -> Result<(), Error> {
        let (header, payload) = Header::split(message).map_err(|error| Error::Protocol(error.to_string()))?;
        if header.kind != AUDIO_DOWN {
            return Ok(());
        }
        let Some(reply) =
            self.report.replies.iter_mut().rev().find(|reply| reply.reply % 65_536 == u32::from(header.stream))
        else {
            return Err(Error::Protocol(format!("a frame of reply {} came before its reply.started", header.stream)));
        };
        if reply.cut || reply.status.is_some() {
            reply.stale_frames += 1;
            return Ok(());
        }
        if reply.first_audio.is_none() && !payload.is_empty() {
            reply.first_audio = spoken(&self.report.turns, reply.turn, &self.microphone)
                .map(|spoken| at.saturating_duration_since(spoken));
        }
        let duration = duration(&self.output, payload.len());
        reply.audio += duration;
        self.player.frame(reply.reply, &header, duration, at, &mut self.report.frames);
        if let Some(playout) = &mut self.playout
            && !payload.is_empty()
            && self.report.audio.len() / 1000 * 1000 < KEPT_MS_MAX * (self.report.audio_rate_hz as usize / 1000)
        {
            playout.push(&payload, &mut self.report.audio)?;
        }
        Ok(())
    }

    fn message(&mut self, message: ServerMessage, at: Instant) -> Result<(), Error> {
        match message {
            ServerMessage::SpeechStarted { turn, t } => {
                self.report.turns.push(Turn { turn, start_ms: t, end_ms: t, ..Turn::default() });
            }
            ServerMessage::SpeechStopped { turn, t, .. } => self.turn(turn).end_ms = t,
            ServerMessage::TranscriptPartial { turn, .. } => {
                let start_ms = self.turn(turn).start_ms;
                let spoken = self.microphone.spoken_at(start_ms);
                self.turn(turn).first_partial.get_or_insert(at.saturating_duration_since(spoken));
            }
            ServerMessage::TranscriptFinal { turn, text, start_ms, end_ms, .. } => {
                let spoken = self.microphone.spoken_at(end_ms);
                let turn = self.turn(turn);
                turn.text = Some(text);
                (turn.start_ms, turn.end_ms) = (start_ms, end_ms);
                turn.final_after = Some(at.saturating_duration_since(spoken));
            }
            ServerMessage::Warning { code, turn, .. } => {
                if let Some(turn) = turn {
                    self.turn(turn).failed = true;
                }
                self.report.problems.push(code);
            }
            ServerMessage::Error { code, message, fatal: true, .. } => return Err(Error::Fatal { code, message }),
            ServerMessage::Error { code, .. } => self.report.problems.push(code),
            ServerMessage::Pong { id, .. } => {
                self.pong |= id == Some(PingId::Number(Number::from(LAST_PING)));
            }
            ServerMessage::ReplyStarted { reply, turn } => self.report.replies.push(Reply::new(reply, turn)),
            ServerMessage::ReplyText { reply, .. } | ServerMessage::ReplyInterrupted { reply, .. }
                if !self.report.replies.iter().any(|known| known.reply == reply) =>
            {
                return Err(Error::Protocol(format!("reply {reply} was never started")));
            }
            ServerMessage::ReplyText { reply, delta, .. } => self.reply_text(reply, &delta, at),
            ServerMessage::ReplyInterrupted { reply, .. } => self.interrupted(reply, at)?,
            ServerMessage::ReplyDone(done) => self.reply_done(*done)?,
            ServerMessage::ToolCall { call, name, .. } => self.post(&ClientMessage::ToolResult {
                call,
                output: None,
                error: Some(format!("this caller has no tool {name}")),
            })?,
            ServerMessage::Ended { reason, .. } => {
                return Err(Error::Fatal { code: reason, message: "the server ended the session".to_owned() });
            }
            ServerMessage::Ready(_) => return Err(Error::Protocol("`ready` came twice".to_owned())),
            ServerMessage::Updated(_)
            | ServerMessage::TurnCommitted { .. }
            | ServerMessage::GoingAway { .. }
            | ServerMessage::Metrics { .. } => {}
        }
        Ok(())
    }

    /// The turn of that number; a committed turn may have had no `speech.started`.
    fn turn(&mut self, number: u32) -> &mut Turn {
        let turns = &mut self.report.turns;
        let index = turns.iter().position(|turn| turn.turn == number).unwrap_or_else(|| {
            turns.push(Turn { turn: number, ..Turn::default() });
            turns.len() - 1
        });
        &mut turns[index]
    }

    fn reply_text(&mut self, number: u32, delta: &str, at: Instant) {
        if let Some(reply) = self.report.replies.iter_mut().find(|reply| reply.reply == number) {
            if reply.first_text.is_none() {
                reply.first_text = spoken(&self.report.turns, reply.turn, &self.microphone)
                    .map(|spoken| at.saturating_duration_since(spoken));
            }
            reply.text.push_str(delta);
        }
    }

    fn interrupted(&mut self, number: u32, at: Instant) -> Result<(), Error> {
        if let Some(reply) = self.report.replies.iter_mut().find(|reply| reply.reply == number) {
            reply.cut = true;
        }
        if let (Some(spoken), None) = (self.barge_in, self.report.barge_in) {
            self.report.barge_in = Some(at.saturating_duration_since(spoken));
        }
        match self.player.flush(number, at) {
            Some(message) => self.post(&message),
            None => Ok(()),
        }
    }

    fn reply_done(&mut self, done: wire::ReplyDone) -> Result<(), Error> {
        let Some(reply) = self.report.replies.iter_mut().find(|reply| reply.reply == done.reply) else {
            return Err(Error::Protocol(format!("reply {} was never started", done.reply)));
        };
        if reply.status.is_some() {
            return Err(Error::Protocol(format!("reply {} was done twice", done.reply)));
        }
        reply.status = Some(done.status);
        reply.reason = done.reason;
        reply.text = done.text;
        self.player.done(done.reply, done.status == ReplyStatus::Completed, &mut self.report.frames);
        Ok(())
    }
}

/// When the last word of the turn that a reply answers was due.
fn spoken(turns: &[Turn], turn: Option<u32>, microphone: &Microphone) -> Option<Instant> {
    let turn = turns.iter().find(|known| Some(known.turn) == turn)?;
    Some(microphone.spoken_at(turn.end_ms))
}

/// Playing time of a payload.
fn duration(format: &Format, payload_bytes: usize) -> Duration {
    let per_s = match format.codec {
        Codec::Opus if payload_bytes == 0 => return Duration::ZERO,
        Codec::Opus | Codec::WebmOpus | Codec::OggOpus | Codec::Wav => {
            return Duration::from_millis(u64::from(format.frame_ms));
        }
        Codec::PcmS16le => u64::from(format.rate_hz) * 2,
        Codec::Pcmu | Codec::Pcma => u64::from(format.rate_hz),
    };
    Duration::from_micros(payload_bytes as u64 * 1_000_000 / per_s.max(1))
}
