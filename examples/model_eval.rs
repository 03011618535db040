//! Runs sound files through a speech model, for `make model-eval`: JSON lines in, JSON lines out.
//!
//! `model_eval MODEL < jobs`. A job without `context` goes the product's way, all gates included; one with it goes through a
//! single bare pass of whisper.cpp at that encoder context, with or without timestamps.

use std::{
    error::Error,
    ffi::c_int,
    io::{BufRead as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use floe::{
    audio::{AudioPos, Codec, Egress, FRAME_SAMPLES, Format, Frame, Ingress, RATE_HZ, Samples},
    stt::{
        Feed, Options, SpeechToText as _, Update,
        whisper::{Config, Whisper},
    },
};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

/// Through what the sound goes before it is recognised.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Channel {
    #[default]
    Clean,
    /// 8 kHz µ-law.
    Pcmu,
    /// Opus at 16 kHz and 28 kbit/s.
    Opus,
    /// 20 dB quieter.
    Quiet,
}

#[derive(Debug, Deserialize)]
struct Job {
    /// 16 kHz mono 16-bit.
    wav: PathBuf,
    #[serde(default)]
    channel: Channel,
    context: Option<c_int>,
    #[serde(default)]
    timestamps: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    text: String,
    /// Average per token; of a bare pass only.
    #[serde(skip_serializing_if = "Option::is_none")]
    logprob: Option<f32>,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let model = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: model_eval MODEL < jobs")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let engine = Whisper::load(&model, &Config { workers: 1, ..Config::default() })?;
    let mut parameters = WhisperContextParameters::default();
    parameters.use_gpu(false).flash_attn(false);
    let context = WhisperContext::new_with_params(&model, parameters)?;
    let mut state = context.create_state()?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        let samples = through(job.channel, read(&job.wav)?)?;
        let answer = match job.context {
            None => Answer { text: runtime.block_on(product(&engine, &samples))?, logprob: None },
            Some(size) => bare(&mut state, samples, size, job.timestamps)?,
        };
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    }
    Ok(())
}

fn read(wav: &Path) -> Result<Vec<f32>> {
    let mut reader = hound::WavReader::open(wav)?;
    let spec = reader.spec();
    if spec.sample_rate != RATE_HZ || spec.channels != 1 || spec.bits_per_sample != 16 {
        return Err(format!("{}: not 16 kHz mono 16-bit", wav.display()).into());
    }
    Ok(reader
        .samples::<i16>()
        .map(|it| it.map(|it| f32::from(it) / 32_768.0))
        .collect::<std::result::Result<_, _>>()?)
}

fn through(channel: Channel, samples: Vec<f32>) -> Result<Vec<f32>> {
    match channel {
        Channel::Clean => Ok(samples),
        Channel::Quiet => Ok(samples.into_iter().map(|it| it * 0.1).collect()),
        Channel::Pcmu => wired(Format { codec: Codec::Pcmu, rate_hz: 8_000, frame_ms: 20 }, samples),
        Channel::Opus => wired(Format { codec: Codec::Opus, rate_hz: RATE_HZ, frame_ms: 20 }, samples),
    }
}

/// As a client's microphone sends it and the server hears it.
fn wired(format: Format, samples: Vec<f32>) -> Result<Vec<f32>> {
    let (mut egress, mut ingress) = (Egress::new(format)?, Ingress::new(format)?);
    let (mut chunks, mut frames) = (Vec::new(), Vec::new());
    egress.push(&Samples { rate_hz: RATE_HZ, data: samples }, &mut chunks)?;
    egress.finish(&mut chunks)?;
    for chunk in &chunks {
        ingress.push(&chunk.payload, None, false, &mut frames)?;
    }
    ingress.finish(&mut frames)?;
    Ok(frames.iter().flat_map(|frame| frame.samples.iter().copied()).collect())
}

/// One utterance as a session has it transcribed.
async fn product(engine: &Whisper, samples: &[f32]) -> Result<String> {
    let mut padded = samples.to_vec();
    padded.resize(padded.len().next_multiple_of(FRAME_SAMPLES), 0.0);
    let (sender, feed) = mpsc::channel(padded.len() / FRAME_SAMPLES + 1);
    for (piece, number) in padded.chunks(FRAME_SAMPLES).zip(1u64..) {
        let end = AudioPos(number * FRAME_SAMPLES as u64);
        sender.try_send(Feed::Frame(Frame { end, samples: Arc::from(piece) }))?;
    }
    sender.try_send(Feed::Finish(AudioPos(padded.len() as u64)))?;
    drop(sender);
    let mut updates = engine.transcribe(feed, Options { language: Arc::from(""), partials: false });
    while let Some(update) = updates.next().await {
        if let Update::Final { text, .. } = update? {
            return Ok(text.to_string());
        }
    }
    Err("the engine ended without a final".into())
}

/// One greedy pass as the engine sets it up, but without its gates.
fn bare(state: &mut WhisperState, mut samples: Vec<f32>, context: c_int, timestamps: bool) -> Result<Answer> {
    let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    params.set_n_threads(1);
    params.set_language(Some("en"));
    params.set_no_timestamps(!timestamps);
    params.set_single_segment(true);
    params.set_no_context(true);
    params.set_suppress_blank(true);
    params.set_temperature(0.0);
    params.set_temperature_inc(0.0);
    params.set_no_speech_thold(2.0);
    params.set_audio_ctx(context);
    params.set_print_progress(false);
    params.set_print_special(false);
    params.set_print_realtime(false);
    params.set_print_timestamps(false);
    samples.resize(samples.len().max(RATE_HZ as usize), 0.0);
    state.full(params, &samples)?;
    let (mut text, mut sum, mut tokens) = (String::new(), 0.0, 0u16);
    for segment in state.as_iter() {
        text.push_str(&segment.to_str_lossy()?);
        for token in (0..segment.n_tokens()).filter_map(|at| segment.get_token(at)) {
            sum += token.token_data().plog;
            tokens += 1;
        }
    }
    let logprob = (tokens > 0).then(|| sum / f32::from(tokens));
    Ok(Answer { text: text.split_whitespace().collect::<Vec<_>>().join(" "), logprob })
}
