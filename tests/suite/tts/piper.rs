//! Piper's voices, with the real `espeak-ng` and graphs whose speech says what they were given.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use floe::{
    engine::ErrorKind,
    tts::{
        Config, Engine, Segment, TextToSpeech, espeak,
        piper::{self, Piper, Runtime},
    },
};
use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::{
    espeak::{processes, program},
    joined, segment, spoken,
};
use crate::support::{
    onnx,
    piper::{Heard, RATE_HZ, description, file, graph, heard, install, parts},
};

/// A folder with one voice, `en_US-test-medium`.
pub(super) fn folder(speakers: i32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path(), "en_US-test-medium", &graph(speakers > 1), &description("en_US", speakers));
    folder
}

/// Voices in `folder`, computed by `runtime`; ONNX Runtime's library is the one that `make setup-test` fetched.
pub(super) fn config(folder: &Path, runtime: Runtime) -> piper::Config {
    let onnxruntime_library = if runtime == Runtime::Onnxruntime { library() } else { String::new() };
    let folder = folder.display().to_string();
    piper::Config { folder, runtime, onnxruntime_library, workers: 1, ..piper::Config::default() }
}

/// The folder of ONNX Runtime's library.
pub(super) fn library() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/onnxruntime");
    let there = fs::read_dir(&folder).is_ok_and(|mut files| files.next().is_some());
    assert!(there, "{} has no ONNX Runtime: run `make setup-test`", folder.display());
    folder.display().to_string()
}

/// Runs tests on each runtime.
macro_rules! on_both {
    ($($name:ident $($wait:ident)?;)*) => {
        mod on_rten {
            $(on_both!(@one $name $($wait)?, Rten);)*
        }
        #[cfg(feature = "onnxruntime")]
        mod on_onnxruntime {
            $(on_both!(@one $name $($wait)?, Onnxruntime);)*
        }
    };
    (@one $name:ident wait, $runtime:ident) => {
        #[tokio::test]
        async fn $name() {
            super::$name(super::Runtime::$runtime).await;
        }
    };
    (@one $name:ident, $runtime:ident) => {
        #[test]
        fn $name() {
            super::$name(super::Runtime::$runtime);
        }
    };
}

on_both! {
    words_become_the_ids_that_piper_makes_of_them wait;
    settings_and_speed_reach_the_graph wait;
    speakers_are_chosen_by_name_and_number wait;
    unknown_phonemes_are_left_out wait;
    clusters_and_letters_are_spoken_where_a_voice_wants_them wait;
    the_first_clause_is_heard_while_the_last_one_is_not_yet_made wait;
    a_dropped_stream_ends_what_it_began wait;
    voices_are_found_by_language_and_name wait;
    bad_files_say_what_is_wrong_and_what_to_do;
    a_json_that_lies_is_refused;
}

fn load(config: &piper::Config) -> Piper {
    Piper::load(config, &espeak::Config::default(), "en").unwrap().expect("a voice for English")
}

/// What the graph was given for a segment, run by run.
async fn given(engine: &dyn TextToSpeech, segment: Segment) -> Vec<Heard> {
    let pieces = spoken(engine, segment).await.unwrap();
    assert!(pieces.iter().all(|piece| piece.rate_hz == RATE_HZ));
    heard(&joined(&pieces))
}

async fn words_become_the_ids_that_piper_makes_of_them(runtime: Runtime) {
    let folder = folder(1);
    let engine = load(&config(folder.path(), runtime));
    // From `espeak-ng -q --ipa -v en-us` 1.51: həlˈoʊ, wˈɜːld, tˈɛst, mˈaɪ (the last two stand in Piper's own tests, too).
    let table: &[(&str, &[i32])] = &[
        ("Hello, world.", &[20, 59, 24, 120, 27, 100, 8, 3, 35, 120, 62, 122, 24, 17, 10]),
        ("test", &[32, 120, 61, 31, 32]),
        ("my?", &[25, 120, 14, 74, 13]),
        ("my!", &[25, 120, 14, 74, 4]),
    ];
    for (text, phonemes) in table {
        let [run] = given(&engine, segment(text)).await.try_into().unwrap();
        let mut expected = vec![1, 0];
        expected.extend(phonemes.iter().flat_map(|id| [*id, 0]));
        expected.push(2);
        assert_eq!(run.ids, expected, "{text}");
        assert_eq!((run.noise, run.length, run.noise_w, run.speaker), (0.625, 1.25, 0.75, -1), "{text}");
    }
}

async fn settings_and_speed_reach_the_graph(runtime: Runtime) {
    let folder = folder(1);
    let own = piper::Config {
        noise_scale: Some(0.5),
        length_scale: Some(1.5),
        noise_w: Some(0.25),
        ..config(folder.path(), runtime)
    };
    let engine = load(&own);
    for (speed, length) in [(1.0, 1.5), (2.0, 0.75), (0.25, 6.0)] {
        let runs = given(&engine, Segment { speed, ..segment("test") }).await;
        assert_eq!((runs[0].noise, runs[0].length, runs[0].noise_w), (0.5, length, 0.25), "{speed}");
    }
}

async fn speakers_are_chosen_by_name_and_number(runtime: Runtime) {
    let folder = folder(4);
    let engine = load(&piper::Config { speaker: "p2".into(), ..config(folder.path(), runtime) });
    let name = "en_US-test-medium";
    for (voice, speaker) in [("", 2), ("#3", 3), ("#p1", 1), (&format!("{name}#0"), 0), (name, 2)] {
        let runs = given(&engine, Segment { voice: voice.into(), ..segment("test") }).await;
        assert_eq!(runs[0].speaker, speaker, "{voice:?}");
    }
    for voice in ["#4", "#-1", "#nobody", "another", "another#1"] {
        let error = spoken(&engine, Segment { voice: voice.into(), ..segment("test") }).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected, "{voice}: {error}");
    }
    let wrong = piper::Config { speaker: "p9".into(), ..config(folder.path(), runtime) };
    assert!(Piper::load(&wrong, &espeak::Config::default(), "en").is_err());
}

async fn unknown_phonemes_are_left_out(runtime: Runtime) {
    let folder = tempfile::tempdir().unwrap();
    let mut description = description("en_US", 1);
    let ids = description["phoneme_id_map"].as_object_mut().unwrap();
    ids.remove("ɛ");
    install(folder.path(), "en_US-test-medium", &graph(false), &description);
    let engine = load(&config(folder.path(), runtime));
    assert_eq!(given(&engine, segment("test")).await[0].ids, [1, 0, 32, 0, 120, 0, 31, 0, 32, 0, 2]);
    // Nothing that the voice could say is silence, not an error.
    let mut mute = self::description("en_US", 1);
    mute["phoneme_id_map"] = json!({ "^": [1], "_": [0], "$": [2] });
    install(folder.path(), "en_US-test-medium", &graph(false), &mute);
    assert!(spoken(&load(&config(folder.path(), runtime)), segment("test")).await.unwrap().is_empty());
}

async fn clusters_and_letters_are_spoken_where_a_voice_wants_them(runtime: Runtime) {
    let folder = tempfile::tempdir().unwrap();
    let mut clustered = description("en_US", 1);
    clustered["vowel_clusters"] = json!([["a", "ɪ"]]);
    clustered["phoneme_id_map"]["aɪ"] = json!([161]);
    install(folder.path(), "en_US-test-medium", &graph(false), &clustered);
    assert_eq!(
        given(&load(&config(folder.path(), runtime)), segment("my")).await[0].ids,
        [1, 0, 25, 0, 120, 0, 161, 0, 2]
    );
    let mut letters = description("en_US", 1);
    letters["phoneme_type"] = json!("text");
    install(folder.path(), "en_US-test-medium", &graph(false), &letters);
    let ids = &given(&load(&config(folder.path(), runtime)), segment("aç")).await[0].ids;
    assert_eq!(*ids, [1, 0, 14, 0, 16, 0, 140, 0, 2], "decomposed");
}

/// An `espeak-ng` that writes down each call, and answers the clause with "last" only when the file `go` is there.
fn watched(folder: &Path) -> espeak::Config {
    let at = folder.display();
    let script = format!(
        "text=$(cat); echo x >> {at}/calls; case $text in *last*) while [ ! -e {at}/go ]; do sleep 0.01; done;; esac; echo tˈɛst"
    );
    espeak::Config { program: program(folder, &script), ..espeak::Config::default() }
}

fn calls(folder: &Path) -> usize {
    fs::read_to_string(folder.join("calls")).unwrap_or_default().lines().count()
}

async fn the_first_clause_is_heard_while_the_last_one_is_not_yet_made(runtime: Runtime) {
    let folder = folder(1);
    let engine = Piper::load(&config(folder.path(), runtime), &watched(folder.path()), "en").unwrap().unwrap();
    let mut stream = engine.synthesize(segment("This is said at once. This comes as the last."));
    let first = stream.next().await.unwrap().unwrap();
    assert!(!first.data.is_empty() && !folder.path().join("go").exists());
    fs::write(folder.path().join("go"), "").unwrap();
    let mut samples = first.data;
    while let Some(piece) = stream.next().await {
        samples.extend(piece.unwrap().data);
    }
    let runs = heard(&samples);
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.ids.len() == 2 * 6 + 3), "{runs:?}");
}

async fn a_dropped_stream_ends_what_it_began(runtime: Runtime) {
    let folder = folder(1);
    let engine = Piper::load(&config(folder.path(), runtime), &watched(folder.path()), "en").unwrap().unwrap();
    let text = "Said first. ".repeat(20);
    let mut stream = engine.synthesize(segment(&text));
    stream.next().await.unwrap().unwrap();
    // Not asked for more, it makes one group ahead and the phonemes of one more.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(calls(folder.path()) <= 4, "{} clauses begun", calls(folder.path()));
    drop(stream);
    let hanging = espeak::Config { program: program(folder.path(), "exec sleep 187"), ..espeak::Config::default() };
    let engine = Piper::load(&config(folder.path(), runtime), &hanging, "en").unwrap().unwrap();
    let mut stream = engine.synthesize(segment("Never said."));
    let _pending = tokio::time::timeout(Duration::from_millis(200), stream.next()).await.unwrap_err();
    assert_eq!(processes("187").len(), 1);
    drop(stream);
    gone("187").await;
}

/// Waits until no process of ours has this argument.
#[expect(clippy::disallowed_methods, reason = "a limit for a wait, not a measurement")]
async fn gone(argument: &str) {
    let began = Instant::now();
    while !processes(argument).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(5), "the process outlived its stream");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_missing_or_stalled_espeak_names_the_fix() {
    let folder = folder(1);
    let missing = espeak::Config { program: "espeak-of-another-planet".into(), ..espeak::Config::default() };
    let engine = Piper::load(&config(folder.path(), Runtime::Rten), &missing, "en").unwrap().unwrap();
    let error = spoken(&engine, segment("test")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Broken);
    assert!(error.message.contains("apt install espeak-ng"), "{error}");
    let stalled = espeak::Config {
        program: program(folder.path(), "exec sleep 188"),
        timeout_ms: 100,
        ..espeak::Config::default()
    };
    let engine = Piper::load(&config(folder.path(), Runtime::Rten), &stalled, "en").unwrap().unwrap();
    assert_eq!(spoken(&engine, segment("test")).await.unwrap_err().kind, ErrorKind::Unavailable);
    gone("188").await;
    let talkative = espeak::Config { program: program(folder.path(), "yes"), ..espeak::Config::default() };
    let engine = Piper::load(&config(folder.path(), Runtime::Rten), &talkative, "en").unwrap().unwrap();
    assert_eq!(spoken(&engine, segment("test")).await.unwrap_err().kind, ErrorKind::Broken);
}

/// What loading a voice with this graph and description says.
fn refusal(runtime: Runtime, graph: Option<&[u8]>, description: Option<&Json>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("voice.onnx");
    if let Some(graph) = graph {
        fs::write(&path, graph).unwrap();
    }
    if let Some(description) = description {
        fs::write(folder.path().join("voice.onnx.json"), description.to_string()).unwrap();
    }
    let config = piper::Config { voice: path.display().to_string(), ..config(folder.path(), runtime) };
    match Piper::load(&config, &espeak::Config::default(), "en") {
        Ok(_) => panic!("it was taken"),
        Err(error) => {
            assert!(matches!(error.kind, ErrorKind::Rejected | ErrorKind::Broken), "{error}");
            assert!(error.message.contains("voice.onnx") && error.message.contains("fetch the voice"), "{error}");
            error.message
        }
    }
}

fn bad_files_say_what_is_wrong_and_what_to_do(runtime: Runtime) {
    let good = description("en_US", 1);
    let whole = graph(false);
    assert!(refusal(runtime, None, Some(&good)).contains("No such file"));
    assert!(refusal(runtime, Some(&whole), None).contains("voice.onnx.json"));
    for length in [0, 10, whole.len() / 2, whole.len() - 1] {
        refusal(runtime, Some(&whole[..length]), Some(&good));
    }
    refusal(runtime, Some(&[0xa5; 10_000]), Some(&good));
    let (nodes, mut inputs) = parts(false);
    inputs.push(onnx::value("style", onnx::FLOAT, &["1", "128"]));
    assert!(refusal(runtime, Some(&file(nodes, inputs)), Some(&good)).contains("\"style\""));
    let (mut nodes, mut inputs) = parts(false);
    inputs.retain(|input| input.name != "input_lengths");
    nodes
        .iter_mut()
        .flat_map(|node| &mut node.inputs)
        .filter(|name| *name == "input_lengths")
        .for_each(|name| *name = "nobody".into());
    assert!(refusal(runtime, Some(&file(nodes, inputs)), Some(&good)).contains("\"input_lengths\""));
    let (mut nodes, inputs) = parts(false);
    nodes.last_mut().unwrap().operator = "Rehsape".into();
    assert!(refusal(runtime, Some(&file(nodes, inputs)), Some(&good)).contains("Rehsape"));
    let (mut nodes, inputs) = parts(false);
    nodes.pop();
    nodes.last_mut().unwrap().outputs = vec!["output".into()];
    assert!(refusal(runtime, Some(&file(nodes, inputs)), Some(&good)).contains("shape"));
}

fn a_json_that_lies_is_refused(runtime: Runtime) {
    let whole = graph(false);
    let lies: &[(&str, Json, &str)] = &[
        ("/audio/sample_rate", json!(0), "sample_rate"),
        ("/audio/sample_rate", json!(4_000_000), "sample_rate"),
        ("/audio/sample_rate", json!("fast"), "json"),
        ("/num_symbols", json!(100), "num_symbols"),
        ("/num_speakers", json!(4), "sid"),
        ("/phoneme_id_map/^", json!([]), "phoneme_id_map"),
        ("/phoneme_id_map/a", json!([-3]), "phoneme_id_map"),
        ("/phoneme_type", json!("pinyin"), "pinyin"),
        ("/espeak/voice", json!("../../etc/passwd"), "espeak.voice"),
        ("/inference/length_scale", json!(0.0), "scales"),
    ];
    for (at, value, said) in lies {
        let mut description = description("en_US", 1);
        *description.pointer_mut(at).unwrap() = value.clone();
        let message = refusal(runtime, Some(&whole), Some(&description));
        assert!(message.contains(said), "{at}: {message}");
    }
    refusal(runtime, Some(&whole), Some(&json!("no object")));
}

async fn voices_are_found_by_language_and_name(runtime: Runtime) {
    let folder = folder(1);
    install(folder.path(), "de_DE-test-low", &graph(false), &description("de", 1));
    fs::write(folder.path().join("broken.onnx"), "not a voice").unwrap();
    let auto = |engine| {
        let config = Config { engine, piper: config(folder.path(), runtime), cache_bytes: 0, ..Config::default() };
        floe::tts::engine(&config).unwrap()
    };
    let rate = |engine: Arc<dyn TextToSpeech>, voice: &'static str, language: &'static str| async move {
        let segment = Segment { voice: voice.into(), language: language.into(), ..segment("test") };
        spoken(&*engine, segment).await.map(|pieces| pieces[0].rate_hz)
    };
    for (voice, language) in [("", ""), ("", "en-GB"), ("", "de-AT"), ("de_DE-test-low", "en")] {
        for engine in [Engine::Auto, Engine::Piper] {
            assert_eq!(rate(auto(engine), voice, language).await.unwrap(), RATE_HZ, "{voice:?} {language:?}");
        }
    }
    // espeak-ng speaks at 22,050 Hz.
    for (voice, language) in [("", "fr"), ("en-us+f3", "en")] {
        assert_eq!(rate(auto(Engine::Auto), voice, language).await.unwrap(), 22_050, "{voice:?} {language:?}");
        assert_eq!(rate(auto(Engine::Piper), voice, language).await.unwrap_err().kind, ErrorKind::Rejected);
    }
}

#[tokio::test]
async fn without_a_voice_espeak_speaks_or_piper_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = |engine| Config { engine, piper: config(folder.path(), Runtime::Rten), ..Config::default() };
    let engine = floe::tts::engine(&config(Engine::Auto)).unwrap();
    assert_eq!(spoken(&*engine, segment("test")).await.unwrap()[0].rate_hz, 22_050);
    let Err(error) = floe::tts::engine(&config(Engine::Piper)) else { panic!("no voice is no engine") };
    assert!(error.message.contains("tts.piper.voice"), "{error}");
}

#[test]
fn impossible_settings_are_refused() {
    let folder = folder(1);
    let own = || config(folder.path(), Runtime::Rten);
    for config in [
        piper::Config { noise_scale: Some(-1.0), ..own() },
        piper::Config { noise_w: Some(f32::NAN), ..own() },
        piper::Config { length_scale: Some(0.0), ..own() },
        piper::Config { queue: 0, ..own() },
        piper::Config { workers: 10_000, ..own() },
    ] {
        assert!(Piper::load(&config, &espeak::Config::default(), "en").is_err(), "{config:?}");
    }
}
