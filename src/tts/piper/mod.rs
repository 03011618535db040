//! Piper's voices: neural speech on this machine, from an `.onnx` graph and its `.onnx.json`.
//!
//! A segment is cut into clauses; espeak-ng makes phonemes of them; the voice's graph makes samples of those, on threads of
//! [`crate::compute`] that nothing else uses. The first clause is heard while the second one is being made. Dropping a stream
//! kills espeak-ng, takes what waits out of the queue, and ends the clause that is being computed if ONNX Runtime computes it.
//! rten cannot stop inside a graph: it computes it to its end, which is then thrown away, so a worker is lost to others for
//! one clause at most.
//!
//! What it rests on: the graphs are VITS as Piper exports it (opset 15), with the inputs `input`, `input_lengths`, `scales`
//! and, with several speakers, `sid`. rten 0.27 runs all of their operators: seen with graphs of Piper's own export code and
//! its medium and high architectures, with random weights, with one speaker and with four. `RandomNormalLike` comes with its
//! feature `random`. rten's own Piper example says no more than that it works. ONNX Runtime 1.23 and 1.32 are quicker on the
//! same graphs and one thread (0.06 against 0.2 s of processor time per second of speech for medium, 0.4 against 1.4 for high;
//! 84 % of rten's time are its convolutions), at the price of a native library: so it computes where that library is installed, found at run
//! time, and rten everywhere else.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(feature = "piper")]
mod clauses;
#[cfg(feature = "piper")]
mod engine;
#[cfg(feature = "piper")]
mod envelope;
#[cfg(feature = "piper")]
mod graph;
#[cfg(feature = "piper")]
mod ids;
#[cfg(feature = "piper")]
mod kernel;
#[cfg(feature = "onnxruntime")]
mod library;
#[cfg(feature = "onnxruntime")]
mod on_onnxruntime;
#[cfg(feature = "piper")]
mod on_rten;
#[cfg(feature = "piper")]
mod phonemes;
#[cfg(feature = "piper")]
mod runtime;
#[cfg(feature = "piper")]
mod stream;
#[cfg(feature = "piper")]
mod voice;

#[cfg(feature = "piper")]
use engine::Inner;
#[cfg(feature = "piper")]
pub use engine::Piper;

/// Who computes the graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// ONNX Runtime if its library is installed, else rten.
    Auto,
    /// rten: part of Floe.
    Rten,
    /// ONNX Runtime: several times quicker, from a library that the user installs.
    Onnxruntime,
}

/// For `floe doctor`: which runtime computes the voices, with its version and place, or how to get the quicker one. Loads
/// the library; blocks for a moment. An error says why the one that is there, or that is asked for, cannot be used.
#[cfg(feature = "piper")]
pub fn runtime(config: &Config) -> Result<String, crate::engine::Error> {
    runtime::describe(config)
}

/// How Piper's voices sound.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The voice: path of an `.onnx` file with its `.onnx.json` beside it; empty = the first one in `tts.piper.folder` that speaks `tts.language`.
    pub voice: String,
    /// Folder of the voices that sessions can choose from, by name or by their language; empty = `models.folder`.
    pub folder: String,
    /// Whether a voice of unknown origin may be loaded: one that neither `floe models list` knows nor anybody has vouched for.
    pub trust_voice: bool,
    /// Files in the folder that are not to be touched.
    #[serde(skip)]
    pub kept_out: Vec<PathBuf>,
    /// Who computes the voices: `onnxruntime` (several times quicker; its library must be installed), `rten` (part of Floe) or `auto` (`onnxruntime` if its library is there, else `rten`).
    pub runtime: Runtime,
    /// ONNX Runtime's library, `libonnxruntime.so`, or its folder; empty = looked for in `onnxruntime` below `tts.piper.folder`, there, and in the system's library folders.
    pub onnxruntime_library: String,
    /// Speaker of a voice that has several, by name or number; empty = the voice's own choice.
    pub speaker: String,
    /// How much the sound varies, 0 to 4; none = as the voice says.
    pub noise_scale: Option<f32>,
    /// How long each phoneme lasts, 0.1 to 10: 2 is half as fast; none = as the voice says.
    pub length_scale: Option<f32>,
    /// How much the lengths of phonemes vary, 0 to 4; none = as the voice says.
    pub noise_w: Option<f32>,
    /// Clauses that are computed at a time; 0 = one per two cores.
    pub workers: usize,
    /// Threads that compute them, shared by all workers; 0 = as many as workers.
    pub threads: usize,
    /// Clauses that may wait for a worker; one more is refused as busy.
    pub queue: usize,
    /// When a segment's first words should be there, in milliseconds: the earliest deadline is served first.
    pub deadline_ms: u64,
    /// Longest time that one clause may keep us waiting, in milliseconds.
    pub timeout_ms: u64,
    /// A clause shorter than this, in characters, is spoken in one go with the next one.
    pub clause_chars_min: usize,
    /// Longest text of one segment, in bytes.
    pub max_text_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            voice: String::new(),
            folder: String::new(),
            trust_voice: false,
            kept_out: Vec::new(),
            runtime: Runtime::Auto,
            onnxruntime_library: String::new(),
            speaker: String::new(),
            noise_scale: None,
            length_scale: None,
            noise_w: None,
            workers: 0,
            threads: 0,
            queue: 64,
            deadline_ms: 300,
            timeout_ms: 10_000,
            clause_chars_min: 24,
            max_text_bytes: 4_096,
        }
    }
}
