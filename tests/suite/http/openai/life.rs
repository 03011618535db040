//! Rows 29, 35, 42 and 100 to 103: what a session on a real socket survives, and how it ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use floe::{
    agent::{ChatModel, Delta, Error as AgentError, Request},
    config::Config,
};
use futures_util::{SinkExt as _, StreamExt as _, stream, stream::BoxStream};
use serde_json::json;
use tokio::time;
use tokio_tungstenite::tungstenite::Message;

use super::{open, talk};
use crate::support::{
    duplex::{engines, rhythm},
    server::Server,
    stuck::Dropped,
};

#[tokio::test]
async fn row_29_a_session_says_when_it_ends_and_ends_then() {
    let mut config = Config::default();
    config.session.session_max_s = 1;
    let server = Server::start(config, engines(&[], rhythm(1, 1, 1))).await;
    let (mut client, created) = talk(&server).await;
    assert!(created["session"]["expires_at"].as_u64().unwrap() > 1_700_000_000);
    let (error, code) = client.closed().await;
    assert_eq!((error["code"].as_str(), code), (Some("session_expired"), 1001));
}

#[tokio::test]
async fn row_35_too_much_text_is_told_and_only_a_giant_closes() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 1, 1))).await;
    let (mut client, _) = talk(&server).await;
    // 15 MiB of audio is what OpenAI allows; 18 MiB of base64 text is 13.5 of audio, 22 MiB is 16.5.
    let append = |bytes: usize| {
        let audio = "A".repeat(bytes);
        Message::text(format!(r#"{{"event_id":"big","type":"input_audio_buffer.append","audio":"{audio}"}}"#))
    };
    client.socket.send(append(22 << 20)).await.unwrap();
    let error = client.until("error").await;
    assert_eq!(error["error"]["event_id"], "big", "{error}");
    client.send(json!({ "type": "input_audio_buffer.clear" })).await;
    assert_eq!(client.until("input_audio_buffer.cleared").await["type"], "input_audio_buffer.cleared");
    // The server stops reading in the middle, so that sending may fail; what it said comes all the same.
    let _reset = client.socket.send(append(25 << 20)).await;
    if let Some(Ok(Message::Close(Some(frame)))) = client.socket.next().await {
        assert_eq!(u16::from(frame.code), 1009);
    }
    let (_another, _) = talk(&server).await;
}

#[tokio::test]
async fn row_42_a_binary_message_is_an_error_and_no_more() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 1, 3))).await;
    let (mut client, _) = talk(&server).await;
    client.socket.send(Message::binary(vec![1_u8; 960])).await.unwrap();
    assert_eq!(client.until("error").await["error"]["type"], "invalid_request_error");
    client.send(json!({ "type": "response.create" })).await;
    assert_eq!(client.until("response.done").await["response"]["status"], "completed");
}

#[tokio::test]
async fn row_100_pings_are_answered_in_the_middle_of_everything() {
    let server = Server::start(Config::default(), engines(&["hello"], rhythm(1, 20, 200))).await;
    let (mut client, _) = talk(&server).await;
    client.send(json!({ "type": "response.create" })).await;
    client.until("response.output_audio.delta").await;
    for number in 0..5_u8 {
        for _ in 0..20 {
            client.append(false, 20).await;
        }
        client.socket.send(Message::Ping(vec![number].into())).await.unwrap();
        loop {
            match client.message().await {
                Message::Pong(payload) if payload == [number][..] => break,
                Message::Text(text) => assert!(!text.contains("response.done"), "the pong waits for the reply"),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn row_101_who_does_not_read_is_let_go_and_nobody_else_notices() {
    let mut config = Config::default();
    config.server.sessions_max = 2;
    // About an hour of speech: far more than any socket holds.
    let server = Server::start(config, engines(&["hello"], rhythm(1, 0, 10_000))).await;
    let (mut deaf, _) = talk(&server).await;
    deaf.send(json!({ "type": "response.create" })).await;
    let (mut other, _) = talk(&server).await;
    let text =
        json!({ "type": "response.create", "response": { "output_modalities": ["text"], "max_output_tokens": 20 } });
    other.send(text).await;
    other.until("response.done").await;
    let freed = time::timeout(Duration::from_secs(60), async {
        loop {
            if let Ok(opened) = open(&server, "/v1/realtime?model=m", &[]).await {
                return opened;
            }
            time::sleep(Duration::from_millis(200)).await;
        }
    });
    freed.await.expect("the place of the one who does not read is free again");
    other.send(json!({ "type": "input_audio_buffer.clear" })).await;
    other.until("input_audio_buffer.cleared").await;
    drop(deaf);
}

#[tokio::test]
async fn row_102_stopping_lets_the_reply_finish_and_says_so() {
    let server = Server::start(Config::default(), engines(&[], rhythm(1, 10, 20))).await;
    let (mut client, _) = talk(&server).await;
    client.send(json!({ "type": "response.create" })).await;
    client.until("response.output_audio.delta").await;
    server.ask_to_stop();
    assert_eq!(client.until("response.done").await["response"]["status"], "completed");
    assert_eq!(client.closed().await.1, 1012);
    server.stopped().await;
}

/// A model that never ends its first word, and knows whether somebody still waits for it.
struct Endless(Arc<AtomicBool>);

impl ChatModel for Endless {
    fn generate(&self, _: Request) -> BoxStream<'static, Result<Delta, AgentError>> {
        let guard = Dropped(Arc::clone(&self.0));
        let word = stream::once(async { Ok(Delta::Text("Well, ".into())) });
        let rest = stream::once(async move {
            let _held = guard;
            std::future::pending().await
        });
        word.chain(rest).boxed()
    }
}

#[tokio::test]
async fn row_103_a_client_that_vanishes_leaves_nothing_behind() {
    let mut config = Config::default();
    config.server.sessions_max = 1;
    let dropped = Arc::new(AtomicBool::new(false));
    let mut engines = engines(&[], rhythm(1, 1, 1));
    engines.agent = Arc::new(Endless(Arc::clone(&dropped)));
    let server = Server::start(config, engines).await;
    let (mut client, _) = talk(&server).await;
    client.send(json!({ "type": "response.create" })).await;
    client.until("response.created").await;
    assert!(!dropped.load(Ordering::SeqCst));
    // No close frame: the connection is just gone.
    drop(client);
    let freed = time::timeout(Duration::from_secs(20), async {
        while open(&server, "/v1/realtime?model=m", &[]).await.is_err() {
            time::sleep(Duration::from_millis(20)).await;
        }
    });
    freed.await.expect("the place is free again");
    assert!(dropped.load(Ordering::SeqCst), "the agent still works for nobody");
}

#[tokio::test]
async fn a_turn_is_heard_and_answered_over_the_socket() {
    let server = Server::start(Config::default(), engines(&["what time is it"], rhythm(1, 1, 5))).await;
    let (mut client, _) = talk(&server).await;
    let transcription = json!({ "input": { "transcription": { "model": "whisper-1" } } });
    client.send(json!({ "type": "session.update", "session": { "type": "realtime", "audio": transcription } })).await;
    client.until("session.updated").await;
    // As fast as it goes: offsets follow the audio, not the clock.
    client.append(false, 300).await;
    client.append(true, 800).await;
    client.append(false, 1_000).await;
    let started = client.until("input_audio_buffer.speech_started").await;
    assert!(started["audio_start_ms"].is_u64());
    let words = client.until("conversation.item.input_audio_transcription.completed").await;
    assert_eq!(words["transcript"], "what time is it");
    assert_eq!(client.until("response.done").await["response"]["status"], "completed");
}
