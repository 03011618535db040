//! A file through a whole conversation: heard, answered and spoken exactly as in a live call, only faster.
//!
//! There is no second set of rules: a real session runs, with a recording for a microphone and a channel for a socket. What
//! it says comes out here as [`Update`]s.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time,
};
use tokio_util::sync::{CancellationToken, DropGuard, PollSender};
use tracing::Instrument as _;

use crate::{
    audio::{self, AudioPos, Format, container::Limits},
    conversation::{Settings, TurnMode},
    ids::SessionId,
    protocol::{
        Message,
        recorded::{
            RecordedCodec,
            wire::{Asked, ReplyDone, Told, Utterance},
        },
    },
    session::{self, Attachment, Engines, Outgoing, Pace, Pass, Received, Start, registry::Permit},
    store::Scribe,
    transcribe::decoding,
};

mod microphone;

use microphone::Microphone;

/// What the recording is, and what is wanted of it.
pub struct Recording {
    /// The file.
    pub file: Bytes,
    /// How much audio it may hold.
    pub limits: Limits,
    /// Whether each turn is answered, or all of it at once.
    pub mode: Mode,
    /// What governs the conversation; [`Settings::speak`] says whether replies are spoken.
    pub settings: Settings,
    /// How speech is encoded.
    pub output: Format,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every turn, when it is over, as in a call.
    #[default]
    Turns,
    /// The whole recording, at its end.
    Whole,
}

/// What is told while the conversation goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// The recording has been read up to here; at most a minute of that has not been listened to. Comes about once for every
    /// ten seconds of audio.
    Progress(AudioPos),
    /// Something was said in the recording.
    Utterance(Utterance),
    /// More words of a reply.
    Text(String),
    /// A tool was called, or answered.
    Tool(Told),
    /// A piece of a reply's speech: whole samples, or one packet.
    Speech(Bytes),
    /// A turn is over.
    Turn(Turn),
    /// Nothing more comes. Says whether every turn is on disk.
    Done(bool),
}

/// What was said, and what was answered to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Turn {
    /// What was said since the last reply. Empty if the assistant spoke up by itself.
    pub utterances: Vec<Utterance>,
    /// The tools that the agent called meanwhile.
    pub tools: Vec<Called>,
    /// Whether a part of the reply could not be spoken.
    pub speech_failed: bool,
    /// How the reply ended; `None` if nobody answered.
    pub reply: Option<ReplyDone>,
}

/// A tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// Its number in this conversation.
    pub call: u64,
    /// Name of the tool.
    pub name: String,
    /// Arguments as JSON text.
    pub arguments: String,
    /// What it gave, and whether it failed; `None` if the reply ended before.
    pub output: Option<(String, bool)>,
}

/// There will be no (further) answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no audio, or too much of it.
    #[error(transparent)]
    Audio(#[from] audio::Error),
    /// The recogniser failed; the word says how (see [`engine::ErrorKind`](crate::engine::ErrorKind)).
    #[error("recognition failed: {0}")]
    Recognition(String),
    /// The server restarts.
    #[error("the server is restarting")]
    Restart,
    /// A bug, or a listener who takes nothing.
    #[error("the conversation broke off")]
    Broken,
}

/// How long the audio of this recording is. It is decoded to its end for this, so that one that is too long or damaged costs
/// no word of anybody's.
pub async fn measure(recording: &Recording) -> Result<AudioPos, Error> {
    Ok(decoding::measure(recording.file.clone(), recording.limits).await?)
}

/// Holds the conversation. The first error ends the stream. Dropping it hangs up: the session ends as one does whose socket
/// is lost, at the latest within [`HANGING_UP_MAX`]. `permit` is held until then. The file's bytes are held in memory as long
/// as it is read, and of its samples about a minute.
pub fn converse(
    recording: Recording,
    id: SessionId,
    engines: Engines,
    scribe: Option<Scribe>,
    permit: Permit,
    pass: Option<Pass>,
    drain_grace: Duration,
) -> impl Stream<Item = Result<Update, Error>> + Send + use<> {
    let Recording { file, limits, mode, settings, output } = recording;
    let (sender, told) = mpsc::channel(TOLD_MAX);
    let (asked, control) = mpsc::channel(ASKED_MAX);
    let (read, progress) = watch::channel(AudioPos::default());
    let fault = Arc::new(OnceLock::new());
    let microphone = Microphone::new(decoding::start(file, limits), control, read, Arc::clone(&fault));
    let is_kept = scribe.is_some();
    let start = Start {
        id,
        codec: Box::new(RecordedCodec::new(output)),
        settings: Settings { durable: is_kept, ..unhurried(settings, mode) },
        pace: Pace::File,
        welcome: Vec::new(),
        draining: permit.draining.clone(),
        drain_grace,
        kept: None,
        held: None,
        expected: None,
        pass,
        scribe,
        // What was uploaded is its caller's already.
        tape: None,
    };
    let socket = Attachment { receiver: Box::pin(microphone.heard()), sender: Box::pin(PollSender::new(sender)) };
    let hung_up = CancellationToken::new();
    let hanging_up = hung_up.clone();
    let mut session = JoinSet::new();
    let talking = async move {
        let _place = permit;
        let mut session = pin!(session::run(start, engines, socket));
        tokio::select! {
            ended = &mut session => if let Err(error) = ended {
                tracing::warn!(%error, "the session of a recording could not begin");
            },
            () = hanging_up.cancelled() => {
                let _too_slow = time::timeout(HANGING_UP_MAX, session).await;
            }
        }
    };
    session.spawn(talking.instrument(tracing::info_span!("session", %id)));
    let listener = Listener {
        told,
        asked,
        progress,
        fault,
        mode,
        turn: Turn::default(),
        has_words: false,
        all_durable: is_kept,
        ready: VecDeque::new(),
        over: false,
        session,
        _hung_up: hung_up.drop_guard(),
    };
    stream::unfold(listener, |mut listener| async move { Some((listener.next().await?, listener)) })
}

/// The settings of a conversation in which nobody is kept waiting by anybody's silence.
fn unhurried(settings: Settings, mode: Mode) -> Settings {
    Settings {
        turn_mode: TurnMode::Auto,
        reply_automatically: mode == Mode::Turns,
        reply_to_commits: true,
        // Nobody is there to be greeted, or to be asked whether they are still there.
        greeting: Arc::from(""),
        prompt_after: None,
        idle_timeout: Duration::ZERO,
        session_max: Duration::ZERO,
        partials: false,
        // A pause of the decoder is none of the speaker's.
        audio_gap: Duration::from_secs(86_400),
        transcript_timeout: WORDS_MAX,
        ..settings
    }
}

struct Listener {
    told: mpsc::Receiver<Outgoing>,
    /// Never full: see [`ASKED_MAX`].
    asked: mpsc::Sender<Received>,
    progress: watch::Receiver<AudioPos>,
    fault: Arc<OnceLock<audio::Error>>,
    mode: Mode,
    /// What was said since the last reply, and the reply that has begun.
    turn: Turn,
    has_words: bool,
    all_durable: bool,
    /// Updates not yet taken; one message makes at most two.
    ready: VecDeque<Result<Update, Error>>,
    over: bool,
    session: JoinSet<()>,
    /// After `session`: dropped, it says that nobody listens any more.
    _hung_up: DropGuard,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The session writes down how it ended, and ends by itself: with the guard it has been told that we are gone.
        self.session.detach_all();
    }
}

impl Listener {
    /// The next update. Cancel-safe.
    async fn next(&mut self) -> Option<Result<Update, Error>> {
        loop {
            if let Some(update) = self.ready.pop_front() {
                self.over |= matches!(update, Ok(Update::Done(_)) | Err(_));
                return Some(update);
            }
            if self.over {
                return None;
            }
            tokio::select! {
                biased;
                outgoing = self.told.recv() => match outgoing {
                    Some(Outgoing::Message(message)) => self.take(message),
                    // A session drops who gives no sign of life.
                    Some(Outgoing::Ping) => drop(self.asked.try_send(Received::Alive)),
                    Some(Outgoing::Close(..)) => {}
                    None => self.ready.push_back(Err(self.fault.get().cloned().map_or(Error::Broken, Error::Audio))),
                },
                Ok(()) = self.progress.changed() => {
                    let at = *self.progress.borrow_and_update();
                    self.ready.push_back(Ok(Update::Progress(at)));
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        let told = match (Told::parse(&message), message) {
            (Some(told), _) => told,
            (None, Message::Binary(payload)) => return self.ready.push_back(Ok(Update::Speech(payload))),
            (None, Message::Text(_)) => return self.ready.push_back(Err(Error::Broken)),
        };
        match told {
            Told::Transcript(utterance) => {
                self.has_words = true;
                self.turn.utterances.push(utterance.clone());
                self.ready.push_back(Ok(Update::Utterance(utterance)));
            }
            Told::TranscriptFailed { reason } => self.ready.push_back(Err(Error::Recognition(reason))),
            Told::TurnCommitted { durable } => self.all_durable &= durable,
            Told::ReplyStarted => {}
            Told::ReplyText { delta } => self.ready.push_back(Ok(Update::Text(delta))),
            Told::ToolCall { call, ref name, ref arguments } => {
                let (name, arguments) = (name.clone(), arguments.clone());
                self.turn.tools.push(Called { call, name, arguments, output: None });
                self.ready.push_back(Ok(Update::Tool(told)));
            }
            Told::ToolOutput { call, ref output, failed } => {
                if let Some(called) = self.turn.tools.iter_mut().find(|called| called.call == call) {
                    called.output = Some((output.clone(), failed));
                }
                self.ready.push_back(Ok(Update::Tool(told)));
            }
            Told::SpeechFailed => self.turn.speech_failed = true,
            Told::ReplyDone(done) => {
                self.turn.reply = Some(done);
                self.end_turn();
            }
            Told::Listened => {
                if self.mode == Mode::Whole && self.has_words {
                    self.ask(Asked::Reply);
                }
                self.ask(Asked::Bye);
            }
            Told::Broken { code } => {
                tracing::error!(code, "a session could not hear a recording");
                self.ready.push_back(Err(Error::Broken));
            }
            Told::Ended { restart: true } => self.ready.push_back(Err(Error::Restart)),
            Told::Ended { restart: false } => {
                // Words that nobody answered: replies do not come by themselves, or the last one was to silence.
                if !self.turn.utterances.is_empty() {
                    self.end_turn();
                }
                self.ready.push_back(Ok(Update::Done(self.all_durable)));
            }
        }
    }

    fn end_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        self.ready.push_back(Ok(Update::Turn(turn)));
    }

    fn ask(&mut self, asked: Asked) {
        if self.asked.try_send(Received::Message(asked.message())).is_err() {
            self.ready.push_back(Err(Error::Broken));
        }
    }
}

/// Messages of the session that nobody has taken. When full, the session keeps the rest, and in the end takes us for dead.
const TOLD_MAX: usize = 16;

/// What is asked and not yet taken: a reply, the end, and a sign of life every twenty seconds, which is left out when full.
const ASKED_MAX: usize = 8;

/// Longest wait for the words of one utterance.
const WORDS_MAX: Duration = Duration::from_secs(120);

/// What a session gets to end by itself once nobody listens.
const HANGING_UP_MAX: Duration = Duration::from_secs(2);
