//! What the wire costs per message: the two hot paths are a frame of speech in each direction.

use std::{hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use floe::{
    audio::AudioChunk,
    conversation::{Event, Settings},
    ids::{ItemId, ResponseId, SessionId},
    protocol::{
        Codec, Message,
        native::{
            NativeCodec, Offer, Welcome,
            frame::{AUDIO_UP, Header},
            negotiate,
        },
        openai::{Dialect, Kind, Opening, RealtimeCodec},
    },
};

const HELLO: &str = r#"{"type":"hello","features":["playback","partials"],
    "input":{"formats":[{"codec":"pcm_s16le","rate":16000}],"pace":"file"}}"#;

fn codec() -> NativeCodec {
    let offer = Offer::default();
    let Ok(negotiated) = negotiate(&Message::Text(HELLO.to_owned()), &offer) else { unreachable!("a good hello") };
    NativeCodec::accept(&negotiated, &offer, Welcome::new(SessionId::new()), &Settings::default(), Box::new(|| 0)).0
}

fn realtime() -> RealtimeCodec {
    let opening = Opening {
        model: "gpt-realtime".to_owned(),
        dialect: Dialect::Ga,
        kind: Kind::Realtime,
        session: None,
        strict: false,
        expires_at: None,
        voices: Arc::default(),
    };
    let Ok((codec, ..)) = RealtimeCodec::accept(opening, &Settings::default(), SessionId::new()) else {
        unreachable!("a good opening")
    };
    codec
}

/// A response of OpenAI Realtime whose first words were told.
fn responding() -> RealtimeCodec {
    let (mut codec, mut out) = (realtime(), Vec::new());
    let settings = Arc::new(Settings::default());
    let started = Event::ResponseStarted { response: ResponseId(1), turn: None, tag: 0, settings, aside: false };
    codec.encode(&started, &mut out);
    codec
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("protocol/decode");
    let mut up = codec();
    let mut sequence = 0_u32;
    group.bench_function("frame of 20 ms", |b| {
        b.iter_batched(
            || {
                sequence = sequence.wrapping_add(1);
                let header = Header { kind: AUDIO_UP, flags: 0, stream: 0, sequence, timestamp: sequence };
                Message::Binary(header.join(&[0; 640]))
            },
            |message| up.decode(black_box(message)),
            BatchSize::SmallInput,
        );
    });
    let mut up = realtime();
    // 100 ms of silence at 24 kHz, as most clients send it.
    let append = format!(r#"{{"type":"input_audio_buffer.append","audio":"{}"}}"#, "A".repeat(6_400));
    group.bench_function("append of 100 ms", |b| {
        b.iter_batched(
            || Message::Text(append.clone()),
            |message| up.decode(black_box(message)),
            BatchSize::SmallInput,
        );
    });
    let playback = r#"{"type":"playback","reply":7,"played_ms":1840,"buffered_ms":620,"state":"playing"}"#;
    group.bench_function("playback report", |b| {
        // A fresh codec each time: the rate limit would refuse a stream of them.
        b.iter_batched(
            || (codec(), Message::Text(playback.to_owned())),
            |(mut codec, message)| codec.decode(black_box(message)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("protocol/encode");
    let chunk = AudioChunk { payload: Bytes::from_static(&[0; 960]), samples: 480, clock_hz: 24_000 };
    let speech = Event::ResponseAudio {
        response: ResponseId(1),
        item: ItemId(2),
        chunk,
        offset: Duration::from_millis(340),
        last: false,
    };
    let delta = Event::ResponseText { response: ResponseId(1), item: ItemId(2), delta: Arc::from("twelve ") };
    let partial = Event::TranscriptPartial {
        item: ItemId(1),
        revision: 4,
        stable: Arc::from("what is the weather"),
        unstable: Arc::from(" in boston"),
    };
    for (name, event) in [("frame of 20 ms", speech), ("reply.text", delta), ("transcript.partial", partial)] {
        let mut codec = codec();
        let mut out = Vec::with_capacity(4);
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                codec.encode(black_box(&event), &mut out);
                out.len()
            });
        });
    }
    let chunk = AudioChunk { payload: Bytes::from_static(&[7; 2_880]), samples: 1_440, clock_hz: 24_000 };
    let (response, item) = (ResponseId(1), ItemId(2));
    let speech = Event::ResponseAudio { response, item, chunk, offset: Duration::from_millis(340), last: false };
    let mut codec = responding();
    let mut out = Vec::with_capacity(8);
    group.bench_function("output_audio.delta of 60 ms", |b| {
        b.iter(|| {
            out.clear();
            codec.encode(black_box(&speech), &mut out);
            out.len()
        });
    });
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
