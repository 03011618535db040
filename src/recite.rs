//! A text read out: cut where a reply is cut, spoken by the same voice in the same way, without a conversation around it.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{Stream, stream};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    audio::{AudioChunk, Format},
    conversation::{Input, segmenter::Segmenter},
    ids::{ResponseId, SegmentId},
    session::voice,
    tts::{Segment, TextToSpeech},
};

/// What is read out, and how.
#[derive(Debug, Clone)]
pub struct Recital {
    /// The words.
    pub text: Arc<str>,
    /// The voice, in the words of the voice engine; empty = its default.
    pub voice: Arc<str>,
    /// Language as a BCP 47 tag; empty = the voice's.
    pub language: Arc<str>,
    /// How fast, 1 = as the voice likes.
    pub speed: f32,
    /// How it is encoded. Must be one that [`Format::check_output`] accepts.
    pub format: Format,
}

/// The voice failed; the word says how (see [`engine::ErrorKind`](crate::engine::ErrorKind)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the voice failed: {0}")]
pub struct Failed(pub &'static str);

/// Reads a text out: chunks as soon as they are there, two segments ahead at most, and no faster than they are taken. A
/// failure comes last. Dropping the stream stops all work.
pub fn recite(
    tts: Arc<dyn TextToSpeech>,
    what: &Recital,
) -> impl Stream<Item = Result<AudioChunk, Failed>> + Send + use<> {
    let Recital { text, voice, language, speed, format } = what.clone();
    let mut waiting: VecDeque<(SegmentId, Format, Segment)> = VecDeque::new();
    let mut id = SegmentId::default();
    for piece in pieces(&text) {
        id = id.next();
        let segment = Segment { text: piece.into(), voice: Arc::clone(&voice), language: Arc::clone(&language), speed };
        waiting.push_back((id, format, segment));
    }
    let unfinished = waiting.len();
    let (sender, segments) = mpsc::channel(AHEAD_MAX);
    let (facts, spoken) = mpsc::channel(CHUNKS_MAX);
    let mut scope = JoinSet::new();
    scope.spawn(voice::run(ResponseId::default().next(), tts, segments, facts));
    let mut reader = Reader { waiting, unfinished, segments: sender, spoken, over: false, _scope: scope };
    (0..AHEAD_MAX).for_each(|_| reader.hand_over());
    stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) })
}

fn pieces(text: &str) -> Vec<&str> {
    let mut segmenter = Segmenter::default();
    let mut pieces: Vec<&str> = std::iter::from_fn(|| segmenter.next(text)).map(|range| &text[range]).collect();
    pieces.extend(segmenter.flush(text).map(|range| &text[range]));
    pieces
}

struct Reader {
    /// Segments that the voice has not been given.
    waiting: VecDeque<(SegmentId, Format, Segment)>,
    /// Segments that have not been spoken to their end.
    unfinished: usize,
    /// Bounded by [`AHEAD_MAX`], and never full: one more is given for each that ends.
    segments: mpsc::Sender<(SegmentId, Format, Segment)>,
    spoken: mpsc::Receiver<Input>,
    over: bool,
    _scope: JoinSet<()>,
}

impl Reader {
    fn hand_over(&mut self) {
        if let Some(segment) = self.waiting.pop_front() {
            let _room_is_certain = self.segments.try_send(segment);
        }
    }

    async fn next(&mut self) -> Option<Result<AudioChunk, Failed>> {
        while self.unfinished > 0 && !self.over {
            match self.spoken.recv().await {
                Some(Input::SpeechChunk { audio, .. }) => return Some(Ok(audio)),
                Some(Input::SpeechFinished { .. }) => {
                    self.unfinished -= 1;
                    self.hand_over();
                }
                Some(Input::SpeechFailed { reason, .. }) => {
                    self.over = true;
                    return Some(Err(Failed(reason)));
                }
                Some(_) => {}
                None => {
                    self.over = true;
                    return Some(Err(Failed("broken")));
                }
            }
        }
        None
    }
}

/// Segments that the voice works on, or is about to.
const AHEAD_MAX: usize = 2;

/// Encoded chunks that nobody has taken. When full, the voice waits.
const CHUNKS_MAX: usize = 64;
