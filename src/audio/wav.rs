//! WAV files: what the command-line clients write.

use std::io::{self, Seek, Write};

use hound::{SampleFormat, WavSpec, WavWriter};

use super::{Samples, pcm};

/// Writes `samples` as a mono 16-bit WAV file. Blocks on `sink`.
pub fn write(sink: impl Write + Seek, samples: &Samples) -> io::Result<()> {
    let spec =
        WavSpec { channels: 1, sample_rate: samples.rate_hz, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let into_io = |error| match error {
        hound::Error::IoError(error) => error,
        error => io::Error::other(error),
    };
    let mut writer = WavWriter::new(sink, spec).map_err(into_io)?;
    for sample in &samples.data {
        writer.write_sample(pcm::to_i16(*sample)).map_err(into_io)?;
    }
    writer.finalize().map_err(into_io)
}

/// A mono 16-bit WAV file of these samples, as they lie in a client's memory: little-endian.
pub fn with_head(rate_hz: u32, pcm_s16le: &[u8]) -> Vec<u8> {
    let mut file = stream_head(rate_hz).to_vec();
    let length = u32::try_from(pcm_s16le.len()).unwrap_or(u32::MAX);
    file[4..8].copy_from_slice(&length.saturating_add(36).to_le_bytes());
    file[40..44].copy_from_slice(&length.to_le_bytes());
    file.extend_from_slice(pcm_s16le);
    file
}

/// The head of a mono 16-bit WAV stream whose length nobody knows yet: its lengths are the largest there are, which players
/// and OpenAI's own clients take as "until the end".
pub fn stream_head(rate_hz: u32) -> [u8; 44] {
    let mut head = [0; 44];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"RIFF\xff\xff\xff\xffWAVEfmt ");
    put(16, &16_u32.to_le_bytes());
    // Integers, one channel.
    put(20, &[1, 0, 1, 0]);
    put(24, &rate_hz.to_le_bytes());
    put(28, &(rate_hz * 2).to_le_bytes());
    // Bytes and bits of a sample.
    put(32, &[2, 0, 16, 0]);
    put(36, b"data\xff\xff\xff\xff");
    head
}
