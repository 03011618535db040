//! Audio formats by their names on the wire, and which of them can be had.

use serde_json::Number;

use super::wire::{AppliedFormat, WireFormat};
use crate::audio::{Codec, Format};

/// Codecs that can carry a microphone.
pub const INPUT_CODECS: [Codec; 7] =
    [Codec::PcmS16le, Codec::Opus, Codec::Pcmu, Codec::Pcma, Codec::WebmOpus, Codec::OggOpus, Codec::Wav];

/// Codecs that can carry speech.
pub const OUTPUT_CODECS: [Codec; 4] = [Codec::PcmS16le, Codec::Opus, Codec::Pcmu, Codec::Pcma];

/// Milliseconds of audio in one binary message at most.
pub const MAX_FRAME_MS: u32 = 200;

/// Lengths of an Opus packet, in milliseconds.
const OPUS_PACKETS_MS: [f64; 9] = [2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0];

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

/// The format that a client means, if it is one of `codecs` with a rate and a frame length that it can have.
pub fn accept(wanted: &WireFormat, codecs: &[Codec], direction: Direction) -> Option<Format> {
    let codec = Codec::from_name(&wanted.codec).filter(|codec| codecs.contains(codec))?;
    let rate_hz = match codec {
        // A container says its rate itself.
        _ if codec.is_container() => 0,
        Codec::PcmS16le => wanted.rate?,
        Codec::Opus => wanted.rate.unwrap_or(48_000),
        _ => wanted.rate.unwrap_or(8_000),
    };
    let frame_ms = match &wanted.frame_ms {
        // A container comes in arbitrary pieces: their length says nothing.
        Some(frame_ms) if !codec.is_container() => frame_ms.as_f64()?,
        _ => DEFAULT_FRAME_MS,
    };
    // Upwards anything goes that a packet may hold; downwards lengths are whole milliseconds that the encoder has.
    let possible = match (direction, codec) {
        (Direction::Output, _) => frame_ms.fract() == 0.0,
        (Direction::Input, Codec::Opus) => OPUS_PACKETS_MS.contains(&frame_ms),
        (Direction::Input, _) => (10.0..=f64::from(MAX_FRAME_MS)).contains(&frame_ms),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is checked next")]
    let format = Format { codec, rate_hz, frame_ms: frame_ms.ceil() as u32 };
    let known = match direction {
        Direction::Input => format.check_input(),
        Direction::Output => format.check_output(),
    };
    (possible && known.is_ok()).then_some(format)
}

/// All formats of `codecs`, for a client that found none.
pub fn list(codecs: &[Codec]) -> Vec<WireFormat> {
    let one = |codec: Codec, rate| WireFormat { codec: codec.name().to_owned(), rate, frame_ms: None };
    codecs
        .iter()
        .flat_map(|&codec| match codec.rates_hz() {
            [] => vec![one(codec, None)],
            rates_hz => rates_hz.iter().map(|rate_hz| one(codec, Some(*rate_hz))).collect(),
        })
        .collect()
}

/// A format in force, as `ready` tells it. `pace` only upwards.
pub(super) fn applied(format: &Format, pace: Option<&str>) -> AppliedFormat {
    let container = format.codec.is_container();
    AppliedFormat {
        codec: format.codec.name().to_owned(),
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
