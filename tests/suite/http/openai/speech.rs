//! `POST /v1/audio/speech` with scripted and failing voices.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use floe::{
    audio::{
        Samples,
        container::{Limits, decode_file},
    },
    config::Config,
    engine::{Error as EngineError, ErrorKind},
    tts::{Segment, TextToSpeech},
};
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use serde_json::{Value, json};
use tokio::{sync::Notify, time};

use crate::{
    http::routes::client,
    support::{
        duplex::{engines, rhythm},
        server::Server,
    },
};

/// At 60 ms per character of the scripted voice: 2.2 s, which are two segments.
const TEXT: &str = "Hello there, world. This is a test ok";

async fn server() -> Server {
    Server::start(Config::default(), engines(&[], rhythm(1, 1, 1))).await
}

async fn post(server: &Server, body: Value) -> reqwest::Response {
    client().post(server.http("/v1/audio/speech")).json(&body).send().await.unwrap()
}

fn seconds(samples: &Samples) -> f64 {
    samples.data.len() as f64 / f64::from(samples.rate_hz)
}

#[tokio::test]
async fn it_is_spoken_in_every_format_that_there_is() {
    let server = server().await;
    for (format, kind) in [("wav", "audio/wav"), ("opus", "audio/ogg"), ("pcm", "audio/pcm")] {
        let answer =
            post(&server, json!({ "model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": format }))
                .await;
        assert_eq!(answer.status(), 200, "{format}");
        assert_eq!(answer.headers()["content-type"], kind);
        assert_eq!(answer.headers()["transfer-encoding"], "chunked");
        let bytes = answer.bytes().await.unwrap();
        let spoken = match format {
            "pcm" => bytes.len() as f64 / 48_000.0,
            _ => seconds(&decode_file(bytes, Limits::default()).unwrap()),
        };
        assert!((2.1..2.4).contains(&spoken), "{format}: {spoken} s");
    }
    let default = post(&server, json!({ "input": TEXT })).await;
    assert_eq!(default.headers()["content-type"], "audio/wav");
}

#[tokio::test]
async fn events_carry_the_same_bytes_and_an_account() {
    let server = server().await;
    let plain = post(&server, json!({ "input": TEXT, "response_format": "pcm" })).await.bytes().await.unwrap();
    let answer = post(&server, json!({ "input": TEXT, "response_format": "pcm", "stream_format": "sse" })).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = answer.text().await.unwrap();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = events.map(|data| serde_json::from_str(data).unwrap()).collect();
    let (done, deltas) = events.split_last().unwrap();
    let mut bytes = Vec::new();
    for delta in deltas {
        assert_eq!(delta["type"], "speech.audio.delta");
        bytes.extend(STANDARD.decode(delta["audio"].as_str().unwrap()).unwrap());
    }
    assert_eq!(bytes, plain);
    assert_eq!(done["type"], "speech.audio.done");
    let usage = &done["usage"];
    assert!(usage["output_tokens"].as_u64().unwrap() > 0);
    assert_eq!(
        usage["total_tokens"].as_u64().unwrap(),
        usage["input_tokens"].as_u64().unwrap() + usage["output_tokens"].as_u64().unwrap()
    );
}

#[tokio::test]
async fn what_cannot_be_said_names_its_field() {
    let server = server().await;
    let cases = [
        ("input", json!({ "input": "  \n" })),
        ("input", json!({ "input": "a".repeat(4_097) })),
        ("speed", json!({ "input": "x", "speed": 0.2 })),
        ("speed", json!({ "input": "x", "speed": 4.5 })),
        ("response_format", json!({ "input": "x", "response_format": "mp3" })),
        ("stream_format", json!({ "input": "x", "stream_format": "grpc" })),
        ("input", json!({ "input": 5 })),
    ];
    for (param, body) in cases {
        let answer = post(&server, body.clone()).await;
        assert_eq!(answer.status(), 400, "{body}");
        let error: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(error["error"]["param"], param, "{error}");
    }
    let longest = post(&server, json!({ "input": "é ".repeat(2_048), "response_format": "pcm" })).await;
    assert_eq!(longest.status(), 200);
    let error = post(&server, json!({ "input": "x", "response_format": "mp3" })).await.text().await.unwrap();
    assert!(error.contains("wav") && error.contains("opus") && error.contains("pcm"), "{error}");
}

/// Says each segment as a second of silence, after the first only when it is told to.
struct Halting(Arc<Notify>);

impl TextToSpeech for Halting {
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, EngineError>> {
        let (go, first) = (Arc::clone(&self.0), segment.text.starts_with("First"));
        stream::once(async move {
            if !first {
                go.notified().await;
            }
            Ok(Samples { rate_hz: 24_000, data: vec![0.0; 24_000] })
        })
        .boxed()
    }
}

#[tokio::test]
async fn the_first_sentence_is_heard_while_the_second_is_still_made() {
    let go = Arc::new(Notify::new());
    let mut engines = engines(&[], rhythm(1, 1, 1));
    engines.tts = Arc::new(Halting(Arc::clone(&go)));
    let server = Server::start(Config::default(), engines).await;
    let body = json!({ "input": "First this is said. Then that is said.", "response_format": "pcm" });
    let mut answer = post(&server, body).await;
    let mut bytes = 0;
    while bytes < 48_000 {
        let piece = time::timeout(Duration::from_secs(20), answer.chunk()).await.expect("it is streamed");
        bytes += piece.unwrap().expect("more is to come").len();
    }
    go.notify_one();
    while let Some(piece) = answer.chunk().await.unwrap() {
        bytes += piece.len();
    }
    assert_eq!(bytes, 96_000);
}

/// Fails, for the first segment or for the second.
struct Broken(ErrorKind, &'static str);

impl TextToSpeech for Broken {
    fn synthesize(&self, segment: Segment) -> BoxStream<'static, Result<Samples, EngineError>> {
        let piece = if segment.text.trim_start().starts_with(self.1) {
            Err(EngineError::new(self.0, "as planned"))
        } else {
            Ok(Samples { rate_hz: 24_000, data: vec![0.0; 24_000] })
        };
        stream::iter([piece]).boxed()
    }
}

#[tokio::test]
async fn a_voice_that_fails_is_told_by_the_status_or_by_a_broken_answer() {
    let text = "First this is said. Then that is said.";
    for (kind, status) in [(ErrorKind::Busy, 503), (ErrorKind::Broken, 500), (ErrorKind::Rejected, 400)] {
        let mut engines = engines(&[], rhythm(1, 1, 1));
        engines.tts = Arc::new(Broken(kind, "First"));
        let server = Server::start(Config::default(), engines).await;
        let answer = post(&server, json!({ "input": text })).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
    }
    let mut engines = engines(&[], rhythm(1, 1, 1));
    engines.tts = Arc::new(Broken(ErrorKind::Broken, "Then"));
    let server = Server::start(Config::default(), engines).await;
    let answer = post(&server, json!({ "input": text })).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err(), "half an answer must not look whole");
}
