//! Phrases that other nodes have spoken: what the cache asks before the engine speaks, and how speech travels.
//!
//! Only the voice's own side is here. Where phrases are kept is somebody else's affair: whoever composes the server hands
//! that in with [`TextToSpeech::share`](super::TextToSpeech::share).

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use super::Segment;
use crate::audio::Samples;

/// Where phrases are kept for everybody.
pub trait Phrases: Send + Sync {
    /// A phrase that was spoken before. Must be quick to say no: somebody waits for the sound.
    fn find(&self, key: Key) -> BoxFuture<'static, Option<Bytes>>;

    /// Keeps a phrase, or does not. Never waits.
    fn keep(&self, key: Key, speech: Bytes);
}

/// The digest of everything that speech depends on. A text cannot be read back from it.
pub type Key = [u8; 32];

/// The key of a segment, as the engine called `identity` speaks it.
pub(super) fn key(identity: &str, segment: &Segment) -> Key {
    let speed = segment.speed.to_bits().to_le_bytes();
    let parts = [
        FORMAT,
        identity.as_bytes(),
        segment.text.as_bytes(),
        segment.voice.as_bytes(),
        segment.language.as_bytes(),
        &speed,
    ];
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps "ab" + "c" and "a" + "bc" apart.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A whole phrase as bytes: a mark, the rate, then 16 bit samples. None if its pieces do not fit together.
pub(super) fn encode(pieces: &[Samples]) -> Option<Bytes> {
    let rate_hz = pieces.first()?.rate_hz;
    let samples: usize = pieces.iter().map(|piece| piece.data.len()).sum();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + 2 * samples);
    bytes.extend_from_slice(FORMAT);
    bytes.extend_from_slice(&rate_hz.to_le_bytes());
    for piece in pieces {
        if piece.rate_hz != rate_hz {
            return None;
        }
        for sample in &piece.data {
            // The cast saturates, and makes silence of what is no number.
            bytes.extend_from_slice(&((sample * SCALE).round() as i16).to_le_bytes());
        }
    }
    Some(bytes.into())
}

/// The pieces of a phrase, a fifth of a second each; None if the bytes are none of ours.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Samples>> {
    let (rate, samples) = bytes.strip_prefix(FORMAT)?.split_first_chunk::<4>()?;
    let rate_hz = u32::from_le_bytes(*rate);
    if !(RATE_HZ_MIN..=RATE_HZ_MAX).contains(&rate_hz) || samples.is_empty() || samples.len() % 2 != 0 {
        return None;
    }
    let sample = |two: &[u8]| f32::from(i16::from_le_bytes([two[0], two[1]])) / SCALE;
    let piece_bytes = 2 * (rate_hz as usize / 5);
    let piece = |bytes: &[u8]| Samples { rate_hz, data: bytes.chunks_exact(2).map(sample).collect() };
    Some(samples.chunks(piece_bytes).map(piece).collect())
}

/// What speech begins with; it goes up when the format changes, and then nobody reads the old one.
const FORMAT: &[u8; 4] = b"FPH1";

const HEAD_BYTES: usize = 8;
const SCALE: f32 = 32_767.0;
const RATE_HZ_MIN: u32 = 8_000;
const RATE_HZ_MAX: u32 = 192_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_comes_back_as_it_was_to_sixteen_bits() {
        let tone = |length: usize| (0..length).map(|at| (at as f32 / 7.0).sin()).collect::<Vec<_>>();
        let pieces = [Samples { rate_hz: 22_050, data: tone(5_000) }, Samples { rate_hz: 22_050, data: tone(321) }];
        let back = decode(&encode(&pieces).unwrap()).unwrap();
        assert!(back.len() > 1 && back.iter().all(|piece| piece.rate_hz == 22_050));
        let (there, back): (Vec<f32>, Vec<f32>) = (
            pieces.iter().flat_map(|piece| piece.data.clone()).collect(),
            back.into_iter().flat_map(|piece| piece.data).collect(),
        );
        assert_eq!(there.len(), back.len());
        assert!(there.iter().zip(&back).all(|(one, other)| (one - other).abs() < 1.0 / 30_000.0));
    }

    #[test]
    fn bytes_of_others_are_no_speech() {
        let pieces = [Samples { rate_hz: 8_000, data: vec![0.5; 100] }];
        let bytes = encode(&pieces).unwrap();
        assert!(decode(&bytes).is_some());
        for wrong in
            [&b""[..], b"FPH1", b"RIFF....WAVE", &bytes[..bytes.len() - 1], &bytes[..HEAD_BYTES], b"FPH1\0\0\0\0aa"]
        {
            assert!(decode(wrong).is_none(), "{wrong:?}");
        }
        let rates = [Samples { rate_hz: 8_000, data: vec![0.5] }, Samples { rate_hz: 16_000, data: vec![0.5] }];
        assert!(encode(&rates).is_none() && encode(&[]).is_none());
    }

    #[test]
    fn everything_that_speech_depends_on_is_in_the_key() {
        let segment = |text: &str, voice: &str, language: &str, speed| Segment {
            text: text.into(),
            voice: voice.into(),
            language: language.into(),
            speed,
        };
        let plain = key("espeak", &segment("Hello.", "", "en", 1.0));
        assert_eq!(plain, key("espeak", &segment("Hello.", "", "en", 1.0)));
        for other in [
            key("piper", &segment("Hello.", "", "en", 1.0)),
            key("espeak", &segment("Hello!", "", "en", 1.0)),
            key("espeak", &segment("Hello.", "en", "", 1.0)),
            key("espeak", &segment("Hello.", "", "de", 1.0)),
            key("espeak", &segment("Hello.", "", "en", 1.5)),
        ] {
            assert_ne!(plain, other);
        }
    }
}
