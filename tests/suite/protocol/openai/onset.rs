//! Row 85: how much of a voice must be heard until the client is told that somebody speaks. Measured in the audio itself, so
//! that no machine is too slow for it; `tests/compat/onset.py` tells what a clock says.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use floe::{audio::resample::Resampler, vad};
use serde_json::{Value, json};

use super::stage::{Stage, connect};
use crate::support::fixture;

/// What clients append at a time.
const PIECE_MS: usize = 20;

/// What row 85 allows, for 95 of 100.
const ONSET_MS_MAX: usize = 250;

const RATE_HZ: usize = 24_000;

/// The recordings, as 24 kHz.
fn recordings() -> Vec<(String, Vec<f32>)> {
    let index: Value = serde_json::from_slice(&fs::read(fixture("audio/index.json")).unwrap()).unwrap();
    let read = |entry: &Value| {
        let name = entry["file"].as_str().unwrap().to_owned();
        let mut wav = hound::WavReader::open(fixture(&format!("audio/{name}"))).unwrap();
        let rate_hz = wav.spec().sample_rate;
        let data: Vec<f32> = wav.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32_768.0).collect();
        let (mut resampler, mut resampled) = (Resampler::new(rate_hz, RATE_HZ as u32).unwrap(), Vec::new());
        resampler.push(&data, &mut resampled).unwrap();
        resampler.flush(&mut resampled).unwrap();
        (name, resampled)
    };
    index.as_array().unwrap().iter().map(read).collect()
}

/// The first sample of the voice: nothing before it is within 40 dB of the loudest.
fn first_sample(samples: &[f32]) -> usize {
    let loudest = samples.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
    samples.iter().position(|sample| sample.abs() >= loudest / 100.0).unwrap()
}

/// Appends silence and a recording as a microphone would: the milliseconds of voice that had been appended when the event
/// came, and where it says that the voice began.
fn onset(stage: &mut Stage, silence_ms: usize, recording: &[f32]) -> Option<(usize, u64)> {
    let mut samples = vec![0.0; silence_ms * RATE_HZ / 1_000];
    let voice = samples.len() + first_sample(recording);
    samples.extend_from_slice(recording);
    let mut appended = 0;
    for piece in samples.chunks(PIECE_MS * RATE_HZ / 1_000) {
        stage.advance(PIECE_MS as u64);
        let bytes: Vec<u8> = piece.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()).collect();
        stage.send(json!({"type": "input_audio_buffer.append", "audio": STANDARD.encode(bytes)}));
        appended += piece.len();
        if let Some(started) = stage.take().iter().find(|it| it["type"] == "input_audio_buffer.speech_started") {
            assert!(appended > voice, "before anybody spoke: {started}");
            let start = started["audio_start_ms"].as_u64().unwrap();
            return Some((
                (appended - voice).div_ceil(RATE_HZ / 1_000),
                start.abs_diff((voice * 1_000 / RATE_HZ) as u64),
            ));
        }
    }
    None
}

#[test]
fn row_085_a_voice_is_noticed_within_250_ms_of_it() {
    let mut told = Vec::new();
    for (name, recording) in recordings() {
        // Wherever its beginning falls within frames and pieces.
        for silence_ms in [1_000, 1_003, 1_007, 1_013] {
            let mut stage = connect();
            stage.listen_with(vad::engine(&vad::Config::default()));
            let heard = onset(&mut stage, silence_ms, &recording);
            let (after_ms, padding_ms) = heard.unwrap_or_else(|| panic!("{name} was not noticed"));
            assert!(padding_ms <= 450, "{name} is said to begin {padding_ms} ms away from where it does");
            told.push((after_ms, name.clone()));
        }
    }
    told.sort();
    assert!(told.len() >= 40, "{} recordings", told.len());
    let (p95, name) = &told[(told.len() * 95).div_ceil(100) - 1];
    assert!(*p95 <= ONSET_MS_MAX, "95 of 100 within {p95} ms ({name}): {told:?}");
}
