//! A whole file, decoded frame by frame: memory holds the encoded bytes and one packet, however long the audio is.

use bytes::Bytes;

use super::{
    AudioPos, Error, FRAME_SAMPLES, Frame, RATE_HZ,
    container::{Limits, Reader},
    resample::AnyRate,
};

/// The frames of one file. Every call may take as long as decoding one packet takes.
pub struct FileFrames {
    reader: Reader,
    resampler: AnyRate,
    /// Samples that are not yet in a frame: less than one packet's and one frame's.
    pending: Vec<f32>,
    /// How many of `pending` have been handed out.
    taken: usize,
    end: AudioPos,
    /// Samples of the file so far.
    length: u64,
    samples_max: u64,
    limits: Limits,
    over: bool,
}

impl FileFrames {
    /// Opens a file of any kind that [`container`](super::container) reads, whatever its name says. Fails if it is none.
    pub fn open(bytes: Bytes, limits: Limits) -> Result<Self, Error> {
        Ok(Self {
            reader: Reader::from_bytes(bytes)?,
            resampler: AnyRate::new(RATE_HZ),
            pending: Vec::new(),
            taken: 0,
            end: AudioPos(0),
            length: 0,
            samples_max: limits.duration_ms_max.saturating_mul(u64::from(RATE_HZ) / 1_000),
            limits,
            over: false,
        })
    }

    /// The next frame; the last one is filled up with silence. After an error there is nothing more.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        while self.pending.len() - self.taken < FRAME_SAMPLES && !self.over {
            self.pending.drain(..self.taken);
            self.taken = 0;
            let before = self.pending.len();
            match self.reader.next_block() {
                Ok(Some(block)) => self.resampler.push(block.rate_hz, block.samples, &mut self.pending)?,
                Ok(None) => {
                    self.over = true;
                    self.resampler.flush(&mut self.pending)?;
                }
                Err(error) => {
                    self.over = true;
                    self.pending.clear();
                    return Err(error);
                }
            }
            self.length += (self.pending.len() - before) as u64;
            if self.length > self.samples_max {
                self.over = true;
                self.pending.clear();
                return Err(Error::FileTooLong { max_ms: self.limits.duration_ms_max });
            }
        }
        let rest = &self.pending[self.taken..];
        if rest.is_empty() {
            return Ok(None);
        }
        let mut samples = rest[..rest.len().min(FRAME_SAMPLES)].to_vec();
        self.taken += samples.len();
        samples.resize(FRAME_SAMPLES, 0.0);
        self.end = AudioPos(self.end.0 + FRAME_SAMPLES as u64);
        Ok(Some(Frame { end: self.end, samples: samples.into() }))
    }

    /// Where the file's audio ends, as far as it has been read.
    pub fn length(&self) -> AudioPos {
        AudioPos(self.length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::audio::{Samples, wav};

    fn file(samples: usize) -> Bytes {
        let mut file = Cursor::new(Vec::new());
        wav::write(&mut file, &Samples { rate_hz: RATE_HZ, data: vec![0.25; samples] }).unwrap();
        file.into_inner().into()
    }

    #[test]
    fn every_sample_comes_once_and_the_end_is_filled_up() {
        let mut frames = FileFrames::open(file(5_000), Limits::default()).unwrap();
        let mut all = Vec::new();
        while let Some(frame) = frames.next_frame().unwrap() {
            all.extend_from_slice(&frame.samples);
            assert_eq!(frame.end.0, all.len() as u64);
        }
        assert_eq!(all.len(), 5_120);
        assert!(all[..5_000].iter().all(|sample| (sample - 0.25).abs() < 1e-3));
        assert!(all[5_000..].iter().all(|sample| *sample == 0.0));
        assert_eq!(frames.length(), AudioPos(5_000));
        assert!(frames.next_frame().unwrap().is_none());
    }

    #[test]
    fn too_long_is_noticed_while_it_is_read() {
        let mut frames = FileFrames::open(file(32_000), Limits { duration_ms_max: 1_000 }).unwrap();
        let error = loop {
            match frames.next_frame() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it is too long"),
                Err(error) => break error,
            }
        };
        assert_eq!(error, Error::FileTooLong { max_ms: 1_000 });
        assert!(frames.next_frame().unwrap().is_none());
    }

    #[test]
    fn what_is_no_audio_is_no_file() {
        assert!(FileFrames::open(Bytes::from_static(b"%PDF-1.7 not a sound"), Limits::default()).is_err());
        assert!(FileFrames::open(Bytes::new(), Limits::default()).is_err());
    }
}
