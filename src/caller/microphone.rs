//! The microphone: a recording, then silence, cut into frames that are due at their times.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::Recording;
use crate::{
    audio::{AudioChunk, Egress, Error, Format, RATE_HZ, Samples},
    protocol::native::{
        Pace,
        frame::{AUDIO_UP, Header, START},
    },
};

/// Samples at 16 kHz that are read from the recording at a time.
const STEP_SAMPLES: usize = 320;

/// A frame in which something is said has at least this effective value (−40 dB).
const SPEECH_RMS: f32 = 0.01;

/// A microphone with something to say.
pub(super) struct Microphone {
    recording: Recording,
    position: usize,
    egress: Egress,
    ready: VecDeque<AudioChunk>,
    frame: Duration,
    pace: Pace,
    /// When the first sample is due.
    begin: Instant,
    /// Frames until the recording and the tail are over.
    planned: u64,
    /// When each frame was handed over; only where frames are not due at fixed times.
    sent_at: Vec<Instant>,
    /// When the tail was over and silence goes on in real time.
    rest_from: Option<Instant>,
    next: u64,
    timestamp: u32,
}

impl Microphone {
    pub(super) fn new(
        recording: Recording,
        tail: Duration,
        format: Format,
        pace: Pace,
        begin: Instant,
    ) -> Result<Self, Error> {
        let frame = Duration::from_millis(u64::from(format.frame_ms));
        let length = Duration::from_millis(recording.len() as u64 * 1000 / u64::from(RATE_HZ)) + tail;
        let planned = length.as_millis().div_ceil(frame.as_millis().max(1));
        Ok(Self {
            recording,
            position: 0,
            egress: Egress::new(format)?,
            ready: VecDeque::new(),
            frame,
            pace,
            begin,
            planned: u64::try_from(planned).unwrap_or(u64::MAX),
            sent_at: Vec::new(),
            rest_from: None,
            next: 0,
            timestamp: 0,
        })
    }

    /// When the next frame is due: in real time when its last sample has been spoken.
    pub(super) fn due(&self) -> Instant {
        match (self.pace, self.rest_from) {
            (Pace::Realtime, _) => self.begin + self.frame * clamp(self.next + 1),
            (Pace::File, None) => self.begin,
            (Pace::File, Some(rest)) => rest + self.frame * clamp((self.next - self.planned) + 1),
        }
    }

    /// The next frame, to be sent now.
    pub(super) fn take(&mut self, now: Instant) -> Result<bytes::Bytes, Error> {
        let chunk = loop {
            if let Some(chunk) = self.ready.pop_front() {
                break chunk;
            }
            let mut data = vec![0.0; STEP_SAMPLES];
            let rest = self.recording.get(self.position..).unwrap_or(&[]);
            let part = rest.len().min(STEP_SAMPLES);
            data[..part].copy_from_slice(&rest[..part]);
            self.position += part;
            let mut chunks = Vec::new();
            self.egress.push(&Samples { rate_hz: RATE_HZ, data }, &mut chunks)?;
            self.ready.extend(chunks);
        };
        let flags = if self.next == 0 { START } else { 0 };
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap, says the protocol")]
        let header = Header { kind: AUDIO_UP, flags, stream: 0, sequence: self.next as u32, timestamp: self.timestamp };
        self.timestamp = self.timestamp.wrapping_add(chunk.samples);
        self.next += 1;
        if self.pace == Pace::File {
            self.sent_at.push(now);
            if self.next == self.planned {
                self.rest_from = Some(now);
            }
        }
        Ok(header.join(&chunk.payload))
    }

    /// When the sample `ms` milliseconds into the stream was due to be spoken (at full pace: was sent).
    pub(super) fn spoken_at(&self, ms: u64) -> Instant {
        match self.pace {
            Pace::Realtime => self.begin + Duration::from_millis(ms),
            Pace::File => {
                let frame = usize::try_from(u128::from(ms) / self.frame.as_millis().max(1)).unwrap_or(usize::MAX);
                *self.sent_at.get(frame).or(self.sent_at.last()).unwrap_or(&self.begin)
            }
        }
    }

    /// How long it has been running, in its own audio.
    pub(super) fn elapsed(&self) -> Duration {
        self.frame * clamp(self.next)
    }

    /// Whether the recording and the tail have been sent.
    pub(super) fn is_through(&self) -> bool {
        self.next >= self.planned
    }

    /// Says `recording` again, from its first word on, and then a tail; `None` if it is still speaking. Gives the time at
    /// which that first word is due.
    pub(super) fn speak_again(&mut self, recording: &Recording, tail: Duration) -> Option<Instant> {
        if self.position < self.recording.len() {
            return None;
        }
        let onset = onset(recording);
        let due = self.begin + self.elapsed();
        let length = Duration::from_millis((recording.len() - onset) as u64 * 1000 / u64::from(RATE_HZ)) + tail;
        let frames = u64::try_from(length.as_millis().div_ceil(self.frame.as_millis().max(1))).unwrap_or(u64::MAX);
        self.recording = recording.clone();
        self.position = onset;
        self.planned = self.next + frames;
        // What was encoded ahead is silence and still goes first.
        Some(due + self.frame * clamp(self.ready.len() as u64))
    }
}

/// Index of the first sample of the first 20 ms in which something is said.
fn onset(recording: &[f32]) -> usize {
    let loud = |window: &[f32]| {
        let energy: f32 = window.iter().map(|sample| sample * sample).sum();
        energy >= SPEECH_RMS * SPEECH_RMS * STEP_SAMPLES as f32
    };
    recording.chunks_exact(STEP_SAMPLES).position(loud).unwrap_or(0) * STEP_SAMPLES
}

fn clamp(frames: u64) -> u32 {
    u32::try_from(frames).unwrap_or(u32::MAX)
}
