//! Formats and signal processing: bytes of a client become 16 kHz frames, samples of a voice become bytes for a client.
//!
//! Everything here is synchronous and knows nothing of sockets, tasks or engines. Inwards: [`Ingress`]; outwards:
//! [`Egress`]; a client listens with [`Playout`]; files are read by [`container::decode_file`].

use std::{fmt, ops, sync::Arc, time::Duration};

use bytes::Bytes;

pub mod container;
mod egress;
mod error;
pub mod file;
mod g711;
mod ingress;
mod live;
pub mod ogg_opus;
pub mod opus;
mod pcm;
mod playout;
pub mod resample;
pub mod wav;

pub use egress::Egress;
pub use error::Error;
pub use g711::Law;
pub use ingress::{Ingress, Progress};
pub use live::Wake;
pub use opus::Encoder as FileEncoder;
pub use playout::Playout;

/// The rate at which Floe listens: every frame, position and model works at 16 kHz mono.
pub const RATE_HZ: u32 = 16_000;

/// Samples in one frame: 16 ms, the window of the voice activity detector.
pub const FRAME_SAMPLES: usize = 256;

/// A position in media time: samples at 16 kHz since the session's first sample. A stalled network does not move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct AudioPos(pub u64);

impl AudioPos {
    /// The position `ms` milliseconds after the start.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * (RATE_HZ as u64) / 1000)
    }

    /// Whole milliseconds since the start.
    pub const fn as_ms(self) -> u64 {
        self.0 * 1000 / (RATE_HZ as u64)
    }

    /// How far this lies after `earlier`; zero if it does not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0) * 1_000_000 / u64::from(RATE_HZ))
    }

    /// `duration` earlier, but not before the start.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(samples_16k(duration)))
    }
}

impl ops::Add<Duration> for AudioPos {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(samples_16k(duration)))
    }
}

impl fmt::Display for AudioPos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.as_ms();
        write!(f, "{}.{:03}", ms / 1000, ms % 1000)
    }
}

fn samples_16k(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / u64::from(RATE_HZ)) * u64::from(RATE_HZ) / 1_000_000
}

/// One window of the user's voice: exactly [`FRAME_SAMPLES`] samples at 16 kHz mono in −1…1.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Position just after the last sample; where a client ended something in the middle of a window, just after the last one
    /// that it sent.
    pub end: AudioPos,
    /// The samples; shared by the pre-roll ring and the recogniser.
    pub samples: Arc<[f32]>,
}

/// A piece of synthesised speech in the client's format: one wire frame. The conversation passes it on unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioChunk {
    /// Encoded bytes: whole PCM samples, or exactly one Opus packet.
    pub payload: Bytes,
    /// Length in samples of the output format's clock ([`Format::clock_hz`]).
    pub samples: u32,
    /// That clock.
    pub clock_hz: u32,
}

impl AudioChunk {
    /// Playing time.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(u64::from(self.samples) * 1_000_000 / u64::from(self.clock_hz.max(1)))
    }
}

/// How audio is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Signed 16-bit little-endian mono samples.
    PcmS16le,
    /// One Opus packet per frame.
    Opus,
    /// G.711 µ-law at 8 kHz.
    Pcmu,
    /// G.711 A-law at 8 kHz.
    Pcma,
    /// One continuous WebM stream holding Opus, in arbitrary pieces. Input only.
    WebmOpus,
    /// One continuous Ogg stream holding Opus, in arbitrary pieces. Input only.
    OggOpus,
    /// One continuous WAV stream, in arbitrary pieces. Input only.
    Wav,
}

impl Codec {
    /// Every codec, in the order in which they are offered.
    pub const ALL: [Self; 7] =
        [Self::PcmS16le, Self::Opus, Self::Pcmu, Self::Pcma, Self::WebmOpus, Self::OggOpus, Self::Wav];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PcmS16le => "pcm_s16le",
            Self::Opus => "opus",
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::WebmOpus => "webm/opus",
            Self::OggOpus => "ogg/opus",
            Self::Wav => "wav",
        }
    }

    /// The codec of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Whether one continuous stream comes in arbitrary pieces (input only) instead of one packet per message.
    pub const fn is_container(self) -> bool {
        matches!(self, Self::WebmOpus | Self::OggOpus | Self::Wav)
    }

    /// The values that [`Format::rate_hz`] may have; empty where the stream itself says it.
    pub const fn rates_hz(self) -> &'static [u32] {
        match self {
            Self::PcmS16le => &[8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
            Self::Opus => &[8_000, 12_000, 16_000, 24_000, 48_000],
            Self::Pcmu | Self::Pcma => &[8_000],
            Self::WebmOpus | Self::OggOpus | Self::Wav => &[],
        }
    }

    /// The values that [`Format::frame_ms`] may have for output; empty where there is no output.
    pub const fn frames_ms(self) -> &'static [u32] {
        match self {
            Self::PcmS16le | Self::Pcmu | Self::Pcma => &[10, 20, 40, 60, 80, 100, 120, 160, 200],
            Self::Opus => &[10, 20, 40, 60, 80, 100, 120],
            Self::WebmOpus | Self::OggOpus | Self::Wav => &[],
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec and its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// How samples are written.
    pub codec: Codec,
    /// Samples per second: for PCM and G.711 the rate itself; for Opus the rate at which the other side plays (its
    /// timestamps always count at 48 kHz); for containers whatever the stream says (0 here).
    pub rate_hz: u32,
    /// Milliseconds of audio per outgoing frame. Ignored for input.
    pub frame_ms: u32,
}

impl Format {
    /// The clock in which timestamps of this format count, in Hz.
    pub const fn clock_hz(&self) -> u32 {
        match self.codec {
            Codec::Opus | Codec::WebmOpus | Codec::OggOpus => 48_000,
            Codec::Pcmu | Codec::Pcma => 8_000,
            Codec::PcmS16le => self.rate_hz,
            Codec::Wav => RATE_HZ,
        }
    }

    /// Whether audio can be read in this format: is the rate one that the codec has?
    pub fn check_input(&self) -> Result<(), Error> {
        let rates_hz = self.codec.rates_hz();
        if rates_hz.is_empty() || rates_hz.contains(&self.rate_hz) {
            return Ok(());
        }
        Err(Error::RateUnsupported { codec: self.codec, rate_hz: self.rate_hz })
    }

    /// Whether audio can be written in this format: rate, and length of a frame.
    pub fn check_output(&self) -> Result<(), Error> {
        if self.codec.is_container() {
            return Err(Error::InputOnly { codec: self.codec });
        }
        self.check_input()?;
        if self.codec.frames_ms().contains(&self.frame_ms) {
            return Ok(());
        }
        Err(Error::FrameUnsupported { codec: self.codec, frame_ms: self.frame_ms })
    }
}

/// Mono samples in −1…1 at some rate: what a voice engine produces.
#[derive(Debug, Clone)]
pub struct Samples {
    /// Samples per second.
    pub rate_hz: u32,
    /// The samples.
    pub data: Vec<f32>,
}
