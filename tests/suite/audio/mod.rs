//! Tests of `audio`.
#![expect(clippy::unwrap_used, reason = "a test's helper functions may panic as its tests do")]

mod container;
mod formats;
mod gaps;
mod hostile;
mod live;
mod resample;
mod settle;

use floe::audio::{Codec, Format, Frame, RATE_HZ, Samples};

use crate::support::fixture;

/// The clip of which the containers hold copies: 1.76 s of speech at 16 kHz.
pub(crate) fn clip() -> Samples {
    wav("audio/17-slt.wav")
}

pub(crate) fn wav(path: &str) -> Samples {
    let mut reader = hound::WavReader::open(fixture(path)).unwrap();
    assert_eq!(reader.spec().channels, 1);
    let data = reader.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32_768.0).collect();
    Samples { rate_hz: reader.spec().sample_rate, data }
}

pub(crate) fn container(name: &str) -> Vec<u8> {
    std::fs::read(fixture("audio/containers").join(name)).unwrap()
}

pub(crate) fn format(codec: Codec, rate_hz: u32) -> Format {
    Format { codec, rate_hz, frame_ms: 20 }
}

/// The samples of frames, after checking that their positions follow each other.
pub(crate) fn joined(frames: &[Frame]) -> Vec<f32> {
    for pair in frames.windows(2) {
        assert_eq!(pair[1].end.0 - pair[0].end.0, 256);
    }
    frames.iter().flat_map(|frame| frame.samples.iter().copied()).collect()
}

pub(crate) fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

/// The best normalised correlation of `b` with `a` where `b` comes `lag` samples later, for lags within `lags`.
pub(crate) fn similarity(a: &[f32], b: &[f32], lags: std::ops::RangeInclusive<usize>) -> (f32, usize) {
    let mut best = (0.0, 0);
    for lag in lags {
        let later = b.get(lag..).unwrap_or_default();
        let len = a.len().min(later.len());
        let (mut dot, mut aa, mut bb) = (0.0, f32::EPSILON, f32::EPSILON);
        for (x, y) in a[..len].iter().zip(&later[..len]) {
            dot += x * y;
            aa += x * x;
            bb += y * y;
        }
        let value = dot / (aa * bb).sqrt();
        if value > best.0 {
            best = (value, lag);
        }
    }
    best
}

/// A tone.
pub(crate) fn tone(rate_hz: u32, hz: f32, samples: usize) -> Vec<f32> {
    let step = std::f32::consts::TAU * hz / rate_hz as f32;
    (0..samples).map(|n| 0.5 * (step * n as f32).sin()).collect()
}

/// Samples of `ms` at 16 kHz.
pub(crate) fn ms(ms: usize) -> usize {
    ms * RATE_HZ as usize / 1_000
}
