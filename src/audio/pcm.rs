//! 16-bit little-endian samples to and from −1…1.

use super::{Codec, Error};

const SCALE: f32 = 32_768.0;

/// Appends the samples of `payload` to `out`. Refuses half a sample, and more than `samples_max` samples.
pub(super) fn decode(payload: &[u8], samples_max: usize, out: &mut Vec<f32>) -> Result<(), Error> {
    let len_bytes = payload.len();
    if !len_bytes.is_multiple_of(2) {
        return Err(Error::Misaligned { len_bytes });
    }
    if len_bytes / 2 > samples_max {
        return Err(Error::TooLong { codec: Codec::PcmS16le, len_bytes, max_bytes: samples_max * 2 });
    }
    out.extend(payload.as_chunks().0.iter().map(|bytes| f32::from(i16::from_le_bytes(*bytes)) / SCALE));
    Ok(())
}

/// Appends `samples` to `out` as bytes.
pub(super) fn encode(samples: &[f32], out: &mut Vec<u8>) {
    out.reserve(samples.len() * 2);
    for sample in samples {
        out.extend_from_slice(&to_i16(*sample).to_le_bytes());
    }
}

/// The nearest 16-bit sample; `as` saturates: what lies outside of −1…1 is clipped, and NaN is silence.
pub(super) fn to_i16(sample: f32) -> i16 {
    (sample * SCALE).round() as i16
}

/// Makes any number that an engine may produce a sample: in −1…1, NaN is silence.
pub(super) fn sane(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}
