//! ONNX Runtime's library: found, refused where it is broken, and stopped when nobody listens.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use floe::{
    engine::ErrorKind,
    tts::{
        Segment, TextToSpeech, espeak,
        piper::{self, Piper, Runtime},
    },
};
use futures_util::StreamExt as _;

use super::{
    piper::{config, folder, library},
    segment, spoken,
};
use crate::support::piper::{description, endless_graph, install};

fn load(config: &piper::Config) -> Result<Piper, floe::engine::Error> {
    Piper::load(config, &espeak::Config::default(), "en").map(|piper| piper.expect("a voice for English"))
}

/// The library itself.
fn file() -> PathBuf {
    fs::read_dir(library()).unwrap().map(|entry| entry.unwrap().path()).next().unwrap()
}

#[tokio::test]
async fn a_clause_that_is_being_computed_ends_with_its_stream() {
    let folder = folder(1);
    install(folder.path(), "en_US-test-medium", &endless_graph(), &description("en_US", 1));
    let engine = load(&config(folder.path(), Runtime::Onnxruntime)).unwrap();
    let slow = Segment { speed: 0.25, ..segment("This takes years.") };
    for _ in 0..2 {
        let mut stream = engine.synthesize(slow.clone());
        // Time enough to be begun; if it is not, it is taken out of the queue, which is right as well.
        let _pending = tokio::time::timeout(Duration::from_millis(500), stream.next()).await.unwrap_err();
        drop(stream);
        // There is one worker: it speaks this only once it is rid of the other.
        assert!(!spoken(&engine, segment("Now this.")).await.unwrap().is_empty());
    }
    let hasty = piper::Config { timeout_ms: 2_000, ..config(folder.path(), Runtime::Onnxruntime) };
    let engine = load(&hasty).unwrap();
    assert_eq!(spoken(&engine, slow).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(!spoken(&engine, segment("Now this.")).await.unwrap().is_empty(), "what took too long has ended, too");
}

#[tokio::test]
async fn workers_speak_with_one_voice_at_a_time_of_their_own() {
    let folder = folder(1);
    let several = piper::Config { workers: 3, threads: 4, ..config(folder.path(), Runtime::Onnxruntime) };
    let engine = load(&several).unwrap();
    let all = (0..12).map(|_| spoken(&engine, segment("Hello, world.")));
    let all = futures_util::future::join_all(all).await;
    let first = super::joined(all[0].as_ref().unwrap());
    assert!(all.iter().all(|pieces| super::joined(pieces.as_ref().unwrap()) == first));
}

/// A library made of this C, at `path`.
fn compiled(path: &Path, code: &str) {
    let source = path.with_extension("c");
    fs::write(&source, code).unwrap();
    let compiler = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([path, &source]).status().unwrap();
    assert!(compiler.success());
}

/// Code of a library whose version and interface are these.
fn pretender(base: &str, version: &str, interface: &str) -> String {
    format!(
        "static const void *interface(unsigned version) {{ return {interface}; }}
         static const char *version(void) {{ return {version}; }}
         static const struct {{ const void *(*interface)(unsigned); const char *(*version)(void); }} base = {{ interface, version }};
         const void *OrtGetApiBase(void) {{ return {base}; }}"
    )
}

#[test]
fn a_broken_library_is_an_error_and_auto_does_without() {
    let folder = folder(1);
    let at = folder.path().join("libonnxruntime.so.1.99.0");
    let refused = |what: &str, said: &str| {
        let named = |runtime| piper::Config {
            runtime,
            onnxruntime_library: at.display().to_string(),
            ..config(folder.path(), Runtime::Rten)
        };
        let Err(error) = load(&named(Runtime::Onnxruntime)) else { panic!("{what}: it was taken") };
        assert_eq!(error.kind, ErrorKind::Rejected, "{what}: {error}");
        assert!(error.message.contains(said) && error.message.contains("libonnxruntime.so.1.99.0"), "{what}: {error}");
        assert!(error.message.contains("tts.piper.runtime"), "{what}: {error}");
        let auto = load(&named(Runtime::Auto));
        assert!(auto.is_ok(), "{what}: rten speaks");
        assert!(piper::runtime(&named(Runtime::Auto)).unwrap_err().message.contains(said), "{what}");
    };
    refused("missing", "No such file");
    fs::write(&at, "not a library").unwrap();
    refused("text", "no library");
    fs::write(&at, [0x7f; 10_000]).unwrap();
    refused("noise", "no library");
    let real = fs::read(file()).unwrap();
    for length in [63, 64, 200, 10_000, real.len() / 2, real.len() * 9 / 10] {
        fs::write(&at, &real[..length]).unwrap();
        refused("cut off", if length < 64 { "no library" } else { "breaks off" });
    }
    compiled(&at, "int nothing(void) { return 0; }");
    refused("another library", "not ONNX Runtime's");
    for (base, version, interface, said) in [
        ("0", "\"1.99.0\"", "version", "no interface"),
        ("&base", "0", "version", "which version"),
        ("&base", "\"\\xff\"", "version", "which version"),
        ("&base", "\"1.16.3\"", "version", "version 1.16.3"),
        ("&base", "\"2.0.0\"", "version", "version 2.0.0"),
        ("&base", "\"new\"", "version", "version new"),
        ("&base", "\"1.99.0\"", "0", "does not offer"),
    ] {
        compiled(&at, &pretender(base, version, interface));
        refused(said, said);
    }
}

#[test]
fn the_doctor_says_which_runtime_is_there_or_what_is_wrong_with_it() {
    let folder = folder(1);
    let diagnosis = |piper| {
        let mut config = floe::config::Config::default();
        config.tts.piper = piper;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let findings = runtime.block_on(floe::doctor::examine(&config));
        findings.into_iter().find(|finding| finding.name == "voice runtime").unwrap()
    };
    let voices = || config(folder.path(), Runtime::Rten);
    assert!(diagnosis(voices()).found.starts_with("rten, as"));
    let auto = |library: &Path| piper::Config {
        runtime: Runtime::Auto,
        onnxruntime_library: library.display().to_string(),
        ..voices()
    };
    let broken = folder.path().join("libonnxruntime.so");
    fs::write(&broken, "not a library").unwrap();
    let finding = diagnosis(auto(&broken));
    assert!(!finding.ok && finding.found.contains("no library") && finding.fix.contains("rten"), "{finding:?}");
    let finding = diagnosis(auto(Path::new(&library())));
    assert!(finding.ok && finding.found.starts_with("ONNX Runtime 1."), "{finding:?}");
}

#[test]
fn the_newest_library_beside_the_voices_is_found() {
    let folder = folder(1);
    let beside = folder.path().join("onnxruntime");
    fs::create_dir(&beside).unwrap();
    // The newest by number, not by letter; the others are not even looked at.
    let real = file().canonicalize().unwrap();
    std::os::unix::fs::symlink(&real, beside.join("libonnxruntime.so.1.100.0")).unwrap();
    fs::write(beside.join("libonnxruntime.so.1.99.0"), "older").unwrap();
    fs::write(beside.join("libonnxruntime_providers_shared.so"), "another").unwrap();
    let auto = piper::Config { runtime: Runtime::Auto, ..config(folder.path(), Runtime::Rten) };
    let said = piper::runtime(&auto).unwrap();
    assert!(said.starts_with("ONNX Runtime 1.") && said.contains(&real.display().to_string()), "{said}");
    let engine = load(&auto).unwrap();
    assert_eq!(engine.rate_hz(), crate::support::piper::RATE_HZ);
    // A process has one: another file is refused, not quietly replaced by the first.
    let copy = folder.path().join("libonnxruntime.so");
    fs::copy(&real, &copy).unwrap();
    let other = piper::Config {
        runtime: Runtime::Onnxruntime,
        onnxruntime_library: copy.display().to_string(),
        ..config(folder.path(), Runtime::Rten)
    };
    assert!(piper::runtime(&other).unwrap_err().message.contains("already"));
    let none = tempfile::tempdir().unwrap();
    let none = piper::Config { onnxruntime_library: none.path().display().to_string(), ..other };
    let error = piper::runtime(&none).unwrap_err();
    assert!(error.message.contains("pip download onnxruntime"), "{error}");
}
