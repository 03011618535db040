//! Whole sessions with scripted engines on an in-memory socket, on one thread: what the loop, the codec, the ears and the
//! conversation cost per second of a caller's time. Sessions per core = 1 s / the time of `listening`.

#![allow(missing_docs, reason = "criterion's macros")]

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

#[path = "../tests/suite/support/duplex.rs"]
#[allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, reason = "shared with the tests")]
mod duplex;

use duplex::{Peer, engines, hello, rhythm};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap_or_else(|error| panic!("{error}"))
}

/// One second of microphone audio, sent as fast as it is taken; a pong says that all of it has been heard.
async fn a_second(peer: &mut Peer, loud: bool) {
    for _ in 0..50 {
        peer.frame(loud).await;
    }
    peer.tell(json!({ "type": "ping", "id": 1, "t": 0 })).await;
    black_box(peer.until("pong").await);
}

fn listening(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session");
    group.measurement_time(Duration::from_secs(5));
    let mut recorded = hello();
    recorded["input"]["pace"] = json!("file");
    let runtime = runtime();
    for (name, real_vad) in [("listening 1 s, stub VAD", false), ("listening 1 s, earshot", true)] {
        let mut engines = engines(&[], rhythm(0, 0, 1));
        if real_vad {
            engines.vad = std::sync::Arc::new(|| floe::vad::engine(&floe::vad::Config::default()));
        }
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                runtime.block_on(async {
                    // A session takes a text message every 83 ms in the long run: a fresh one for every hundred pings.
                    let mut spent = Duration::ZERO;
                    let mut left = rounds;
                    while left > 0 {
                        let mut peer = Peer::begin(engines.clone(), Default::default(), recorded.clone(), 64);
                        peer.until("ready").await;
                        let batch = left.min(100);
                        let began = now();
                        for _ in 0..batch {
                            a_second(&mut peer, false).await;
                        }
                        spent += began.elapsed();
                        left -= batch;
                        peer.hang_up().await;
                    }
                    spent
                })
            });
        });
    }
    group.finish();
}

fn answering(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session");
    let mut recorded = hello();
    recorded["input"]["pace"] = json!("file");
    let runtime = runtime();
    // Words to be said, without an agent: 200 characters are 12 s of tones, and nothing in it waits for a clock.
    let words = "These words are said as they are, so that nothing but the way out is measured. ".repeat(3);
    let words = words.get(..200).unwrap_or_default();
    group.bench_function("a session that says 12 s", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let mut peer = Peer::begin(engines(&[], rhythm(0, 0, 1)), Default::default(), recorded.clone(), 64);
            peer.tell(json!({ "type": "reply.create", "text": words })).await;
            black_box(peer.until("reply.done").await);
            peer.hang_up().await;
        });
    });
    group.finish();
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

criterion_group!(benches, listening, answering);
criterion_main!(benches);
