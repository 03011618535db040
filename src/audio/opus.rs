//! libopus: one packet at a time, checked before it is decoded.

use ::opus::{Application, Bandwidth, Bitrate, Channels};
use bytes::Bytes;

use super::Error;

/// The largest packet that a client may send: 600 kbit/s in frames of 20 ms.
pub const PACKET_BYTES_MAX: usize = 1_500;

/// The largest packet that there is: six frames of 20 ms at the highest rate.
pub(super) const PACKET_BYTES_ANY: usize = 6 * 1_275;

/// The clock of every Opus stream, whatever rate is decoded.
pub(super) const CLOCK_HZ: u32 = 48_000;

/// The longest packet, in samples of the clock: 120 ms.
const PACKET_SAMPLES_MAX: usize = 5_760;

/// The shortest packet, in samples of the clock: 2.5 ms, and the grid on which losses are concealed.
const PACKET_SAMPLES_MIN: usize = 120;

/// What the header of a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketInfo {
    /// Length in samples at 48 kHz.
    pub samples: u32,
    /// Whether it holds two channels.
    pub stereo: bool,
}

/// Reads a packet's header. libopus decodes many random bytes without complaint, so this comes first: the size, and the
/// duration (2.5 to 120 ms).
pub fn inspect(packet: &[u8]) -> Result<PacketInfo, Error> {
    inspect_up_to(packet, PACKET_BYTES_MAX)
}

pub(super) fn inspect_up_to(packet: &[u8], bytes_max: usize) -> Result<PacketInfo, Error> {
    let not_opus = |reason| Error::NotOpus { reason };
    if packet.is_empty() {
        return Err(not_opus("it is empty"));
    }
    if packet.len() > bytes_max {
        return Err(Error::TooLong { codec: super::Codec::Opus, len_bytes: packet.len(), max_bytes: bytes_max });
    }
    let samples =
        ::opus::packet::get_nb_samples(packet, CLOCK_HZ).map_err(|_| not_opus("its header has no valid duration"))?;
    if !(PACKET_SAMPLES_MIN..=PACKET_SAMPLES_MAX).contains(&samples) {
        return Err(not_opus("its duration is not within 2.5 to 120 ms"));
    }
    ::opus::packet::parse(packet).map_err(|_| not_opus("its frames do not fit its length"))?;
    let stereo = !matches!(::opus::packet::get_nb_channels(packet), Ok(Channels::Mono));
    Ok(PacketInfo { samples: u32::try_from(samples).unwrap_or(u32::MAX), stereo })
}

/// A decoder straight to mono at its own rate, whatever rate and channels the other side encoded.
#[derive(Debug)]
pub struct Decoder {
    inner: ::opus::Decoder,
    /// Samples of the clock for each sample that comes out.
    clock_per_sample: usize,
    /// Length of the last packet in samples of the clock: what an empty payload stands for.
    last: usize,
    scratch: Vec<f32>,
}

impl Decoder {
    /// A decoder with output at 8, 12, 16, 24 or 48 kHz.
    pub fn new(rate_hz: u32) -> Result<Self, Error> {
        if !super::Codec::Opus.rates_hz().contains(&rate_hz) {
            return Err(Error::RateUnsupported { codec: super::Codec::Opus, rate_hz });
        }
        let inner = ::opus::Decoder::new(rate_hz, Channels::Mono).map_err(Error::broken)?;
        let clock_per_sample = (CLOCK_HZ / rate_hz) as usize;
        let scratch = vec![0.0; PACKET_SAMPLES_MAX / clock_per_sample];
        Ok(Self { inner, clock_per_sample, last: 960, scratch })
    }

    /// Decodes a packet that [`inspect`] accepted, and appends its samples. An empty one (discontinuous transmission)
    /// stands for as much comfort noise as the last packet held.
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), Error> {
        if packet.is_empty() {
            return self.run(&[], self.last, false, out);
        }
        let samples = inspect_up_to(packet, PACKET_BYTES_ANY)?.samples as usize;
        self.run(packet, samples, false, out)?;
        self.last = samples;
        Ok(())
    }

    /// Appends a replacement for `missing` samples of the 48 kHz clock (rounded down to 2.5 ms, at most 120 ms) that were
    /// lost before `next`: from the copy that `next` carries of its predecessor if it does, else extrapolated.
    pub fn conceal(&mut self, missing: usize, next: &[u8], out: &mut Vec<f32>) -> Result<(), Error> {
        let missing = missing.min(PACKET_SAMPLES_MAX) / PACKET_SAMPLES_MIN * PACKET_SAMPLES_MIN;
        if missing == 0 {
            return Ok(());
        }
        self.run(next, missing, !next.is_empty(), out)
    }

    /// Forgets the stream so far.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.inner.reset_state().map_err(Error::broken)
    }

    /// The gain that a container's header asks for, in 1/256 dB.
    pub(super) fn set_gain(&mut self, gain: i16) -> Result<(), Error> {
        self.inner.set_gain(i32::from(gain)).map_err(Error::broken)
    }

    fn run(&mut self, packet: &[u8], samples: usize, fec: bool, out: &mut Vec<f32>) -> Result<(), Error> {
        let len = samples / self.clock_per_sample;
        let decoded = self
            .inner
            .decode_float(packet, &mut self.scratch[..len], fec)
            .map_err(|_| Error::NotOpus { reason: "it cannot be decoded" })?;
        out.extend(self.scratch[..decoded.min(len)].iter().map(|sample| super::pcm::sane(*sample)));
        Ok(())
    }
}

/// What packets are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Network,
    File,
}

/// An encoder for speech: VOIP mode (the only one that carries loss recovery), 28 kbit/s up to 16 kHz and 32 kbit/s above.
#[derive(Debug)]
pub struct Encoder {
    inner: ::opus::Encoder,
    frame_samples: usize,
    lookahead_samples: usize,
    packet: Vec<u8>,
}

impl Encoder {
    /// An encoder of frames of `frame_ms` (10 to 120) at 8, 12, 16, 24 or 48 kHz.
    pub fn new(rate_hz: u32, frame_ms: u32) -> Result<Self, Error> {
        Self::made_for(Use::Network, rate_hz, frame_ms)
    }

    /// The same for a file, of which no packet is lost: nothing is spent on recovery (24 kbit/s).
    pub fn for_file(rate_hz: u32, frame_ms: u32) -> Result<Self, Error> {
        Self::made_for(Use::File, rate_hz, frame_ms)
    }

    fn made_for(used: Use, rate_hz: u32, frame_ms: u32) -> Result<Self, Error> {
        super::Format { codec: super::Codec::Opus, rate_hz, frame_ms }.check_output()?;
        let mut inner = ::opus::Encoder::new(rate_hz, Channels::Mono, Application::Voip).map_err(Error::broken)?;
        // 24 kbit/s would do at 16 kHz, but then libopus finds no room for the recovery data.
        let bitrate = match used {
            Use::File => 24_000,
            Use::Network if rate_hz > 16_000 => 32_000,
            Use::Network => 28_000,
        };
        let set_up = |encoder: &mut ::opus::Encoder| -> ::opus::Result<i32> {
            encoder.set_bitrate(Bitrate::Bits(bitrate))?;
            // Half of the default's work for speech that nobody can tell apart at these rates.
            encoder.set_complexity(5)?;
            // Nor above 12 kHz, where a voice has nothing.
            encoder.set_max_bandwidth(Bandwidth::Superwideband)?;
            match used {
                Use::Network => {
                    // Without an expected loss libopus leaves the recovery data out.
                    encoder.set_inband_fec(true)?;
                    encoder.set_packet_loss_perc(5)?;
                }
                // Not discontinuous: after a pause libopus' decoders bring a voice back over a third of a second.
                Use::File => {}
            }
            encoder.get_lookahead()
        };
        let lookahead = set_up(&mut inner).map_err(Error::broken)?;
        Ok(Self {
            inner,
            frame_samples: (rate_hz * frame_ms / 1_000) as usize,
            lookahead_samples: usize::try_from(lookahead).unwrap_or(0),
            packet: vec![0; PACKET_BYTES_MAX],
        })
    }

    /// Samples that [`encode`](Self::encode) takes.
    pub const fn frame_samples(&self) -> usize {
        self.frame_samples
    }

    /// How many samples late the decoded signal is.
    pub const fn lookahead_samples(&self) -> usize {
        self.lookahead_samples
    }

    /// Whether silence is sent as packets of one or two bytes.
    pub fn set_dtx(&mut self, on: bool) -> Result<(), Error> {
        self.inner.set_dtx(on).map_err(Error::broken)
    }

    /// Encodes exactly one frame.
    pub fn encode(&mut self, frame: &[f32]) -> Result<Bytes, Error> {
        let len = self.inner.encode_float(frame, &mut self.packet).map_err(Error::broken)?;
        Ok(Bytes::copy_from_slice(&self.packet[..len]))
    }

    /// Forgets the stream so far.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.inner.reset_state().map_err(Error::broken)
    }
}
