//! One conversation in progress: the loop that turns a socket and engines into facts, and effects into deeds.
//!
//! The loop awaits only in its select, and never awaits a send. It knows nothing of turn-taking: every rule is in
//! [`conversation`](crate::conversation).

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, Sink, Stream, StreamExt as _};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{ChatModel, tools},
    audio::{self, AudioPos},
    conversation::{Command, Conversation, Event, Input, Output, Settings, Time},
    ids::{ItemId, SessionId},
    protocol::{Codec, Incoming, Message, ProtocolError, native::close},
    store::{Progress, Scribe},
    stt::SpeechToText,
    telemetry::metrics,
    tts::{Segment, TextToSpeech},
    vad::VoiceActivity,
};

pub mod attachment;
pub mod config;
pub mod registry;

mod ears;
pub(crate) mod hearing;
mod loudspeaker;
mod recording;
mod speaking;
pub(crate) mod voice;
mod wording;

pub use attachment::{Attachment, Outgoing, Received};
pub use ears::Pace;

use attachment::{Outbox, Parcel, WriteLimits};
use ears::{Ears, Heard};
use hearing::Hearing;
use loudspeaker::Loudspeaker;
use recording::Recording;
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
    /// Keeps what is said. With it, [`Settings::durable`] makes the client hear what is on disk.
    pub scribe: Option<Scribe>,
}

/// Runs one session to its end. Dropping the future ends it at once, with everything it started. A panic inside ends this
/// session only, with close code 1011.
pub async fn run<R, W>(start: Start, engines: Engines, socket: Attachment<R, W>) -> Result<Ended, audio::Error>
where
    R: Stream<Item = Received> + Send + Unpin + 'static,
    W: Sink<Outgoing> + Send + Unpin + 'static,
{
    let (facts, queue) = mpsc::channel(FACTS_MAX);
    let mut tasks = JoinSet::new();
    let limits = WriteLimits { queue: WRITER_MAX, timeout: WRITE_TIMEOUT };
    let ears = Ears::new(start.codec.input_format(), start.pace, (engines.vad)())?;
    let (receiver, outbox) = socket.start(&mut tasks, facts.clone(), limits);
    let output = start.codec.output_format();
    let loudspeaker = Loudspeaker::new(start.pace);
    let mut session = Session {
        began: now(),
        core: Conversation::new(loudspeaker.settings(start.settings), Time::ZERO),
        codec: start.codec,
        ears,
        hearing: Hearing::new(engines.stt, facts.clone()),
        speaking: Speaking::new(engines.agent, engines.tools, engines.tts, output, facts),
        loudspeaker,
        recording: start.scribe.map(Recording::new),
        not_stored: Vec::new(),
        waiting: VecDeque::new(),
        scratch: Vec::new(),
        ending: Ending::Open,
        reason: "hung_up",
    };
    for message in start.welcome {
        session.waiting.push_back(Parcel { outgoing: Outgoing::Message(message), audio: None });
    }
    session.drain_outputs();
    let serving = session.serve(receiver, &outbox, queue, &start.draining, start.drain_grace);
    let mut ended = Ended::Orderly;
    if AssertUnwindSafe(serving).catch_unwind().await.is_err() {
        ended = Ended::Panicked;
        // A bug, and its blast radius: this session. The panic hook has told the log where.
        metrics::closed(close::INTERNAL);
        outbox.last_words(close::INTERNAL, "the server broke; connect again");
    }
    if let Some(recording) = session.recording.take() {
        recording.end(ended, session.reason);
    }
    // Without the sender the writer ends once it has written everything.
    drop(outbox);
    // The writer still has the last messages and the close frame: it ends by itself, within its own timeout.
    let _written = time::timeout(WRITE_TIMEOUT, tasks.join_next()).await;
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
}

impl Session {
    async fn serve<R: Stream<Item = Received> + Unpin>(
        &mut self,
        mut receiver: R,
        outbox: &Outbox,
        mut facts: mpsc::Receiver<Input>,
        draining: &CancellationToken,
        drain_grace: Duration,
    ) {
        let mut drained = false;
        let mut heartbeat = time::interval_at(self.began + HEARTBEAT, HEARTBEAT);
        let mut silent_beats = 0;
        let ready = self.ears.ready();
        let mut stored = self.recording.as_ref().map(Recording::progress);
        while !(self.ending == Ending::Gone || (self.ending == Ending::Closing && self.waiting.is_empty())) {
            let deadline = self.core.poll_timeout().map(|(at, _)| self.instant(at));
            tokio::select! {
                biased;
                () = draining.cancelled(), if !drained => {
                    drained = true;
                    let deadline = self.now() + drain_grace;
                    self.tell(Input::Draining { deadline });
                }
                () = time::sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() => {
                    let now = self.now();
                    self.core.handle_timeout(now);
                    self.drain_outputs();
                }
                Some(fact) = facts.recv() => self.tell(fact),
                progress = recording::changed(&mut stored) => self.confirm(progress),
                permit = outbox.room(), if !self.waiting.is_empty() => match (permit, self.waiting.pop_front()) {
                    (Some(permit), Some(parcel)) => permit.send(parcel),
                    _ => self.ending = Ending::Gone,
                },
                received = receiver.next(), if self.ears.has_room() => {
                    silent_beats = 0;
                    self.receive(received.unwrap_or(Received::Gone));
                }
                () = ready.notified() => {
                    let collected = self.ears.collect_ready(self.now());
                    self.complain(collected);
                }
                _ = heartbeat.tick() => {
                    silent_beats += 1;
                    if silent_beats > HEARTBEATS_MISSED_MAX { self.ending = Ending::Gone }
                    self.waiting.push_back(Parcel { outgoing: Outgoing::Ping, audio: None });
                }
            }
            self.listen();
            if self.waiting.len() > WAITING_MAX {
                metrics::slow_consumer();
                self.close(close::OVERLOADED, "the client reads too slowly");
            }
        }
    }

    /// Tells the core what was heard, as far as it listens.
    fn listen(&mut self) {
        while let Some(heard) = self.ears.next(self.core.is_listening()) {
            match heard {
                Heard::Frame(frame, speech) => {
                    let end = frame.end;
                    self.hearing.frame(frame);
                    if let Some(recording) = &mut self.recording {
                        recording.heard(end);
                    }
                    self.tell(Input::Frame { end, speech });
                }
                Heard::Fact(fact) => self.tell(fact),
            }
        }
    }

    fn receive(&mut self, received: Received) {
        match received {
            Received::Message(message) => match self.codec.decode(message) {
                Ok(incoming) => incoming.into_iter().for_each(|incoming| self.incoming(incoming)),
                Err(error) => self.complain(Err(error)),
            },
            Received::Alive => {}
            Received::Gone => {
                self.tell(Input::PeerLost);
                self.ending = Ending::Gone;
            }
            Received::Violation(code, reason) => self.close(code, reason),
        }
    }

    fn incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Audio(packet) => {
                let now = self.now();
                let heard = self.ears.hear(packet, now);
                self.complain(heard);
            }
            Incoming::Recording { item, place, audio } => match self.ears.decode(&audio) {
                Ok(frames) => {
                    let end = frames.last().map_or(AudioPos(0), |frame| frame.end);
                    self.hearing.keep(item, frames);
                    self.tell(Input::RecordingInserted { item, place, end });
                    self.hearing.forget_recording();
                }
                Err(error) => self.complain(Err(error)),
            },
            Incoming::Formats { input, output } => {
                self.speaking.set_format(output);
                let changed = self.ears.set_format(input);
                self.complain(changed);
            }
            Incoming::Input(fact) if self.divides(&fact) => {
                let divided = self.ears.divide(fact);
                self.complain(divided);
            }
            // What refers to a place in the audio keeps its place; what refers to a reply does not wait for audio.
            Incoming::Input(
                fact @ (Input::Muted(_)
                | Input::TextEntered { .. }
                | Input::ItemInserted { .. }
                | Input::ResponseRequested(_)
                | Input::Goodbye { .. }),
            ) => self.ears.place(fact),
            Incoming::Input(fact) => self.tell(fact),
            Incoming::Answer(message) => {
                self.waiting.push_back(Parcel { outgoing: Outgoing::Message(message), audio: None });
            }
            Incoming::Refused(error) => self.complain(Err(error)),
        }
    }

    /// Whether what was heard before the fact is over with it: then not a sample may be counted among what comes after.
    fn divides(&self, fact: &Input) -> bool {
        match fact {
            Input::AudioCommitted | Input::AudioCleared => true,
            Input::SettingsChanged(patch) => patch.turn_mode.is_some_and(|it| it != self.core.settings().turn_mode),
            _ => false,
        }
    }

    /// Hands one fact to the core and does what follows.
    fn tell(&mut self, fact: Input) {
        let now = self.now();
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
                self.speaking.speak(response, segment, format, Segment { text, voice, language, speed });
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
            Event::ResponseAudio { response, chunk, .. } => Some((*response, chunk.duration())),
            Event::PlaybackFlushed { response, .. } => {
                // What this reply still had in our own hands never leaves.
                self.waiting.retain(|parcel| !matches!(parcel.audio, Some((of, _)) if of == *response));
                None
            }
            _ => None,
        };
        self.codec.encode(event, &mut self.scratch);
        for message in self.scratch.drain(..) {
            self.waiting.push_back(Parcel { outgoing: Outgoing::Message(message), audio });
        }
    }

    /// Tells the client what was wrong with its message, and closes if the conversation cannot go on.
    fn complain(&mut self, result: Result<(), ProtocolError>) {
        let Err(error) = result else { return };
        metrics::protocol_error(error.code);
        self.codec.encode_error(&error, &mut self.scratch);
        for message in self.scratch.drain(..) {
            self.waiting.push_back(Parcel { outgoing: Outgoing::Message(message), audio: None });
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

/// Messages handed to the writer and not yet written: 16 audio frames of 20 ms. When full, the loop keeps the rest.
const WRITER_MAX: usize = 16;

/// Messages that a client has not read, beyond which it counts as dead.
const WAITING_MAX: usize = 1_024;

/// A client that takes nothing for this long is lost.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Every so often a WebSocket ping; browsers answer by themselves.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Beats without any sign of life after which the peer counts as gone.
const HEARTBEATS_MISSED_MAX: u32 = 2;
