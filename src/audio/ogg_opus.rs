//! Opus packets as an Ogg file (RFC 7845), written while they come.

use std::io;

use ::ogg::{PacketWriteEndInfo, PacketWriter};
use bytes::Bytes;

use super::{AudioChunk, Error, opus};

/// Packets on a page: of 20 ms each, a tenth of a second. A player can begin after the first page.
const PAGE_PACKETS: u32 = 5;

/// Writes one stream of mono Opus.
pub struct OggOpus {
    writer: PacketWriter<'static, Vec<u8>>,
    serial: u32,
    /// End of the last packet, in samples at 48 kHz.
    granule: u64,
    /// The newest packet: whether it is the last is known only when another comes.
    held: Option<AudioChunk>,
    packets: u32,
}

impl OggOpus {
    /// A stream of packets that an encoder of this rate and frame length makes.
    pub fn new(rate_hz: u32, frame_ms: u32, serial: u32) -> Result<Self, Error> {
        let lookahead = opus::Encoder::new(rate_hz, frame_ms)?.lookahead_samples();
        let pre_skip = u16::try_from(lookahead * opus::CLOCK_HZ as usize / rate_hz as usize).unwrap_or(u16::MAX);
        let mut head = b"OpusHead\x01\x01".to_vec();
        head.extend(pre_skip.to_le_bytes());
        head.extend(rate_hz.to_le_bytes());
        // No gain, one channel.
        head.extend([0, 0, 0]);
        let vendor = b"floe";
        let mut tags = b"OpusTags".to_vec();
        tags.extend((vendor.len() as u32).to_le_bytes());
        tags.extend(vendor);
        tags.extend(0_u32.to_le_bytes());
        let mut writer = PacketWriter::new(Vec::new());
        writer.write_packet(head, serial, PacketWriteEndInfo::EndPage, 0).map_err(broken)?;
        writer.write_packet(tags, serial, PacketWriteEndInfo::EndPage, 0).map_err(broken)?;
        Ok(Self { writer, serial, granule: 0, held: None, packets: 0 })
    }

    /// Takes a packet. Finished pages, possibly none.
    pub fn push(&mut self, packet: AudioChunk) -> Result<Bytes, Error> {
        if let Some(last) = self.held.replace(packet) {
            self.packets += 1;
            let full = self.packets.is_multiple_of(PAGE_PACKETS);
            self.write(last, if full { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket })?;
        }
        Ok(self.take())
    }

    /// The end of the file.
    pub fn finish(&mut self) -> Result<Bytes, Error> {
        if let Some(last) = self.held.take() {
            self.write(last, PacketWriteEndInfo::EndStream)?;
        }
        Ok(self.take())
    }

    fn write(&mut self, packet: AudioChunk, end: PacketWriteEndInfo) -> Result<(), Error> {
        self.granule += u64::from(packet.samples);
        self.writer.write_packet(packet.payload.to_vec(), self.serial, end, self.granule).map_err(broken)
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(self.writer.inner_mut()).into()
    }
}

/// Memory does not fail; the library's signature does.
fn broken(error: io::Error) -> Error {
    Error::broken(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{
        Codec, Egress, Format, Samples,
        container::{Limits, decode_file},
    };

    #[test]
    fn what_is_written_is_read_again() {
        let format = Format { codec: Codec::Opus, rate_hz: 24_000, frame_ms: 20 };
        let mut egress = Egress::new(format).unwrap();
        let tone = |at: usize| 0.4 * (at as f32 * 440.0 * std::f32::consts::TAU / 24_000.0).sin();
        let samples = Samples { rate_hz: 24_000, data: (0..36_000).map(tone).collect() };
        let mut chunks = Vec::new();
        egress.push(&samples, &mut chunks).unwrap();
        egress.finish(&mut chunks).unwrap();
        let mut ogg = OggOpus::new(24_000, 20, 7).unwrap();
        let mut file = Vec::new();
        for chunk in chunks {
            file.extend_from_slice(&ogg.push(chunk).unwrap());
        }
        file.extend_from_slice(&ogg.finish().unwrap());
        assert!(file.starts_with(b"OggS"));
        let back = decode_file(file.into(), Limits::default()).unwrap();
        let seconds = back.data.len() as f32 / back.rate_hz as f32;
        assert!((1.49..1.56).contains(&seconds), "{seconds} s");
        let energy = (back.data.iter().map(|it| it * it).sum::<f32>() / back.data.len() as f32).sqrt();
        assert!((0.2..0.35).contains(&energy), "{energy}");
    }
}
