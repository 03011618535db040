//! Text to speech: a segment in, samples out.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::audio::Samples;
pub use crate::engine::Error;

pub mod cache;
pub mod espeak;
pub mod openai;
pub mod scripted;
pub mod speakable;
mod trim;
mod wav;

/// What is to be spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The words as written: Markdown, numbers, links and all.
    pub text: Arc<str>,
    /// The voice; empty = the engine's default.
    pub voice: Arc<str>,
    /// Language as a BCP 47 tag; empty = the voice's.
    pub language: Arc<str>,
    /// How fast, 1 = as the voice likes; [`SPEED_MIN`] to [`SPEED_MAX`], values beyond count as these.
    pub speed: f32,
}

/// The slowest speech.
pub const SPEED_MIN: f32 = 0.25;

/// The fastest speech.
pub const SPEED_MAX: f32 = 4.0;

/// An engine that speaks. Dropping the stream stops the work (a child process is killed, a connection closed).
pub trait TextToSpeech: Send + Sync {
    /// Speaks one segment. Pieces come as soon as they are there; all of one segment have the same rate.
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>>;
}

/// Which engine speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The `espeak-ng` program on this machine.
    Espeak,
    /// Any server with OpenAI's `/audio/speech`.
    Openai,
    /// Tones whose length follows from the text; for tests, benches and load.
    Scripted,
}

/// How Floe speaks.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who speaks: `espeak` (local), `openai` (any compatible server) or `scripted` (tones, for tests and load).
    pub engine: Engine,
    /// Language of texts for which neither the client nor the voice says one, as a BCP 47 tag.
    pub language: String,
    /// Memory for speech that is said again and again, in bytes; 0 = no cache.
    pub cache_bytes: u64,
    /// Longest segment that the cache keeps, in milliseconds of speech.
    pub cache_segment_ms: u32,
    /// The local voice.
    pub espeak: espeak::Config,
    /// The remote voice.
    pub openai: openai::Config,
    /// The tones.
    pub scripted: scripted::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: Engine::Espeak,
            language: "en".into(),
            cache_bytes: 16 << 20,
            cache_segment_ms: 10_000,
            espeak: espeak::Config::default(),
            openai: openai::Config::default(),
            scripted: scripted::Config::default(),
        }
    }
}

/// The configured engine: text made speakable, then the cache, then the engine itself. Starts nothing and reaches nobody.
pub fn engine(config: &Config) -> Result<Arc<dyn TextToSpeech>, Error> {
    let (engine, name): (Arc<dyn TextToSpeech>, &'static str) = match config.engine {
        Engine::Espeak => (Arc::new(espeak::Espeak::new(config.espeak.clone())?), "espeak"),
        Engine::Openai => (Arc::new(openai::OpenAi::new(config.openai.clone())?), "openai"),
        Engine::Scripted => (Arc::new(scripted::Scripted::new(config.scripted.clone())?), "scripted"),
    };
    let engine = match config.cache_bytes {
        0 => engine,
        bytes => Arc::new(cache::Cache::new(engine, name, bytes, config.cache_segment_ms)) as Arc<dyn TextToSpeech>,
    };
    // Only espeak names its voices by language; `alloy` says nothing about what is spoken.
    let voice_is_language = config.engine == Engine::Espeak;
    let default_language = match config.engine {
        Engine::Espeak => config.espeak.voice.as_str(),
        Engine::Openai | Engine::Scripted => config.language.as_str(),
    };
    Ok(Arc::new(Speakable { engine, default_language: default_language.into(), voice_is_language }))
}

/// Makes the text of every segment speakable before the engine sees it: the one place where that happens.
struct Speakable {
    engine: Arc<dyn TextToSpeech>,
    default_language: Arc<str>,
    voice_is_language: bool,
}

impl TextToSpeech for Speakable {
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>> {
        let language = match (&*segment.language, &*segment.voice) {
            ("", voice) if self.voice_is_language && !voice.is_empty() => voice,
            ("", _) => &self.default_language,
            (language, _) => language,
        };
        let text = speakable::speakable(&segment.text, language);
        if text.is_empty() {
            return Box::pin(futures_util::stream::empty());
        }
        self.engine.synthesize(Segment { text: text.into(), ..segment })
    }
}
