//! The same utterance in every format a client may send.

use std::{fs, time::Duration};

use floe::{
    audio::{Codec, Format},
    caller,
    protocol::native::Pace,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::support::{recording, server, transcript, word_errors};
use crate::support::{fixture, server::Server};

const WORDS: &str = "what time is it";

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_and_rate_gives_the_same_words() {
    let (server, _) = server().await;
    let clip = recording(&fixture("audio/17-slt.wav")).await;
    let format = |codec, rate_hz| Format { codec, rate_hz, frame_ms: 20 };
    let mut cases: Vec<(Format, usize)> = [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]
        .map(|rate_hz| (format(Codec::PcmS16le, rate_hz), 0))
        .into();
    cases.push((format(Codec::Opus, 48_000), 0));
    cases.push((format(Codec::Pcmu, 8_000), 1));
    cases.push((format(Codec::Pcma, 8_000), 1));
    for (input, allowed) in cases {
        // The reply comes back in the same codec: both directions are exercised.
        let options = caller::Options {
            pace: Pace::File,
            input,
            output: input,
            keep_audio: true,
            ..caller::Options::new(server.stream())
        };
        let report = caller::call(&clip, &options).await.unwrap();
        let heard = transcript(&report);
        assert!(word_errors(WORDS, &heard) <= allowed, "{input:?}: {heard}");
        assert!(super::support::energy(&report.audio) > 0.01, "{input:?}: the reply is silent");
    }
}

/// Streams a file as a browser's recorder would, in pieces, and gives the final transcript.
async fn stream(server: &Server, codec: &str, file: &str) -> String {
    let mut request = server.stream().into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("floe.v1"));
    let (mut socket, _) = connect_async(request).await.unwrap();
    let hello = json!({
        "type": "hello",
        "input": { "formats": [{ "codec": codec }], "pace": "file" },
        "framing": "raw",
        "turn": { "mode": "manual", "reply": false },
    });
    socket.send(Message::text(hello.to_string())).await.unwrap();
    let ready = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["input"]["codec"], codec);
    for piece in fs::read(fixture(file)).unwrap().chunks(700) {
        socket.send(Message::binary(piece.to_vec())).await.unwrap();
    }
    // The container is decoded beside the socket: the button is released a moment after the last sound.
    time::sleep(Duration::from_millis(1_000)).await;
    socket.send(Message::text("{\"type\":\"input.commit\"}")).await.unwrap();
    loop {
        let message = time::timeout(Duration::from_secs(20), socket.next()).await.unwrap().unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_ne!(event["type"], "error", "{event}");
        if event["type"] == "transcript.final" {
            return event["text"].as_str().unwrap().to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn continuous_containers_give_the_same_words() {
    let (server, _) = server().await;
    for (codec, file) in [
        ("webm/opus", "audio/containers/clip.webm"),
        ("ogg/opus", "audio/containers/clip.ogg"),
        ("wav", "audio/17-slt.wav"),
    ] {
        assert_eq!(word_errors(WORDS, &stream(&server, codec, file).await), 0, "{codec}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_kind_give_the_same_words() {
    let (server, _) = server().await;
    let mut seen = 0;
    for entry in fs::read_dir(fixture("audio/containers")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            continue;
        }
        let report = super::support::call(&server, &recording(&path).await).await;
        assert_eq!(word_errors(WORDS, &transcript(&report)), 0, "{}: {}", path.display(), transcript(&report));
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} files");
}
