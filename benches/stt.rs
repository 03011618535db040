//! Local transcription: one clip of 2.5 s through a warm worker (real-time factor = time / 2.5 s), and what the scheduler adds per job.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to report")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use floe::compute::scheduler::{Class, Key, Limits, Scheduler};

#[cfg(feature = "whisper")]
fn final_of_a_clip(criterion: &mut Criterion) {
    use std::{path::Path, sync::Arc};

    use floe::{
        audio::{AudioPos, FRAME_SAMPLES, Frame},
        stt::{
            Feed, Options, SpeechToText as _, Update,
            whisper::{Config, Whisper},
        },
    };
    use futures_util::StreamExt as _;
    use tokio::sync::mpsc;

    const SAMPLES: usize = 16_000 * 5 / 2;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut reader = hound::WavReader::open(root.join("tests/fixtures/audio/12-en-us-f2.wav")).expect("the fixture");
    let mut samples: Vec<f32> = reader.samples::<i16>().map(|it| f32::from(it.expect("a sample")) / 32_768.0).collect();
    samples.resize(SAMPLES.next_multiple_of(FRAME_SAMPLES), 0.0);
    let frames: Vec<Frame> = samples
        .chunks(FRAME_SAMPLES)
        .zip(1u64..)
        .map(|(piece, number)| Frame { end: AudioPos(number * FRAME_SAMPLES as u64), samples: Arc::from(piece) })
        .collect();
    let model = root.join("models/floe-demo.en.bin");
    let engine = Whisper::load(&model, &Config { workers: 1, ..Config::default() }).expect("the bundled model");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut group = criterion.benchmark_group("stt");
    group.sample_size(20).throughput(criterion::Throughput::Elements(SAMPLES as u64));
    group.bench_function("final of 2.5 s, context 256", |bencher| {
        bencher.to_async(&runtime).iter(|| {
            let (sender, feed) = mpsc::channel(frames.len() + 1);
            for frame in &frames {
                sender.try_send(Feed::Frame(frame.clone())).expect("room for every frame");
            }
            sender.try_send(Feed::Finish(AudioPos(SAMPLES as u64))).expect("room for the question");
            drop(sender);
            let mut updates = engine.transcribe(feed, Options { language: Arc::from(""), partials: false });
            async move {
                match updates.next().await {
                    Some(Ok(Update::Final { text, .. })) => assert_eq!(&*text, "what is the date today"),
                    other => panic!("{other:?}"),
                }
            }
        });
    });
    group.finish();
}

#[cfg(not(feature = "whisper"))]
fn final_of_a_clip(_: &mut Criterion) {}

fn scheduling(criterion: &mut Criterion) {
    let limits = Limits { workers: 2, finals: 64, partials: 64 };
    criterion.bench_function("scheduler: push, pop and end one job among 64", |bencher| {
        let mut scheduler = Scheduler::new(limits);
        for key in 0..63 {
            scheduler.push(Key(key), Class::Partial, key, ()).expect("room");
        }
        let mut now_us = 0;
        bencher.iter(|| {
            now_us += 1;
            scheduler.push(Key(99), Class::Final, now_us + 1000, ()).expect("room");
            let started = scheduler.pop(now_us).expect("a free worker");
            black_box(scheduler.predicted_wait_us(now_us));
            scheduler.done(started.id, now_us, true);
        });
    });
}

criterion_group!(benches, final_of_a_clip, scheduling);
criterion_main!(benches);
