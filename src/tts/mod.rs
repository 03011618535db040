//! Text to speech: a segment in, samples out.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::audio::Samples;
pub use crate::engine::Error;
use crate::engine::ErrorKind;

#[cfg(feature = "piper")]
mod auto;
pub mod cache;
pub mod espeak;
pub mod openai;
pub mod phrases;
pub mod piper;
pub mod scripted;
pub mod speakable;
mod trim;
mod wav;

/// Slowest and fastest speech that can be asked for; 1 = normal.
pub const SPEED_MIN: f32 = 0.25;
/// See [`SPEED_MIN`].
pub const SPEED_MAX: f32 = 4.0;

/// What is to be spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The words as written: Markdown, numbers, links and all.
    pub text: Arc<str>,
    /// The voice; empty = the engine's default.
    pub voice: Arc<str>,
    /// Language as a BCP 47 tag; empty = the voice's.
    pub language: Arc<str>,
    /// How fast, [`SPEED_MIN`] to [`SPEED_MAX`]; 1 = as the engine is configured, 2 = twice as fast.
    pub speed: f32,
}

/// An engine that speaks. Dropping the stream stops the work (a child process is killed, a connection closed).
pub trait TextToSpeech: Send + Sync {
    /// Speaks one segment. Pieces come as soon as they are there; all of one segment have the same rate.
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>>;

    /// From now on, asks there for phrases that other nodes have spoken, and keeps there what is said again and again. Whoever
    /// remembers nothing has nothing to do.
    fn share(&self, _phrases: Arc<dyn phrases::Phrases>) {}
}

/// Which engine speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Piper where a voice for the language is installed, else espeak.
    Auto,
    /// A neural voice on this machine.
    Piper,
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
    /// Who speaks: `piper` (local, neural), `espeak` (local), `auto` (`piper` where a voice for the language is installed, else `espeak`), `openai` (any compatible server) or `scripted` (tones, for tests and load).
    pub engine: Engine,
    /// Language of texts for which neither the client nor the voice says one, as a BCP 47 tag.
    pub language: String,
    /// Memory for speech that is said again and again, in bytes; 0 = no cache.
    pub cache_bytes: u64,
    /// Longest segment that the cache keeps, in milliseconds of speech.
    pub cache_segment_ms: u32,
    /// Whether phrases said more than once are kept in Redis for other servers (needs `redis.url` and `tts.cache_bytes`). Whoever
    /// reads Redis can then listen to them.
    pub cache_shared: bool,
    /// The local voice.
    pub espeak: espeak::Config,
    /// The local neural voices.
    pub piper: piper::Config,
    /// The remote voice.
    pub openai: openai::Config,
    /// The tones.
    pub scripted: scripted::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            language: "en".into(),
            cache_bytes: 16 << 20,
            cache_segment_ms: 10_000,
            cache_shared: false,
            espeak: espeak::Config::default(),
            piper: piper::Config::default(),
            openai: openai::Config::default(),
            scripted: scripted::Config::default(),
        }
    }
}

/// The configured engine: text made speakable, then the cache, then the engine itself. Reaches nobody; blocks while a local
/// model is loaded (a fraction of a second), so call it at start-up.
pub fn engine(config: &Config) -> Result<Arc<dyn TextToSpeech>, Error> {
    let Chosen { engine, name, identity, default_language, voice_is_language } = choose(config)?;
    let engine = match config.cache_bytes {
        0 => engine,
        bytes => {
            let cache = cache::Cache::new(engine, name, bytes, config.cache_segment_ms);
            // Another version may speak differently.
            let identity = format!("{name} {} {default_language} {identity}", env!("CARGO_PKG_VERSION"));
            Arc::new(cache.identified(&identity)) as Arc<dyn TextToSpeech>
        }
    };
    Ok(Arc::new(Speakable { engine, default_language: default_language.into(), voice_is_language }))
}

/// An engine and what is known about it.
struct Chosen {
    engine: Arc<dyn TextToSpeech>,
    name: &'static str,
    /// How it is set up, as far as that can be heard.
    identity: String,
    default_language: String,
    /// Whether its voices are named by what they speak; `alloy` says nothing about that.
    voice_is_language: bool,
}

fn choose(config: &Config) -> Result<Chosen, Error> {
    let plain = |engine: Arc<dyn TextToSpeech>, name, identity| Chosen {
        engine,
        name,
        identity,
        default_language: config.language.clone(),
        voice_is_language: false,
    };
    Ok(match config.engine {
        Engine::Auto => auto(config)?,
        Engine::Piper => match piper(config)? {
            Some(chosen) => chosen,
            None => {
                let message = format!(
                    "tts.engine is \"piper\", but {} has no voice for {:?}; put one there (its .onnx and .onnx.json), name one by tts.piper.voice, or set tts.engine = \"auto\"",
                    config.piper.folder, config.language
                );
                return Err(Error::new(ErrorKind::Rejected, message));
            }
        },
        Engine::Espeak => espeak(config)?,
        Engine::Openai => {
            plain(Arc::new(openai::OpenAi::new(config.openai.clone())?), "openai", format!("{:?}", config.openai))
        }
        Engine::Scripted => plain(
            Arc::new(scripted::Scripted::new(config.scripted.clone())?),
            "scripted",
            format!("{:?}", config.scripted),
        ),
    })
}

fn espeak(config: &Config) -> Result<Chosen, Error> {
    let engine = Arc::new(espeak::Espeak::new(config.espeak.clone())?);
    let default_language = config.espeak.voice.clone();
    let identity = format!("{:?}", config.espeak);
    Ok(Chosen { engine, name: "espeak", identity, default_language, voice_is_language: true })
}

#[cfg(feature = "piper")]
fn piper(config: &Config) -> Result<Option<Chosen>, Error> {
    let piper = piper::Piper::load(&config.piper, &config.espeak, &config.language)?;
    Ok(piper.map(|piper| {
        let default_language = piper.language().to_owned();
        let identity = format!("{} {:?}", piper.voice(), config.piper);
        Chosen { engine: Arc::new(piper), name: "piper", identity, default_language, voice_is_language: true }
    }))
}

#[cfg(not(feature = "piper"))]
fn piper(_: &Config) -> Result<Option<Chosen>, Error> {
    let message = "tts.engine is \"piper\", but this build has no Piper: build with `--features piper` or set tts.engine = \"espeak\"";
    Err(Error::new(ErrorKind::Rejected, message))
}

/// Piper if a voice is named or installed for the configured language, with espeak-ng for other languages; else espeak-ng.
#[cfg(feature = "piper")]
fn auto(config: &Config) -> Result<Chosen, Error> {
    let espeak = Arc::new(espeak::Espeak::new(config.espeak.clone())?);
    match piper::Piper::load(&config.piper, &config.espeak, &config.language)? {
        Some(piper) => {
            tracing::info!(
                voice = piper.voice(),
                "Piper speaks, and espeak-ng where no voice for the language is installed"
            );
            let default_language = piper.language().to_owned();
            let identity = format!("{} {:?} {:?}", piper.voice(), config.piper, config.espeak);
            let engine = Arc::new(auto::Auto { piper, espeak });
            Ok(Chosen { engine, name: "auto", identity, default_language, voice_is_language: true })
        }
        None => {
            tracing::info!(
                folder = config.piper.folder,
                language = config.language,
                "no Piper voice is installed: espeak-ng speaks"
            );
            self::espeak(config)
        }
    }
}

#[cfg(not(feature = "piper"))]
fn auto(config: &Config) -> Result<Chosen, Error> {
    espeak(config)
}

/// The Piper voice that would speak, loaded and tried, in a few words; `None` if none is installed. Blocks. For `floe doctor`.
#[cfg(feature = "piper")]
pub fn neural_voice(config: &Config) -> Result<Option<String>, Error> {
    let piper = piper::Piper::load(&config.piper, &config.espeak, &config.language)?;
    Ok(piper.map(|piper| format!("{} ({}, {} Hz)", piper.voice(), piper.language(), piper.rate_hz())))
}

/// As above; this build has no Piper, so there is none.
#[cfg(not(feature = "piper"))]
pub fn neural_voice(config: &Config) -> Result<Option<String>, Error> {
    if config.engine == Engine::Piper { piper(config).map(|_| None) } else { Ok(None) }
}

/// Which runtime computes Piper's voices, in a few words; an error says why it cannot. Blocks. For `floe doctor`.
#[cfg(feature = "piper")]
pub fn neural_runtime(config: &Config) -> Result<String, Error> {
    piper::runtime(&config.piper)
}

/// As above; this build has no Piper, so nothing has to.
#[cfg(not(feature = "piper"))]
pub fn neural_runtime(_: &Config) -> Result<String, Error> {
    Ok("not needed: this build has no Piper".into())
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
        if !(SPEED_MIN..=SPEED_MAX).contains(&segment.speed) {
            let error = Error::new(ErrorKind::Rejected, "speech can be 0.25 to 4 times as fast as normal");
            return Box::pin(futures_util::stream::once(async { Err(error) }));
        }
        let text = speakable::speakable(&segment.text, language);
        if text.is_empty() {
            return Box::pin(futures_util::stream::empty());
        }
        self.engine.synthesize(Segment { text: text.into(), ..segment })
    }

    fn share(&self, phrases: Arc<dyn phrases::Phrases>) {
        self.engine.share(phrases);
    }
}
