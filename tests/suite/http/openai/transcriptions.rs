//! `POST /v1/audio/transcriptions` with a scripted recogniser.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use floe::{
    config::Config,
    engine::{Error as EngineError, ErrorKind},
    stt,
};
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use tokio::time;

use super::{call, locked, recording};
use crate::{
    http::routes::client,
    support::{
        duplex::{engines, rhythm},
        server::Server,
        stuck::Silent,
    },
};

/// Two utterances: 0.5 to 1.3 s, and 2.5 to 3.1 s, of 3.6 s.
fn two() -> Vec<u8> {
    recording(&[(false, 500), (true, 800), (false, 1_200), (true, 600), (false, 500)])
}

async fn server() -> Server {
    Server::start(locked(), engines(&["what time is it", "thank you"], rhythm(1, 1, 1))).await
}

fn form(file: Vec<u8>, fields: &[(&'static str, &'static str)]) -> Form {
    let part = Part::bytes(file).file_name("anything.bin");
    fields.iter().fold(Form::new().part("file", part), |form, (name, value)| form.text(*name, *value))
}

async fn post(server: &Server, form: Form) -> (u16, Value) {
    call(client().post(server.http("/v1/audio/transcriptions")).multipart(form)).await
}

#[tokio::test]
async fn every_utterance_is_found_in_every_shape() {
    let server = server().await;
    let shaped = |shape| form(two(), &[("model", "whisper-1"), ("response_format", shape)]);
    let (status, json) = post(&server, form(two(), &[("model", "whisper-1")])).await;
    assert_eq!((status, json["text"].as_str()), (200, Some("what time is it thank you")), "{json}");
    assert_eq!(json["usage"]["type"], "duration");
    assert!((json["usage"]["seconds"].as_f64().unwrap() - 3.6).abs() < 0.01);
    let (_, text) = post(&server, shaped("text")).await;
    assert_eq!(text, "what time is it thank you\n");
    let (_, srt) = post(&server, shaped("srt")).await;
    let lines: Vec<&str> = srt.as_str().unwrap().lines().collect();
    assert_eq!((lines[0], lines[2], lines[4], lines[6]), ("1", "what time is it", "2", "thank you"), "{srt}");
    let (_, vtt) = post(&server, shaped("vtt")).await;
    assert!(vtt.as_str().unwrap().starts_with("WEBVTT\n\n00:00:00.4") || vtt.as_str().unwrap().contains("00:00:00.5"));
}

#[tokio::test]
async fn verbose_json_tells_when_each_was_said() {
    let server = server().await;
    let fields = [("response_format", "verbose_json"), ("timestamp_granularities[]", "segment"), ("language", "en")];
    let (status, told) = post(&server, form(two(), &fields)).await;
    assert_eq!(status, 200, "{told}");
    let near = |value: &Value, seconds: f64| (value.as_f64().unwrap() - seconds).abs() < 0.1;
    let segments = told["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 2, "{told}");
    assert!(near(&segments[0]["start"], 0.5) && near(&segments[0]["end"], 1.3), "{told}");
    assert!(near(&segments[1]["start"], 2.5) && near(&segments[1]["end"], 3.1), "{told}");
    assert!(near(&told["duration"], 3.6));
    let keys = ["id", "seek", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob"];
    assert!(keys.iter().all(|key| !segments[0][key].is_null()), "{told}");
}

#[tokio::test]
async fn words_are_streamed_as_they_are_found() {
    let server = server().await;
    let (status, events) = post(&server, form(two(), &[("stream", "true"), ("model", "m")])).await;
    assert_eq!(status, 200);
    let events: Vec<Value> = events
        .as_str()
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["transcript.text.delta", "transcript.text.delta", "transcript.text.done"]);
    let deltas: String = events[..2].iter().map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(deltas, "what time is it thank you");
    assert_eq!(events[2]["text"], deltas);
}

#[tokio::test]
async fn speech_up_to_the_last_sample_counts_and_silence_has_no_words() {
    let server = server().await;
    let (_, told) = post(&server, form(recording(&[(false, 300), (true, 900)]), &[])).await;
    assert_eq!(told["text"], "what time is it");
    let (status, told) = post(&server, form(recording(&[(false, 2_000)]), &[])).await;
    assert_eq!((status, told["text"].as_str()), (200, Some("")));
}

#[tokio::test]
async fn what_cannot_be_done_names_its_field() {
    let mut config = locked();
    config.server.openai.upload_audio_s_max = 3;
    config.server.openai.upload_bytes_max = 200_000;
    let server = Server::start(config, engines(&["hello"], rhythm(1, 1, 1))).await;
    let short = || recording(&[(true, 500)]);
    let cases = [
        (400, "file", Form::new().text("model", "m")),
        (400, "file", form(Vec::new(), &[])),
        (400, "file", form(b"RIFF\x24\x00\x00\x00WAVEfmt nonsense".to_vec(), &[])),
        (415, "file", form(b"<html>this is no sound at all</html>".repeat(50), &[])),
        (413, "file", form(two(), &[])),
        (413, "file", form(vec![0; 300_000], &[])),
        (400, "response_format", form(short(), &[("response_format", "diarized_json")])),
        (400, "stream", form(short(), &[("response_format", "srt"), ("stream", "true")])),
        (400, "stream", form(short(), &[("stream", "perhaps")])),
        (400, "temperature", form(short(), &[("temperature", "7")])),
        (400, "timestamp_granularities", form(short(), &[("timestamp_granularities[]", "word")])),
    ];
    for (number, (expected, param, form)) in cases.into_iter().enumerate() {
        let (status, body) = post(&server, form).await;
        assert_eq!((status, body["error"]["param"].as_str()), (expected, Some(param)), "case {number}: {body}");
    }
    let (status, _) = post(&server, form(short(), &[("unknown", "field"), ("temperature", "0")])).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn who_hangs_up_stops_the_work_and_meanwhile_others_are_told_to_wait() {
    let dropped = Arc::new(AtomicBool::new(false));
    let mut engines = engines(&[], rhythm(1, 1, 1));
    engines.stt = Arc::new(Silent(Arc::clone(&dropped)));
    let mut config = Config::default();
    config.server.openai.jobs_max = 1;
    let server = Server::start(config, engines).await;
    let url = server.http("/v1/audio/transcriptions");
    let hung_up = time::timeout(Duration::from_millis(500), client().post(&url).multipart(form(two(), &[])).send());
    let busy = async {
        time::timeout(Duration::from_secs(20), async {
            loop {
                let request = client().post(&url).multipart(form(two(), &[])).timeout(Duration::from_millis(200));
                match request.send().await {
                    Ok(answer) if answer.status() == 503 => {
                        let wait = answer.headers()["retry-after"].to_str().unwrap().to_owned();
                        return (wait, answer.text().await.unwrap_or_default());
                    }
                    _ => time::sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await
        .expect("the only place is taken")
    };
    let (hung_up, (wait, body)) = tokio::join!(hung_up, busy);
    assert!(hung_up.is_err());
    assert_eq!(wait, "5");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["error"]["code"], "full");
    let stopped = time::timeout(Duration::from_secs(20), async {
        while !dropped.load(Ordering::SeqCst) {
            time::sleep(Duration::from_millis(10)).await;
        }
    });
    stopped.await.expect("nobody waits for it any more");
}

#[tokio::test]
async fn a_recogniser_that_fails_is_told_by_the_status_or_in_the_stream() {
    for (kind, status) in [(ErrorKind::Busy, 503), (ErrorKind::Broken, 500), (ErrorKind::Unavailable, 504)] {
        let mut engines = engines(&[], rhythm(1, 1, 1));
        engines.stt = Arc::new(stt::scripted::Scripted::with(move |number| {
            if number == 0 { Ok("hello".into()) } else { Err(EngineError::new(kind, "as planned")) }
        }));
        let server = Server::start(locked(), engines).await;
        let (got, body) = post(&server, form(two(), &[("stream", "true")])).await;
        assert_eq!(got, 200);
        let events = body.as_str().unwrap();
        assert!(events.contains("transcript.text.delta") && events.contains("{\"error\":{"), "{events}");
        assert!(!events.contains("transcript.text.done"));
        let (got, body) = post(&server, form(two(), &[])).await;
        assert_eq!(got, status, "{body}");
        assert!(body["error"]["type"] == "server_error");
    }
}
