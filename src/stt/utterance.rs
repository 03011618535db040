//! The audio of one utterance as it comes in, for engines that need all of it at once.

use super::{Error, Feed};
use crate::{
    audio::{AudioPos, Frame, RATE_HZ},
    engine::ErrorKind,
};

/// Longest audio an engine collects: ten minutes, 38 MB. Longer is [`ErrorKind::Rejected`].
const MAX_SAMPLES: usize = 600 * RATE_HZ as usize;

/// All samples since the utterance's first frame.
#[derive(Debug, Default)]
pub(super) struct Utterance {
    start: Option<AudioPos>,
    samples: Vec<f32>,
}

impl Utterance {
    /// Takes the next frame. Fails if the utterance gets too long or a sample is no number.
    pub(super) fn push(&mut self, frame: &Frame) -> Result<(), Error> {
        if self.samples.len() + frame.samples.len() > MAX_SAMPLES {
            return Err(Error::new(ErrorKind::Rejected, "the utterance is longer than ten minutes"));
        }
        if !frame.samples.iter().all(|it| it.is_finite()) {
            return Err(Error::new(ErrorKind::Rejected, "a sample is not a finite number"));
        }
        let length = u64::try_from(frame.samples.len()).unwrap_or(u64::MAX);
        self.start.get_or_insert(AudioPos(frame.end.0.saturating_sub(length)));
        self.samples.extend_from_slice(&frame.samples);
        Ok(())
    }

    /// Everything so far.
    pub(super) fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// Everything up to a position, as far as it has arrived.
    pub(super) fn up_to(&self, at: AudioPos) -> &[f32] {
        let wanted = self.start.map_or(0, |start| at.0.saturating_sub(start.0));
        &self.samples[..usize::try_from(wanted).unwrap_or(usize::MAX).min(self.samples.len())]
    }

    /// Reads the feed up to the next question and returns its position; `None` when the feed is closed.
    pub(super) async fn listen(
        &mut self,
        feed: &mut tokio::sync::mpsc::Receiver<Feed>,
    ) -> Result<Option<AudioPos>, Error> {
        while let Some(fed) = feed.recv().await {
            match fed {
                Feed::Frame(frame) => self.push(&frame)?,
                Feed::Finish(at) => return Ok(Some(at)),
            }
        }
        Ok(None)
    }
}
