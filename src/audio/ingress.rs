//! A client's microphone: payloads of any format become frames of 16 kHz mono, gaps included.

use std::sync::Arc;

use super::{
    AudioPos, Codec, Error, FRAME_SAMPLES, Format, Frame, Law, RATE_HZ, g711, live::LiveStream, live::Wake, opus, pcm,
    resample::Resampler,
};

/// A jump of the timestamp below this many milliseconds is jitter of a capture clock, not a gap.
const JITTER_MS: u64 = 5;

/// Opus conceals gaps up to this length; what is longer becomes silence.
const CONCEAL_MS_MAX: u64 = 120;

/// Media time skips forward at most this far: enough to end any utterance. It is also a credit, spent by skipping and earned
/// back one to one by audio: whoever sends little but jumping timestamps does not get frames for nothing.
const SKIP_MS_MAX: u64 = 10_000;

/// Whether more can come out of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Open,
    /// All of it has been handed out.
    Ended,
}

/// Decodes one client's audio. Works in the task that reads the socket: nothing here blocks.
#[derive(Debug)]
pub struct Ingress {
    kind: Kind,
    format: Format,
    framer: Framer,
    /// The timestamp that follows without a gap.
    expected: Option<u32>,
    /// Samples of silence that may still be inserted.
    skip_credit: u64,
    native: Vec<f32>,
    samples: Vec<f32>,
}

#[derive(Debug)]
enum Kind {
    Pcm(Resampler),
    G711(Law, Resampler),
    Opus(opus::Decoder),
    Live(LiveStream),
}

impl Ingress {
    /// A decoder of `format`.
    pub fn new(format: Format) -> Result<Self, Error> {
        Self::with_wake(format, None)
    }

    /// As [`new`](Self::new). A continuous container is decoded by a thread of its own, which calls `wake` whenever
    /// [`poll_ready`](Self::poll_ready) has something new; the other formats never call it.
    pub fn with_wake(format: Format, wake: Option<Wake>) -> Result<Self, Error> {
        format.check_input()?;
        let kind = match format.codec {
            Codec::PcmS16le => Kind::Pcm(Resampler::new(format.rate_hz, RATE_HZ)?),
            Codec::Pcmu => Kind::G711(Law::Mu, Resampler::new(format.rate_hz, RATE_HZ)?),
            Codec::Pcma => Kind::G711(Law::A, Resampler::new(format.rate_hz, RATE_HZ)?),
            Codec::Opus => Kind::Opus(opus::Decoder::new(RATE_HZ)?),
            Codec::WebmOpus | Codec::OggOpus | Codec::Wav => Kind::Live(LiveStream::start(wake)?),
        };
        let skip_credit = SKIP_MS_MAX * u64::from(RATE_HZ) / 1_000;
        let (native, samples) = (Vec::new(), Vec::new());
        Ok(Self { kind, format, framer: Framer::default(), expected: None, skip_credit, native, samples })
    }

    /// As [`with_wake`](Self::with_wake), for a stream that went on before in another format: its next sample has this
    /// position.
    pub fn from_position(format: Format, position: AudioPos, wake: Option<Wake>) -> Result<Self, Error> {
        let mut ingress = Self::with_wake(format, wake)?;
        ingress.framer = Framer::at(position);
        Ok(ingress)
    }

    /// What it decodes.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Decodes one payload and appends the frames that it completes.
    ///
    /// `timestamp` is that of its first sample in [`Format::clock_hz`] (it may wrap); where it jumps forward by 5 ms or more,
    /// audio is missing: Opus conceals up to 120 ms, longer gaps and other codecs get silence, at most 10 s of it. Where it
    /// jumps back, it is believed. `gap` says that something is missing before this payload, and matters only without a
    /// timestamp: Opus then conceals as much as the payload holds. An empty payload is the comfort noise of discontinuous
    /// transmission. A container takes pieces of any size and neither timestamp nor gap.
    ///
    /// An error leaves the state as it was: the next payload's timestamp will show the hole. With [`Error::InputLagging`]
    /// the same piece may be offered again after the next wake. One message holds at most 1 s.
    pub fn push(
        &mut self,
        payload: &[u8],
        timestamp: Option<u32>,
        gap: bool,
        frames: &mut Vec<Frame>,
    ) -> Result<(), Error> {
        if let Kind::Live(stream) = &self.kind {
            // Collected in any case: that makes room, and the audio before a fault is not lost to it.
            let pushed = if payload.is_empty() { Ok(()) } else { stream.push(payload) };
            self.poll_ready(frames)?;
            return pushed;
        }
        let length = self.decode(payload)?;
        let missing = self.missing(timestamp, gap, length);
        if missing > 0 {
            self.fill(missing, payload, frames)?;
            // Should the payload turn out to be undecodable, the gap has been filled all the same.
            self.expected = timestamp;
        }
        self.deliver(payload, frames)?;
        self.expected = timestamp.or(self.expected).map(|start| start.wrapping_add(length));
        Ok(())
    }

    /// Collects the frames that a container's thread has decoded. Does nothing for other formats, which hold nothing back.
    /// After [`finish`](Self::finish), `Ended` comes with the last, padded frame.
    pub fn poll_ready(&mut self, frames: &mut Vec<Frame>) -> Result<Progress, Error> {
        let Kind::Live(stream) = &self.kind else { return Ok(Progress::Open) };
        self.samples.clear();
        let progress = stream.collect(&mut self.samples);
        self.framer.push(&self.samples, frames);
        if progress == Ok(Progress::Ended) {
            self.framer.pad(frames);
        }
        progress
    }

    /// Ends the stream: what the resampler holds, and the last frame padded with silence. A container is closed instead; its
    /// last frames come through [`poll_ready`](Self::poll_ready). Other formats may go on afterwards.
    pub fn finish(&mut self, frames: &mut Vec<Frame>) -> Result<(), Error> {
        if let Kind::Live(stream) = &self.kind {
            stream.close();
            return Ok(());
        }
        self.flush(frames)?;
        self.framer.pad(frames);
        self.expected = None;
        Ok(())
    }

    /// Holds nothing back: hands out what the resampler has, and the last frame filled up with silence that takes no media
    /// time. What follows shares no frame with what came before. For the places at which a client says that something ends;
    /// a container is decoded elsewhere and let alone.
    pub fn settle(&mut self, frames: &mut Vec<Frame>) -> Result<(), Error> {
        if matches!(self.kind, Kind::Live(_)) {
            return Ok(());
        }
        self.flush(frames)?;
        self.framer.cut(frames);
        Ok(())
    }

    /// The position that the next sample will have.
    pub fn position(&self) -> AudioPos {
        self.framer.position()
    }

    /// Decodes what needs no state, or at least checks: the payload's length in the format's clock.
    fn decode(&mut self, payload: &[u8]) -> Result<u32, Error> {
        self.native.clear();
        let second = self.format.rate_hz as usize;
        match &self.kind {
            Kind::Pcm(_) => pcm::decode(payload, second, &mut self.native)?,
            Kind::G711(law, _) => g711::decode(*law, payload, second, &mut self.native)?,
            Kind::Opus(_) if payload.is_empty() => return Ok(0),
            Kind::Opus(_) => {
                let packet = opus::inspect(payload)?;
                return if packet.stereo { Err(Error::NotMono) } else { Ok(packet.samples) };
            }
            Kind::Live(_) => {}
        }
        Ok(u32::try_from(self.native.len()).unwrap_or(u32::MAX))
    }

    /// Samples of the clock that are missing before this payload.
    fn missing(&self, timestamp: Option<u32>, gap: bool, length: u32) -> u64 {
        match (timestamp, self.expected) {
            (Some(now), Some(expected)) => {
                // The upper half of the circle is the past.
                let jump = u64::from(now.wrapping_sub(expected));
                let jitter = JITTER_MS * u64::from(self.format.clock_hz()) / 1_000;
                if jump < jitter || jump > u64::from(u32::MAX / 2) { 0 } else { jump }
            }
            (None, _) if gap && self.format.codec == Codec::Opus && !self.framer.is_at_start() => u64::from(length),
            _ => 0,
        }
    }

    /// Puts something in the place of `missing` samples of the clock.
    fn fill(&mut self, missing: u64, next: &[u8], frames: &mut Vec<Frame>) -> Result<(), Error> {
        let clock_hz = u64::from(self.format.clock_hz());
        if let Kind::Opus(decoder) = &mut self.kind {
            if missing * 1_000 <= CONCEAL_MS_MAX * clock_hz {
                self.samples.clear();
                decoder.conceal(usize::try_from(missing).unwrap_or(0), next, &mut self.samples)?;
                self.framer.push(&self.samples, frames);
                return Ok(());
            }
            decoder.reset()?;
        }
        self.flush(frames)?;
        let silence = (missing * u64::from(RATE_HZ) / clock_hz).min(self.skip_credit);
        self.skip_credit -= silence;
        self.framer.push_silence(silence, frames);
        Ok(())
    }

    fn deliver(&mut self, payload: &[u8], frames: &mut Vec<Frame>) -> Result<(), Error> {
        self.samples.clear();
        match &mut self.kind {
            Kind::Pcm(resampler) | Kind::G711(_, resampler) => resampler.push(&self.native, &mut self.samples)?,
            Kind::Opus(decoder) => decoder.decode(payload, &mut self.samples)?,
            Kind::Live(_) => {}
        }
        let full = SKIP_MS_MAX * u64::from(RATE_HZ) / 1_000;
        self.skip_credit = full.min(self.skip_credit + self.samples.len() as u64);
        self.framer.push(&self.samples, frames);
        Ok(())
    }

    fn flush(&mut self, frames: &mut Vec<Frame>) -> Result<(), Error> {
        self.samples.clear();
        if let Kind::Pcm(resampler) | Kind::G711(_, resampler) = &mut self.kind {
            resampler.flush(&mut self.samples)?;
        }
        self.framer.push(&self.samples, frames);
        Ok(())
    }
}

/// Cuts samples into frames and counts media time.
#[derive(Debug)]
struct Framer {
    partial: Vec<f32>,
    /// The end of the last frame.
    end: AudioPos,
    /// One silent frame for all long gaps.
    silence: Arc<[f32]>,
}

impl Default for Framer {
    fn default() -> Self {
        Self { partial: Vec::with_capacity(FRAME_SAMPLES), end: AudioPos(0), silence: Arc::from([0.0; FRAME_SAMPLES]) }
    }
}

impl Framer {
    /// One whose next frame begins at this position.
    fn at(position: AudioPos) -> Self {
        Self { end: position, ..Self::default() }
    }

    fn push(&mut self, mut samples: &[f32], frames: &mut Vec<Frame>) {
        while self.partial.len() + samples.len() >= FRAME_SAMPLES {
            let (head, rest) = samples.split_at(FRAME_SAMPLES - self.partial.len());
            samples = rest;
            if self.partial.is_empty() {
                self.emit(Arc::from(head), frames);
            } else {
                self.partial.extend_from_slice(head);
                let frame = Arc::from(self.partial.as_slice());
                self.partial.clear();
                self.emit(frame, frames);
            }
        }
        self.partial.extend_from_slice(samples);
    }

    fn push_silence(&mut self, samples: u64, frames: &mut Vec<Frame>) {
        let silence = Arc::clone(&self.silence);
        let head = samples.min((FRAME_SAMPLES - self.partial.len()) as u64);
        self.push(&silence[..usize::try_from(head).unwrap_or(0)], frames);
        let rest = samples - head;
        for _ in 0..rest / FRAME_SAMPLES as u64 {
            self.emit(Arc::clone(&silence), frames);
        }
        self.push(&silence[..usize::try_from(rest % FRAME_SAMPLES as u64).unwrap_or(0)], frames);
    }

    fn pad(&mut self, frames: &mut Vec<Frame>) {
        if !self.partial.is_empty() {
            self.push_silence((FRAME_SAMPLES - self.partial.len()) as u64, frames);
        }
    }

    /// Hands out what there is of a frame; the silence behind it lies beyond the frame's end.
    fn cut(&mut self, frames: &mut Vec<Frame>) {
        if self.partial.is_empty() {
            return;
        }
        self.end = self.position();
        self.partial.resize(FRAME_SAMPLES, 0.0);
        frames.push(Frame { end: self.end, samples: Arc::from(self.partial.as_slice()) });
        self.partial.clear();
    }

    fn emit(&mut self, samples: Arc<[f32]>, frames: &mut Vec<Frame>) {
        self.end.0 += FRAME_SAMPLES as u64;
        frames.push(Frame { end: self.end, samples });
    }

    fn is_at_start(&self) -> bool {
        self.position() == AudioPos(0)
    }

    fn position(&self) -> AudioPos {
        AudioPos(self.end.0 + self.partial.len() as u64)
    }
}
