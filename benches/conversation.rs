//! What the rules cost: a frame, of which a session has 62 a second, and all facts of one reply.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use floe::{
    audio::{AudioChunk, AudioPos, FRAME_SAMPLES},
    conversation::{AgentStop, Command, Conversation, Event, Input, Output, Settings, Time, Usage},
    ids::ResponseId,
};

/// One second of audio as the conversation sees it, polled as a session does.
fn frames(conversation: &mut Conversation, position: &mut u64, speech: f32) {
    for _ in 0..62 {
        *position += FRAME_SAMPLES as u64;
        let now = Time::from_micros(*position * 1_000 / 16);
        conversation.handle_input(now, Input::Frame { end: AudioPos(*position), speech });
        while let Some(output) = conversation.poll_output() {
            black_box(output);
        }
        black_box(conversation.poll_timeout());
    }
}

fn frame(c: &mut Criterion) {
    let mut group = c.benchmark_group("conversation/frame");
    group.throughput(Throughput::Elements(62));
    for (name, speech) in [("silence", 0.02), ("speech", 0.95)] {
        let settings = Settings { utterance_max: Duration::from_secs(1_000_000), ..Settings::default() };
        let mut conversation = Conversation::new(settings, Time::ZERO);
        let mut position = 0;
        group.bench_function(name, |b| b.iter(|| frames(&mut conversation, &mut position, speech)));
    }
    group.finish();
}

/// A reply of forty deltas and six seconds of audio, from the request to its end.
fn whole_reply(conversation: &mut Conversation) -> ResponseId {
    let mut now = Time::ZERO;
    let mut inputs = vec![Input::ResponseRequested(Box::default())];
    let response = ResponseId(1);
    let delta: Arc<str> = Arc::from("and so on it goes. ");
    inputs.extend((0..40).map(|_| Input::ReplyText { response, delta: Arc::clone(&delta) }));
    inputs.push(Input::ReplyFinished { response, usage: Usage::default(), stop: AgentStop::Finished });
    inputs.reverse();
    while let Some(input) = inputs.pop() {
        conversation.handle_input(now, input);
        loop {
            while let Some(output) = conversation.poll_output() {
                match black_box(output) {
                    Output::Command(Command::Speak { segment, .. }) => {
                        inputs.insert(0, Input::SpeechFinished { response, segment });
                        let audio = AudioChunk { payload: bytes::Bytes::new(), samples: 480, clock_hz: 24_000 };
                        let chunk = Input::SpeechChunk { response, segment, audio };
                        inputs.splice(1..1, (0..7).map(|_| chunk.clone()));
                    }
                    Output::Event(Event::ResponseAudio { chunk, .. }) => {
                        inputs.push(Input::AudioSent { response, duration: chunk.duration() });
                    }
                    Output::Event(Event::ResponseDone { response, .. }) => return response,
                    _ => {}
                }
            }
            match conversation.poll_timeout().filter(|_| inputs.is_empty()) {
                Some((at, _)) => now = at,
                None => break,
            }
            conversation.handle_timeout(now);
        }
    }
    response
}

fn reply(c: &mut Criterion) {
    let start = || Conversation::new(Settings::default(), Time::ZERO);
    c.bench_function("conversation/reply", |b| {
        b.iter_batched_ref(start, |conversation| black_box(whole_reply(conversation)), BatchSize::SmallInput);
    });
}

criterion_group!(benches, frame, reply);
criterion_main!(benches);
