//! The user's half of the driver: the pre-roll ring, and one utterance's recognition.

use std::{collections::VecDeque, sync::Arc};

use futures_util::StreamExt as _;
use tokio::{sync::mpsc, task::JoinSet};
use tracing::Instrument as _;

use crate::{
    audio::{AudioPos, FRAME_SAMPLES, Frame},
    conversation::{Input, Settings},
    ids::{ItemId, UtteranceId},
    stt::{Feed, Options, SpeechToText, Update},
};

/// Feeds frames to the recogniser of the utterance in progress.
pub(crate) struct Hearing {
    stt: Arc<dyn SpeechToText>,
    facts: mpsc::Sender<Input>,
    /// The last [`RING_FRAMES`] frames; the oldest leave.
    ring: VecDeque<Frame>,
    /// Utterances whose recognition is not over. A new one may begin while the last still waits for its final.
    open: Vec<Utterance>,
    /// What the client inserted and the conversation has yet to ask for.
    recording: Option<(ItemId, Vec<Frame>)>,
}

/// One recognition: dropping it stops the engine.
struct Utterance {
    id: UtteranceId,
    /// Bounded by [`FEED_MAX`]; when full the utterance is longer than any setting allows and further frames are dropped.
    feed: mpsc::Sender<Feed>,
    /// Where the next frame must end; earlier ones were fed already.
    fed: AudioPos,
    /// Set once the end is known: later frames belong to another utterance.
    finished: bool,
    _scope: JoinSet<()>,
}

impl Hearing {
    /// A driver without an utterance.
    pub(crate) fn new(stt: Arc<dyn SpeechToText>, facts: mpsc::Sender<Input>) -> Self {
        Self { stt, facts, ring: VecDeque::with_capacity(RING_FRAMES), open: Vec::new(), recording: None }
    }

    /// A frame was heard.
    pub(crate) fn frame(&mut self, frame: Frame) {
        for utterance in self.open.iter_mut().filter(|utterance| !utterance.finished) {
            utterance.push(&frame);
        }
        if self.ring.len() == RING_FRAMES {
            self.ring.pop_front();
        }
        self.ring.push_back(frame);
    }

    /// Opens a recognition from a position that the ring still holds; what has left the ring is not heard.
    pub(crate) fn start(&mut self, id: UtteranceId, from: AudioPos, settings: &Settings) {
        let mut utterance = self.open(id, from, settings);
        for frame in &self.ring {
            utterance.push(frame);
        }
        self.open.push(utterance);
    }

    fn open(&self, id: UtteranceId, from: AudioPos, settings: &Settings) -> Utterance {
        let (feed, frames) = mpsc::channel(FEED_MAX);
        let options = Options { language: Arc::clone(&settings.language), partials: settings.partials };
        let updates = self.stt.transcribe(frames, options);
        let mut scope = JoinSet::new();
        scope.spawn(forward(id, updates, self.facts.clone()).instrument(tracing::info_span!("turn", utterance = %id)));
        Utterance { id, feed, fed: from, finished: false, _scope: scope }
    }

    /// Keeps an item's recording until the conversation asks for its words, which it does at once or never.
    pub(crate) fn keep(&mut self, item: ItemId, frames: Vec<Frame>) {
        self.recording = Some((item, frames));
    }

    /// The conversation did not want it.
    pub(crate) fn forget_recording(&mut self) {
        self.recording = None;
    }

    /// Recognises the recording that was kept.
    pub(crate) fn play(&mut self, id: UtteranceId, item: ItemId, at: AudioPos, settings: &Settings) {
        let Some((_, frames)) = self.recording.take_if(|(kept, _)| *kept == item) else { return };
        let mut utterance = self.open(id, AudioPos(0), &Settings { partials: false, ..settings.clone() });
        for frame in &frames {
            utterance.push(frame);
        }
        self.open.push(utterance);
        self.finish(id, at);
    }

    /// Asks for the words up to a position.
    pub(crate) fn finish(&mut self, id: UtteranceId, at: AudioPos) {
        if let Some(utterance) = self.open.iter_mut().find(|utterance| utterance.id == id) {
            utterance.finished = true;
            // Room is certain unless the utterance outgrew every bound; then the transcript timeout of the core speaks.
            let _full = utterance.feed.try_send(Feed::Finish(at));
        }
    }

    /// Stops and forgets.
    pub(crate) fn cancel(&mut self, id: UtteranceId) {
        self.open.retain(|utterance| utterance.id != id);
    }
}

impl Utterance {
    fn push(&mut self, frame: &Frame) {
        if frame.end > self.fed && self.feed.try_send(Feed::Frame(frame.clone())).is_ok() {
            self.fed = frame.end;
        }
    }
}

/// Carries what an engine says to the loop, until it has said everything.
async fn forward(
    utterance: UtteranceId,
    mut updates: futures_util::stream::BoxStream<'static, Result<Update, crate::engine::Error>>,
    facts: mpsc::Sender<Input>,
) {
    while let Some(update) = updates.next().await {
        let fact = match update {
            Ok(Update::Partial { stable, tail }) => Input::TranscriptPartial { utterance, stable, tail },
            Ok(Update::Final { at, text, language, confidence }) => {
                Input::TranscriptFinal { utterance, at, text, language, confidence }
            }
            Err(error) => {
                tracing::warn!(%utterance, kind = %error.kind, error = %error.message, "recognition failed");
                Input::RecognitionFailed { utterance, reason: error.kind.as_str() }
            }
        };
        if facts.send(fact).await.is_err() {
            return;
        }
    }
}

/// Four seconds: the longest pre-roll allowed and the longest minimum of speech together.
const RING_FRAMES: usize = 4 * crate::audio::RATE_HZ as usize / FRAME_SAMPLES;

/// Two minutes of frames: more than the longest utterance.
const FEED_MAX: usize = 120 * crate::audio::RATE_HZ as usize / FRAME_SAMPLES;
