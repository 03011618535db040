//! Uploads that cannot be processed, and whom it costs what.

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
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

use super::{ended, events, form, get, keeping, process, recording, sent, talkers, two};
use crate::support::{
    duplex::{engines, rhythm},
    server::Server,
    stuck::Silent,
};

#[tokio::test]
async fn every_refusal_has_its_status_and_its_word() {
    let mut config = Config::default();
    config.server.openai.upload_audio_s_max = 3;
    config.server.openai.upload_bytes_max = 200_000;
    let dir = tempfile::tempdir().unwrap();
    let server = keeping(&dir, config, talkers()).await;
    let short = || recording(&[(true, 500)]);
    let upload = |kind: &'static str, body: Vec<u8>| process(&server, "").header("content-type", kind).body(body);
    let lie = || b"<html>this is no sound at all</html>".repeat(50);
    let cases = [
        (400, "missing_file", process(&server, "").multipart(reqwest::multipart::Form::new().text("mode", "turns"))),
        (400, "empty_file", upload("audio/wav", Vec::new())),
        (400, "empty_file", process(&server, "").multipart(form(Vec::new(), &[]))),
        (400, "upload_broken", upload("multipart/form-data", b"nothing".to_vec())),
        (400, "upload_broken", upload("multipart/form-data; boundary=x", b"--x\r\nhalf".to_vec())),
        (400, "bad_request", process(&server, "?mode=perhaps").body(short())),
        (400, "bad_request", process(&server, "?audio=mp3").body(short())),
        (400, "bad_request", process(&server, "?speed=2").body(short())),
        (400, "bad_request", process(&server, "?instructions=sing").body(short())),
        (400, "bad_request", process(&server, "").multipart(form(short(), &[("file", "another")]))),
        (400, "bad_request", process(&server, "").multipart(form(short(), &[("store", "maybe")]))),
        (406, "not_acceptable", upload("audio/wav", short()).header("accept", "image/png")),
        (413, "file_too_large", upload("audio/wav", vec![0; 300_000])),
        (413, "file_too_large", process(&server, "").multipart(form(vec![0; 300_000], &[]))),
        (413, "audio_file_too_long", upload("audio/wav", two())),
        (415, "unsupported_media_type", process(&server, "").body(short())),
        (415, "unsupported_media_type", upload("application/json", b"{}".to_vec())),
        (415, "audio_codec_unsupported", upload("audio/wav", lie())),
        (415, "audio_codec_unsupported", process(&server, "").multipart(form(lie(), &[]))),
        (415, "audio_container_unreadable", upload("audio/wav", b"RIFF\x24\x00\x00\x00WAVEfmt nonsense".to_vec())),
        (422, "nothing_spoken", upload("audio/wav", recording(&[(false, 900)])).header("accept", "audio/wav")),
    ];
    for (number, (expected, code, request)) in cases.into_iter().enumerate() {
        let (status, kind, body) = sent(request).await;
        assert_eq!((status, &body["code"]), (expected, &json!(code)), "case {number}: {body}");
        assert_eq!(kind, "application/problem+json", "case {number}");
    }
    // What is written is written in order: once this one has ended, whatever else there was stands, too.
    ended(&server).await;
    let kept = get(&server, "/api/v1/conversations").await;
    let kept: Vec<&Value> = kept["data"].as_array().unwrap().iter().collect();
    assert_eq!(kept.len(), 1, "only the silence was a recording: {kept:?}");
}

/// Sends the head of an upload and half of its body.
async fn half(server: &Server, body: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /api/voice/process HTTP/1.1\r\nhost: floe\r\ncontent-type: audio/wav\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&body[..body.len() / 2]).await.unwrap();
    socket
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_behind() {
    let mut config = Config::default();
    config.server.openai.jobs_max = 1;
    let dir = tempfile::tempdir().unwrap();
    let server = keeping(&dir, config, talkers()).await;
    drop(half(&server, &two()).await);
    // Its place is free again, and nothing of it was heard.
    let told = time::timeout(Duration::from_secs(30), async {
        loop {
            let (status, _, told) = sent(process(&server, "").multipart(form(two(), &[]))).await;
            if status == 200 {
                return told;
            }
            assert_eq!(status, 503, "{told}");
            time::sleep(Duration::from_millis(20)).await;
        }
    });
    // The recogniser's first words go to the first who asks for them.
    assert_eq!(told.await.expect("the place is given back")["turns"][0]["utterances"][0]["text"], "what time is it");
    assert_eq!(get(&server, "/api/v1/conversations").await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_upload_that_dawdles_is_told_so() {
    let mut config = Config::default();
    config.server.openai.upload_timeout_ms = 200;
    let server = Server::start(config, talkers()).await;
    let mut socket = half(&server, &two()).await;
    let mut answer = vec![0; 4_096];
    let read = time::timeout(Duration::from_secs(30), socket.read(&mut answer)).await.expect("an answer").unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).to_lowercase();
    assert!(answer.starts_with("http/1.1 408 ") && answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn who_hangs_up_stops_the_work_and_meanwhile_others_are_told_to_wait() {
    let dropped = Arc::new(AtomicBool::new(false));
    let mut engines = engines(&[], rhythm(1, 1, 1));
    engines.stt = Arc::new(Silent(Arc::clone(&dropped)));
    let mut config = Config::default();
    config.server.openai.jobs_max = 1;
    let dir = tempfile::tempdir().unwrap();
    let server = keeping(&dir, config, engines).await;
    let hung_up = async {
        let asked = process(&server, "").header("accept", "text/event-stream").multipart(form(two(), &[])).send();
        let answer = asked.await.unwrap();
        let mut body = answer.bytes_stream();
        let first = body.next().await.unwrap().unwrap();
        assert!(first.starts_with(b"event: begun"));
        let (status, _, told) = sent(process(&server, "").multipart(form(two(), &[]))).await;
        assert_eq!((status, &told["code"]), (503, &json!("full")), "{told}");
        let refused = process(&server, "").multipart(form(two(), &[])).send().await.unwrap();
        assert_eq!(refused.headers()["retry-after"], "5");
    };
    hung_up.await;
    let stopped = time::timeout(Duration::from_secs(20), async {
        while !dropped.load(Ordering::SeqCst) {
            time::sleep(Duration::from_millis(10)).await;
        }
    });
    stopped.await.expect("nobody waits for it any more");
    // It ended as a call does whose caller hung up.
    let ended = ended(&server).await;
    assert_eq!((&ended["state"], &ended["end_reason"]), (&json!("ended"), &json!("hung_up")), "{ended}");
}

#[tokio::test]
async fn a_recogniser_that_fails_is_told_by_the_status_or_in_the_stream() {
    for (kind, status) in [(ErrorKind::Busy, 503), (ErrorKind::Broken, 500), (ErrorKind::Unavailable, 504)] {
        let mut engines = talkers();
        engines.stt = Arc::new(stt::scripted::Scripted::with(move |number| {
            if number == 0 { Ok("hello".into()) } else { Err(EngineError::new(kind, "as planned")) }
        }));
        let server = Server::start(Config::default(), engines).await;
        let streamed = process(&server, "").header("accept", "text/event-stream").multipart(form(two(), &[]));
        let (got, _, body) = sent(streamed).await;
        assert_eq!(got, 200);
        let events = events(&body);
        let (name, problem) = events.last().unwrap();
        assert_eq!((name.as_str(), &problem["status"]), ("error", &json!(status)), "{problem}");
        assert!(events.iter().any(|(name, _)| name == "turn") && !events.iter().any(|(name, _)| name == "done"));
        let (got, kind, body) = sent(process(&server, "").multipart(form(two(), &[]))).await;
        assert_eq!((got, kind.as_str()), (status, "application/problem+json"), "{body}");
    }
}

#[tokio::test]
async fn a_server_that_leaves_finishes_what_is_being_said_and_says_so() {
    let server = Server::start(Config::default(), engines(&["hello", "there"], rhythm(1, 300, 8))).await;
    let asked = process(&server, "").header("accept", "text/event-stream").multipart(form(two(), &[])).send();
    let mut body = asked.await.unwrap().bytes_stream();
    let mut said = String::new();
    let mut asked_to_stop = false;
    while let Some(Ok(piece)) = body.next().await {
        said.push_str(&String::from_utf8_lossy(&piece));
        if said.contains("event: reply.text") && !asked_to_stop {
            asked_to_stop = true;
            server.ask_to_stop();
        }
    }
    let events = events(&Value::String(said));
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let (name, problem) = events.last().unwrap();
    assert_eq!((name.as_str(), &problem["code"]), ("error", &json!("draining")), "{names:?}");
    let turn = events.iter().find(|(name, _)| name == "turn").expect("the reply was finished");
    assert_eq!(turn.1["reply"]["status"], "completed");
    server.stopped().await;
}
