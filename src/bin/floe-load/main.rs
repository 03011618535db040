//! `floe-load`: many callers at once, each with a recording, and a table of what they met.

mod callers;
mod limit;
mod report;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use floe::replay::FormatArg;
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::SecretString;
use tokio::{sync::mpsc, time::Instant};

use crate::{callers::Plan, limit::Limit, report::Report};

/// Call a Floe server with many callers at once and print what they met.
///
/// Each caller streams recordings like a live microphone, listens to the reply, pauses, and calls again, until the time is
/// up. The load is open-loop: words are spoken when they are due, whether or not the server keeps up, and every latency
/// counts from that moment.
///
///   floe-load --url ws://localhost:8080 --wav-dir recordings --callers 20 --duration 60s
///   floe-load … --barge-in 0.2 --limit final.p95=1200ms --limit first_audio.p50=800ms --json
///
/// Exits with 0; with 1 if any call met an error or a limit was missed; with 2 if it could not begin.
#[derive(Debug, Parser)]
#[command(name = "floe-load", version, verbatim_doc_comment)]
struct Args {
    /// The server.
    #[arg(long, value_name = "URL")]
    url: String,
    /// Folder of recordings (WAV, FLAC, MP3, Ogg, WebM, M4A), taken in turns.
    #[arg(long, value_name = "DIR")]
    wav_dir: PathBuf,
    /// How many call at the same time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: u32,
    /// Time over which the callers begin, evenly: 5s, 1m30s.
    #[arg(long, default_value = "5s", value_parser = duration)]
    ramp: Duration,
    /// Time during which calls are begun; running calls then end by themselves.
    #[arg(long, default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// Pause of a caller between two calls.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pause: Duration,
    /// Share of calls in which the caller speaks over the reply, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    barge_in: f64,
    /// Share of calls in which the caller vanishes in the middle of a word, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    drop: f64,
    /// How audio is sent and wanted back.
    #[arg(long, value_enum, default_value_t = FormatArg::Pcm)]
    format: FormatArg,
    /// Samples per second sent, with --format pcm.
    #[arg(long, default_value_t = 16_000, value_name = "HZ")]
    rate: u32,
    /// API key for the server.
    #[arg(long, env = "FLOE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<SecretString>,
    /// Authorities to believe in place of the public ones, as a PEM file: for wss:// with a certificate of one's own.
    #[arg(long = "cacert", value_name = "FILE", value_parser = floe::caller::trust::authorities)]
    trust: Option<Arc<rustls::ClientConfig>>,
    /// A figure that must not be exceeded, such as final.p95=1200ms. Figures: connect, first_partial, final, first_text,
    /// first_audio, barge_in; each .p50, .p90, .p95, .p99 or .max. May be repeated.
    #[arg(long = "limit", value_name = "FIGURE=TIME")]
    limits: Vec<Limit>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|_| format!("`{text}` is no time; write 500ms, 5s or 2m"))?;
    Duration::try_from(parsed).map_err(|_| "a time cannot be negative".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to 1".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(report) => {
            if args.json {
                println!("{}", report.json());
            } else {
                print!("{}", report.table());
            }
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("floe-load: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(args: &Args) -> Result<Report, String> {
    let recordings = callers::recordings(&args.wav_dir).await?;
    let (input, output) = args.format.formats(args.rate);
    input.check_output().map_err(|error| error.to_string())?;
    let call = floe::caller::Options {
        token: args.token.clone(),
        trust: args.trust.clone(),
        input,
        output,
        ..floe::caller::Options::new(&args.url)
    };
    let begin = now();
    let plan = Plan {
        call,
        recordings,
        begin,
        end: begin + args.duration,
        pause: args.pause,
        barge_in: args.barge_in,
        drop: args.drop,
    };
    // When full, callers wait with their reports, not with their words.
    let (sender, mut results) = mpsc::channel(256);
    let mut scope = callers::start(plan, args.callers, args.ramp, &sender);
    drop(sender);

    let progress = progress();
    let mut report = Report::new(args.callers, args.duration, &args.limits);
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            result = results.recv() => match result {
                Some(result) => report.add(&result),
                None => break,
            },
            _ = tick.tick() => {
                let running = scope.len();
                progress.set_message(format!("{} s · {running} callers · {}", begin.elapsed().as_secs(), report.line()));
                while scope.try_join_next().is_some() {}
            }
            // A failure to listen is no reason to stop: the default handler then ends the process.
            Ok(()) = &mut interrupt => {
                scope.abort_all();
                report.interrupted();
                break;
            }
        }
    }
    progress.finish_and_clear();
    while let Some(ended) = scope.join_next().await {
        if ended.is_err_and(|error| error.is_panic()) {
            report.panicked();
        }
    }
    report.finish(begin.elapsed());
    Ok(report)
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar
}

#[expect(clippy::disallowed_methods, reason = "a load tester lives in real time")]
fn now() -> Instant {
    Instant::now()
}
