//! Words in, words out.

use std::time::Duration;

use floe::audio::resample::Resampler;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::support::{call, clips, energy, recognise, recording, server, transcript, word_errors};
use crate::support::{fixture, server::Server};

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_understood_and_answered_aloud() {
    let (server, _) = server().await;
    let (mut errors, mut words) = (0, 0);
    for clip in clips() {
        let report = call(&server, &recording(&fixture(&format!("audio/{}", clip.file))).await).await;
        assert_eq!(report.turns.len(), 1, "{}: {:?}", clip.file, report.turns);
        errors += word_errors(&clip.text, &transcript(&report));
        words += clip.text.split_whitespace().count();
        assert_eq!(report.replies.len(), 1, "{}", clip.file);
        assert!(!report.replies[0].text.is_empty(), "{}", clip.file);
        assert!(report.replies[0].audio >= Duration::from_millis(300), "{}: {:?}", clip.file, report.replies[0].audio);
        assert!(energy(&report.audio) > 0.01, "{}: the reply is silent", clip.file);
        assert_eq!((report.frames.missing, report.replies[0].stale_frames), (0, 0), "{}", clip.file);
    }
    assert!(errors * 50 <= words, "{errors} of {words} words are wrong");
}

/// Sends words to be said, and gives the speech as 16 kHz samples.
async fn said(server: &Server, text: &str) -> Vec<f32> {
    let mut request = server.stream().into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("floe.v1"));
    let (mut socket, _) = connect_async(request).await.unwrap();
    let pcm = json!({ "formats": [{ "codec": "pcm_s16le", "rate": 24000 }] });
    let hello = json!({ "type": "hello", "input": pcm, "output": pcm, "framing": "raw" });
    socket.send(Message::text(hello.to_string())).await.unwrap();
    socket.send(Message::text(json!({ "type": "reply.create", "text": text }).to_string())).await.unwrap();
    let mut speech = Vec::new();
    loop {
        match time::timeout(Duration::from_secs(20), socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Binary(bytes) => {
                speech.extend(
                    bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0),
                );
            }
            Message::Text(text) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                if event["type"] == "reply.done" {
                    assert_eq!(event["status"], "completed");
                    break;
                }
            }
            _ => {}
        }
    }
    let (mut resampler, mut samples) = (Resampler::new(24_000, 16_000).unwrap(), Vec::new());
    resampler.push(&speech, &mut samples).unwrap();
    resampler.flush(&mut samples).unwrap();
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_speaks_up_by_itself() {
    let (server, _) = server().await;
    let mut request = server.stream().into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("floe.v1"));
    let (mut socket, _) = connect_async(request).await.unwrap();
    socket.send(Message::text("{\"type\":\"hello\",\"framing\":\"raw\"}")).await.unwrap();
    let words = json!({ "type": "text", "text": "set a timer for two seconds", "reply": true });
    socket.send(Message::text(words.to_string())).await.unwrap();
    let mut replies = Vec::new();
    while replies.len() < 2 {
        let message = time::timeout(Duration::from_secs(20), socket.next()).await.unwrap().unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        let event: Value = serde_json::from_str(&text).unwrap();
        if event["type"] == "reply.done" {
            assert_eq!(event["status"], "completed", "{event}");
            replies.push(event["text"].as_str().unwrap().to_lowercase());
        }
    }
    assert!(replies[0].contains("2 seconds"), "{replies:?}");
    assert!(replies[1].contains("timer") && replies[1].contains("over"), "{replies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_says_is_what_it_was_to_say() {
    let (server, engines) = server().await;
    let sentences = ["what time is it", "thank you very much", "what is the weather in Boston", "tell me about travel"];
    let mut errors = 0;
    for sentence in sentences {
        let mut speech = said(&server, sentence).await;
        // The model was trained on clips with some silence around them.
        speech.splice(0..0, std::iter::repeat_n(0.0, 4_800));
        speech.extend(std::iter::repeat_n(0.0, 4_800));
        let heard = recognise(&engines.stt, &speech).await;
        errors += word_errors(sentence, &heard);
    }
    assert!(errors <= 1, "{errors} words of the speech are not what was to be said");
}
