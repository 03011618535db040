//! Files and streams with a header of their own: WAV, FLAC, MP3, Ogg and WebM (Opus, Vorbis), M4A.

use std::{
    fs::File,
    io::{Cursor, Read},
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use symphonia::core::{
    codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known::CODEC_ID_OPUS},
    errors::Error as SymphoniaError,
    formats::{FormatOptions, FormatReader, TrackType, probe::Hint},
    io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource},
    meta::MetadataOptions,
    packet::Packet,
    units::TimeBase,
};

use super::{
    Error, RATE_HZ, Samples, opus,
    resample::{AnyRate, RATES_HZ},
};

/// Damaged packets in a row after which a stream is given up.
const DAMAGED_MAX: u32 = 16;

/// How much a file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Playing time; a file that has more is refused when that much has been decoded.
    pub duration_ms_max: u64,
}

impl Default for Limits {
    /// One hour: 230 MB of samples.
    fn default() -> Self {
        Self { duration_ms_max: 3_600_000 }
    }
}

/// Decodes a whole file to 16 kHz mono. A file that is cut off gives what is there. Blocks for as long as it takes.
pub fn decode_file(bytes: Bytes, limits: Limits) -> Result<Samples, Error> {
    collect(Reader::from_bytes(bytes)?, limits)
}

/// As [`decode_file`], from an open file.
pub fn decode_open_file(file: File, limits: Limits) -> Result<Samples, Error> {
    collect(Reader::open(Box::new(file))?, limits)
}

fn collect(mut reader: Reader, limits: Limits) -> Result<Samples, Error> {
    let samples_max = limits.duration_ms_max.saturating_mul(u64::from(RATE_HZ) / 1_000);
    let too_long = |data: &Vec<f32>| data.len() as u64 > samples_max;
    let mut data = Vec::new();
    let mut resampler = AnyRate::new(RATE_HZ);
    while let Some(block) = reader.next_block()? {
        resampler.push(block.rate_hz, block.samples, &mut data)?;
        if too_long(&data) {
            return Err(Error::FileTooLong { max_ms: limits.duration_ms_max });
        }
    }
    resampler.flush(&mut data)?;
    if too_long(&data) {
        return Err(Error::FileTooLong { max_ms: limits.duration_ms_max });
    }
    Ok(Samples { rate_hz: RATE_HZ, data })
}

/// Mono samples of one packet.
#[derive(Debug)]
pub struct Block<'a> {
    /// Samples per second: the file's own; 16 kHz for Opus.
    pub rate_hz: u32,
    /// The samples, channels averaged.
    pub samples: &'a [f32],
}

/// Decodes a container packet by packet. Every call may block on its source.
pub struct Reader {
    format: Box<dyn FormatReader>,
    track: u32,
    codec: Codec,
    samples: Vec<f32>,
    interleaved: Vec<f32>,
    /// Damaged packets in a row.
    damaged: u32,
    /// Whether any packet was there: only then is a sudden end a normal one.
    begun: bool,
    /// What was wrong with the first packet, until one is good: a file of which nothing can be decoded is not silence.
    fault: Option<Error>,
    over: bool,
}

enum Codec {
    Opus { decoder: opus::Decoder, skip: usize, time_base: Option<TimeBase> },
    Other(Box<dyn AudioDecoder>),
}

impl Reader {
    /// A reader of a file in memory.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, Error> {
        Self::open(Box::new(Cursor::new(bytes)))
    }

    /// A reader of a stream that cannot go back. M4A must have its index in front.
    pub fn from_stream(stream: impl Read + Send + Sync + 'static) -> Result<Self, Error> {
        Self::open(Box::new(ReadOnlySource::new(stream)))
    }

    fn open(source: Box<dyn MediaSource>) -> Result<Self, Error> {
        let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
        let format = guarded(|| {
            symphonia::default::get_probe()
                .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
                .map_err(unreadable)
        })?;
        let track = format.default_track(TrackType::Audio).ok_or(Error::NoTrack)?;
        let params = track.codec_params.as_ref().and_then(|params| params.audio()).ok_or(Error::NoTrack)?;
        let codec = if params.codec == CODEC_ID_OPUS {
            Codec::opus(params, track.time_base)?
        } else {
            Codec::Other(guarded(|| {
                symphonia::default::get_codecs()
                    .make_audio_decoder(params, &AudioDecoderOptions::default())
                    .map_err(|error| Error::CodecUnsupported { reason: error.to_string() })
            })?)
        };
        let track = track.id;
        Ok(Self {
            format,
            track,
            codec,
            samples: Vec::new(),
            interleaved: Vec::new(),
            damaged: 0,
            begun: false,
            fault: None,
            over: false,
        })
    }

    /// The next packet's samples (possibly none), or `None` at the end. A stream that breaks off after its first packet
    /// has ended (a browser's recording never says how long it is). After an error there is nothing more.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, Error> {
        if self.over {
            return Ok(None);
        }
        match guarded(|| self.advance()) {
            Ok(Some(rate_hz)) => Ok(Some(Block { rate_hz, samples: &self.samples })),
            Ok(None) => {
                self.over = true;
                Ok(None)
            }
            Err(error) => {
                self.over = true;
                Err(error)
            }
        }
    }

    /// Decodes the next good packet into `samples`; its rate.
    fn advance(&mut self) -> Result<Option<u32>, Error> {
        loop {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return self.fault.take().map_or(Ok(None), Err),
                Err(SymphoniaError::IoError(error))
                    if self.begun && error.kind() == std::io::ErrorKind::UnexpectedEof =>
                {
                    return self.fault.take().map_or(Ok(None), Err);
                }
                Err(error) => return Err(unreadable(error)),
            };
            if packet.track_id != self.track {
                continue;
            }
            let first = !std::mem::replace(&mut self.begun, true);
            self.samples.clear();
            match self.codec.decode(&packet, &mut self.interleaved, &mut self.samples) {
                Ok(rate_hz) => {
                    (self.damaged, self.fault) = (0, None);
                    return Ok(Some(rate_hz));
                }
                Err(error) => {
                    self.damaged += 1;
                    if self.damaged >= DAMAGED_MAX || matches!(error, Error::RateOutOfRange { .. }) {
                        return Err(error);
                    }
                    if first {
                        self.fault = Some(error);
                    }
                }
            }
        }
    }
}

impl Codec {
    /// Reads the Opus header (RFC 7845, section 5.1), which Ogg and WebM share.
    fn opus(params: &AudioCodecParameters, time_base: Option<TimeBase>) -> Result<Self, Error> {
        let mut decoder = opus::Decoder::new(RATE_HZ)?;
        let mut skip = 0;
        if let Some(head) =
            params.extra_data.as_deref().filter(|head| head.len() >= 19 && head.starts_with(b"OpusHead"))
        {
            if head[9] > 2 || head[18] != 0 {
                return Err(Error::CodecUnsupported { reason: "Opus with more than two channels".into() });
            }
            skip = usize::from(u16::from_le_bytes([head[10], head[11]])) * RATE_HZ as usize / opus::CLOCK_HZ as usize;
            decoder.set_gain(i16::from_le_bytes([head[16], head[17]]))?;
        }
        Ok(Self::Opus { decoder, skip, time_base })
    }

    /// Decodes one packet to mono; its rate.
    fn decode(&mut self, packet: &Packet, interleaved: &mut Vec<f32>, out: &mut Vec<f32>) -> Result<u32, Error> {
        match self {
            Self::Opus { decoder, skip, time_base } => {
                decoder.decode(&packet.data, out)?;
                let padding = time_base.map_or(0, |base| {
                    let ticks = packet.trim_end.get().saturating_mul(u64::from(base.numer.get()));
                    ticks.saturating_mul(u64::from(RATE_HZ)) / u64::from(base.denom.get())
                });
                out.truncate(out.len().saturating_sub(usize::try_from(padding).unwrap_or(usize::MAX)));
                let skipped = out.len().min(*skip);
                *skip -= skipped;
                out.drain(..skipped);
                Ok(RATE_HZ)
            }
            Self::Other(decoder) => {
                let audio = decoder.decode(packet).map_err(unreadable)?;
                let (rate_hz, channels) = (audio.spec().rate(), audio.num_planes().max(1));
                if !RATES_HZ.contains(&rate_hz) {
                    return Err(Error::RateOutOfRange { rate_hz });
                }
                audio.copy_to_vec_interleaved(interleaved);
                let share = 1.0 / channels as f32;
                let mono = interleaved.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() * share);
                out.extend(mono.map(super::pcm::sane));
                Ok(rate_hz)
            }
        }
    }
}

/// Runs a step of symphonia. Its readers are safe code, but with overflow checks on, arithmetic on a hostile header can
/// panic; that must cost this stream only.
fn guarded<T>(step: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(step))
        .unwrap_or_else(|_| Err(Error::ContainerUnreadable { reason: "it makes no sense".into() }))
}

fn unreadable(error: SymphoniaError) -> Error {
    match error {
        SymphoniaError::Unsupported(feature) => Error::CodecUnsupported { reason: feature.into() },
        error => Error::ContainerUnreadable { reason: error.to_string() },
    }
}
