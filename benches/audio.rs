//! What 20 ms of one stream cost: decode, resample, voice activity, encode.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use floe::{
    audio::{AudioChunk, Codec, Egress, FRAME_SAMPLES, Format, Ingress, Samples, resample::Resampler},
    vad,
};

/// A second of something voiced: a tone of 150 Hz with its overtones.
fn voice(rate_hz: u32) -> Vec<f32> {
    let step = std::f32::consts::TAU * 150.0 / rate_hz as f32;
    let sample = |n: u32| (1..12_u8).map(|k| (step * n as f32 * f32::from(k)).sin() * 0.1 / f32::from(k)).sum();
    (0..rate_hz).map(sample).collect()
}

fn chunks(format: Format) -> Vec<AudioChunk> {
    let mut chunks = Vec::new();
    Egress::new(format)
        .and_then(|mut egress| egress.push(&Samples { rate_hz: 48_000, data: voice(48_000) }, &mut chunks))
        .unwrap_or_else(|error| panic!("{error}"));
    chunks
}

fn ingress(c: &mut Criterion) {
    let mut group = c.benchmark_group("ingress_20ms");
    for (codec, rate_hz) in
        [(Codec::PcmS16le, 16_000), (Codec::PcmS16le, 48_000), (Codec::Opus, 48_000), (Codec::Pcmu, 8_000)]
    {
        let format = Format { codec, rate_hz, frame_ms: 20 };
        let chunks = chunks(format);
        let mut payloads = chunks.iter().map(|chunk| &chunk.payload).cycle();
        let mut ingress = Ingress::new(format).unwrap_or_else(|error| panic!("{error}"));
        let mut frames = Vec::new();
        group.bench_function(format!("{codec}_{rate_hz}"), |b| {
            b.iter(|| {
                frames.clear();
                payloads.next().map(|payload| ingress.push(payload, None, false, &mut frames))
            });
        });
    }
    group.finish();
}

fn resample(c: &mut Criterion) {
    let mut group = c.benchmark_group("resample_20ms");
    for (in_hz, out_hz) in [(48_000, 16_000), (44_100, 16_000), (24_000, 48_000)] {
        let mut resampler = Resampler::new(in_hz, out_hz).unwrap_or_else(|error| panic!("{error}"));
        let (input, mut out) = (voice(in_hz), Vec::new());
        let input = &input[..in_hz as usize / 50];
        group.bench_function(format!("{in_hz}_to_{out_hz}"), |b| {
            b.iter(|| {
                out.clear();
                resampler.push(black_box(input), &mut out)
            });
        });
    }
    group.finish();
}

fn voice_activity(c: &mut Criterion) {
    let mut engine = vad::engine(&vad::Config::default());
    let samples = voice(16_000);
    let mut frames = samples.as_chunks::<FRAME_SAMPLES>().0.iter().cycle();
    c.bench_function("vad_frame_16ms", |b| b.iter(|| frames.next().map(|frame| engine.probability(frame))));
}

fn egress(c: &mut Criterion) {
    let mut group = c.benchmark_group("egress_20ms");
    let samples = Samples { rate_hz: 24_000, data: voice(24_000)[..480].to_vec() };
    for (codec, rate_hz) in
        [(Codec::PcmS16le, 24_000), (Codec::PcmS16le, 48_000), (Codec::Opus, 24_000), (Codec::Pcma, 8_000)]
    {
        let format = Format { codec, rate_hz, frame_ms: 20 };
        let mut egress = Egress::new(format).unwrap_or_else(|error| panic!("{error}"));
        let mut chunks = Vec::new();
        group.bench_function(format!("{codec}_{rate_hz}"), |b| {
            b.iter(|| {
                chunks.clear();
                egress.push(&samples, &mut chunks)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, ingress, resample, voice_activity, egress);
criterion_main!(benches);
