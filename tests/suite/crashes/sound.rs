//! A server that is killed in the middle of a sentence: what it heard until then can be heard.

use std::{fs, time::Duration};

use floe::{
    audio::container::{Limits, decode_file},
    protocol::native::frame,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::node::{Node, PATIENCE};
use crate::support::duplex::hello;

async fn get(node: &Node, path: &str) -> Value {
    serde_json::from_slice(&reqwest::get(node.http(path)).await.unwrap().bytes().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_what_it_heard() {
    let mut node = Node::new(None, None).with("FLOE_STORE_AUDIO", "true");
    node.start();
    node.answers().await;
    let mut request = format!("ws://127.0.0.1:{}/v1/stream", node.port).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("floe.v1"));
    let (mut socket, _) = connect_async(request).await.unwrap();
    socket.send(Message::text(hello().to_string())).await.unwrap();
    let Some(Ok(Message::Text(ready))) = socket.next().await else { panic!("no ready") };
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let id = ready["conversation"].as_str().unwrap().to_owned();
    let mut ticks = time::interval(Duration::from_millis(20));
    for sequence in 0..200_u32 {
        ticks.tick().await;
        let sample = |at: u32| (8_000.0 * (f64::from(sequence * 320 + at) * 0.2).sin()) as i16;
        let payload: Vec<u8> = (0..320).flat_map(|at| sample(at).to_le_bytes()).collect();
        let header = frame::Header { kind: frame::AUDIO_UP, flags: 0, stream: 0, sequence, timestamp: sequence * 320 };
        socket.send(Message::Binary(header.join(&payload))).await.unwrap();
    }
    // What was sent has been heard once this is answered.
    socket.send(Message::text(json!({ "type": "ping", "id": "last" }).to_string())).await.unwrap();
    let answered = async {
        while let Some(Ok(message)) = socket.next().await {
            if matches!(&message, Message::Text(text) if text.contains("\"pong\"")) {
                break;
            }
        }
    };
    time::timeout(PATIENCE, answered).await.unwrap();
    // Longer than the writer needs on a busy machine; nothing waits for it here.
    time::sleep(Duration::from_millis(300)).await;
    node.kill();

    let file = node.store().join("audio").join(&id).join("1-user.opus");
    let heard = decode_file(fs::read(&file).unwrap().into(), Limits::default()).unwrap().data;
    let energy = (heard.iter().map(|sample| sample * sample).sum::<f32>() / heard.len() as f32).sqrt();
    assert!(heard.len() >= 3 * 16_000, "of four seconds at most the last one is lost: {} samples", heard.len());
    assert!(energy > 0.1, "{energy}");

    node.start();
    node.answers().await;
    let told = get(&node, &format!("/api/v1/conversations/{id}/audio")).await;
    let track = &told["data"][0];
    assert_eq!((&track["id"], &track["complete"], &track["here"]), (&json!("1-user"), &json!(false), &json!(true)));
    let length = i64::try_from(heard.len() / 16).unwrap();
    assert!((track["duration_ms"].as_i64().unwrap() - length).abs() <= 20, "{track}, and {length} ms are there");
    let served = reqwest::get(node.http(track["url"].as_str().unwrap())).await.unwrap();
    assert_eq!(served.bytes().await.unwrap(), fs::read(&file).unwrap());
    node.finish().await;
}
