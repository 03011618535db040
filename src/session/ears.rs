//! From the bytes of a client to frames with a probability of speech.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::Notify;

use crate::{
    audio::{self, AudioPos, FRAME_SAMPLES, Format, Frame, Ingress},
    conversation::{Input, Time},
    protocol::{AudioPacket, ProtocolError, native::close},
    vad::VoiceActivity,
};

/// How the client sends its audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Like a microphone: a second of audio takes a second.
    Live,
    /// In pieces of any size and speed, each heard at once: the client knows that speech in it interrupts.
    Unpaced,
    /// As fast as the server takes it (a recording). What cannot be listened to yet, because the assistant has the floor,
    /// waits.
    File,
}

/// What was heard, in the order in which it is told to the conversation.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A frame and its probability of speech.
    Frame(Frame, f32),
    /// A fact that the client placed between two frames.
    Fact(Input),
}

/// The listening side of one session: decoder, resampler, voice activity detector.
pub(crate) struct Ears {
    ingress: Ingress,
    vad: Box<dyn VoiceActivity>,
    pace: Pace,
    /// Heard and not yet told. Live: emptied at once. File: bounded by [`BACKLOG_MAX`]; when full the socket is not read.
    backlog: VecDeque<Heard>,
    fresh: Vec<Frame>,
    /// A piece of a container that its decoding thread had no room for yet; until it has, the socket is not read.
    held: Option<AudioPacket>,
    end: AudioPos,
    ready: Arc<Notify>,
}

impl Ears {
    /// Ears for one input format.
    pub(crate) fn new(format: Format, pace: Pace, vad: Box<dyn VoiceActivity>) -> Result<Self, audio::Error> {
        let ready = Arc::new(Notify::new());
        let notify = Arc::clone(&ready);
        let ingress = Ingress::with_wake(format, Some(Box::new(move || notify.notify_one())))?;
        let (backlog, fresh) = (VecDeque::new(), Vec::new());
        Ok(Self { ingress, vad, pace, backlog, fresh, held: None, end: AudioPos::default(), ready })
    }

    /// Takes one packet. `now` is only used to notice a live client that sends faster than time passes.
    pub(crate) fn hear(&mut self, packet: AudioPacket, now: Time) -> Result<(), ProtocolError> {
        let pushed = self.ingress.push(&packet.payload, packet.timestamp, packet.gap, &mut self.fresh);
        self.collect();
        match pushed {
            Ok(()) => {}
            Err(audio::Error::InputLagging) => self.held = Some(packet),
            Err(error) => return Err(wrong(&error)),
        }
        let ahead = Duration::from_millis(self.end.as_ms()).saturating_sub(now.since(Time::ZERO));
        if self.pace == Pace::Live && ahead > AHEAD_MAX {
            return Err(ProtocolError::closing(
                close::VIOLATION,
                "audio_too_fast",
                "Audio came faster than time passes. Send recordings with \"pace\":\"file\" in hello.input.",
            ));
        }
        Ok(())
    }

    /// Frames that a container's own thread has finished since.
    pub(crate) fn collect_ready(&mut self, now: Time) -> Result<(), ProtocolError> {
        let polled = self.ingress.poll_ready(&mut self.fresh);
        self.collect();
        polled.map_err(|error| wrong(&error))?;
        match self.held.take() {
            Some(packet) => self.hear(packet, now),
            None => Ok(()),
        }
    }

    /// Resolves when a container's thread has frames. Cancel-safe.
    pub(crate) fn ready(&self) -> Arc<Notify> {
        Arc::clone(&self.ready)
    }

    /// What comes from here on is in this format. Media time goes on.
    pub(crate) fn set_format(&mut self, format: Format) -> Result<(), ProtocolError> {
        if format == self.ingress.format() {
            return Ok(());
        }
        let notify = Arc::clone(&self.ready);
        let flushed = self.ingress.finish(&mut self.fresh);
        self.collect();
        flushed.map_err(|error| wrong(&error))?;
        let wake = Box::new(move || notify.notify_one());
        self.ingress = Ingress::from_position(format, self.end, Some(wake)).map_err(|error| wrong(&error))?;
        Ok(())
    }

    /// The frames of something recorded before, in the format of the microphone. They count from zero.
    pub(crate) fn decode(&self, audio: &[u8]) -> Result<Vec<Frame>, ProtocolError> {
        let mut ingress = Ingress::new(self.ingress.format()).map_err(|error| wrong(&error))?;
        let mut frames = Vec::new();
        // Pieces of whole samples, shorter than the second that one payload may hold.
        for piece in audio.chunks(RECORDING_PIECE_BYTES) {
            ingress.push(piece, None, false, &mut frames).map_err(|error| wrong(&error))?;
        }
        ingress.finish(&mut frames).map_err(|error| wrong(&error))?;
        Ok(frames)
    }

    /// Places a fact after everything heard so far.
    pub(crate) fn place(&mut self, fact: Input) {
        self.backlog.push_back(Heard::Fact(fact));
    }

    /// Places a fact that ends something: exactly what was sent before it is meant, to the sample. Without this the last 30 ms would
    /// be missing here and be heard at the beginning of what comes next.
    pub(crate) fn divide(&mut self, fact: Input) -> Result<(), ProtocolError> {
        let settled = self.ingress.settle(&mut self.fresh);
        self.collect();
        self.place(fact);
        settled.map_err(|error| wrong(&error))
    }

    /// Whether more of the socket may be read.
    pub(crate) fn has_room(&self) -> bool {
        self.backlog.len() < BACKLOG_MAX && self.held.is_none()
    }

    /// The next thing to tell. A recording waits while the conversation is not `listening`.
    pub(crate) fn next(&mut self, listening: bool) -> Option<Heard> {
        if self.pace == Pace::File && !listening { None } else { self.backlog.pop_front() }
    }

    fn collect(&mut self) {
        for frame in self.fresh.drain(..) {
            let Some(window) = frame.samples.first_chunk::<FRAME_SAMPLES>() else { continue };
            let speech = self.vad.probability(window);
            self.end = frame.end;
            self.backlog.push_back(Heard::Frame(frame, speech));
        }
    }
}

/// What the client is told of audio that cannot be decoded. A container that broke cannot go on; anything else can.
fn wrong(error: &audio::Error) -> ProtocolError {
    let harmless = ProtocolError::harmless(error.code(), error.to_string());
    ProtocolError { close: (!error.is_recoverable()).then_some(close::VIOLATION), ..harmless }
}

/// Frames of a recording that wait while the assistant has the floor: one minute, about 4 MB.
const BACKLOG_MAX: usize = 3_750;

/// See [`Ears::decode`]: 0.08 s at 24 kHz, 0.5 s of G.711.
const RECORDING_PIECE_BYTES: usize = 4_000;

/// How far a live client's audio may be ahead of the clock: a phone that comes out of a tunnel sends its buffer at once.
const AHEAD_MAX: Duration = Duration::from_secs(10);
