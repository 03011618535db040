//! Speech to text: the frames of one utterance in, transcript updates out.
//!
//! To add an engine: one file with its `Config`, the trait and a constructor, one line in [`ENGINES`], and it runs under the
//! contract of `tests/suite/stt`.

use std::{path::PathBuf, sync::Arc};

use futures_util::stream::BoxStream;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::audio::{AudioPos, Frame};
use crate::compute::Pressure;
pub use crate::engine::Error;
use crate::engine::ErrorKind;

pub mod agreement;
pub mod openai;
pub mod scripted;
mod utterance;
pub mod whisper;

/// Which engine listens, and how.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The engine: `whisper` (local) or `openai` (any server with its transcription API).
    pub engine: String,
    /// The model of a local engine: `auto` (the best in `models.folder` that this machine keeps up with), a name that `floe models list` shows, or a file in whisper.cpp's format.
    pub model: PathBuf,
    /// Whether a model file is loaded although neither Floe's manifest nor `floe models fetch --trust` knows its hash.
    pub trust_model: bool,
    /// Settings of the `whisper` engine.
    pub whisper: whisper::Config,
    /// Settings of the `openai` engine.
    pub openai: openai::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: "whisper".into(),
            model: "auto".into(),
            trust_model: false,
            whisper: whisper::Config::default(),
            openai: openai::Config::default(),
        }
    }
}

type Constructor = fn(&Config) -> Result<Arc<dyn SpeechToText>, Error>;

/// Every engine by its name in the configuration.
const ENGINES: &[(&str, Constructor)] = &[("openai", openai::engine), ("whisper", whisper::engine)];

/// The engine that the configuration asks for. Blocks while a local model is loaded and warmed up (a fraction of a second
/// for the bundled one), so call it at start-up. Errors name what to change.
pub fn engine(config: &Config) -> Result<Arc<dyn SpeechToText>, Error> {
    match ENGINES.iter().find(|(name, _)| *name == config.engine) {
        Some((_, constructor)) => constructor(config),
        None => {
            let known: Vec<&str> = ENGINES.iter().map(|(name, _)| *name).collect();
            let message = format!("stt.engine is {:?}; there are: {}", config.engine, known.join(", "));
            Err(Error::new(ErrorKind::Rejected, message))
        }
    }
}

/// What a recogniser is fed. The channel's bound is the longest utterance; closing it means that no further question comes.
#[derive(Debug, Clone)]
pub enum Feed {
    /// The next frame, without gaps.
    Frame(Frame),
    /// Transcribe everything up to this position (of what has been fed by now). Answered by exactly one final (or one
    /// error, which ends the stream).
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
    /// Words so far. `stable` only grows. Neither begins or ends with a blank: put one between them if both have words.
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

/// An engine that recognises speech. Dropping the stream stops the work. Questions that were asked before the feed was closed
/// are still answered; then the stream ends.
pub trait SpeechToText: Send + Sync {
    /// Transcribes one utterance.
    fn transcribe(&self, feed: mpsc::Receiver<Feed>, options: Options) -> BoxStream<'static, Result<Update, Error>>;

    /// How busy the engine's workers are; `None` if it has none of its own.
    fn pressure(&self) -> Option<Pressure> {
        None
    }

    /// How long a final asked for now would wait before work on it begins; `None` if the engine cannot tell. Admission asks.
    fn predicted_wait_ms(&self) -> Option<u64> {
        self.pressure().map(|it| it.predicted_wait_ms)
    }
}
