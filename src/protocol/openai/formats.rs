//! Audio formats by OpenAI's names, today's and the beta's.

use super::{
    error::{ErrorObject, invalid_value},
    wire::session::{FlatFormat, Format, FormatPatch},
};
use crate::audio;

/// Samples a second of `audio/pcm` where nothing is said. The others are an extension, told only to those who asked.
pub const DEFAULT_RATE_HZ: u32 = 24_000;

/// Samples a second that `audio/pcm` may have.
pub const RATES_HZ: [u32; 4] = [8_000, 16_000, 24_000, 48_000];

/// Milliseconds in one `response.output_audio.delta`: few messages, and the first one soon.
pub const DELTA_MS: u32 = 60;

/// OpenAI's default.
pub(super) const DEFAULT: Format = Format::Pcm { rate: DEFAULT_RATE_HZ };

/// The format that a client asks for, given the one in force. `path` names the field.
pub(super) fn accept(wanted: &FormatPatch, now: Format, path: &str) -> Result<Format, ErrorObject> {
    let kind = wanted.kind.as_deref().unwrap_or(match now {
        Format::Pcm { .. } => "audio/pcm",
        Format::Pcmu => "audio/pcmu",
        Format::Pcma => "audio/pcma",
    });
    match (kind, wanted.rate) {
        ("audio/pcm", None) => Ok(match now {
            Format::Pcm { .. } if wanted.kind.is_none() => now,
            _ => DEFAULT,
        }),
        ("audio/pcm", Some(rate)) if RATES_HZ.contains(&rate) => Ok(Format::Pcm { rate }),
        ("audio/pcm", Some(_)) => Err(invalid_value(
            format!("{path}.rate"),
            "audio/pcm has a rate of 24000, or by extension 8000, 16000 or 48000.",
        )),
        ("audio/pcmu", None | Some(8_000)) => Ok(Format::Pcmu),
        ("audio/pcma", None | Some(8_000)) => Ok(Format::Pcma),
        ("audio/pcmu" | "audio/pcma", Some(_)) => {
            Err(invalid_value(format!("{path}.rate"), "G.711 has a rate of 8000."))
        }
        _ => Err(invalid_value(
            format!("{path}.type"),
            "Supported formats are 'audio/pcm', 'audio/pcmu' and 'audio/pcma'.",
        )),
    }
}

/// The same in the beta's place.
pub(super) fn accept_flat(wanted: &FlatFormat, now: Format, path: &str) -> Result<Format, ErrorObject> {
    match wanted {
        FlatFormat::Object(format) => accept(format, now, path),
        FlatFormat::Name(name) => match name.as_str() {
            "pcm16" => Ok(DEFAULT),
            "g711_ulaw" => Ok(Format::Pcmu),
            "g711_alaw" => Ok(Format::Pcma),
            _ => Err(invalid_value(path, "Supported formats are 'pcm16', 'g711_ulaw' and 'g711_alaw'.")),
        },
    }
}

/// The beta's word for a format.
pub(super) const fn flat_name(format: Format) -> &'static str {
    match format {
        Format::Pcm { .. } => "pcm16",
        Format::Pcmu => "g711_ulaw",
        Format::Pcma => "g711_alaw",
    }
}

/// The format in the words of [`audio`].
pub(super) const fn native(format: Format) -> audio::Format {
    let (codec, rate_hz) = match format {
        Format::Pcm { rate } => (audio::Codec::PcmS16le, rate),
        Format::Pcmu => (audio::Codec::Pcmu, 8_000),
        Format::Pcma => (audio::Codec::Pcma, 8_000),
    };
    audio::Format { codec, rate_hz, frame_ms: DELTA_MS }
}
