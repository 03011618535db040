//! Text to speech: a segment in, samples out.

use std::sync::Arc;

use futures_util::stream::BoxStream;

use crate::audio::Samples;
pub use crate::engine::Error;

/// What is to be spoken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Segment {
    /// The words as written: Markdown, numbers, links and all.
    pub text: Arc<str>,
    /// The voice; empty = the engine's default.
    pub voice: Arc<str>,
    /// Language as a BCP 47 tag; empty = the voice's.
    pub language: Arc<str>,
}

/// An engine that speaks. Dropping the stream stops the work (a child process is killed, a connection closed).
pub trait TextToSpeech: Send + Sync {
    /// Speaks one segment. Pieces come as soon as they are there; all of one segment have the same rate.
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>>;
}
