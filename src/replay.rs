//! `floe replay`: recordings are played to a server, and what it understood, answered and took is printed.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use secrecy::SecretString;
use serde::Serialize;

use crate::{
    audio::{Codec, Format, Samples, container, wav},
    caller::{self, Recording, Report},
    protocol::native::{Pace, wire::ReplyStatus},
};

/// Bytes of a recording at most: an hour of 16-bit stereo at 48 kHz.
const FILE_MAX_BYTES: u64 = 700 << 20;

/// Play recordings to a server as a live microphone would, and print what it understood and answered.
///
/// Each file is one call. Silence follows it until everything said has been answered. A file with several utterances gives
/// several turns, and what is said while a reply plays interrupts it, as it would live; with --pace fast nothing interrupts.
///
/// Exits with 0 if every file went through, with 1 if any did not.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Recordings: WAV, FLAC, MP3, Ogg, WebM or M4A.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The server, such as ws://localhost:8080. Without it a server is started inside this command.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// API key or ticket for the server.
    #[arg(long, env = "FLOE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<SecretString>,
    /// Authorities to believe in place of the public ones, as a PEM file: for wss:// with a certificate of one's own.
    #[arg(long = "cacert", value_name = "FILE", value_parser = caller::trust::authorities)]
    pub trust: Option<Arc<rustls::ClientConfig>>,
    /// As live speech, or as fast as the server reads.
    #[arg(long, value_enum, default_value_t = PaceArg::Realtime)]
    pub pace: PaceArg,
    /// How audio is sent and wanted back.
    #[arg(long, value_enum, default_value_t = FormatArg::Pcm)]
    pub format: FormatArg,
    /// Samples per second sent, with --format pcm: 8000, 16000, 22050, 24000, 32000, 44100 or 48000.
    #[arg(long, default_value_t = 16_000, value_name = "HZ")]
    pub rate: u32,
    /// Write the replies' speech to this WAV file; with several files, one after the other.
    #[arg(long, value_name = "WAV")]
    pub out: Option<PathBuf>,
    /// Print one line of JSON per file.
    #[arg(long)]
    pub json: bool,
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PaceArg {
    /// As it was spoken.
    Realtime,
    /// As fast as the server reads.
    Fast,
}

/// In what format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FormatArg {
    /// 16-bit samples; replies at 24 kHz.
    Pcm,
    /// Opus packets of 20 ms.
    Opus,
    /// G.711 µ-law at 8 kHz.
    Pcmu,
    /// G.711 A-law at 8 kHz.
    Pcma,
}

impl FormatArg {
    /// The microphone's format and the speaker's. `rate_hz` matters to PCM only.
    pub const fn formats(self, rate_hz: u32) -> (Format, Format) {
        let (codec, input_hz, output_hz) = match self {
            Self::Pcm => (Codec::PcmS16le, rate_hz, 24_000),
            Self::Opus => (Codec::Opus, 48_000, 24_000),
            Self::Pcmu => (Codec::Pcmu, 8_000, 8_000),
            Self::Pcma => (Codec::Pcma, 8_000, 8_000),
        };
        (Format { codec, rate_hz: input_hz, frame_ms: 20 }, Format { codec, rate_hz: output_hz, frame_ms: 20 })
    }
}

/// What [`replay`] does: the arguments with a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Recordings.
    pub files: Vec<PathBuf>,
    /// Where to send the speech of the replies.
    pub out: Option<PathBuf>,
    /// One line of JSON per file instead of prose.
    pub json: bool,
    /// How to call.
    pub call: caller::Options,
}

impl Args {
    /// The options, once it is known which server is to be called.
    pub fn options(&self, url: &str) -> Options {
        let (input, output) = self.format.formats(self.rate);
        Options {
            files: self.files.clone(),
            out: self.out.clone(),
            json: self.json,
            call: caller::Options {
                token: self.token.clone(),
                trust: self.trust.clone(),
                input,
                output,
                pace: match self.pace {
                    PaceArg::Realtime => Pace::Realtime,
                    PaceArg::Fast => Pace::File,
                },
                keep_audio: self.out.is_some(),
                ..caller::Options::new(url)
            },
        }
    }
}

/// How it went. The command's exit status is 1 unless `failed` is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files played.
    pub files: usize,
    /// Those of them with an error.
    pub failed: usize,
}

/// Why nothing (more) could be reported. What is wrong with a single file is in its report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The report could not be written.
    #[error("cannot write the report: {0}")]
    Report(#[source] std::io::Error),
    /// The replies' speech could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Out {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Plays each file in turn and reports on each as soon as it is through.
pub async fn replay(options: Options, out: &mut impl Write) -> Result<Summary, Error> {
    let mut summary = Summary::default();
    let mut speech = Samples { rate_hz: options.call.output.clock_hz(), data: Vec::new() };
    for path in &options.files {
        let (report, error) = match play(path, &options.call).await {
            Ok(report) => (report, None),
            Err((report, error)) => (report, Some(error)),
        };
        let mut outcome = Outcome::new(path, &report);
        outcome.error = error.or_else(|| flaw(&report));
        summary.files += 1;
        summary.failed += usize::from(outcome.error.is_some());
        if options.json {
            let line = serde_json::to_string(&outcome).map_err(|error| Error::Report(error.into()))?;
            writeln!(out, "{line}").map_err(Error::Report)?;
        } else {
            prose(&outcome, &report, out).map_err(Error::Report)?;
        }
        out.flush().map_err(Error::Report)?;
        speech.data.extend_from_slice(&report.audio);
    }
    if let Some(path) = options.out {
        let fault = |source| Error::Out { path: path.clone(), source };
        wav::write(BufWriter::new(File::create(&path).map_err(fault)?), &speech).map_err(fault)?;
    }
    Ok(summary)
}

/// Reads a recording as 16 kHz mono. Errors are a sentence with the cause.
pub async fn read(path: &Path) -> Result<Recording, String> {
    let size = tokio::fs::metadata(path).await.map_err(|error| format!("cannot read: {error}"))?.len();
    if size > FILE_MAX_BYTES {
        return Err(format!("cannot read: more than {FILE_MAX_BYTES} bytes"));
    }
    let bytes = Bytes::from(tokio::fs::read(path).await.map_err(|error| format!("cannot read: {error}"))?);
    #[expect(clippy::disallowed_methods, reason = "a command decodes one file at a time, and waits for it")]
    let decoding = tokio::task::spawn_blocking(move || container::decode_file(bytes, container::Limits::default()));
    let samples = decoding.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(Arc::from(samples.data))
}

async fn play(path: &Path, call: &caller::Options) -> Result<Report, (Report, String)> {
    let recording = read(path).await.map_err(|error| (Report::default(), error))?;
    caller::call(&recording, call).await.map_err(|failed| (*failed.report, failed.error.to_string()))
}

/// What was wrong with a call that came to its end.
fn flaw(report: &Report) -> Option<String> {
    let failed = |status| matches!(status, Some(ReplyStatus::Failed));
    if let Some(reply) = report.replies.iter().find(|reply| failed(reply.status)) {
        return Some(format!("reply {} failed: {}", reply.reply, reply.reason.as_deref().unwrap_or("unknown")));
    }
    if let Some(turn) = report.turns.iter().find(|turn| turn.failed) {
        return Some(format!("turn {} could not be transcribed", turn.turn));
    }
    if report.frames.missing > 0 {
        return Some(format!("{} frames of speech are missing", report.frames.missing));
    }
    None
}

/// The line of `--json`.
#[derive(Debug, Serialize)]
struct Outcome {
    file: String,
    transcript: String,
    reply: String,
    reply_audio_ms: u64,
    turns: Vec<OutcomeTurn>,
    latency_ms: OutcomeLatency,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct OutcomeTurn {
    text: String,
    start_ms: u64,
    end_ms: u64,
}

/// From the end of speech of the first turn with words; null if not reached.
#[derive(Debug, Serialize)]
struct OutcomeLatency {
    r#final: Option<u64>,
    first_text: Option<u64>,
    first_audio: Option<u64>,
}

impl Outcome {
    fn new(path: &Path, report: &Report) -> Self {
        let said = || report.turns.iter().filter(|turn| turn.text.as_deref().is_some_and(|text| !text.is_empty()));
        let turns: Vec<_> = said()
            .map(|turn| OutcomeTurn {
                text: turn.text.clone().unwrap_or_default(),
                start_ms: turn.start_ms,
                end_ms: turn.end_ms,
            })
            .collect();
        let first = said().next();
        let reply = first.and_then(|turn| report.replies.iter().find(|reply| reply.turn == Some(turn.turn)));
        let words = |parts: Vec<&str>| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        Self {
            file: path.display().to_string(),
            transcript: words(turns.iter().map(|turn| turn.text.as_str()).collect()),
            reply: words(report.replies.iter().map(|reply| reply.text.trim()).collect()),
            reply_audio_ms: report.replies.iter().map(|reply| ms(reply.audio)).sum(),
            latency_ms: OutcomeLatency {
                r#final: first.and_then(|turn| turn.final_after).map(ms),
                first_text: reply.and_then(|reply| reply.first_text).map(ms),
                first_audio: reply.and_then(|reply| reply.first_audio).map(ms),
            },
            turns,
            error: None,
        }
    }
}

fn prose(outcome: &Outcome, report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{}", outcome.file)?;
    for turn in &report.turns {
        let Some(text) = turn.text.as_deref().filter(|text| !text.is_empty()) else { continue };
        writeln!(out, "  you    {:>7}  {text}", seconds(turn.start_ms))?;
        for reply in report.replies.iter().filter(|reply| reply.turn == Some(turn.turn)) {
            let cut = if reply.status == Some(ReplyStatus::Interrupted) { " — (interrupted)" } else { "" };
            writeln!(out, "  floe   {:>7}  {}{cut}", "", reply.text.trim())?;
        }
    }
    for reply in report.replies.iter().filter(|reply| reply.turn.is_none()) {
        writeln!(out, "  floe   {:>7}  {}", "", reply.text.trim())?;
    }
    if report.turns.iter().all(|turn| turn.text.as_deref().unwrap_or_default().is_empty()) && outcome.error.is_none() {
        writeln!(out, "  (no speech)")?;
    }
    if !outcome.turns.is_empty() {
        writeln!(out, "  after the end of speech   transcript  first text  first audio")?;
        for turn in report.turns.iter().filter(|turn| turn.text.as_deref().is_some_and(|text| !text.is_empty())) {
            let reply = report.replies.iter().find(|reply| reply.turn == Some(turn.turn));
            writeln!(
                out,
                "    turn {:<18} {:>11} {:>11} {:>12}",
                turn.turn,
                cell(turn.final_after),
                cell(reply.and_then(|reply| reply.first_text)),
                cell(reply.and_then(|reply| reply.first_audio)),
            )?;
        }
        writeln!(out, "  spoken reply {}", seconds(outcome.reply_audio_ms))?;
    }
    if let Some(error) = &outcome.error {
        writeln!(out, "  error: {error}")?;
    }
    writeln!(out)
}

fn cell(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "-".to_owned(), |duration| format!("{} ms", ms(duration)))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:02} s", ms / 1000, ms % 1000 / 10)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
