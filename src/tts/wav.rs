//! The header of a WAV stream of unknown length, read as its bytes come in.

use crate::engine::{Error, ErrorKind};

/// Longest header accepted, in bytes; what precedes the samples is normally 44.
const MAX_HEADER_BYTES: usize = 4096;

/// What the header says. Its lengths are not believed: a program that writes to a pipe cannot know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Samples per second.
    pub(super) rate_hz: u32,
    /// Where the samples begin, in bytes.
    pub(super) data_at: usize,
}

/// Reads the header at the start of `bytes`; `None` until enough of it has come. Only mono 16-bit PCM is taken.
pub(super) fn header(bytes: &[u8]) -> Result<Option<Header>, Error> {
    let found = chunks(&bytes[..bytes.len().min(MAX_HEADER_BYTES)])?;
    if found.is_none() && bytes.len() >= MAX_HEADER_BYTES {
        return Err(Error::new(ErrorKind::Broken, "the speech is no usable WAV: its header does not end"));
    }
    Ok(found)
}

fn chunks(bytes: &[u8]) -> Result<Option<Header>, Error> {
    let wrong = |what: &str| Err(Error::new(ErrorKind::Broken, format_args!("the speech is no usable WAV: {what}")));
    if !b"RIFF".starts_with(&bytes[..bytes.len().min(4)]) {
        return wrong("it does not begin with RIFF");
    }
    let Some(form) = bytes.get(8..12) else { return Ok(None) };
    if form != b"WAVE" {
        return wrong("its form is not WAVE");
    }
    let mut rate_hz = None;
    let mut at = 12;
    while let (Some(id), Some(length)) = (bytes.get(at..at + 4), u32_at(bytes, at + 4)) {
        let body = at + 8;
        match (id, rate_hz) {
            (b"data", Some(rate_hz)) => return Ok(Some(Header { rate_hz, data_at: body })),
            (b"data", None) => return wrong("no format before the samples"),
            (b"fmt ", _) => {
                let Some(format) = bytes.get(body..body + 16) else { return Ok(None) };
                let (kind, channels, bits) = (&format[0..2], &format[2..4], &format[14..16]);
                if kind != [1, 0] || channels != [1, 0] || bits != [16, 0] {
                    return wrong("not mono 16-bit PCM");
                }
                rate_hz = u32_at(bytes, body + 4).filter(|rate| (4_000..=192_000).contains(rate));
                if rate_hz.is_none() {
                    return wrong("impossible rate");
                }
            }
            _ => {}
        }
        // Chunks are padded to even lengths. A bogus length leads past the limit, and is refused there.
        at = body.saturating_add(length as usize).saturating_add(length as usize & 1);
        if at > MAX_HEADER_BYTES {
            return wrong("its header does not end");
        }
    }
    Ok(None)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Bytes in arbitrary pieces become samples: a half sample waits for its other half.
#[derive(Debug, Default)]
pub(super) struct Pcm16 {
    odd: Option<u8>,
}

impl Pcm16 {
    /// Appends the samples completed by `bytes` to `out`.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<f32>) {
        let mut bytes = bytes;
        if let (Some(low), Some((high, rest))) = (self.odd, bytes.split_first()) {
            out.push(sample([low, *high]));
            self.odd = None;
            bytes = rest;
        }
        let (pairs, left) = bytes.as_chunks::<2>();
        out.extend(pairs.iter().map(|pair| sample(*pair)));
        if let [low] = left {
            self.odd = Some(*low);
        }
    }

    /// Whether half a sample is waiting: at the end of a stream that means that it broke off.
    pub(super) fn is_split(&self) -> bool {
        self.odd.is_some()
    }
}

fn sample(pair: [u8; 2]) -> f32 {
    f32::from(i16::from_le_bytes(pair)) / 32_768.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav() -> Vec<u8> {
        let mut bytes = b"RIFF\x24\xf0\xff\x7fWAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0\x01\0".to_vec();
        bytes.extend(22_050u32.to_le_bytes());
        bytes.extend(44_100u32.to_le_bytes());
        bytes.extend(b"\x02\0\x10\0data\0\xf0\xff\x7f\x01\x02");
        bytes
    }

    #[test]
    fn a_header_is_read_from_any_split() {
        let bytes = wav();
        let data_at = bytes.len() - 2;
        for length in 0..bytes.len() {
            let expected = (length >= data_at).then_some(Header { rate_hz: 22_050, data_at });
            assert_eq!(header(&bytes[..length]).expect("valid so far"), expected, "{length} bytes");
        }
    }

    #[test]
    fn wrong_headers_are_refused() {
        let stereo = {
            let mut b = wav();
            b[34] = 2;
            b
        };
        let slow = {
            let mut b = wav();
            b[36..40].copy_from_slice(&[1, 0, 0, 0]);
            b
        };
        let endless = {
            let mut b = wav();
            b[16..20].copy_from_slice(&[255; 4]);
            b
        };
        for bytes in [b"ID3".to_vec(), b"RIFF....AVI ".to_vec(), stereo, slow, endless] {
            assert_eq!(header(&bytes).expect_err("refused").kind, ErrorKind::Broken);
        }
    }

    #[test]
    fn odd_pieces_give_the_same_samples() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut whole = Vec::new();
        Pcm16::default().push(&bytes, &mut whole);
        for size in 1..9 {
            let (mut pcm, mut out) = (Pcm16::default(), Vec::new());
            bytes.chunks(size).for_each(|piece| pcm.push(piece, &mut out));
            assert_eq!(out, whole, "in pieces of {size}");
            assert!(!pcm.is_split());
        }
        let mut pcm = Pcm16::default();
        pcm.push(&[1, 2, 3], &mut whole);
        assert!(pcm.is_split());
    }
}
