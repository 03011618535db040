//! A voice on its way to the client: samples at any rate become wire frames of the client's format.

use bytes::Bytes;

use super::{AudioChunk, Codec, Error, Format, Law, Samples, g711, opus, pcm, resample::AnyRate};

/// Encodes one client's replies; also a client's microphone. Continuous over the segments of one reply: only the last chunk,
/// at [`finish`](Self::finish), is padded.
#[derive(Debug)]
pub struct Egress {
    format: Format,
    coder: Coder,
    resampler: AnyRate,
    /// Samples at the format's rate that do not fill a chunk yet.
    pending: Vec<f32>,
    sane: Vec<f32>,
    chunk_samples: usize,
}

#[derive(Debug)]
enum Coder {
    Pcm,
    G711(Law),
    Opus(Box<opus::Encoder>),
}

impl Egress {
    /// An encoder of `format`, whose rate and frame length must be ones that the codec has.
    pub fn new(format: Format) -> Result<Self, Error> {
        format.check_output()?;
        let coder = match format.codec {
            Codec::PcmS16le => Coder::Pcm,
            Codec::Pcmu => Coder::G711(Law::Mu),
            Codec::Pcma => Coder::G711(Law::A),
            Codec::Opus => Coder::Opus(Box::new(opus::Encoder::new(format.rate_hz, format.frame_ms)?)),
            codec @ (Codec::WebmOpus | Codec::OggOpus | Codec::Wav) => return Err(Error::InputOnly { codec }),
        };
        // Rounded down where a frame is not a whole number of samples (22.05 kHz); the chunk says its true length.
        let chunk_samples = (format.rate_hz * format.frame_ms / 1_000) as usize;
        let resampler = AnyRate::new(format.rate_hz);
        Ok(Self { format, coder, resampler, pending: Vec::new(), sane: Vec::new(), chunk_samples })
    }

    /// The format that comes out.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Takes samples of any rate within 8 to 192 kHz and appends the chunks that they complete.
    pub fn push(&mut self, samples: &Samples, out: &mut Vec<AudioChunk>) -> Result<(), Error> {
        self.sane.clear();
        self.sane.extend(samples.data.iter().map(|sample| pcm::sane(*sample)));
        self.resampler.push(samples.rate_hz, &self.sane, &mut self.pending)?;
        self.drain(out)
    }

    /// Ends the reply: appends what is inside, the last chunk padded with silence, and is ready for the next reply.
    pub fn finish(&mut self, out: &mut Vec<AudioChunk>) -> Result<(), Error> {
        let before = self.pending.len();
        self.resampler.flush(&mut self.pending)?;
        if let Coder::Opus(encoder) = &self.coder
            && (before > 0 || !self.pending.is_empty())
        {
            // The decoder plays everything that much later.
            self.pending.resize(self.pending.len() + encoder.lookahead_samples(), 0.0);
        }
        self.pending.resize(self.pending.len().next_multiple_of(self.chunk_samples), 0.0);
        self.drain(out)?;
        match &mut self.coder {
            Coder::Opus(encoder) => encoder.reset(),
            Coder::Pcm | Coder::G711(_) => Ok(()),
        }
    }

    fn drain(&mut self, out: &mut Vec<AudioChunk>) -> Result<(), Error> {
        let whole = self.pending.len() - self.pending.len() % self.chunk_samples;
        let clock_hz = self.format.clock_hz();
        let samples = match self.coder {
            Coder::Opus(_) => self.format.frame_ms * clock_hz / 1_000,
            Coder::Pcm | Coder::G711(_) => u32::try_from(self.chunk_samples).unwrap_or(u32::MAX),
        };
        for frame in self.pending[..whole].chunks_exact(self.chunk_samples) {
            let payload = match &mut self.coder {
                Coder::Opus(encoder) => encoder.encode(frame)?,
                Coder::Pcm => {
                    let mut bytes = Vec::with_capacity(frame.len() * 2);
                    pcm::encode(frame, &mut bytes);
                    Bytes::from(bytes)
                }
                Coder::G711(law) => {
                    let mut bytes = Vec::with_capacity(frame.len());
                    g711::encode(*law, frame, &mut bytes);
                    Bytes::from(bytes)
                }
            };
            out.push(AudioChunk { payload, samples, clock_hz });
        }
        self.pending.drain(..whole);
        Ok(())
    }
}
