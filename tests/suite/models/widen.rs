//! Widened models: the published models' shapes to the byte, and the same words.

use std::{fs, path::Path, process::Command};

use floe::{
    audio::{AudioPos, resample::Resampler},
    models::{
        Error, Manifest, Shelf,
        ggml::{
            read::{Broken, Model},
            shape::{Dims, SIZES},
        },
        widen::widen,
    },
    stt::{
        SpeechToText, Update,
        whisper::{Config, Whisper},
    },
};

use crate::{
    stt::{ask, clips, frames},
    support::bundled_model,
};

fn shelf(folder: &Path) -> Shelf {
    Shelf::new(Manifest::embedded().unwrap(), folder)
}

/// What the engine hears, doubts and all: a clip whose words it does not believe must be disbelieved by both.
async fn heard(engine: &dyn SpeechToText, samples: &[f32]) -> String {
    match ask(engine, frames(samples), &[AudioPos(samples.len() as u64)]).await.as_slice() {
        [Ok(Update::Final { text, .. })] => text.to_string(),
        other => panic!("not exactly one final: {other:?}"),
    }
}

/// The committed recordings, then sentences spoken by espeak-ng in several voices.
fn fifty_clips() -> Vec<Vec<f32>> {
    let sentences = [
        "what time is it",
        "set a timer for ten minutes",
        "turn on the light in the kitchen",
        "what is the weather in london",
        "how much is seven times eight",
        "play some music please",
        "call my brother tomorrow",
        "add milk to the list",
        "thank you very much",
        "stop",
    ];
    let voices = ["en-us", "en-gb", "en-us+f2", "en-gb+m3", "en-us+m1"];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.wav");
    let mut all: Vec<Vec<f32>> = clips().into_iter().map(|(samples, _)| samples).collect();
    for (voice, sentence) in voices.iter().flat_map(|voice| sentences.map(|sentence| (*voice, sentence))) {
        if all.len() == 50 {
            break;
        }
        let spoken = Command::new("espeak-ng").args(["-v", voice, "-w"]).arg(&file).arg(sentence).status().unwrap();
        assert!(spoken.success());
        all.push(at_16_khz(&file));
    }
    assert_eq!(all.len(), 50);
    all
}

/// By the product's own resampler.
fn at_16_khz(file: &Path) -> Vec<f32> {
    let mut reader = hound::WavReader::open(file).unwrap();
    let spoken: Vec<f32> = reader.samples::<i16>().map(|it| f32::from(it.unwrap()) / 32_768.0).collect();
    let mut resampler = Resampler::new(reader.spec().sample_rate, 16_000).unwrap();
    let mut samples = Vec::new();
    resampler.push(&spoken, &mut samples).unwrap();
    resampler.flush(&mut samples).unwrap();
    samples
}

/// Widens the bundled model and loads both.
fn pair(like: &str, folder: &Path) -> (Whisper, Whisper) {
    let wide = folder.join(format!("{like}.bin"));
    widen(&shelf(folder), like, &bundled_model(), &wide, false).unwrap();
    let config = Config { workers: 1, ..Config::default() };
    (Whisper::load(&bundled_model(), &config).unwrap(), Whisper::load(&wide, &config).unwrap())
}

/// Of the fifty clips those with an even or an odd number; halves, so that no test takes long on a busy machine.
async fn the_same_words_at_the_size_of_tiny(remainder: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (small, wide) = pair("tiny.en", folder.path());
    let mut words = 0;
    for (number, samples) in fifty_clips().iter().enumerate().filter(|(number, _)| number % 2 == remainder) {
        let text = heard(&small, samples).await;
        assert_eq!(heard(&wide, samples).await, text, "clip {number}");
        words += text.split_whitespace().count();
    }
    assert!(words > 50, "only {words} words were heard, so little was compared");
}

#[tokio::test]
async fn fifty_clips_have_the_same_words_at_the_size_of_tiny_first_half() {
    the_same_words_at_the_size_of_tiny(0).await;
}

#[tokio::test]
async fn fifty_clips_have_the_same_words_at_the_size_of_tiny_second_half() {
    the_same_words_at_the_size_of_tiny(1).await;
}

async fn the_same_words(like: &str, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (small, wide) = pair(like, folder.path());
    // The shortest ones, because the biggest size is slow where other work goes on.
    let mut shortest = clips();
    shortest.sort_by_key(|(samples, _)| samples.len());
    for (samples, said) in shortest.into_iter().take(count) {
        let text = heard(&small, &samples).await;
        assert_eq!(heard(&wide, &samples).await, text, "{said:?} with {like}");
        assert!(!text.is_empty());
    }
}

#[tokio::test]
async fn some_clips_have_the_same_words_at_the_size_of_base() {
    the_same_words("base.en", 6).await;
}

#[tokio::test]
async fn some_clips_have_the_same_words_at_the_size_of_small() {
    the_same_words("small.en", 1).await;
}

#[test]
fn a_widened_file_is_as_long_as_the_published_one_and_trusted() {
    let (folder, manifest) = (tempfile::tempdir().unwrap(), Manifest::embedded().unwrap());
    let shelf = shelf(folder.path());
    for (like, dims) in SIZES {
        let wide = folder.path().join("wide.bin");
        widen(&shelf, like, &bundled_model(), &wide, false).unwrap();
        assert_eq!(fs::metadata(&wide).unwrap().len(), manifest.find(like).unwrap().bytes(), "{like}");
        assert!(shelf.knows(&shelf.hash(&wide).unwrap()).is_some());
        let bytes = fs::read(&wide).unwrap();
        let model = Model::read(&bytes).unwrap();
        assert_eq!(model.dims, *dims);
        assert_eq!(model.tensors.len(), dims.tensors().len());
        for spec in dims.tensors() {
            assert_eq!(model.tensors[spec.name.as_str()].shape, spec.shape, "{like}: {}", spec.name);
        }
        fs::remove_file(wide).unwrap();
    }
}

#[test]
fn the_shapes_are_those_of_the_published_models() {
    // As whisper.cpp allocates them.
    for (name, tensors, width, layers) in
        [("tiny.en", 167, 384, 4), ("base.en", 245, 512, 6), ("small.en", 479, 768, 12)]
    {
        let dims: Dims = SIZES.iter().find(|it| it.0 == name).unwrap().1;
        let all = dims.tensors();
        assert_eq!(all.len(), tensors, "{name}");
        let shape = |wanted: &str| all.iter().find(|it| it.name == wanted).unwrap().shape.clone();
        assert_eq!(shape("encoder.positional_embedding"), [width, 1_500]);
        assert_eq!(shape("encoder.conv1.weight"), [3, 80, width]);
        assert_eq!(shape("encoder.conv2.weight"), [3, width, width]);
        assert_eq!(shape("encoder.conv2.bias"), [1, width]);
        assert_eq!(shape("decoder.token_embedding.weight"), [width, 51_864]);
        assert_eq!(shape("decoder.positional_embedding"), [width, 448]);
        assert_eq!(shape(&format!("decoder.blocks.{}.cross_attn.key.weight", layers - 1)), [width, width]);
        assert_eq!(shape(&format!("encoder.blocks.{}.mlp.0.weight", layers - 1)), [width, 4 * width]);
        assert_eq!(shape(&format!("encoder.blocks.{}.mlp.2.weight", layers - 1)), [4 * width, width]);
        assert!(!all.iter().any(|it| it.name.contains("key.bias")));
    }
}

#[test]
fn what_cannot_be_widened_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let out = folder.path().join("out.bin");
    let bundled = bundled_model();
    assert!(matches!(widen(&shelf, "large", &bundled, &out, false), Err(Error::Usage(_))));
    let bytes = fs::read(&bundled).unwrap();
    let stranger = folder.path().join("stranger.bin");
    for (what, content) in [
        ("cut", bytes[..5_000_000].to_vec()),
        ("no model", b"<!doctype html>".to_vec()),
        ("less than its header says", [&bytes[..4], &bytes[8..12], &bytes[8..]].concat()),
    ] {
        fs::write(&stranger, content).unwrap();
        assert!(matches!(widen(&shelf, "tiny.en", &stranger, &out, false), Err(Error::Untrusted { .. })), "{what}");
        assert!(matches!(widen(&shelf, "tiny.en", &stranger, &out, true), Err(Error::Format { .. })), "{what}");
        assert!(!out.exists(), "{what}");
    }
    // What is wide already does not become narrow.
    widen(&shelf, "base.en", &bundled, &out, false).unwrap();
    assert!(matches!(widen(&shelf, "base.en", &bundled, &out, false), Err(Error::Exists(_))));
    let narrow = folder.path().join("narrow.bin");
    assert!(matches!(widen(&shelf, "tiny.en", &out, &narrow, false), Err(Error::Format { .. })));
}

#[test]
fn a_hostile_file_is_read_to_its_end_and_no_further() {
    let bytes = fs::read(bundled_model()).unwrap();
    assert!(Model::read(&bytes).is_ok());
    assert_eq!(Model::read(b"GGUF").unwrap_err(), Broken::Magic);
    // Cut anywhere, with any of its first numbers as large as can be: an error or a smaller model, never a panic.
    for length in [0, 3, 4, 40, 48, 56, 60, 100_000, 586_235, 586_240, 600_000, bytes.len() - 1] {
        assert!(Model::read(&bytes[..length]).is_err() || length == 586_235, "{length}");
    }
    for at in (4..56).step_by(4).chain([64_376, 64_380, 586_235, 586_239, 586_243, 586_247]) {
        for number in [u32::MAX, 0x7fff_ffff, 0] {
            let mut hostile = bytes.clone();
            hostile[at..at + 4].copy_from_slice(&number.to_le_bytes());
            let _any = Model::read(&hostile).map(|it| it.tensors.len());
        }
    }
}
