//! A file through the ears: decoded, listened to and transcribed exactly as a live conversation is, only faster.
//!
//! The conversation core is the only endpointing there is, so it finds the utterances here as well: it is told every frame
//! on a clock that is the file's own, and never asked for a reply. One utterance is recognised at a time, so that a long
//! file does not stand in the way of those who talk.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::{sync::mpsc, time};

use crate::{
    audio::{self, AudioPos, FRAME_SAMPLES, Frame, container::Limits},
    conversation::{Command, Conversation, Event, Input, Output, Settings, Time, TurnMode, floor},
    session::{Engines, hearing::Hearing},
    vad::VoiceActivity,
};

pub(crate) mod decoding;

use decoding::Decoded;

/// How a file is transcribed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Language as a BCP 47 tag; `None` = the server's.
    pub language: Option<Arc<str>>,
    /// How much audio is accepted.
    pub limits: Limits,
}

/// Something that was said in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Utterance {
    /// Where it begins.
    pub start: AudioPos,
    /// Where it ends.
    pub end: AudioPos,
    /// Its words; never empty.
    pub text: Arc<str>,
    /// Language as the recogniser names it.
    pub language: Arc<str>,
    /// 0…1.
    pub confidence: f32,
}

/// What is told while a file is transcribed.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Everything up to here has been listened to. Comes about once for every ten seconds of audio.
    Progress(AudioPos),
    /// The next utterance.
    Utterance(Utterance),
    /// Nothing more comes; the file is this long.
    Finished(AudioPos),
}

/// A file cannot be transcribed (any further).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no audio, or too much of it.
    #[error(transparent)]
    Audio(#[from] audio::Error),
    /// The recogniser failed; the word says how (see [`engine::ErrorKind`](crate::engine::ErrorKind)).
    #[error("recognition failed: {0}")]
    Recognition(&'static str),
}

/// Transcribes a file. The first error ends the stream; dropping it stops all work within one packet's decoding. The file's
/// bytes are held in memory until then, and of its samples a few seconds.
pub fn file(
    bytes: Bytes,
    engines: &Engines,
    settings: &Settings,
    options: Options,
) -> impl Stream<Item = Result<Update, Error>> + Send + use<> {
    let listener = Listener::new(bytes, engines, settings, options);
    stream::unfold(listener, |mut listener| async move { Some((listener.next().await?, listener)) })
}

/// The settings of a conversation in which nobody answers and nothing is ever late.
fn silent(settings: &Settings, language: Option<Arc<str>>) -> Settings {
    Settings {
        turn_mode: TurnMode::Auto,
        reply_automatically: false,
        greeting: Arc::from(""),
        language: language.unwrap_or_else(|| Arc::clone(&settings.language)),
        partials: false,
        prompt_after: None,
        idle_timeout: Duration::ZERO,
        session_max: Duration::ZERO,
        // The file's clock stands still while words are awaited.
        transcript_timeout: Duration::from_secs(86_400),
        ..settings.clone()
    }
}

struct Listener {
    core: Conversation,
    vad: Box<dyn VoiceActivity>,
    hearing: Hearing,
    facts: mpsc::Receiver<Input>,
    frames: mpsc::Receiver<Result<Decoded, audio::Error>>,
    /// Where the file stands: the only clock.
    heard: AudioPos,
    told: AudioPos,
    /// Updates not yet taken; one frame or fact makes at most a few.
    ready: VecDeque<Result<Update, Error>>,
    /// Set when the file's end has been read.
    length: Option<AudioPos>,
    over: bool,
}

impl Listener {
    fn new(bytes: Bytes, engines: &Engines, settings: &Settings, options: Options) -> Self {
        let (sender, facts) = mpsc::channel(FACTS_MAX);
        let mut listener = Self {
            core: Conversation::new(silent(settings, options.language), Time::ZERO),
            vad: (engines.vad)(),
            hearing: Hearing::new(Arc::clone(&engines.stt), sender),
            facts,
            frames: decoding::start(bytes, options.limits),
            heard: AudioPos(0),
            told: AudioPos(0),
            ready: VecDeque::new(),
            length: None,
            over: false,
        };
        listener.drain_outputs();
        listener
    }

    async fn next(&mut self) -> Option<Result<Update, Error>> {
        loop {
            if let Some(update) = self.ready.pop_front() {
                self.over = self.over || update.is_err();
                return Some(update);
            }
            if self.over {
                return None;
            }
            if let Some(length) = self.length
                && self.is_silent()
            {
                self.over = true;
                return Some(Ok(Update::Finished(length)));
            }
            let reading = self.length.is_none() && self.core.is_listening();
            tokio::select! {
                biased;
                Some(fact) = self.facts.recv() => self.tell(fact),
                decoded = self.frames.recv(), if reading => match decoded {
                    Some(Ok(Decoded::Frame(frame))) => self.hear(frame),
                    Some(Ok(Decoded::End(length))) => self.end(length),
                    Some(Err(error)) => self.ready.push_back(Err(error.into())),
                    None => self.ready.push_back(Err(audio::Error::StreamEnded.into())),
                },
                () = time::sleep(WORDS_MAX), if !reading => {
                    self.ready.push_back(Err(Error::Recognition("unavailable")));
                }
            }
        }
    }

    /// Whether nobody speaks and no words are awaited.
    fn is_silent(&self) -> bool {
        self.core.halves().0 == floor::User::Silent
    }

    fn hear(&mut self, frame: Frame) {
        let Some(window) = frame.samples.first_chunk::<FRAME_SAMPLES>() else { return };
        let speech = self.vad.probability(window);
        let end = frame.end;
        self.heard = end;
        self.hearing.frame(frame);
        if self.core.poll_timeout().is_some_and(|(at, _)| at <= self.now()) {
            self.core.handle_timeout(self.now());
            self.drain_outputs();
        }
        self.tell(Input::Frame { end, speech });
        if end.since(self.told) >= PROGRESS_EVERY {
            self.told = end;
            self.ready.push_back(Ok(Update::Progress(end)));
        }
    }

    /// The file is over: so is whatever was being said.
    fn end(&mut self, length: AudioPos) {
        self.length = Some(length);
        if !self.is_silent() {
            self.tell(Input::AudioCommitted);
        }
    }

    fn tell(&mut self, fact: Input) {
        self.core.handle_input(self.now(), fact);
        self.drain_outputs();
    }

    fn now(&self) -> Time {
        Time::ZERO + self.heard.since(AudioPos(0))
    }

    fn drain_outputs(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Command(Command::StartRecognition { utterance, from }) => {
                    self.hearing.start(utterance, from, self.core.settings());
                }
                Output::Command(Command::RecognizeTo { utterance, at }) => self.hearing.finish(utterance, at),
                Output::Command(Command::CancelRecognition { utterance }) => self.hearing.cancel(utterance),
                Output::Event(Event::TranscriptFinal { text, language, confidence, start, end, .. })
                    if !text.is_empty() =>
                {
                    let utterance = Utterance { start, end, text, language, confidence };
                    self.ready.push_back(Ok(Update::Utterance(utterance)));
                }
                Output::Event(Event::TranscriptFailed { reason, .. }) => {
                    self.ready.push_back(Err(Error::Recognition(reason)));
                }
                Output::Command(_) | Output::Event(_) | Output::Record(_) => {}
            }
        }
    }
}

/// Facts of the recogniser that have not been taken yet. When full, it waits.
const FACTS_MAX: usize = 16;

/// Audio between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Longest wait for the words of one utterance.
const WORDS_MAX: Duration = Duration::from_secs(120);
