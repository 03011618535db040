//! One conversation in progress: the loop that turns a socket and engines into facts, and effects into deeds.
//!
//! The loop awaits only in its select, and never awaits a send. It knows nothing of turn-taking: every rule is in
//! [`conversation`](crate::conversation).

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, Sink, Stream};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{ChatModel, tools},
    audio,
    conversation::{Command, Conversation, Event, Input, Output, Settings, Time},
    ids::{ItemId, SessionId},
    protocol::{Codec, Message, ProtocolError, native::close},
    store::{Progress, Scribe, shared::Held},
    stt::SpeechToText,
    tape::Tape,
    telemetry::metrics,
    tts::{Segment, TextToSpeech},
    vad::VoiceActivity,
};

pub mod attachment;
pub mod config;
pub mod registry;

mod ears;
mod handover;
pub(crate) mod hearing;
mod line;
mod loudspeaker;
mod missed;
mod pass;
pub mod past;
mod peer;
mod recording;
pub mod returns;
mod speaking;
mod taping;
pub(crate) mod voice;
mod wording;

pub use attachment::{Attachment, Outgoing, Received};
pub use ears::Pace;
pub use missed::LeftOff;
pub use pass::Pass;

use attachment::Parcel;
use ears::{Ears, Heard};
use hearing::Hearing;
use line::Line;
use loudspeaker::Loudspeaker;
use missed::{Audio, Missed};
use recording::Recording;
use returns::Expected;
use speaking::Speaking;

/// The engines that sessions share.
#[derive(Clone)]
pub struct Engines {
    /// Makes a voice activity detector for one stream.
    pub vad: Arc<dyn Fn() -> Box<dyn VoiceActivity> + Send + Sync>,
    /// Hears.
    pub stt: Arc<dyn SpeechToText>,
    /// Answers.
    pub agent: Arc<dyn ChatModel>,
    /// The server's tools.
    pub tools: Arc<tools::Registry>,
    /// Speaks.
    pub tts: Arc<dyn TextToSpeech>,
}

/// What one session is begun with.
pub struct Start {
    /// Its name.
    pub id: SessionId,
    /// The negotiated dialect.
    pub codec: Box<dyn Codec>,
    /// The negotiated settings.
    pub settings: Settings,
    /// How the client sends its audio.
    pub pace: Pace,
    /// Messages to send before anything else (the dialect's welcome).
    pub welcome: Vec<Message>,
    /// Cancelled when the server drains.
    pub draining: CancellationToken,
    /// How long a reply in progress may take when the server drains.
    pub drain_grace: Duration,
    /// What was said before, if the conversation goes on.
    pub kept: Option<past::Kept>,
    /// Tells other servers that this one has the session, and leaves its state for them.
    pub held: Option<Held>,
    /// Where its client finds it after a loss, if it may come back.
    pub expected: Option<Expected>,
    /// The client's right to be here, where one is needed.
    pub pass: Option<Pass>,
    /// Keeps what is said. With it, [`Settings::durable`] makes the client hear what is on disk.
    pub scribe: Option<Scribe>,
    /// Keeps its sound. Needs a scribe.
    pub tape: Option<Tape>,
}

/// Runs one session to its end. Dropping the future ends it at once, with everything it started. A panic inside ends this
/// session only, with close code 1011.
pub async fn run<R, W>(start: Start, engines: Engines, socket: Attachment<R, W>) -> Result<Ended, audio::Error>
where
    R: Stream<Item = Received> + Send + Unpin + 'static,
    W: Sink<Outgoing> + Send + Unpin + 'static,
{
    let (facts, queue) = mpsc::channel(FACTS_MAX);
    let ears = Ears::new(start.codec.input_format(), start.pace, (engines.vad)())?;
    let mut line = Line::new(facts.clone(), socket.boxed());
    let output = start.codec.output_format();
    let loudspeaker = Loudspeaker::new(start.pace);
    let settings = loudspeaker.settings(start.settings);
    let core = match &start.kept {
        None => Conversation::new(settings, Time::ZERO),
        Some(kept) => Conversation::going_on(settings, kept.past.clone(), Time::ZERO),
    };
    let kept = start.kept.unwrap_or_default();
    let mut session = Session {
        began: now(),
        core,
        ears,
        hearing: Hearing::new(engines.stt, facts.clone()),
        speaking: Speaking::new(engines.agent, engines.tools, engines.tts, output, facts),
        loudspeaker,
        recording: start.scribe.map(|scribe| Recording::new(scribe, kept, start.held, start.tape)),
        not_stored: Vec::new(),
        waiting: VecDeque::new(),
        missed: (start.codec.number().is_some() && start.expected.is_some()).then(Missed::default),
        scratch: Vec::new(),
        ending: Ending::Open,
        reason: "hung_up",
        codec: start.codec,
    };
    if let (Some(recording), Some(expected)) = (&session.recording, &start.expected) {
        recording.put_token(expected.digest());
    }
    start.welcome.into_iter().for_each(|message| session.post(message, None));
    session.drain_outputs();
    let leave = Leave { draining: start.draining, grace: start.drain_grace };
    let serving = session.serve(&mut line, queue, (start.expected, start.pass), &leave);
    let mut ended = Ended::Orderly;
    if AssertUnwindSafe(serving).catch_unwind().await.is_err() {
        ended = Ended::Panicked;
        // A bug, and its blast radius: this session. The panic hook has told the log where.
        metrics::closed(close::INTERNAL);
        line.last_words(close::INTERNAL, "the server broke; connect again");
    }
    if let Some(recording) = session.recording.take() {
        recording.end(ended, session.reason).await;
    }
    line.end().await;
    Ok(ended)
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Somebody hung up, in whatever way.
    Orderly,
    /// A bug ended it.
    Panicked,
}

/// The state of one session.
struct Session {
    began: Instant,
    core: Conversation,
    codec: Box<dyn Codec>,
    ears: Ears,
    hearing: Hearing,
    speaking: Speaking,
    loudspeaker: Loudspeaker,
    recording: Option<Recording>,
    /// Items that the recorder did not take; the core is told once it has put everything out.
    not_stored: Vec<ItemId>,
    /// Encoded and not yet handed to the writer. Audio in it is bounded by the core's credit; more than [`WAITING_MAX`]
    /// entries mean that the client does not read: the session ends as a slow consumer.
    waiting: VecDeque<Parcel>,
    /// What the client would miss if it were gone; `None` if it cannot come back.
    missed: Option<Missed>,
    scratch: Vec<Message>,
    ending: Ending,
    /// Why the conversation ended, for the record.
    reason: &'static str,
}

/// Whether the loop goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It does.
    Open,
    /// The close frame is on its way out.
    Closing,
    /// The socket is gone.
    Gone,
    /// The socket went while we were closing.
    Over,
}

/// When the server leaves.
struct Leave {
    draining: CancellationToken,
    /// Time that a reply in progress gets.
    grace: Duration,
}

impl Session {
    async fn serve(
        &mut self,
        line: &mut Line,
        mut facts: mpsc::Receiver<Input>,
        (mut expected, mut pass): (Option<Expected>, Option<Pass>),
        leave: &Leave,
    ) {
        let mut drained = false;
        let mut heartbeat = time::interval_at(self.began + HEARTBEAT, HEARTBEAT);
        let mut silent_beats = 0;
        let ready = self.ears.ready();
        let mut stored = self.recording.as_ref().map(Recording::progress);
        let mut given_up = None;
        let mut taken_over = self.recording.as_ref().and_then(Recording::taken_over);
        while !self.is_over() {
            let deadline = self.core.poll_timeout().map(|(at, _)| self.instant(at));
            let mut back = None;
            let (room, incoming) = line.ends();
            tokio::select! {
                biased;
                () = leave.draining.cancelled(), if !drained => {
                    drained = true;
                    let deadline = self.now() + leave.grace;
                    self.tell(Input::Draining { deadline });
                }
                () = time::sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() => {
                    let now = self.now();
                    self.core.handle_timeout(now);
                    self.drain_outputs();
                }
                Some(fact) = facts.recv() => self.tell(fact),
                progress = recording::changed(&mut stored) => self.confirm(progress),
                permit = room, if !self.waiting.is_empty() => match (permit, self.waiting.pop_front()) {
                    (Some(permit), Some(parcel)) => permit.send(parcel),
                    _ => self.lose(),
                },
                received = incoming, if self.ears.has_room() => {
                    silent_beats = 0;
                    self.receive(received);
                }
                arrival = returns::arrival(&mut expected), if self.ending == Ending::Open => back = Some(arrival),
                () = recording::cancelled(&taken_over), if taken_over.is_some() => {
                    taken_over = None;
                    self.give_way();
                }
                () = pass::ended(&pass), if self.ending == Ending::Open => self.dismiss(),
                () = time::sleep_until(given_up.unwrap_or(self.began)), if given_up.is_some() => break,
                () = ready.notified() => {
                    let collected = self.ears.collect_ready(self.now());
                    self.complain(collected);
                }
                _ = heartbeat.tick(), if given_up.is_none() => {
                    // Who is not read cannot be heard.
                    silent_beats += u32::from(self.ears.has_room());
                    if silent_beats > HEARTBEATS_MISSED_MAX { self.lose() }
                    self.waiting.push_back(Parcel { outgoing: Outgoing::Ping, audio: None });
                }
            }
            self.listen();
            if let (Some(mut back), Some(expected)) = (back, &mut expected) {
                (given_up, silent_beats, pass) = (None, 0, back.pass.take());
                self.welcome_back(line, back, expected);
            }
            if let Some(window) = self.may_wait(&expected, given_up) {
                given_up = Some(now() + window);
                self.wait_for_peer(line);
            }
            if given_up.is_some() {
                // Everything that can be missed is kept where the client will find it.
                self.waiting.clear();
            }
            if self.waiting.len() > WAITING_MAX {
                metrics::slow_consumer();
                self.close(close::OVERLOADED, "the client reads too slowly");
            }
        }
    }

    fn is_over(&self) -> bool {
        match self.ending {
            Ending::Open => false,
            Ending::Closing => self.waiting.is_empty(),
            Ending::Gone | Ending::Over => true,
        }
    }

    /// Tells the core what was heard, as far as it listens.
    fn listen(&mut self) {
        while let Some(heard) = self.ears.next(self.core.is_listening()) {
            match heard {
                Heard::Frame(frame, speech) => {
                    let end = frame.end;
                    if let Some(recording) = &mut self.recording {
                        recording.heard(&frame);
                    }
                    self.hearing.frame(frame);
                    self.tell(Input::Frame { end, speech });
                }
                Heard::Fact(fact) => {
                    if let (Input::Muted(is_muted), Some(recording)) = (&fact, &mut self.recording) {
                        recording.mute(*is_muted);
                    }
                    self.tell(fact);
                }
            }
        }
    }

    /// Hands one fact to the core and does what follows.
    fn tell(&mut self, fact: Input) {
        let now = self.now();
        if let Some(missed) = &mut self.missed {
            missed.hear(&fact);
        }
        let played = self.loudspeaker.hear(&fact);
        for fact in [Some(fact), played].into_iter().flatten() {
            self.core.handle_input(now, fact);
            self.drain_outputs();
        }
    }

    fn drain_outputs(&mut self) {
        loop {
            while let Some(output) = self.core.poll_output() {
                match output {
                    Output::Command(command) => self.obey(command),
                    Output::Event(event) => self.publish(&event),
                    Output::Record(record) => {
                        self.codec.encode_record(&record, &mut self.scratch);
                        for message in std::mem::take(&mut self.scratch) {
                            self.post(message, None);
                        }
                        let recording = self.recording.as_mut();
                        let kept = recording.map_or(Ok(()), |recording| recording.keep(record, self.core.history()));
                        self.not_stored.extend(kept.err());
                    }
                }
            }
            let Some(item) = self.not_stored.pop() else { return };
            let now = self.now();
            self.core.handle_input(now, Input::ItemNotStored(item));
        }
    }

    /// The recorder has come further.
    fn confirm(&mut self, progress: Progress) {
        let facts = self.recording.as_mut().map(|recording| recording.confirm(progress)).unwrap_or_default();
        facts.into_iter().for_each(|fact| self.tell(fact));
        if progress.is_fenced {
            self.give_way();
        }
    }

    /// Another server has the session, or there is nothing left to talk about.
    fn give_way(&mut self) {
        self.close(close::TAKEN_OVER, "the conversation goes on elsewhere, or was deleted");
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::StartRecognition { utterance, from } => {
                self.hearing.start(utterance, from, self.core.settings());
            }
            Command::RecognizeTo { utterance, at } => self.hearing.finish(utterance, at),
            Command::RecognizeRecording { utterance, item, at } => {
                self.hearing.play(utterance, item, at, self.core.settings());
            }
            Command::CancelRecognition { utterance } => self.hearing.cancel(utterance),
            Command::Generate { response, request } => self.speaking.generate(response, &request),
            Command::RunTool { response, call, name, arguments } => {
                let messages = wording::messages(self.core.history().items().iter());
                self.speaking.run_tool(response, call, &name, &arguments, tools::Context { messages });
            }
            Command::Speak { response, segment, text, voice, speed, format } => {
                let language = Arc::clone(&self.core.settings().language);
                let format = self.speaking.speak(response, segment, format, Segment { text, voice, language, speed });
                if let Some(recording) = &mut self.recording {
                    recording.speaks(response, format);
                }
            }
            Command::CancelResponse { response } | Command::ReleaseResponse { response } => {
                self.speaking.drop_reply(response);
            }
            Command::Close(reason) => {
                let (code, reason) = self.codec.farewell(reason);
                self.close(code, &reason);
            }
        }
    }

    fn publish(&mut self, event: &Event) {
        metrics::event(event);
        if let Some(recording) = &mut self.recording {
            recording.note(event);
        }
        if let Event::Ended(reason) = event {
            self.reason = recording::word(*reason);
        }
        let audio = match event {
            Event::ResponseAudio { response, chunk, offset, .. } => {
                let (response, duration) = (*response, chunk.duration());
                Some(Audio { response, duration, end: *offset + duration, is_written: false })
            }
            Event::PlaybackFlushed { response, .. } => {
                if let Some(missed) = &mut self.missed {
                    missed.flush(*response);
                }
                // What this reply still had in our own hands never leaves.
                self.waiting.retain(|parcel| !matches!(parcel.audio, Some((of, _)) if of == *response));
                None
            }
            _ => None,
        };
        self.codec.encode(event, &mut self.scratch);
        for message in std::mem::take(&mut self.scratch) {
            self.post(message, audio);
        }
    }

    /// Puts a message on its way, and notes it for a client that misses it.
    fn post(&mut self, message: Message, audio: Option<Audio>) {
        if let Some(missed) = &mut self.missed {
            let number = self.codec.number().filter(|_| matches!(message, Message::Text(_)));
            missed.note(&message, number, audio);
        }
        let audio = audio.map(|audio| (audio.response, audio.duration));
        self.waiting.push_back(Parcel { outgoing: Outgoing::Message(message), audio });
    }

    /// Tells the client what was wrong with its message, and closes if the conversation cannot go on.
    fn complain(&mut self, result: Result<(), ProtocolError>) {
        let Err(error) = result else { return };
        metrics::protocol_error(error.code);
        self.codec.encode_error(&error, &mut self.scratch);
        for message in std::mem::take(&mut self.scratch) {
            self.post(message, None);
        }
        if let Some(code) = error.close {
            self.close(code, &error.message);
        }
    }

    fn close(&mut self, code: u16, reason: &str) {
        if self.ending == Ending::Open {
            self.ending = Ending::Closing;
            tracing::debug!(code, "closing");
            metrics::closed(code);
            self.waiting
                .push_back(Parcel { outgoing: Outgoing::Close(code, close::reason(reason).to_owned()), audio: None });
        }
    }

    fn now(&self) -> Time {
        Time::ZERO + now().duration_since(self.began)
    }

    fn instant(&self, at: Time) -> Instant {
        self.began + at.since(Time::ZERO)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where a session reads the clock")]
fn now() -> Instant {
    Instant::now()
}

// That a bug ends one session and not the server depends on it.
const _: () = assert!(cfg!(panic = "unwind"), "Floe needs panic = \"unwind\"");

/// Facts from engines and the writer that the loop has not taken yet. When full, engines and writer wait.
const FACTS_MAX: usize = 64;

/// Messages that a client has not read, beyond which it counts as dead.
const WAITING_MAX: usize = 1_024;

/// Every so often a WebSocket ping; browsers answer by themselves.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Beats without any sign of life after which the peer counts as gone.
const HEARTBEATS_MISSED_MAX: u32 = 2;
