//! Local transcription by whisper.cpp: one model, one state per worker thread, short contexts, abortable work.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, SpeechToText};

#[cfg(feature = "whisper")]
mod gate;
#[cfg(feature = "whisper")]
mod kernel;
#[cfg(feature = "whisper")]
mod load;
#[cfg(feature = "whisper")]
mod speed;
#[cfg(feature = "whisper")]
mod stream;

#[cfg(feature = "whisper")]
pub use load::Whisper;
#[cfg(feature = "whisper")]
pub use speed::time;

/// Settings of the `whisper` engine.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Worker threads, each with its own 30 to 400 MB of working memory; 0 = one per core.
    pub workers: usize,
    /// Language of sessions that name none, as whisper.cpp abbreviates it.
    pub language: String,
    /// New audio between two partial transcripts, in milliseconds.
    pub partial_interval_ms: u64,
    /// When a final should be there after it was asked for, in milliseconds: the earliest deadline is served first.
    pub final_deadline_ms: u64,
    /// Finals that may wait for a worker; one more is refused as busy.
    pub queue_finals: usize,
    /// Utterances whose partials may wait for a worker; one more goes without.
    pub queue_partials: usize,
    /// Average log-probability per token below which a text counts as imagined.
    pub logprob_threshold: f32,
    /// Probability of "no speech" above which a text must be twice as sure (half of `logprob_threshold`). So must a text with
    /// less than a word per four seconds.
    pub no_speech_threshold: f32,
    /// Loudness below which nothing is transcribed: the loudest 20 ms, in dB below full scale.
    pub energy_floor_dbfs: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 0,
            language: "en".into(),
            partial_interval_ms: 600,
            final_deadline_ms: 1_000,
            queue_finals: 64,
            queue_partials: 64,
            logprob_threshold: -1.0,
            no_speech_threshold: 0.6,
            energy_floor_dbfs: -60.0,
        }
    }
}

/// For the table of engines.
#[cfg(feature = "whisper")]
pub(super) fn engine(config: &super::Config) -> Result<Arc<dyn SpeechToText>, Error> {
    Ok(Arc::new(Whisper::load(&config.model, &config.whisper)?))
}

/// For the table of engines, in a build without whisper.cpp.
#[cfg(not(feature = "whisper"))]
pub(super) fn engine(_: &super::Config) -> Result<Arc<dyn SpeechToText>, Error> {
    Err(Error::new(
        crate::engine::ErrorKind::Rejected,
        "stt.engine is \"whisper\", but this build has no whisper.cpp: build with `--features whisper` or set stt.engine = \"openai\"",
    ))
}
