//! The microphone as base64: pieces of any length become packets that the ears take.

use std::time::Duration;

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use super::{
    error::{ErrorObject, invalid_value},
    wire::session::Format,
};
use crate::{audio::Codec, protocol::AudioPacket};

/// Bytes of audio in one `input_audio_buffer.append` at most.
pub const APPEND_BYTES_MAX: usize = 15 << 20;

/// Milliseconds in one packet: short enough that work on a long append can be interleaved with other work.
const PACKET_MS: usize = 500;

/// Seconds of a recording put in as an item.
pub const RECORDING_S_MAX: usize = 120;

/// Standard alphabet; the padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Audio on its way in.
#[derive(Debug)]
pub(super) struct Microphone {
    sample_bytes: usize,
    rate_hz: usize,
    /// The first half of a sample whose second half comes with the next piece.
    half: Option<u8>,
    /// How much of it there was in all formats so far.
    appended: Duration,
    /// Bytes since the format last changed.
    bytes: u64,
}

/// The bytes of a recording. `path` names the field.
pub(super) fn decode(base64: &str, path: &str) -> Result<Bytes, ErrorObject> {
    let mut bytes = Vec::with_capacity((base64.len() / 4 * 3 + 4).min(APPEND_BYTES_MAX));
    decode_into(base64, &mut bytes, path)?;
    Ok(bytes.into())
}

fn decode_into(base64: &str, bytes: &mut Vec<u8>, path: &str) -> Result<(), ErrorObject> {
    if base64.len() / 4 * 3 > APPEND_BYTES_MAX {
        return Err(invalid_value(path, format!("One event holds at most {APPEND_BYTES_MAX} bytes of audio.")));
    }
    BASE64.decode_vec(base64, bytes).map_err(|error| {
        ErrorObject::invalid("invalid_base64", format!("The audio is no base64: {error}.")).about(path)
    })
}

impl Microphone {
    pub(super) fn new(format: Format) -> Self {
        let mut microphone = Self { sample_bytes: 1, rate_hz: 1, half: None, appended: Duration::ZERO, bytes: 0 };
        microphone.set_format(format);
        microphone
    }

    /// What follows is in this format.
    pub(super) fn set_format(&mut self, format: Format) {
        let native = super::formats::native(format);
        self.appended = self.appended();
        self.bytes = 0;
        self.half = None;
        self.sample_bytes = if native.codec == Codec::PcmS16le { 2 } else { 1 };
        self.rate_hz = native.rate_hz as usize;
    }

    /// Whether a recording is one in this format, and not too long to be recognised at once.
    pub(super) fn check(&self, recording: &Bytes) -> Result<(), ErrorObject> {
        let path = "item.content[0].audio";
        if !recording.len().is_multiple_of(self.sample_bytes) || recording.is_empty() {
            return Err(invalid_value(path, "The audio is not made of whole samples of the session's format."));
        }
        if recording.len() > RECORDING_S_MAX * self.rate_hz * self.sample_bytes {
            return Err(invalid_value(path, format!("A recording has at most {RECORDING_S_MAX} seconds.")));
        }
        Ok(())
    }

    /// Forgets the half of a sample.
    pub(super) fn clear(&mut self) {
        self.half = None;
    }

    /// How much audio was ever appended.
    pub(super) fn appended(&self) -> Duration {
        let samples = self.bytes / self.sample_bytes as u64;
        self.appended + Duration::from_micros(samples * 1_000_000 / self.rate_hz as u64)
    }

    /// Takes one piece. After an error nothing has changed.
    pub(super) fn append(&mut self, base64: &str) -> Result<impl Iterator<Item = AudioPacket> + use<>, ErrorObject> {
        let mut bytes = Vec::with_capacity((base64.len() / 4 * 3 + 4).min(APPEND_BYTES_MAX));
        bytes.extend(self.half);
        decode_into(base64, &mut bytes, "audio")?;
        self.bytes += (bytes.len() - usize::from(self.half.is_some())) as u64;
        self.half = if bytes.len() % self.sample_bytes == 0 { None } else { bytes.pop() };
        let size = self.rate_hz * PACKET_MS / 1_000 * self.sample_bytes;
        let bytes = Bytes::from(bytes);
        Ok((0..bytes.len().div_ceil(size)).map(move |index| {
            let payload = bytes.slice(index * size..((index + 1) * size).min(bytes.len()));
            AudioPacket { payload, timestamp: None, gap: false }
        }))
    }
}
