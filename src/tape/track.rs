//! One file: samples at their places become pages of Ogg/Opus.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use bytes::Bytes;

use crate::audio::{
    self, AudioChunk, FileEncoder,
    ogg_opus::{self, HEAD_BYTES, OggOpus, TAIL_BYTES},
};

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Audio(#[from] audio::Error),
}

/// A file that is being written. Every call may wait for the disk.
pub(super) struct Track {
    file: File,
    encoder: FileEncoder,
    ogg: OggOpus,
    rate_hz: u32,
    /// Samples that do not fill a packet yet.
    frame: Vec<f32>,
    /// Where the next sample of the file lies.
    position: u64,
    /// Up to where there is silence, if that is further: it is written in whole packets, the rest with what follows.
    quiet_to: u64,
    bytes: u64,
    /// Silent packets that the encoder has made in a row; `None` before it has made any packet, also since it was reset.
    silent: Option<u32>,
}

impl Track {
    /// A new file of samples at this rate. Fails if there is one already: nothing is ever overwritten.
    pub(super) fn create(path: &Path, rate_hz: u32, serial: u32) -> Result<Self, Error> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let (encoder, ogg) =
            (FileEncoder::for_file(rate_hz, FRAME_MS)?, OggOpus::paged(rate_hz, FRAME_MS, serial, PAGE_PACKETS)?);
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Self { file, encoder, ogg, rate_hz, frame: Vec::new(), position: 0, quiet_to: 0, bytes: 0, silent: None })
    }

    /// Where the next sample lies.
    pub(super) fn position(&self) -> u64 {
        self.position.max(self.quiet_to)
    }

    /// How much plays, in milliseconds.
    pub(super) fn length_ms(&self) -> u64 {
        self.position() * 1_000 / u64::from(self.rate_hz)
    }

    /// Bytes in the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts samples at a place. What lies before it and is not there yet becomes silence; what is there already stays.
    pub(super) fn put(&mut self, at: u64, samples: &[f32]) -> Result<(), Error> {
        self.fill_to(at)?;
        let known = usize::try_from(self.position - at).unwrap_or(usize::MAX).min(samples.len());
        self.push(&samples[known..])
    }

    /// Silence up to a place.
    pub(super) fn silence_to(&mut self, place: u64) -> Result<(), Error> {
        self.quiet_to = self.quiet_to.max(place);
        let missing = self.quiet_to.saturating_sub(self.position);
        let rest = (self.frame.len() as u64 + missing) % self.encoder.frame_samples() as u64;
        self.fill_to(self.quiet_to.saturating_sub(rest))
    }

    fn fill_to(&mut self, place: u64) -> Result<(), Error> {
        let size = self.encoder.frame_samples();
        while self.position < place {
            let missing = usize::try_from(place - self.position).unwrap_or(usize::MAX);
            let is_quiet = self.silent.is_none_or(|packets| packets >= SILENT_PACKETS);
            if self.frame.is_empty() && missing >= size && is_quiet {
                // Nothing but a header: the decoder goes on with the silence that it has come to. What comes after it must
                // not refer to what came before.
                if self.silent.is_some() {
                    self.encoder.reset()?;
                    self.silent = None;
                }
                self.position += size as u64;
                self.write(Bytes::from_static(&[SILENCE]))?;
            } else {
                let rest = missing.min(size - self.frame.len());
                let before = self.silent.unwrap_or_default();
                self.push(&SILENT_FRAME[..rest])?;
                if self.frame.is_empty() {
                    self.silent = Some(before + 1);
                }
            }
        }
        Ok(())
    }

    /// Ends the file, with every byte on the disk.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.fill_to(self.quiet_to)?;
        let length = self.position * 48_000 / u64::from(self.rate_hz);
        // The decoded signal comes that much later.
        let late = self.encoder.lookahead_samples();
        let padded = (self.frame.len() + late).next_multiple_of(self.encoder.frame_samples());
        self.frame.resize(padded, 0.0);
        self.encode()?;
        let end = self.ogg.finish_at(length)?;
        self.append(&end)?;
        self.file.sync_data()?;
        Ok(())
    }

    fn push(&mut self, samples: &[f32]) -> Result<(), Error> {
        self.position += samples.len() as u64;
        self.frame.extend_from_slice(samples);
        self.encode()
    }

    fn encode(&mut self) -> Result<(), Error> {
        let size = self.encoder.frame_samples();
        let whole = self.frame.len() - self.frame.len() % size;
        for at in (0..whole).step_by(size) {
            let packet = self.encoder.encode(&self.frame[at..at + size])?;
            self.silent = Some(0);
            self.write(packet)?;
        }
        self.frame.drain(..whole);
        Ok(())
    }

    fn write(&mut self, payload: Bytes) -> Result<(), Error> {
        let samples = FRAME_MS * 48;
        let pages = self.ogg.push(AudioChunk { payload, samples, clock_hz: 48_000 })?;
        self.append(&pages)
    }

    fn append(&mut self, pages: &[u8]) -> Result<(), Error> {
        if pages.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(pages) {
            // Half a page would be in the way of whoever reads.
            let _as_it_is = self.file.set_len(self.bytes);
            return Err(error.into());
        }
        self.bytes += pages.len() as u64;
        Ok(())
    }
}

/// How long a file plays, in milliseconds, and how large it is, also one that was not ended. `None` if it is no file of ours.
/// Waits for the disk.
pub fn length_ms(path: &Path) -> io::Result<Option<(u64, u64)>> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut head = [0; HEAD_BYTES];
    if bytes < HEAD_BYTES as u64 {
        return Ok(None);
    }
    file.read_exact(&mut head)?;
    file.seek(SeekFrom::Start(bytes.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(ogg_opus::length_ms(&head, &tail).map(|length| (length, bytes)))
}

/// Length of a packet.
const FRAME_MS: u32 = 20;

/// Packets on a page: half a second.
const PAGE_PACKETS: u32 = 25;

/// A packet of 20 ms of wideband speech without a byte of it: "nothing is sent".
const SILENCE: u8 = 9 << 3;

/// Packets of silence that the encoder makes before it is left out: by then nothing of what was said resounds.
const SILENT_PACKETS: u32 = 25;

/// Longer than a packet at any rate.
const SILENT_FRAME: [f32; 960] = [0.0; 960];
