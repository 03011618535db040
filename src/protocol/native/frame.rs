//! The header of a media message: 12 bytes, big-endian, before the audio.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 12;

/// Kind of a frame from the microphone.
pub const AUDIO_UP: u8 = 1;
/// Kind of a frame of a reply's speech.
pub const AUDIO_DOWN: u8 = 2;

/// First frame of a talk spurt, or after a gap.
pub const START: u8 = 0x01;
/// Last frame of this reply. Its payload may be empty.
pub const LAST: u8 = 0x02;
/// Discontinuous transmission: nothing worth sending. The payload may be empty.
pub const DTX: u8 = 0x04;
/// The client dropped audio before this frame.
pub const DROPPED: u8 = 0x08;

/// What stands before the audio of a binary message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// [`AUDIO_UP`] or [`AUDIO_DOWN`]; a receiver throws every other kind away.
    pub kind: u8,
    /// [`START`], [`LAST`], [`DTX`], [`DROPPED`]; other bits are sent as zero and not looked at.
    pub flags: u8,
    /// Upwards 0; downwards the reply's number modulo 65536.
    pub stream: u16,
    /// Counts the frames of a stream from 0; wraps.
    pub sequence: u32,
    /// First sample's timestamp from the stream's beginning, in the format's clock; wraps.
    pub timestamp: u32,
}

/// A binary message shorter than a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a binary message of {0} bytes has no room for the header of {HEADER_BYTES} bytes")]
pub struct TooShort(
    /// Bytes it had.
    pub usize,
);

impl Header {
    /// The header as it stands on the wire.
    pub const fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [s0, s1] = self.stream.to_be_bytes();
        let [q0, q1, q2, q3] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        [self.kind, self.flags, s0, s1, q0, q1, q2, q3, t0, t1, t2, t3]
    }

    /// Splits a message into header and payload; the payload is not copied.
    pub fn split(mut message: Bytes) -> Result<(Self, Bytes), TooShort> {
        let Some(&[kind, flags, s0, s1, q0, q1, q2, q3, t0, t1, t2, t3]) = message.first_chunk::<HEADER_BYTES>() else {
            return Err(TooShort(message.len()));
        };
        let header = Self {
            kind,
            flags,
            stream: u16::from_be_bytes([s0, s1]),
            sequence: u32::from_be_bytes([q0, q1, q2, q3]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        };
        Ok((header, message.split_off(HEADER_BYTES)))
    }

    /// Header and payload as one message.
    pub fn join(self, payload: &[u8]) -> Bytes {
        let mut message = BytesMut::with_capacity(HEADER_BYTES + payload.len());
        message.put_slice(&self.to_bytes());
        message.put_slice(payload);
        message.freeze()
    }

    /// Whether a flag is set.
    pub const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}
