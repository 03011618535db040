//! The containers around a reply's speech.

use bytes::{Bytes, BytesMut};
use utoipa::ToSchema;

use crate::audio::{self, AudioChunk, Codec, Format, ogg_opus::OggOpus, wav};

/// How spoken replies are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum Sound {
    /// 16-bit PCM at 24 kHz.
    Wav,
    /// Opus in Ogg.
    Opus,
}

impl Sound {
    pub(super) const fn format(self) -> Format {
        let codec = match self {
            Self::Wav => Codec::PcmS16le,
            Self::Opus => Codec::Opus,
        };
        Format { codec, rate_hz: RATE_HZ, frame_ms: FRAME_MS }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Opus => "audio/ogg",
        }
    }
}

/// One file, written while its speech comes.
pub(super) struct Container {
    ogg: Option<OggOpus>,
    bytes: u64,
    packets: u64,
}

impl Container {
    pub(super) fn new(sound: Sound) -> Result<Self, audio::Error> {
        let ogg = match sound {
            Sound::Wav => None,
            // One stream in a file of its own: any number names it.
            Sound::Opus => Some(OggOpus::new(RATE_HZ, FRAME_MS, 1)?),
        };
        Ok(Self { ogg, bytes: 0, packets: 0 })
    }

    /// What comes before the first piece, if nobody knows how many follow.
    pub(super) fn head(&self) -> Bytes {
        match self.ogg {
            Some(_) => Bytes::new(),
            None => Bytes::copy_from_slice(&wav::stream_head(RATE_HZ)),
        }
    }

    /// Takes a piece. What of the file is ready, possibly nothing.
    pub(super) fn push(&mut self, payload: Bytes) -> Result<Bytes, audio::Error> {
        self.bytes += payload.len() as u64;
        self.packets += 1;
        let Some(ogg) = &mut self.ogg else { return Ok(payload) };
        let clock_hz = Sound::Opus.format().clock_hz();
        ogg.push(AudioChunk { payload, samples: clock_hz / 1_000 * FRAME_MS, clock_hz })
    }

    /// The end of the file.
    pub(super) fn finish(&mut self) -> Result<Bytes, audio::Error> {
        self.ogg.as_mut().map_or_else(|| Ok(Bytes::new()), OggOpus::finish)
    }

    /// Playing time so far.
    pub(super) fn duration_ms(&self) -> u64 {
        match self.ogg {
            Some(_) => self.packets * u64::from(FRAME_MS),
            None => self.bytes * 1_000 / (2 * u64::from(RATE_HZ)),
        }
    }
}

/// A whole file in memory.
pub(super) struct File {
    container: Container,
    sound: Sound,
    written: BytesMut,
}

impl File {
    pub(super) fn new(sound: Sound) -> Result<Self, audio::Error> {
        Ok(Self { container: Container::new(sound)?, sound, written: BytesMut::new() })
    }

    pub(super) fn push(&mut self, payload: Bytes) -> Result<(), audio::Error> {
        let ready = self.container.push(payload)?;
        self.written.extend_from_slice(&ready);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.written.len()
    }

    /// The file and its playing time.
    pub(super) fn finish(mut self) -> Result<(Bytes, u64), audio::Error> {
        let rest = self.container.finish()?;
        self.written.extend_from_slice(&rest);
        let duration_ms = self.container.duration_ms();
        let file = match self.sound {
            Sound::Opus => self.written.freeze(),
            Sound::Wav => wav::with_head(RATE_HZ, &self.written).into(),
        };
        Ok((file, duration_ms))
    }
}

/// The rate of everything that is sent.
const RATE_HZ: u32 = 24_000;

/// Audio in one chunk.
const FRAME_MS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::container::{Limits, decode_file};

    #[test]
    fn a_whole_wav_says_how_long_it_is() {
        let mut file = File::new(Sound::Wav).unwrap();
        for _ in 0..50 {
            file.push(Bytes::from(vec![0; 960])).unwrap();
        }
        let (bytes, duration_ms) = file.finish().unwrap();
        assert_eq!(duration_ms, 1_000);
        assert_eq!(bytes.len(), 44 + 48_000);
        assert_eq!(u32::from_le_bytes(bytes[40..44].try_into().unwrap()), 48_000);
        let samples = decode_file(bytes, Limits::default()).unwrap();
        assert_eq!(samples.data.len(), 16_000);
    }
}
