//! The engine: which voice speaks a segment, and how fast.

use std::{path::Path, sync::Arc};

use futures_util::{FutureExt as _, StreamExt as _, future, stream::BoxStream};

use super::{
    Config,
    graph::Scales,
    kernel::PiperKernel,
    phonemes::Phonemizer,
    runtime::{self, Chosen},
    stream::{self, Utterance},
    voice::Voice,
};
use crate::{
    audio::Samples,
    compute::{Handle, Sizes},
    engine::{Error, ErrorKind},
    tts::{Segment, TextToSpeech, espeak},
};

/// Voices, and the workers that run them. Cheap to clone.
#[derive(Clone)]
pub struct Piper {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) phonemizer: Phonemizer,
    pub(super) workers: Handle<PiperKernel>,
    pub(super) runtime: Chosen,
    /// Speaks unless a session asks for another; its own speaker is the configured one.
    first: Arc<Voice>,
    speaker: i32,
    /// The others that are installed. Each is loaded when it is first asked for, and stays in memory: a medium one's file has 63 MB.
    others: Vec<Arc<Voice>>,
}

impl Piper {
    /// Loads the voice that `config` names, or the first one installed that speaks `language` (a BCP 47 tag); `None` if it
    /// names none and none is installed. Blocks while it is loaded and tried (a fraction of a second), so call it at
    /// start-up. Errors name the file and what to do.
    pub fn load(config: &Config, espeak: &espeak::Config, language: &str) -> Result<Option<Self>, Error> {
        check(config)?;
        let (mut voices, unusable) = Voice::installed(Path::new(&config.folder), &config.kept_out);
        for error in &unusable {
            tracing::warn!(error = %error.message, "a voice cannot be used");
        }
        let first = if config.voice.is_empty() {
            match voices.iter().position(|voice| voice.speaks(language)) {
                Some(at) => voices.remove(at),
                None => return Ok(None),
            }
        } else {
            let first = Voice::read(Path::new(&config.voice))?;
            voices.retain(|voice| voice.name != first.name);
            first
        };
        let speaker = first.speaker(&config.speaker)?;
        let first = Arc::new(first);
        let (workers, threads) = runtime::sizes(config);
        let runtime = runtime::choose(config)?;
        let sizes = Sizes { workers, finals: config.queue, partials: 0 };
        let kernel = {
            let (first, runtime) = (Arc::clone(&first), runtime.clone());
            move || Ok(PiperKernel::new(Arc::clone(&first), runtime.clone()))
        };
        let workers = Handle::start("piper", sizes, kernel)?;
        tracing::info!(
            voice = first.name,
            language = first.language,
            rate_hz = first.rate_hz,
            runtime = runtime.name(),
            threads,
            "voice ready"
        );
        let inner = Inner {
            config: config.clone(),
            phonemizer: Phonemizer::new(espeak.clone()),
            workers,
            runtime,
            first,
            speaker,
            others: voices.into_iter().map(Arc::new).collect(),
        };
        Ok(Some(Self { inner: Arc::new(inner) }))
    }

    /// The voice that speaks unless a session asks for another: its name.
    pub fn voice(&self) -> &str {
        &self.inner.first.name
    }

    /// The language of that voice, as a BCP 47 tag.
    pub fn language(&self) -> &str {
        &self.inner.first.language
    }

    /// Samples per second of that voice.
    pub fn rate_hz(&self) -> u32 {
        self.inner.first.rate_hz
    }

    /// Whether there is a voice for a segment: the one it names, or one that speaks its language.
    pub fn speaks(&self, segment: &Segment) -> bool {
        self.choose(segment).is_some()
    }

    /// The voice of a segment and the speaker it asks for. A segment's voice is `NAME`, `NAME#SPEAKER` or `#SPEAKER`.
    fn choose<'a>(&self, segment: &'a Segment) -> Option<(&Arc<Voice>, &'a str)> {
        let (name, speaker) = segment.voice.split_once('#').unwrap_or((&segment.voice, ""));
        let Inner { first, others, .. } = &*self.inner;
        let mut all = std::iter::once(first).chain(others);
        let voice = if name.is_empty() {
            let tag = segment.language.replace('_', "-");
            // The very accent if it is there, but never another voice than ours for a language that ours speaks.
            let exact = || others.iter().find(|voice| voice.language.eq_ignore_ascii_case(&tag));
            let ours = tag.is_empty() || first.speaks(&tag);
            if ours { Some(first) } else { exact().or_else(|| others.iter().find(|voice| voice.speaks(&tag))) }
        } else {
            all.find(|voice| voice.name == name)
        };
        voice.map(|voice| (voice, speaker))
    }

    fn utterance(&self, segment: &Segment) -> Result<Utterance, Error> {
        let Inner { config, first, others, .. } = &*self.inner;
        let Some((voice, speaker)) = self.choose(segment) else {
            let names: Vec<&str> = others.iter().chain([first]).map(|voice| voice.name.as_str()).collect();
            let message = format!(
                "no Piper voice of that name or language is installed; there are: {} (fetch another one, or set tts.engine = \"auto\")",
                names.join(", ")
            );
            return Err(Error::new(ErrorKind::Rejected, message));
        };
        let speaker = match speaker {
            "" if Arc::ptr_eq(voice, first) => self.inner.speaker,
            speaker => voice.speaker(speaker)?,
        };
        let own = voice.inference;
        let scales = Scales {
            noise: config.noise_scale.unwrap_or(own.noise_scale),
            length: config.length_scale.unwrap_or(own.length_scale) / segment.speed,
            noise_w: config.noise_w.unwrap_or(own.noise_w),
        };
        Ok(Utterance { text: Arc::clone(&segment.text), voice: Arc::clone(voice), speaker, scales })
    }
}

impl TextToSpeech for Piper {
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, Error>> {
        match self.utterance(&segment) {
            Ok(utterance) => stream::speech(Arc::clone(&self.inner), utterance),
            Err(error) => future::ready(Err(error)).into_stream().boxed(),
        }
    }
}

fn check(config: &Config) -> Result<(), Error> {
    let wrong = |what: &str| Err(Error::new(ErrorKind::Rejected, format_args!("tts.piper.{what}")));
    let within = |value: Option<f32>, least: f32, most: f32| value.is_none_or(|value| (least..=most).contains(&value));
    if !within(config.noise_scale, 0.0, 4.0) {
        return wrong("noise_scale must be 0 to 4");
    }
    if !within(config.noise_w, 0.0, 4.0) {
        return wrong("noise_w must be 0 to 4");
    }
    if !within(config.length_scale, 0.1, 10.0) {
        return wrong("length_scale must be 0.1 to 10");
    }
    if config.queue == 0 || config.workers > 256 || config.threads > 256 {
        return wrong("queue must be at least 1, workers and threads at most 256");
    }
    Ok(())
}
