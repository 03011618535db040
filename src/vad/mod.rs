//! Is this frame speech? One engine today; a rule about what follows from it belongs to the conversation.

use serde::{Deserialize, Serialize};

use crate::audio::FRAME_SAMPLES;

mod earshot;

pub use earshot::Earshot;

/// A detector of speech for one stream. Cheap enough to be called in the task that reads the socket.
pub trait VoiceActivity: Send {
    /// Probability of speech in this frame, 0…1. Frames come in order.
    fn probability(&mut self, frame: &[f32; FRAME_SAMPLES]) -> f32;

    /// Forgets the stream so far (another microphone, a gap).
    fn reset(&mut self);
}

/// Which frames count as speech.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The detector: `earshot`.
    pub engine: Engine,
    /// Frames quieter than this are never speech, in dB below full scale.
    pub floor_dbfs: f32,
    /// A sound whose level stayed within this many dB for half a second is never speech; 0 switches that off.
    pub steady_db: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { engine: Engine::Earshot, floor_dbfs: -60.0, steady_db: 3.0 }
    }
}

/// The detectors that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// A small neural network in pure Rust.
    #[default]
    Earshot,
}

/// A detector for one stream.
pub fn engine(config: &Config) -> Box<dyn VoiceActivity> {
    match config.engine {
        Engine::Earshot => Box::new(Earshot::new(config)),
    }
}
