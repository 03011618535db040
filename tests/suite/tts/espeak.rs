//! The local voice, with the real `espeak-ng`.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use floe::{
    engine::ErrorKind,
    tts::{
        Segment, TextToSpeech as _,
        espeak::{Config, Espeak},
    },
};
use futures_util::StreamExt as _;

use super::{joined, seconds, segment, spoken};

fn espeak(config: Config) -> Espeak {
    Espeak::new(config).unwrap()
}

/// Processes that we started with this argument somewhere in their command line, and that still run.
pub(super) fn processes(argument: &str) -> Vec<String> {
    let running = |pid: &Path| {
        let line = fs::read(pid.join("cmdline")).unwrap_or_default();
        let status = fs::read_to_string(pid.join("stat")).unwrap_or_default();
        let parent = status.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
        parent == Some(std::process::id()) && line.split(|b| *b == 0).any(|word| word == argument.as_bytes())
    };
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    all.filter(|pid| running(pid)).map(|pid| pid.display().to_string()).collect()
}

/// A program that misbehaves as told.
pub(super) fn program(folder: &Path, script: &str) -> String {
    let path = folder.join("voice");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn longer_text_takes_longer_and_speed_counts() {
    let text = "The meeting begins at nine and ends when everybody is tired.";
    let normal = seconds(&spoken(&espeak(Config::default()), segment(text)).await.unwrap());
    let short = seconds(&spoken(&espeak(Config::default()), segment("The meeting begins.")).await.unwrap());
    let fast = espeak(Config { speed_wpm: 350, ..Config::default() });
    let fast = seconds(&spoken(&fast, segment(text)).await.unwrap());
    assert!(short < normal * 0.6, "{short} s of {normal} s");
    assert!(fast < normal * 0.7, "{fast} s of {normal} s");
}

#[tokio::test]
async fn a_segment_says_how_fast() {
    let engine = espeak(Config::default());
    let said = |speed: f32| {
        let segment = Segment { speed, ..segment("The meeting begins at nine and ends when everybody is tired.") };
        spoken(&engine, segment)
    };
    let (normal, fast) = (seconds(&said(1.0).await.unwrap()), seconds(&said(2.0).await.unwrap()));
    assert!(fast < normal * 0.7, "{fast} s of {normal} s");
}

#[tokio::test]
async fn the_silence_around_a_segment_is_short() {
    let pieces = spoken(&espeak(Config::default()), segment("Yes.")).await.unwrap();
    let rate = f64::from(pieces[0].rate_hz);
    let samples = joined(&pieces);
    let loud = |s: &f32| s.abs() >= 0.003;
    let lead = samples.iter().position(loud).unwrap() as f64 / rate;
    let tail = samples.iter().rev().position(loud).unwrap() as f64 / rate;
    assert!(lead <= 0.0205 && tail <= 0.0605, "{lead} s before, {tail} s after");
}

#[tokio::test]
async fn speech_comes_while_the_rest_is_still_being_made() {
    let engine = espeak(Config { speed_wpm: 181, ..Config::default() });
    let long = segment(&"The quick brown fox jumps over the lazy dog. ".repeat(80));
    let mut stream = engine.synthesize(long);
    stream.next().await.unwrap().unwrap();
    assert_eq!(processes("181").len(), 1, "the first piece is here and the process still speaks");
    drop(stream);
    for _ in 0..500 {
        if processes("181").is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the process outlived its stream: {:?}", processes("181"));
}

#[tokio::test]
async fn a_stream_never_polled_starts_nothing() {
    let engine = espeak(Config { speed_wpm: 182, ..Config::default() });
    let _stream = engine.synthesize(segment("Hello."));
    tokio::task::yield_now().await;
    assert!(processes("182").is_empty());
}

#[tokio::test]
async fn voices_and_languages_are_chosen() {
    let engine = espeak(Config::default());
    let say = |voice: &str, language: &str| {
        let segment = Segment { voice: voice.into(), language: language.into(), ..segment("one hundred") };
        spoken(&engine, segment)
    };
    let ours = joined(&say("", "").await.unwrap());
    assert_eq!(joined(&say("", "en").await.unwrap()), ours, "our own voice speaks English");
    assert_eq!(joined(&say("en-us", "de").await.unwrap()), ours, "a voice asked for goes before a language");
    for (voice, language) in [("", "de-DE"), ("", "en-GB"), ("en-us+f3", ""), ("fr-fr", "")] {
        assert_ne!(joined(&say(voice, language).await.unwrap()), ours, "{voice} {language}");
    }
    for (voice, language) in [("alloy", ""), ("../../etc/passwd", ""), ("-w", ""), ("", "tlh-Klingon/../x")] {
        let error = say(voice, language).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected, "{voice} {language}: {error}");
    }
}

#[tokio::test]
async fn a_missing_program_names_the_fix() {
    let engine = espeak(Config { program: "espeak-of-another-planet".into(), ..Config::default() });
    let error = spoken(&engine, segment("Hello.")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Broken);
    assert!(error.message.contains("apt install espeak-ng"), "{error}");
    assert!(engine.version().await.unwrap_err().message.contains("apt install espeak-ng"));
    assert!(espeak(Config::default()).version().await.unwrap().contains("eSpeak NG"));
}

#[tokio::test]
async fn a_program_that_stalls_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { program: program(folder.path(), "exec sleep 184"), timeout_ms: 100, ..Config::default() };
    let error = spoken(&espeak(config), segment("Hello.")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    for _ in 0..500 {
        if processes("184").is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the process outlived its segment");
}

#[tokio::test]
async fn a_program_that_fails_says_why_and_rubbish_is_no_speech() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("echo 'no data files' >&2; exit 3", "no data files"),
        ("kill -9 $$", "signal"),
        ("echo this is not a sound", "RIFF"),
        ("head -c 100000 /dev/zero", "RIFF"),
        ("yes | head -c 1000000 >&2; exit 1", "y y y"),
    ];
    for (script, reason) in cases {
        let config = Config { program: program(folder.path(), script), ..Config::default() };
        let error = spoken(&espeak(config), segment("Hello.")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Broken, "{script}: {error}");
        assert!(error.message.contains(reason) && error.message.len() < 700, "{script}: {error}");
    }
}

#[tokio::test]
async fn when_all_processes_speak_the_next_one_waits_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        program: program(folder.path(), "exec sleep 185"),
        timeout_ms: 300,
        max_processes: 1,
        ..Config::default()
    };
    let engine = espeak(config);
    let (first, second) = tokio::join!(spoken(&engine, segment("One.")), spoken(&engine, segment("Two.")));
    let mut kinds = [first.unwrap_err().kind, second.unwrap_err().kind];
    kinds.sort_by_key(|kind| kind.as_str());
    assert!(kinds.contains(&ErrorKind::Unavailable), "{kinds:?}");
    let real = espeak(Config { max_processes: 1, ..Config::default() });
    let (first, second) = tokio::join!(spoken(&real, segment("One.")), spoken(&real, segment("Two.")));
    assert!(seconds(&first.unwrap()) > 0.1 && seconds(&second.unwrap()) > 0.1);
}

#[tokio::test]
async fn too_long_a_text_is_refused() {
    let error = spoken(&espeak(Config::default()), segment(&"a ".repeat(5_000))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
}

#[test]
fn impossible_settings_are_refused() {
    for config in [
        Config { speed_wpm: 10, ..Config::default() },
        Config { pitch: 100, ..Config::default() },
        Config { voice: "/etc/passwd".into(), ..Config::default() },
        Config { max_processes: 0, ..Config::default() },
    ] {
        assert!(Espeak::new(config).is_err());
    }
}
