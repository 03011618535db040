//! ITU-T G.711: one byte per sample on a logarithmic scale, at 8 kHz; what telephones speak.

use super::{Codec, Error, pcm};

/// Which of G.711's two scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// North America and Japan.
    Mu,
    /// Everywhere else.
    A,
}

/// Appends the samples of `payload` to `out`. Refuses more than `samples_max` samples.
pub(super) fn decode(law: Law, payload: &[u8], samples_max: usize, out: &mut Vec<f32>) -> Result<(), Error> {
    if payload.len() > samples_max {
        let codec = law.codec();
        return Err(Error::TooLong { codec, len_bytes: payload.len(), max_bytes: samples_max });
    }
    let table = law.table();
    out.extend(payload.iter().map(|code| f32::from(table[usize::from(*code)]) / 32_768.0));
    Ok(())
}

/// Appends `samples` to `out`, one byte each.
pub(super) fn encode(law: Law, samples: &[f32], out: &mut Vec<u8>) {
    out.extend(samples.iter().map(|sample| law.encode(pcm::to_i16(*sample))));
}

impl Law {
    /// The codec that uses this scale.
    pub const fn codec(self) -> Codec {
        match self {
            Self::Mu => Codec::Pcmu,
            Self::A => Codec::Pcma,
        }
    }

    /// The 16-bit sample of a code.
    pub fn decode(self, code: u8) -> i16 {
        self.table()[usize::from(code)]
    }

    /// The code nearest to a 16-bit sample.
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => encode_mu(sample),
            Self::A => encode_a(sample),
        }
    }

    const fn table(self) -> &'static [i16; 256] {
        match self {
            Self::Mu => &MU,
            Self::A => &A,
        }
    }
}

static MU: [i16; 256] = table(Law::Mu);
static A: [i16; 256] = table(Law::A);

const fn table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::Mu => decode_mu(code as u8),
            Law::A => decode_a(code as u8),
        } as i16;
        code += 1;
    }
    table
}

/// µ-law adds this before it takes the logarithm, so that the first segment is linear.
const BIAS: i32 = 0x84;

const fn decode_mu(code: u8) -> i32 {
    let bits = !code;
    let magnitude = ((((bits & 0x0F) as i32) << 3) + BIAS) << ((bits & 0x70) >> 4);
    if bits & 0x80 != 0 { BIAS - magnitude } else { magnitude - BIAS }
}

const fn decode_a(code: u8) -> i32 {
    let bits = code ^ 0x55;
    let step = ((bits & 0x0F) as i32) << 4;
    let magnitude = match (bits & 0x70) >> 4 {
        0 => step + 0x8,
        segment => (step + 0x108) << (segment - 1),
    };
    if bits & 0x80 != 0 { magnitude } else { -magnitude }
}

fn encode_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    // The scale ends at 32 635: what is louder takes the last code.
    let biased = i32::from(sample).abs().min(32_635) + BIAS;
    let segment = 24 - biased.leading_zeros();
    let step = (biased >> (segment + 3)) & 0x0F;
    !(sign | (segment << 4) as u8 | step as u8)
}

fn encode_a(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 { (0x80, i32::from(sample)) } else { (0, !i32::from(sample)) };
    // Segments 0 and 1 share a step of 16; from there on each doubles.
    let segment = (24 - (magnitude | 0xFF).leading_zeros()) & 7;
    let step = (magnitude >> segment.max(1).saturating_add(3)) & 0x0F;
    (sign | (segment << 4) as u8 | step as u8) ^ 0x55
}
