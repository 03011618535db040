//! Tests of `stt`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, which clippy does not take for tests")]

use std::{sync::Arc, time::Duration};

use floe::{
    audio::{AudioPos, FRAME_SAMPLES, Frame},
    stt::{Error, Feed, Options, SpeechToText, Update},
};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use crate::support::fixture;

mod agreement;
mod contract;
mod openai;
mod scripted;
#[cfg(feature = "whisper")]
mod streaming;
#[cfg(feature = "whisper")]
mod whisper;

/// Every clip of the fixtures with its words.
#[cfg(feature = "whisper")]
pub(crate) fn clips() -> Vec<(Vec<f32>, String)> {
    #[derive(serde::Deserialize)]
    struct Entry {
        file: String,
        text: String,
    }
    let index = std::fs::read(fixture("audio/index.json")).unwrap();
    let entries: Vec<Entry> = serde_json::from_slice(&index).unwrap();
    entries.into_iter().map(|it| (clip(&it.file), it.text)).collect()
}

/// The samples of one clip.
fn clip(file: &str) -> Vec<f32> {
    let mut reader = hound::WavReader::open(fixture("audio").join(file)).unwrap();
    assert_eq!(reader.spec().sample_rate, 16_000);
    reader.samples::<i16>().map(|it| f32::from(it.unwrap()) / 32_768.0).collect()
}

/// Frames from position zero on; the last one is filled up with silence.
pub(crate) fn frames(samples: &[f32]) -> Vec<Frame> {
    let pieces = samples.chunks(FRAME_SAMPLES).enumerate();
    let frame = |(number, piece): (usize, &[f32])| {
        let mut samples = piece.to_vec();
        samples.resize(FRAME_SAMPLES, 0.0);
        Frame { end: AudioPos(((number + 1) * FRAME_SAMPLES) as u64), samples: samples.into() }
    };
    pieces.map(frame).collect()
}

fn options(partials: bool) -> Options {
    Options { language: Arc::from(""), partials }
}

/// Feeds everything at once, asks for finals at these positions, and collects what comes until the stream ends.
pub(crate) async fn ask(
    engine: &dyn SpeechToText,
    frames: Vec<Frame>,
    finishes: &[AudioPos],
) -> Vec<Result<Update, Error>> {
    let (sender, feed) = mpsc::channel(frames.len() + finishes.len() + 1);
    for frame in frames {
        sender.try_send(Feed::Frame(frame)).unwrap();
    }
    for at in finishes {
        sender.try_send(Feed::Finish(*at)).unwrap();
    }
    drop(sender);
    let updates = engine.transcribe(feed, options(false)).collect();
    tokio::time::timeout(Duration::from_secs(200), updates).await.expect("the stream never ended")
}

/// The words of one utterance.
async fn words(engine: &dyn SpeechToText, samples: &[f32]) -> String {
    match ask(engine, frames(samples), &[AudioPos(samples.len() as u64)]).await.as_slice() {
        [Ok(Update::Final { text, .. })] => text.to_string(),
        other => panic!("not exactly one final: {other:?}"),
    }
}

/// White noise, the same every time.
fn noise(samples: usize, level: f32) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..samples).map(|_| next() * level).collect()
}
