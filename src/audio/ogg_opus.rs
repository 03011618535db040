//! Opus packets as an Ogg file (RFC 7845), written while they come, and how long such a file is.

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
    page_packets: u32,
    /// Samples at 48 kHz that a player throws away at the beginning.
    pre_skip: u16,
}

impl OggOpus {
    /// A stream of packets that an encoder of this rate and frame length makes.
    pub fn new(rate_hz: u32, frame_ms: u32, serial: u32) -> Result<Self, Error> {
        Self::paged(rate_hz, frame_ms, serial, PAGE_PACKETS)
    }

    /// The same with so many packets on a page (at most 50, so that it is one page). What is not on a page yet is lost with the
    /// process.
    pub fn paged(rate_hz: u32, frame_ms: u32, serial: u32, page_packets: u32) -> Result<Self, Error> {
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
        Ok(Self { writer, serial, granule: 0, held: None, packets: 0, page_packets, pre_skip })
    }

    /// Takes a packet. Finished pages, possibly none.
    pub fn push(&mut self, packet: AudioChunk) -> Result<Bytes, Error> {
        if let Some(last) = self.held.replace(packet) {
            self.packets += 1;
            let full = self.packets.is_multiple_of(self.page_packets);
            self.write(last, if full { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket })?;
        }
        Ok(self.take())
    }

    /// The end of the file.
    pub fn finish(&mut self) -> Result<Bytes, Error> {
        self.finish_at(u64::MAX)
    }

    /// The end of a file that plays for `length` samples at 48 kHz: what its last packet holds beyond that is not played.
    pub fn finish_at(&mut self, length: u64) -> Result<Bytes, Error> {
        if let Some(last) = self.held.take() {
            let end = length.saturating_add(u64::from(self.pre_skip));
            let beyond = (self.granule + u64::from(last.samples)).saturating_sub(end);
            let samples = last.samples.saturating_sub(u32::try_from(beyond).unwrap_or(u32::MAX));
            self.write(AudioChunk { samples, ..last }, PacketWriteEndInfo::EndStream)?;
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

/// How long a file plays, in milliseconds, as its last whole page says: `head` are its first [`HEAD_BYTES`], `tail` its last
/// [`TAIL_BYTES`], or all of it. None if it has no such page, or does not begin as [`OggOpus`] writes.
pub fn length_ms(head: &[u8], tail: &[u8]) -> Option<u64> {
    let (serial, head) = (head.get(14..18)?, head.get(28..HEAD_BYTES)?);
    let pre_skip = u64::from(u16::from_le_bytes(head.strip_prefix(b"OpusHead")?.get(2..4)?.try_into().ok()?));
    let granule = |at: usize| {
        let page = tail.get(at..)?.strip_prefix(b"OggS")?;
        let segments = page.get(23..23 + usize::from(*page.get(22)?))?;
        let body: usize = segments.iter().map(|length| usize::from(*length)).sum();
        let is_whole = page.len() >= 23 + segments.len() + body && page.get(10..14)? == serial;
        let granule = u64::from_le_bytes(page.get(2..10)?.try_into().ok()?);
        (is_whole && granule != u64::MAX).then_some(granule)
    };
    let last = (0..tail.len()).rev().find_map(granule)?;
    Some(last.saturating_sub(pre_skip) * 1_000 / u64::from(opus::CLOCK_HZ))
}

/// The page that says what follows.
pub const HEAD_BYTES: usize = 47;

/// Longer than any page.
pub const TAIL_BYTES: u64 = 65_536;

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

    #[test]
    fn a_file_ends_where_it_is_told_to_and_says_how_long_it_is_wherever_it_breaks_off() {
        let mut ogg = OggOpus::paged(16_000, 20, 7, 5).unwrap();
        let packet = AudioChunk { payload: Bytes::from_static(&[0x48]), samples: 960, clock_hz: 48_000 };
        let mut file = Vec::new();
        for _ in 0..22 {
            file.extend_from_slice(&ogg.push(packet.clone()).unwrap());
        }
        let told = |file: &[u8]| length_ms(&file[..HEAD_BYTES.min(file.len())], file);
        let skipped = u64::from(ogg.pre_skip) / 48;
        assert_eq!(told(&file), Some(400 - skipped - 1), "whole pages only, rounded down");
        assert_eq!(told(&file[..file.len() - 1]), Some(300 - skipped - 1));
        assert_eq!(told(b"OggS"), None);
        file.extend_from_slice(&ogg.finish_at(48_000 * 430 / 1_000).unwrap());
        assert_eq!(told(&file), Some(430));
        let back = decode_file(file.into(), Limits::default()).unwrap();
        assert_eq!(back.data.len(), 16_000 * 430 / 1_000);
        assert!(back.data.iter().all(|sample| *sample == 0.0));
    }
}
