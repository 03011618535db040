//! Audio formats by their names on the wire, and which of them can be had.

use serde_json::Number;

use super::wire::{AppliedFormat, WireFormat};
use crate::audio::{Codec, Format};

/// Rates of `pcm_s16le`, in Hz.
pub const PCM_RATES_HZ: [u32; 7] = [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/// Rates at which an Opus decoder can play, in Hz. Timestamps count at 48 kHz whatever the rate.
pub const OPUS_RATES_HZ: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// Codecs that can carry a microphone.
pub const INPUT_CODECS: [Codec; 7] =
    [Codec::PcmS16le, Codec::Opus, Codec::Pcmu, Codec::Pcma, Codec::WebmOpus, Codec::OggOpus, Codec::Wav];

/// Codecs that can carry speech.
pub const OUTPUT_CODECS: [Codec; 4] = [Codec::PcmS16le, Codec::Opus, Codec::Pcmu, Codec::Pcma];

/// Milliseconds of audio in one binary message at most.
pub const MAX_FRAME_MS: u32 = 200;

/// Milliseconds per frame where a client names none.
const DEFAULT_FRAME_MS: f64 = 20.0;

/// Whose audio a format is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client's microphone.
    Input,
    /// To the client's speaker.
    Output,
}

/// The name of a codec on the wire.
pub const fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::PcmS16le => "pcm_s16le",
        Codec::Opus => "opus",
        Codec::Pcmu => "pcmu",
        Codec::Pcma => "pcma",
        Codec::WebmOpus => "webm/opus",
        Codec::OggOpus => "ogg/opus",
        Codec::Wav => "wav",
    }
}

/// Whether a codec is a continuous stream in arbitrary pieces, which knows its own rate.
pub const fn is_container(codec: Codec) -> bool {
    matches!(codec, Codec::WebmOpus | Codec::OggOpus | Codec::Wav)
}

/// The format that a client means, if it is one of `codecs` with a rate and a frame length that it can have.
pub fn accept(wanted: &WireFormat, codecs: &[Codec], direction: Direction) -> Option<Format> {
    let codec = codecs.iter().copied().find(|codec| codec_name(*codec) == wanted.codec)?;
    let rate_hz = rate(codec, wanted.rate)?;
    let frame_ms = wanted.frame_ms.as_ref().map_or(Some(DEFAULT_FRAME_MS), Number::as_f64)?;
    let fits = match (codec, direction) {
        // Only these lengths are both whole milliseconds and one Opus packet.
        (Codec::Opus, Direction::Output) => [10.0, 20.0, 40.0, 60.0].contains(&frame_ms),
        (Codec::Opus, Direction::Input) => [2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0].contains(&frame_ms),
        (Codec::PcmS16le | Codec::Pcmu | Codec::Pcma, _) => (10.0..=f64::from(MAX_FRAME_MS)).contains(&frame_ms),
        (Codec::WebmOpus | Codec::OggOpus | Codec::Wav, Direction::Input) => true,
        (Codec::WebmOpus | Codec::OggOpus | Codec::Wav, Direction::Output) => false,
    };
    // Containers come in arbitrary pieces; their frame length says nothing.
    let frame_ms = if is_container(codec) { DEFAULT_FRAME_MS } else { frame_ms };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "2.5 to 200")]
    fits.then_some(Format { codec, rate_hz, frame_ms: frame_ms.ceil() as u32 })
}

fn rate(codec: Codec, wanted: Option<u32>) -> Option<u32> {
    match codec {
        Codec::PcmS16le => wanted.filter(|rate| PCM_RATES_HZ.contains(rate)),
        Codec::Opus => Some(wanted.unwrap_or(48_000)).filter(|rate| OPUS_RATES_HZ.contains(rate)),
        Codec::Pcmu | Codec::Pcma => Some(wanted.unwrap_or(8_000)).filter(|rate| *rate == 8_000),
        Codec::WebmOpus | Codec::OggOpus | Codec::Wav => Some(0),
    }
}

/// All formats of `codecs`, for a client that found none.
pub fn list(codecs: &[Codec]) -> Vec<WireFormat> {
    let one = |codec: Codec, rate| WireFormat { codec: codec_name(codec).to_owned(), rate, frame_ms: None };
    codecs
        .iter()
        .flat_map(|&codec| match codec {
            Codec::PcmS16le => PCM_RATES_HZ.iter().map(|rate| one(codec, Some(*rate))).collect(),
            Codec::Opus => OPUS_RATES_HZ.iter().map(|rate| one(codec, Some(*rate))).collect(),
            Codec::Pcmu | Codec::Pcma => vec![one(codec, Some(8_000))],
            Codec::WebmOpus | Codec::OggOpus | Codec::Wav => vec![one(codec, None)],
        })
        .collect()
}

/// A format in force, as `ready` tells it. `pace` only upwards.
pub(super) fn applied(format: &Format, pace: Option<&str>) -> AppliedFormat {
    let container = is_container(format.codec);
    AppliedFormat {
        codec: codec_name(format.codec).to_owned(),
        rate: (!container).then_some(format.rate_hz),
        frame_ms: (!container).then_some(Number::from(format.frame_ms)),
        clock: format.clock_hz(),
        pace: pace.map(str::to_owned),
    }
}

/// Most bytes of payload that a frame of [`MAX_FRAME_MS`] has; `None` where bytes do not tell the length.
pub(super) fn max_payload_bytes(format: &Format) -> Option<usize> {
    let samples = format.rate_hz.div_ceil(1000) as usize * MAX_FRAME_MS as usize;
    match format.codec {
        Codec::PcmS16le => Some(samples * 2),
        Codec::Pcmu | Codec::Pcma => Some(samples),
        Codec::Opus | Codec::WebmOpus | Codec::OggOpus | Codec::Wav => None,
    }
}
