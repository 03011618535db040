//! The two files of one tape: where each piece goes, and what is taken back before it is written.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Fate, Side, file_name,
    track::{Error, Track},
};
use crate::{
    audio::{self, AudioChunk, AudioPos, FRAME_SAMPLES, Format, Playout, RATE_HZ, resample::Resampler},
    ids::{ConversationId, ResponseId},
    telemetry::metrics,
};

/// How the files of a tape came out; `None` where nothing was to be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taped {
    /// What the user said.
    pub user: Option<Written>,
    /// What was said to them.
    pub assistant: Option<Written>,
}

/// How a file came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// How much plays.
    pub length_ms: u64,
    /// How large it is.
    pub bytes: u64,
    /// Whether nothing is missing.
    pub complete: bool,
}

/// The files of one tape. Every call may wait for the disk, and none fails: what cannot be written is left out from there on.
pub(super) struct Reels {
    folder: PathBuf,
    conversation: ConversationId,
    part: i64,
    fate: Arc<Fate>,
    trouble: Arc<AtomicBool>,
    user: Reel,
    assistant: Reel,
    voice: Option<Voice>,
    /// Said and perhaps not heard yet, in order: at most [`PENDING_MAX`] samples.
    pending: VecDeque<Piece>,
    pending_samples: u64,
}

/// A file, as far as it has come.
enum Reel {
    Empty,
    Turning(Box<Track>),
    /// The disk took no more; this much is there.
    Broken(Written),
}

/// Decodes what one reply sends.
struct Voice {
    response: ResponseId,
    format: Format,
    playout: Playout,
    resampler: Resampler,
    /// Where its next piece should be.
    expected: AudioPos,
    /// Where its next sample goes.
    cursor: u64,
}

/// Samples at [`SPEECH_HZ`], and where they go.
struct Piece {
    at: u64,
    samples: Vec<f32>,
}

impl Piece {
    fn end(&self) -> u64 {
        self.at + self.samples.len() as u64
    }
}

impl Reels {
    pub(super) fn new(
        folder: PathBuf,
        conversation: ConversationId,
        part: i64,
        fate: Arc<Fate>,
        trouble: Arc<AtomicBool>,
    ) -> Self {
        let (user, assistant) = (Reel::Empty, Reel::Empty);
        let (voice, pending) = (None, VecDeque::new());
        Self { folder, conversation, part, fate, trouble, user, assistant, voice, pending, pending_samples: 0 }
    }

    pub(super) fn conversation(&self) -> ConversationId {
        self.conversation
    }

    pub(super) fn fate(&self) -> &Fate {
        &self.fate
    }

    /// A frame of the user's, which ends here.
    pub(super) fn heard(&mut self, end: AudioPos, samples: Option<&[f32]>) {
        self.write(Side::User, |track| {
            // The last frame before a place where the client ended something holds less than it has room for.
            let length = (end.0 - end.0.min(track.position())).min(FRAME_SAMPLES as u64);
            let length = usize::try_from(length).unwrap_or(0);
            match samples.and_then(|samples| samples.get(..length)) {
                Some(samples) => track.put(end.0 - length as u64, samples),
                None => track.silence_to(end.0),
            }
        });
        self.settle_to(speech_pos(end).saturating_sub(HOLD));
    }

    /// A piece of a reply.
    pub(super) fn said(&mut self, at: AudioPos, chunk: &AudioChunk, format: Format, response: ResponseId) {
        if chunk.payload.is_empty() {
            return;
        }
        if !self.voice.as_ref().is_some_and(|voice| (voice.response, voice.format) == (response, format)) {
            self.end_voice();
            self.voice = Voice::new(response, format, at).map_err(|error| self.fail(&error.into())).ok();
        }
        let jumps = |voice: &Voice| at.0.abs_diff(voice.expected.0) > JITTER_SAMPLES;
        if self.voice.as_ref().is_some_and(jumps) {
            let rest = self.voice.as_mut().map(Voice::rest);
            self.keep(rest);
            if let Some(voice) = &mut self.voice {
                voice.cursor = speech_pos(at);
            }
        }
        let piece = self.voice.as_mut().map(|voice| voice.take(at, chunk));
        self.keep(piece);
    }

    /// Nothing after this place will be heard.
    pub(super) fn cut(&mut self, at: AudioPos) {
        let at = speech_pos(at);
        self.voice = None;
        while let Some(mut piece) = self.pending.pop_back() {
            self.pending_samples -= piece.samples.len() as u64;
            if piece.at < at {
                piece.samples.truncate(usize::try_from(at - piece.at).unwrap_or(usize::MAX));
                self.pending_samples += piece.samples.len() as u64;
                self.pending.push_back(piece);
                break;
            }
        }
    }

    /// Everything said so far was heard.
    pub(super) fn settle(&mut self) {
        self.end_voice();
        let end = self.pending.back().map_or(0, Piece::end);
        self.settle_to(end);
    }

    /// Ends both files.
    pub(super) fn finish(mut self) -> Taped {
        self.settle();
        // Both end where the conversation does.
        if let Reel::Turning(user) = &self.user {
            let end = user.position() * u64::from(SPEECH_HZ) / u64::from(RATE_HZ);
            self.settle_to(end);
        }
        for side in [Side::User, Side::Assistant] {
            if !matches!(self.reel(side), Reel::Empty) {
                self.write(side, Track::finish);
            }
        }
        let is_torn = self.fate.is_torn.load(Ordering::Relaxed);
        Taped { user: self.user.came_out(is_torn), assistant: self.assistant.came_out(is_torn) }
    }

    /// Holds a piece until it is sure to be heard.
    fn keep(&mut self, piece: Option<Result<Piece, audio::Error>>) {
        match piece {
            None => {}
            Some(Ok(piece)) => {
                self.pending_samples += piece.samples.len() as u64;
                self.pending.push_back(piece);
                while self.pending_samples > PENDING_MAX
                    && let Some(end) = self.pending.front().map(Piece::end)
                {
                    self.settle_to(end);
                }
            }
            Some(Err(error)) => {
                self.voice = None;
                self.fail(&error.into());
            }
        }
    }

    fn end_voice(&mut self) {
        let rest = self.voice.take().map(|mut voice| voice.rest());
        self.keep(rest);
    }

    /// Up to here it is decided what was heard.
    fn settle_to(&mut self, place: u64) {
        while let Some(piece) = self.pending.pop_front_if(|piece| piece.end() <= place) {
            self.pending_samples -= piece.samples.len() as u64;
            self.write(Side::Assistant, |track| track.put(piece.at, &piece.samples));
        }
        let quiet_to = self.pending.front().map_or(place, |piece| piece.at.min(place));
        if matches!(self.assistant, Reel::Turning(_)) {
            self.write(Side::Assistant, |track| track.silence_to(quiet_to));
        }
    }

    fn reel(&mut self, side: Side) -> &mut Reel {
        match side {
            Side::User => &mut self.user,
            Side::Assistant => &mut self.assistant,
        }
    }

    fn write(&mut self, side: Side, work: impl FnOnce(&mut Track) -> Result<(), Error>) {
        let done = match self.reel(side) {
            Reel::Broken(_) => return,
            Reel::Turning(track) => work(track),
            Reel::Empty => self.begin(side).and_then(|track| {
                let mut track = Box::new(track);
                let done = work(&mut track);
                *self.reel(side) = Reel::Turning(track);
                done
            }),
        };
        match done {
            Ok(()) => self.trouble.store(false, Ordering::Relaxed),
            Err(error) => {
                self.fail(&error);
                let reel = self.reel(side);
                let (length_ms, bytes) = match reel {
                    Reel::Turning(track) => (track.length_ms(), track.bytes()),
                    Reel::Empty | Reel::Broken(_) => (0, 0),
                };
                *reel = Reel::Broken(Written { length_ms, bytes, complete: false });
            }
        }
    }

    fn begin(&self, side: Side) -> Result<Track, Error> {
        let rate_hz = match side {
            Side::User => RATE_HZ,
            Side::Assistant => SPEECH_HZ,
        };
        let path = self.folder.join(file_name(self.part, side));
        // Any number does: a file has one stream.
        let serial = u32::try_from(self.part).unwrap_or_default();
        Track::create(&path, rate_hz, serial)
    }

    /// Something is missing from here on. Said once, until something can be written again.
    fn fail(&self, error: &Error) {
        self.fate.is_torn.store(true, Ordering::Relaxed);
        if !self.trouble.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "sound cannot be written; conversations go on, and their files are not complete");
        }
    }
}

impl Reel {
    fn came_out(&self, is_torn: bool) -> Option<Written> {
        let tracks = match self {
            Self::Empty => return None,
            Self::Turning(track) => Written { length_ms: track.length_ms(), bytes: track.bytes(), complete: !is_torn },
            Self::Broken(tracks) => *tracks,
        };
        metrics::recorded(tracks.complete);
        Some(tracks)
    }
}

impl Voice {
    fn new(response: ResponseId, format: Format, at: AudioPos) -> Result<Self, audio::Error> {
        let playout = Playout::new(format)?;
        let resampler = Resampler::new(playout.rate_hz(), SPEECH_HZ)?;
        Ok(Self { response, format, playout, resampler, expected: at, cursor: speech_pos(at) })
    }

    fn take(&mut self, at: AudioPos, chunk: &AudioChunk) -> Result<Piece, audio::Error> {
        let (mut native, mut samples) = (Vec::new(), Vec::new());
        self.playout.push(&chunk.payload, &mut native)?;
        self.resampler.push(&native, &mut samples)?;
        self.expected = at + chunk.duration();
        Ok(self.piece(samples))
    }

    /// What the resampler holds back.
    fn rest(&mut self) -> Result<Piece, audio::Error> {
        let mut samples = Vec::new();
        self.resampler.flush(&mut samples)?;
        Ok(self.piece(samples))
    }

    fn piece(&mut self, samples: Vec<f32>) -> Piece {
        let piece = Piece { at: self.cursor, samples };
        self.cursor = piece.end();
        piece
    }
}

fn speech_pos(at: AudioPos) -> u64 {
    at.0 * u64::from(SPEECH_HZ) / u64::from(RATE_HZ)
}

/// The rate of what is said: what most voices have.
const SPEECH_HZ: u32 = 24_000;

/// How long what was said can be taken back, in samples: how far a client's playback may be behind. One second.
const HOLD: u64 = SPEECH_HZ as u64;

/// What is held at most, in samples: where no microphone moves the time on, ten seconds.
const PENDING_MAX: u64 = 10 * SPEECH_HZ as u64;

/// Pieces that lie no further apart than 5 ms follow each other: their times are rounded.
const JITTER_SAMPLES: u64 = RATE_HZ as u64 / 200;
