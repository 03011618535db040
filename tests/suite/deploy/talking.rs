//! Whole conversations through the proxy.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use floe::{caller, protocol::native::wire::ReplyStatus, replay};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time;
use tokio_tungstenite::{
    Connector, connect_async_tls_with_config,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::site::{KEY, Site, until};
use crate::support::fixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_in_our_own_protocol_is_heard_whole() {
    let site = Site::start(&[]).await;
    let clip = replay::read(&fixture("audio/17-slt.wav")).await.unwrap();
    let report = caller::call(&clip, &site.options()).await.unwrap();
    assert_eq!(report.turns[0].text.as_deref().map(str::to_lowercase).as_deref(), Some("what time is it"));
    assert_eq!(report.replies[0].status, Some(ReplyStatus::Completed));
    assert!(report.replies[0].audio > Duration::from_millis(500), "{:?}", report.replies);
    assert_eq!(report.frames.missing, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_in_openais_protocol_is_heard_whole() {
    let site = Site::start(&[]).await;
    let mut request = site.wss("/v1/realtime?model=floe-realtime&note=secret-in-query").into_client_request().unwrap();
    let offered = HeaderValue::try_from(format!("realtime, openai-insecure-api-key.{KEY}")).unwrap();
    request.headers_mut().insert("sec-websocket-protocol", offered);
    let connector = Some(Connector::Rustls(site.trust.clone()));
    let (mut socket, response) = connect_async_tls_with_config(request, None, true, connector).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "realtime");

    let clip = replay::read(&fixture("audio/17-slt.wav")).await.unwrap();
    let silence = vec![0; 24_000];
    let audio: Vec<u8> = at_24_khz(&clip).into_iter().chain(silence).flat_map(i16::to_le_bytes).collect();
    for piece in audio.chunks(4_800) {
        let append = json!({ "type": "input_audio_buffer.append", "audio": STANDARD.encode(piece) });
        socket.send(Message::text(append.to_string())).await.unwrap();
    }
    let (mut spoken_bytes, mut words) = (0, String::new());
    let done = loop {
        let message = time::timeout(Duration::from_secs(60), socket.next()).await.unwrap().unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        let event: Value = serde_json::from_str(&text).unwrap();
        match event["type"].as_str().unwrap() {
            "error" => panic!("{event}"),
            "response.output_audio.delta" => {
                spoken_bytes += STANDARD.decode(event["delta"].as_str().unwrap()).unwrap().len();
            }
            "response.output_audio_transcript.done" => words.push_str(event["transcript"].as_str().unwrap()),
            "response.done" => break event,
            _ => {}
        }
    };
    assert_eq!(done["response"]["status"], "completed", "{done}");
    assert!(words.to_lowercase().contains("it is") || words.to_lowercase().contains("it's"), "{words}");
    assert!(spoken_bytes > 24_000, "half a second at least: {spoken_bytes} bytes");

    socket.close(None).await.unwrap();
    let log = until("the socket is logged at its end", async || {
        let log = site.log();
        log.contains("/v1/realtime?...").then_some(log)
    })
    .await;
    assert!(!log.contains(KEY) && !log.contains("secret-in-query"), "{log}");
}

/// From 16 kHz, by straight lines: three samples for two.
fn at_24_khz(samples: &[f32]) -> Vec<i16> {
    let sample = |at: usize| samples.get(at).copied().unwrap_or_default();
    let between = |third: usize| {
        let (at, rest) = (third * 2 / 3, (third * 2 % 3) as f32 / 3.0);
        let value = sample(at) * (1.0 - rest) + sample(at + 1) * rest;
        (value.clamp(-1.0, 1.0) * f32::from(i16::MAX)) as i16
    };
    (0..samples.len() * 3 / 2).map(between).collect()
}
