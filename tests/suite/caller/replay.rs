//! `floe replay` given a URL.

use std::path::PathBuf;

use floe::replay::{Args, Summary, replay};

use super::server::{Script, Server};
use crate::support::fixture;

/// The arguments as a command line would give them.
fn args(line: &[&str]) -> Args {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }
    <Command as clap::Parser>::parse_from([&["replay"], line].concat()).args
}

async fn run(script: Script, line: &[&str]) -> (Summary, String) {
    let server = Server::start(script).await;
    let mut out = Vec::new();
    let summary = replay(args(line).options(&server.url), &mut out).await.expect("a report");
    (summary, String::from_utf8(out).expect("UTF-8"))
}

fn hello() -> String {
    fixture("audio/05-kal16.wav").display().to_string()
}

#[tokio::test]
async fn json_is_one_line_per_file_of_the_promised_shape() {
    let (summary, out) = run(Script::default(), &["--pace", "fast", "--json", &hello(), "no-such-file.wav"]).await;
    assert_eq!(summary, Summary { files: 2, failed: 1 });
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let [good, bad] = lines.as_slice() else { panic!("{out}") };
    let mut keys: Vec<_> = good.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["error", "file", "latency_ms", "reply", "reply_audio_ms", "transcript", "turns"]);
    assert_eq!(good["transcript"], "hello");
    assert_eq!(good["reply"], "one two three");
    assert_eq!(good["reply_audio_ms"], 500);
    assert_eq!(good["turns"], serde_json::json!([{"text": "hello", "start_ms": 100, "end_ms": 600}]));
    assert!(["final", "first_text", "first_audio"].iter().all(|name| good["latency_ms"][name].is_u64()), "{good}");
    assert!(good["error"].is_null());
    assert_eq!(bad["file"], "no-such-file.wav");
    assert!(bad["error"].as_str().is_some_and(|error| error.contains("cannot read")), "{bad}");
    assert!(bad["latency_ms"]["final"].is_null());
}

#[tokio::test]
async fn prose_tells_words_reply_and_latencies_and_speech_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let wav: PathBuf = folder.path().join("reply.wav");
    let path = wav.display().to_string();
    let (summary, out) =
        run(Script::default(), &["--pace", "fast", "--format", "opus", "--out", &path, &hello()]).await;
    assert_eq!(summary.failed, 0, "{out}");
    assert!(out.contains("hello") && out.contains("one two three") && out.contains("first audio"), "{out}");
    let reader = hound::WavReader::open(wav).expect("a WAV file");
    assert_eq!((reader.spec().sample_rate, reader.duration()), (48_000, 24_000));
}

#[tokio::test]
async fn missing_frames_fail_a_file() {
    let script = Script { skip_every: Some(7), ..Script::default() };
    let (summary, out) = run(script, &["--pace", "fast", &hello()]).await;
    assert_eq!(summary, Summary { files: 1, failed: 1 });
    assert!(out.contains("error: 3 frames of speech are missing"), "{out}");
}
