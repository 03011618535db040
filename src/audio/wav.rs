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
