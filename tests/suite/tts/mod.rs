//! Tests of `tts`.
#![expect(clippy::unwrap_used, reason = "the stand-ins of tests panic like the tests they serve")]

use std::sync::Arc;

use floe::{
    audio::Samples,
    tts::{Error, Segment, TextToSpeech},
};
use futures_util::StreamExt as _;

mod cache;
mod contract;
mod espeak;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
mod openai;
#[cfg(feature = "piper")]
mod piper;
mod speakable;

/// `text` in the engine's own voice.
fn segment(text: &str) -> Segment {
    Segment { text: text.into(), voice: "".into(), language: "".into(), speed: 1.0 }
}

/// Everything that is said, or the first error.
async fn spoken(engine: &dyn TextToSpeech, segment: Segment) -> Result<Vec<Samples>, Error> {
    let mut stream = engine.synthesize(segment);
    let mut pieces = Vec::new();
    while let Some(piece) = stream.next().await {
        pieces.push(piece?);
    }
    Ok(pieces)
}

/// All samples in a row.
fn joined(pieces: &[Samples]) -> Vec<f32> {
    pieces.iter().flat_map(|piece| piece.data.iter().copied()).collect()
}

/// Root mean square.
fn level(samples: &[f32]) -> f64 {
    (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

fn seconds(pieces: &[Samples]) -> f64 {
    pieces.iter().map(|piece| piece.data.len() as f64 / f64::from(piece.rate_hz)).sum()
}

type Shared = Arc<dyn TextToSpeech>;
