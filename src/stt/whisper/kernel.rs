//! The synchronous half: one whisper.cpp state, one job at a time, abortable, and the checks of its answer.

use std::{
    collections::HashMap,
    ffi::{c_int, c_void},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperState};

use super::{Config, gate};
use crate::{
    audio::RATE_HZ,
    compute::{AbortFlag, Kernel},
    engine::{Error, ErrorKind},
};

/// whisper.cpp reads past the end of audio shorter than 201 samples and ignores anything below 100 ms: everything is padded with
/// zeros to one second.
const MIN_SAMPLES: usize = RATE_HZ as usize;

/// One window of at most 30 s.
pub(super) struct Job {
    pub(super) samples: Arc<[f32]>,
    /// One of whisper.cpp's abbreviations.
    pub(super) language: &'static str,
    /// Whether a doubtful answer is worth a second pass at the full context.
    pub(super) thorough: bool,
}

/// What one window says. No text: nothing believable.
#[derive(Debug, Clone, Default)]
pub(super) struct Transcript {
    pub(super) text: String,
    pub(super) logprob_sum: f64,
    pub(super) tokens: u32,
}

/// The answer of one pass of the model.
struct Pass {
    transcript: Transcript,
    /// Whether the model ended the text itself, before the cap did.
    ended: bool,
    doubt: Option<Doubt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// The model does not believe its own words: noise, silence, or a context that does not suit it.
    Imagined,
    /// It goes round in circles, or could not end.
    Lost,
}

pub(super) struct WhisperKernel {
    state: WhisperState,
    /// One per language in use. Kept for good, because whisper-rs leaks the language's name each time it is set; bounded by
    /// whisper.cpp's list of about a hundred languages.
    params: HashMap<&'static str, FullParams<'static, 'static>>,
    full_context: usize,
    most_tokens: usize,
    end_of_text: c_int,
    start_of_text: c_int,
    no_speech: c_int,
    language: &'static str,
    config: Config,
    floor_rms: f32,
    padded: Vec<f32>,
}

impl WhisperKernel {
    pub(super) fn new(context: &WhisperContext, language: &'static str, config: &Config) -> Result<Self, Error> {
        let state = context.create_state().map_err(|error| Error::new(ErrorKind::Broken, error))?;
        let text_context = usize::try_from(context.model_n_text_ctx()).unwrap_or(0);
        Ok(Self {
            state,
            params: HashMap::new(),
            full_context: usize::try_from(context.model_n_audio_ctx()).unwrap_or(0).max(1),
            // Where whisper.cpp gives up and throws the text away is n_text_ctx / 2 − 4.
            most_tokens: (text_context / 2).saturating_sub(8).max(1),
            end_of_text: context.token_eot(),
            start_of_text: context.token_sot(),
            no_speech: context.token_nosp(),
            language,
            config: config.clone(),
            floor_rms: gate::rms_of_dbfs(config.energy_floor_dbfs),
            padded: Vec::with_capacity(MIN_SAMPLES),
        })
    }

    /// One greedy pass over `samples` with an encoder context of `context` positions.
    #[expect(unsafe_code, reason = "the safe abort callback of whisper-rs 0.16 is unsound; this one is proved below")]
    fn pass(
        &mut self,
        samples: &[f32],
        language: &'static str,
        context: usize,
        abort: &AbortFlag,
    ) -> Result<Pass, Error> {
        let cap = gate::token_cap(samples.len(), self.most_tokens);
        let mut params = self.params.entry(language).or_insert_with(|| parameters(language)).clone();
        params.set_audio_ctx(c_int::try_from(context).unwrap_or(0));
        params.set_max_tokens(c_int::try_from(cap).unwrap_or(0));
        let flag: *const AtomicBool = abort.as_atomic();
        // SAFETY: `whisper_full` calls the callback with this pointer, only from this thread and only until it returns.
        // `abort` is borrowed until after that, so the flag it shares is alive; it is only read, atomically, so other
        // threads may set it meanwhile. `params`, which holds the pointer, is moved into the call and not kept.
        unsafe {
            params.set_abort_callback(Some(should_abort));
            params.set_abort_callback_user_data(flag.cast_mut().cast::<c_void>());
        }
        self.padded.clear();
        // Beyond full scale the spectrum may overflow into numbers that are none.
        self.padded.extend(samples.iter().map(|it| it.clamp(-1.0, 1.0)));
        self.padded.resize(samples.len().max(MIN_SAMPLES), 0.0);
        match self.state.full(params, &self.padded) {
            Ok(()) => self.judge(samples),
            // Reported as a failure of whichever step came next: only our own flag tells it from a real one.
            Err(_) if abort.is_set() => Err(cancelled()),
            Err(error) => Err(Error::new(ErrorKind::Broken, error)),
        }
    }

    /// Reads the answer of the last pass over `samples` and finds reasons to doubt it.
    fn judge(&mut self, samples: &[f32]) -> Result<Pass, Error> {
        let (transcript, ended) = read(&self.state, self.end_of_text);
        let doubt = if transcript.text.is_empty() {
            None
        } else if self.is_imagined(&transcript, samples)? {
            Some(Doubt::Imagined)
        } else if !ended || gate::without_loop(&transcript.text).is_some() {
            Some(Doubt::Lost)
        } else {
            None
        };
        Ok(Pass { transcript, ended, doubt })
    }

    /// Whether the model is not sure enough of its words. They must be twice as sure where there are hardly any for so much
    /// sound, or where the model itself thinks that nobody speaks.
    fn is_imagined(&mut self, transcript: &Transcript, samples: &[f32]) -> Result<bool, Error> {
        let threshold = f64::from(self.config.logprob_threshold);
        let sure = average(transcript);
        if sure < threshold {
            return Ok(true);
        }
        if sure >= threshold / 2.0 {
            return Ok(false);
        }
        Ok(gate::is_sparse(&transcript.text, samples.len()) || self.no_speech()? > self.config.no_speech_threshold)
    }

    /// The probability of "no speech" for the audio of the last pass; costs one step of the decoder. whisper.cpp's own figure
    /// is not that: with more than one token of prompt it is computed from a row of logits left over from an earlier request.
    fn no_speech(&mut self) -> Result<f32, Error> {
        let broken = |error| Error::new(ErrorKind::Broken, error);
        self.state.decode(&[self.start_of_text], 0, 1).map_err(broken)?;
        let logits = self.state.get_logits().map_err(broken)?;
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: f32 = logits.iter().map(|it| (it - most).exp()).sum();
        let own = usize::try_from(self.no_speech).ok().and_then(|at| logits.get(at));
        Ok(own.map_or(0.0, |it| (it - most).exp() / all))
    }
}

impl Kernel for WhisperKernel {
    type Job = Job;
    type Reply = Transcript;

    fn warm_up(&mut self) -> Result<(), Error> {
        // Two and a half seconds, the length of a typical request. What it says does not matter.
        let samples: Vec<f32> = (0..RATE_HZ * 5 / 2).map(|n| (n as f32 * 0.05).sin() * 0.1).collect();
        let context = gate::context(samples.len(), self.full_context);
        self.pass(&samples, self.language, context, &AbortFlag::default()).map(drop)
    }

    fn run(&mut self, job: Job, abort: &AbortFlag) -> Result<Transcript, Error> {
        if !job.samples.iter().all(|it| it.is_finite()) || job.samples.len() > gate::WINDOW_SAMPLES {
            return Err(Error::new(ErrorKind::Rejected, "the window is too long or holds samples that are no numbers"));
        }
        let Some(samples) = gate::voiced(&job.samples, self.floor_rms) else {
            return Ok(Transcript::default());
        };
        let context = gate::context(samples.len(), self.full_context);
        let first = self.pass(samples, job.language, context, abort)?;
        if first.doubt.is_none() {
            return Ok(first.transcript);
        }
        if !job.thorough {
            return Ok(Transcript::default());
        }
        if context >= self.full_context {
            return Ok(settle(first));
        }
        tracing::debug!(doubt = ?first.doubt, context, "doubtful transcript, once more with the full context");
        self.pass(samples, job.language, self.full_context, abort).map(settle)
    }
}

/// What remains of the best answer that can be had.
fn settle(pass: Pass) -> Transcript {
    match pass.doubt {
        None => pass.transcript,
        Some(Doubt::Imagined) => Transcript::default(),
        Some(Doubt::Lost) => match gate::without_loop(&pass.transcript.text) {
            // A loop that the model never ended is its own; one that it ended may have been said.
            Some(text) if !pass.ended => Transcript { text, ..pass.transcript },
            _ => pass.transcript,
        },
    }
}

/// Average log-probability per token.
pub(super) fn average(transcript: &Transcript) -> f64 {
    if transcript.tokens == 0 { f64::NEG_INFINITY } else { transcript.logprob_sum / f64::from(transcript.tokens) }
}

/// That somebody dropped the request.
fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "aborted")
}

/// What never changes between passes.
fn parameters(language: &'static str) -> FullParams<'static, 'static> {
    let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    params.set_n_threads(1);
    params.set_language(Some(language));
    params.set_translate(false);
    params.set_no_timestamps(true);
    params.set_single_segment(true);
    params.set_no_context(true);
    params.set_suppress_blank(true);
    params.set_temperature(0.0);
    params.set_temperature_inc(0.0);
    // The answer is judged here, not there: there it would vanish without a trace.
    params.set_no_speech_thold(2.0);
    params.set_print_special(false);
    params.set_print_progress(false);
    params.set_print_realtime(false);
    params.set_print_timestamps(false);
    params
}

/// Reads the result of the last pass, and whether its last token ended it. That token counts into the average, as in
/// whisper.cpp's own.
fn read(state: &WhisperState, end_of_text: c_int) -> (Transcript, bool) {
    let mut transcript = Transcript::default();
    let mut text = String::new();
    let mut ended = true;
    for segment in state.as_iter() {
        // Cannot fail for a segment that exists; invalid UTF-8 (half a character) is replaced.
        text.push_str(&segment.to_str_lossy().unwrap_or_default());
        for token in (0..segment.n_tokens()).filter_map(|at| segment.get_token(at)) {
            let data = token.token_data();
            transcript.logprob_sum += f64::from(data.plog);
            transcript.tokens += 1;
            ended = data.id == end_of_text;
        }
    }
    transcript.text = gate::clean(&text);
    (transcript, ended)
}

/// Polled by whisper.cpp between its steps.
#[expect(unsafe_code, reason = "a callback for C")]
unsafe extern "C" fn should_abort(flag: *mut c_void) -> bool {
    // SAFETY: only `pass` installs this callback, with a pointer to an `AtomicBool` that outlives the call.
    let flag = unsafe { &*flag.cast::<AtomicBool>() };
    flag.load(Ordering::Relaxed)
}
