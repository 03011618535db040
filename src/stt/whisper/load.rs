//! Loading a model: checks that give readable errors, then one worker per core, warm before the first user comes.

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::sync::mpsc;
use whisper_rs::{WhisperContext, WhisperContextParameters};

use super::{Config, kernel::WhisperKernel, stream};
use crate::{
    compute::{Handle, Pressure, Sizes},
    engine::{Error, ErrorKind},
    stt::{Feed, Options, SpeechToText, Update},
};

/// First four bytes of a model in whisper.cpp's format.
const MAGIC: [u8; 4] = *b"lmgg";

/// A loaded model and its workers. Cheap to clone.
#[derive(Clone)]
pub struct Whisper {
    handle: Handle<WhisperKernel>,
    /// Abbreviations of the languages that the model knows.
    languages: Arc<[&'static str]>,
    language: &'static str,
    partial_interval: Duration,
    final_deadline: Duration,
}

impl std::fmt::Debug for Whisper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whisper")
            .field("handle", &self.handle)
            .field("language", &self.language)
            .finish_non_exhaustive()
    }
}

impl Whisper {
    /// Loads the model and warms up every worker. Blocks meanwhile: 0.2 s for the bundled model and two workers, seconds for
    /// big ones.
    /// Errors say what to change: the processor, the file or the configuration.
    pub fn load(model: &Path, config: &Config) -> Result<Self, Error> {
        #[expect(clippy::disallowed_methods, reason = "start-up reports how long it took")]
        let started = Instant::now();
        let context = context(model)?;
        let languages = languages(&context);
        let language = *languages.iter().find(|it| **it == config.language).ok_or_else(|| {
            let message = format!("stt.whisper.language is {:?}, which this model does not know", config.language);
            Error::new(ErrorKind::Rejected, message)
        })?;
        let loaded_ms = started.elapsed().as_millis();
        let sizes = Sizes { workers: config.workers, finals: config.queue_finals, partials: config.queue_partials };
        let kernels = config.clone();
        let handle = Handle::start("stt", sizes, move || WhisperKernel::new(&context, language, &kernels))?;
        let warm_ms = started.elapsed().as_millis().saturating_sub(loaded_ms);
        let workers = handle.pressure().workers;
        tracing::info!(loaded_ms, warm_ms, workers, "speech model ready");
        Ok(Self {
            handle,
            languages,
            language,
            partial_interval: Duration::from_millis(config.partial_interval_ms.max(100)),
            final_deadline: Duration::from_millis(config.final_deadline_ms),
        })
    }

    /// The model's abbreviation for a BCP 47 tag (`en-GB` is `en`); the configured language if the tag is empty.
    fn language(&self, tag: &str) -> Result<&'static str, Error> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        if primary.is_empty() {
            return Ok(self.language);
        }
        self.languages.iter().find(|it| it.eq_ignore_ascii_case(primary)).copied().ok_or_else(|| {
            let known =
                if self.languages.len() == 1 { "it knows English only" } else { "it is not among those it knows" };
            Error::new(
                ErrorKind::Rejected,
                format!("the speech model cannot transcribe this session's language: {known}"),
            )
        })
    }
}

impl SpeechToText for Whisper {
    fn transcribe(&self, feed: mpsc::Receiver<Feed>, options: Options) -> BoxStream<'static, Result<Update, Error>> {
        match self.language(&options.language) {
            Ok(language) => {
                let times =
                    stream::Times { partial_interval: self.partial_interval, final_deadline: self.final_deadline };
                stream::listen(self.handle.clone(), feed, language, options.partials, times)
            }
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
        }
    }

    fn pressure(&self) -> Option<Pressure> {
        Some(self.handle.pressure())
    }
}

/// Checks and loads a model file.
pub(super) fn context(model: &Path) -> Result<WhisperContext, Error> {
    check_processor()?;
    check_file(model)?;
    whisper_rs::install_logging_hooks();
    let mut parameters = WhisperContextParameters::default();
    // Flash attention reads rows of earlier, longer requests in this version, and is slower on the CPUs measured.
    parameters.use_gpu(false).flash_attn(false);
    WhisperContext::new_with_params(model, parameters).map_err(|_| {
        let message = format!("{} is no usable whisper.cpp model (damaged or incomplete?); {FIX}", model.display());
        Error::new(ErrorKind::Rejected, message)
    })
}

const FIX: &str = "get one with `floe models fetch base.en`, or set stt.model (FLOE_STT_MODEL) to a whisper.cpp model file or to \"auto\"";

/// Every real model is larger than this. What is smaller ends before its weights, and whisper.cpp takes such a file for one of
/// its own test models: it loads, and never says a word.
const MIN_BYTES: u64 = 1 << 20;

fn check_file(model: &Path) -> Result<(), Error> {
    let wrong = |what: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Rejected, format!("speech model {}: {what}; {FIX}", model.display()))
    };
    let mut file = File::open(model).map_err(|error| wrong(&error))?;
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).map_err(|error| wrong(&error))?;
    if magic != MAGIC {
        return Err(wrong(&"it is not in whisper.cpp's format"));
    }
    let bytes = file.metadata().map_err(|error| wrong(&error))?.len();
    if bytes < MIN_BYTES {
        return Err(wrong(&format_args!("{bytes} bytes cannot be a whole model")));
    }
    Ok(())
}

/// whisper.cpp is built for one instruction set and dies of an illegal instruction elsewhere. Keep in step with the `GGML_*`
/// entries of `.cargo/config.toml`.
fn check_processor() -> Result<(), Error> {
    #[cfg(target_arch = "x86_64")]
    {
        let features = [
            ("AVX2", std::is_x86_feature_detected!("avx2")),
            ("FMA", std::is_x86_feature_detected!("fma")),
            ("F16C", std::is_x86_feature_detected!("f16c")),
            ("BMI2", std::is_x86_feature_detected!("bmi2")),
        ];
        let missing: Vec<&str> = features.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            let message = format!(
                "this processor lacks {}, which local transcription was built for; set stt.engine = \"openai\", or build without the GGML_* entries of .cargo/config.toml",
                missing.join(", ")
            );
            return Err(Error::new(ErrorKind::Rejected, message));
        }
    }
    Ok(())
}

/// All languages of the model. Asked once: whisper.cpp complains in the log about every name it does not know.
fn languages(context: &WhisperContext) -> Arc<[&'static str]> {
    if !context.is_multilingual() {
        return Arc::new(["en"]);
    }
    (0..=whisper_rs::get_lang_max_id()).filter_map(whisper_rs::get_lang_str).collect()
}
