//! Speech to text: the frames of one utterance in, transcript updates out.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use crate::audio::{AudioPos, Frame};
pub use crate::engine::Error;

/// What a recogniser is fed. The channel's bound is the longest utterance; closing it means that nothing more is wanted.
#[derive(Debug, Clone)]
pub enum Feed {
    /// The next frame, without gaps.
    Frame(Frame),
    /// Transcribe everything up to this position. Answered by exactly one final (or one error, which ends the stream).
    Finish(AudioPos),
}

/// How one utterance is to be transcribed.
#[derive(Debug, Clone)]
pub struct Options {
    /// BCP 47 tag; empty = the engine decides.
    pub language: Arc<str>,
    /// Whether partials are wanted.
    pub partials: bool,
}

/// What a recogniser says.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Words so far. `stable` only grows.
    Partial {
        /// Words that will not change.
        stable: Arc<str>,
        /// Words that may.
        tail: Arc<str>,
    },
    /// The answer to a [`Feed::Finish`]. Empty text: no speech.
    Final {
        /// The position asked for.
        at: AudioPos,
        /// The words.
        text: Arc<str>,
        /// Language.
        language: Arc<str>,
        /// 0…1.
        confidence: f32,
    },
}

/// An engine that recognises speech. Dropping the stream stops the work.
pub trait SpeechToText: Send + Sync {
    /// Transcribes one utterance.
    fn transcribe(&self, feed: mpsc::Receiver<Feed>, options: Options) -> BoxStream<'static, Result<Update, Error>>;
}
