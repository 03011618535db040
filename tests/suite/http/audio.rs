//! A conversation that is kept as sound: what lies where, in ranges, and that it can be deleted.

use std::{fs, path::Path, time::Duration};

use floe::{
    audio::container::{Limits, decode_file},
    config::Config,
    protocol::native::frame,
    tts,
};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::routes::client;
use crate::support::{
    duplex::{engines, hello, rhythm},
    server::Server,
};

/// A server that keeps what is said in this directory, also as sound.
async fn server(dir: &Path, words: u32) -> Server {
    let mut config = Config::default();
    config.store.dir = dir.to_owned();
    config.store.audio = true;
    let mut engines = engines(&["hello there", "stop it"], rhythm(1, 1, words));
    let voice = tts::scripted::Config { char_ms: 40, ..tts::scripted::Config::default() };
    engines.tts = std::sync::Arc::new(tts::scripted::Scripted::new(voice).unwrap());
    Server::start(config, engines).await
}

/// A microphone that never sleeps, and everything that the server said.
struct Talker {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    seen: Vec<Value>,
    sequence: u32,
}

impl Talker {
    async fn connect(server: &Server, hello: Value) -> Self {
        let mut request = server.stream().into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("floe.v1"));
        let (mut socket, _) = connect_async(request).await.unwrap();
        socket.send(Message::text(hello.to_string())).await.unwrap();
        let mut talker = Self { socket, seen: Vec::new(), sequence: 0 };
        while talker.last("ready").is_none() {
            talker.hear().await;
        }
        talker
    }

    fn last(&self, kind: &str) -> Option<&Value> {
        self.seen.iter().rev().find(|event| event["type"] == kind)
    }

    fn count(&self, kind: &str) -> usize {
        self.seen.iter().filter(|event| event["type"] == kind).count()
    }

    async fn hear(&mut self) {
        match time::timeout(Duration::from_secs(60), self.socket.next()).await.expect("it says something") {
            Some(Ok(Message::Text(text))) => self.seen.push(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(_))) | None => self.seen.push(json!({ "type": "closed" })),
            Some(Ok(_)) => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }

    /// A tone or silence as a microphone sends it, for so long or until this is so.
    async fn speak(&mut self, is_loud: bool, longest_ms: u64, until: impl Fn(&Self) -> bool) {
        let mut ticks = time::interval(Duration::from_millis(20));
        for _ in 0..longest_ms / 20 {
            let now = loop {
                tokio::select! {
                    _ = ticks.tick() => break true,
                    () = self.hear() => if until(self) { break false },
                }
            };
            if !now {
                return;
            }
            let tone = |at: u32| (8_000.0 * (f64::from(self.sequence * 320 + at) * 0.2).sin()) as i16;
            let samples = (0..320).flat_map(|at| (if is_loud { tone(at) } else { 0 }).to_le_bytes());
            let payload: Vec<u8> = samples.collect();
            let (sequence, timestamp) = (self.sequence, self.sequence * 320);
            let header = frame::Header { kind: frame::AUDIO_UP, flags: 0, stream: 0, sequence, timestamp };
            self.sequence += 1;
            self.socket.send(Message::Binary(header.join(&payload))).await.unwrap();
        }
    }

    async fn leave(mut self) {
        self.socket.send(Message::text(json!({ "type": "bye" }).to_string())).await.unwrap();
        while self.last("closed").is_none() {
            self.hear().await;
        }
    }
}

async fn get(server: &Server, path: &str) -> Value {
    let response = client().get(server.http(path)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// Waits until the conversation has been written to its end.
async fn ended(server: &Server, id: &str) -> Value {
    let waiting = async {
        loop {
            let conversation = get(server, &format!("/api/v1/conversations/{id}")).await;
            if conversation["state"] != "live" {
                return conversation;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(Duration::from_secs(60), waiting).await.expect("the end is written")
}

fn energy(samples: &[f32], from_ms: i64, to_ms: i64) -> f32 {
    let at = |ms: i64| (usize::try_from(ms.max(0)).unwrap() * 16).min(samples.len());
    let samples = &samples[at(from_ms)..at(to_ms)];
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

fn decode(bytes: Vec<u8>) -> Vec<f32> {
    decode_file(bytes.into(), Limits::default()).unwrap().data
}

/// Every item is loud in its track where the transcript says, and nothing else is.
fn check(items: &[Value], role: &str, samples: &[f32], start_ms: i64) {
    let said = |item: &&Value| item["role"] == role && item["end_ms"].as_i64() > item["start_ms"].as_i64();
    let times =
        |item: &Value| (item["start_ms"].as_i64().unwrap() - start_ms, item["end_ms"].as_i64().unwrap() - start_ms);
    let times: Vec<(i64, i64)> = items.iter().filter(said).map(times).collect();
    assert!(!times.is_empty(), "{items:?}");
    let mut quiet_from = 0;
    for (start, end) in times {
        assert!(energy(samples, start + 40, end - 40) > 0.05, "{role}: {start} to {end} ms: {items:?}");
        // The recogniser's time begins a little before the sound.
        assert!(energy(samples, quiet_from, start - 60) < 0.01, "{role}: {quiet_from} to {start} ms: {items:?}");
        quiet_from = end + 80;
    }
    let end = i64::try_from(samples.len() / 16).unwrap();
    assert!(energy(samples, quiet_from, end) < 0.01, "{role}: after {quiet_from} ms: {items:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_lie_where_the_transcript_says_and_end_where_they_were_talked_over() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), 12).await;
    let mut talker = Talker::connect(&server, hello()).await;
    let ready = talker.last("ready").unwrap().clone();
    assert_eq!(ready["recorded"], true, "whoever talks is told");
    let id = ready["conversation"].as_str().unwrap().to_owned();
    talker.speak(false, 1_000, |_| false).await;
    talker.speak(true, 1_000, |_| false).await;
    talker.speak(false, 30_000, |talker| talker.last("reply.started").is_some()).await;
    // Into the answer.
    talker.speak(false, 1_500, |_| false).await;
    let live = get(&server, &format!("/api/v1/conversations/{id}/audio")).await;
    assert_eq!((&live["data"][0]["id"], &live["data"][0]["complete"]), (&json!("1-user"), &json!(false)));
    assert!(live["data"][0]["duration_ms"].as_i64().unwrap() > 1_000, "what is there so far can be heard: {live}");
    talker.speak(true, 800, |_| false).await;
    talker.speak(false, 30_000, |talker| talker.count("reply.done") == 2).await;
    talker.speak(false, 500, |_| false).await;
    assert_eq!(talker.seen.iter().find(|event| event["type"] == "reply.done").unwrap()["status"], "interrupted");
    talker.leave().await;

    let items = ended(&server, &id).await["items"].as_array().unwrap().clone();
    let tracks = get(&server, &format!("/api/v1/conversations/{id}/audio")).await["data"].as_array().unwrap().clone();
    assert_eq!(tracks.len(), 2, "{tracks:?}");
    for (track, role) in tracks.iter().zip(["user", "assistant"]) {
        assert_eq!((&track["track"], &track["complete"], &track["here"]), (&json!(role), &json!(true), &json!(true)));
        let response = client().get(server.http(track["url"].as_str().unwrap())).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "audio/ogg; codecs=opus");
        let bytes = response.bytes().await.unwrap().to_vec();
        assert_eq!(i64::try_from(bytes.len()).ok(), track["bytes"].as_i64());
        let samples = decode(bytes);
        assert_eq!(i64::try_from(samples.len() / 16).ok(), track["duration_ms"].as_i64());
        check(&items, role, &samples, track["start_ms"].as_i64().unwrap());
    }
    let lengths: Vec<i64> = tracks.iter().map(|track| track["duration_ms"].as_i64().unwrap()).collect();
    assert!((lengths[0] - lengths[1]).abs() < 100, "both tracks have the same times: {lengths:?}");

    ranges(&server, &id).await;
    let folder = dir.path().join("audio").join(&id);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    let one = server.http(&format!("/api/v1/conversations/{id}"));
    assert_eq!(client().delete(&one).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert!(!folder.exists(), "deleted is deleted");
    let gone = client().get(format!("{one}/audio/1-user")).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    server.ask_to_stop();
    server.stopped().await;
}

async fn ranges(server: &Server, id: &str) {
    let url = server.http(&format!("/api/v1/conversations/{id}/audio/1-user"));
    let whole = client().get(&url).send().await.unwrap();
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    assert_eq!(whole.headers()["cache-control"], "no-store");
    let whole = whole.bytes().await.unwrap();
    let length = whole.len();
    let ask = |range: &'static str, tag: Option<String>| {
        let request = client().get(&url).header("range", range);
        match tag {
            Some(tag) => request.header("if-range", tag),
            None => request,
        }
        .send()
    };
    for (range, from, to) in [("bytes=0-3", 0, 4), ("bytes=100-199", 100, 200), ("bytes=-10", length - 10, length)] {
        let part = ask(range, None).await.unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(part.headers()["content-range"], format!("bytes {from}-{}/{length}", to - 1));
        assert_eq!(part.headers()["content-length"], (to - from).to_string());
        assert_eq!(part.bytes().await.unwrap(), whole[from..to], "{range}");
    }
    assert_eq!(ask("bytes=5-", Some(tag.clone())).await.unwrap().bytes().await.unwrap(), whole[5..]);
    let changed = ask("bytes=5-", Some("\"another\"".into())).await.unwrap();
    assert_eq!((changed.status(), changed.content_length()), (StatusCode::OK, Some(length as u64)));
    let beyond = ask("bytes=99999999-", None).await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers()["content-range"], format!("bytes */{length}"));
    assert_eq!(beyond.headers()["content-type"], "application/problem+json");
    for senseless in ["bytes=a-b", "lines=1-2", "bytes=0-1, 4-5"] {
        assert_eq!(ask(senseless, None).await.unwrap().status(), StatusCode::OK, "{senseless}");
    }
    let head = client().head(&url).send().await.unwrap();
    assert_eq!(
        (head.status(), head.headers()["content-length"].to_str().unwrap()),
        (StatusCode::OK, &*length.to_string())
    );
    assert!(head.bytes().await.unwrap().is_empty());
    for wrong in ["1-nobody", "2-user", "01-user", "..%2F1-user", "1-user.opus", "%2e%2e%2f%2e%2e%2ffloe.db", "+1-user"]
    {
        let response = client().get(url.replace("1-user", wrong)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_on_begins_another_part_and_another_server_says_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = server(dir.path(), 2).await;
    let mut talker = Talker::connect(&first, hello()).await;
    let id = talker.last("ready").unwrap()["conversation"].as_str().unwrap().to_owned();
    talker.speak(true, 800, |_| false).await;
    talker.speak(false, 30_000, |talker| talker.last("reply.done").is_some()).await;
    talker.leave().await;
    ended(&first, &id).await;
    first.ask_to_stop();
    first.stopped().await;

    // The same database, another disk.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.store.dir = elsewhere.path().to_owned();
    config.store.path = dir.path().join("floe.db");
    config.store.audio = true;
    let second = Server::start(config, engines(&["again"], rhythm(1, 1, 2))).await;
    let mut again = hello();
    again["conversation"] = json!(id);
    let mut talker = Talker::connect(&second, again).await;
    talker.speak(false, 500, |_| false).await;
    talker.speak(true, 800, |_| false).await;
    talker.speak(false, 30_000, |talker| talker.last("reply.done").is_some()).await;
    talker.leave().await;
    let whole = ended(&second, &id).await;
    let tracks = get(&second, &format!("/api/v1/conversations/{id}/audio")).await["data"].as_array().unwrap().clone();
    let names: Vec<&str> = tracks.iter().map(|track| track["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["1-user", "1-assistant", "2-user", "2-assistant"]);
    let start_ms = tracks[2]["start_ms"].as_i64().unwrap();
    assert!(start_ms > 800, "it begins where the first part's words ended: {tracks:?}");
    let items = whole["items"].as_array().unwrap();
    let part: Vec<Value> = items.iter().filter(|item| item["start_ms"].as_i64() >= Some(start_ms)).cloned().collect();
    for (track, role) in tracks[2..].iter().zip(["user", "assistant"]) {
        let response = client().get(second.http(track["url"].as_str().unwrap())).send().await.unwrap();
        check(&part, role, &decode(response.bytes().await.unwrap().to_vec()), start_ms);
    }
    assert_eq!((&tracks[0]["here"], &tracks[0]["complete"]), (&json!(false), &json!(true)));
    let not_here = client().get(second.http(tracks[0]["url"].as_str().unwrap())).send().await.unwrap();
    assert_eq!(not_here.status(), StatusCode::NOT_FOUND);
    let problem: Value = serde_json::from_str(&not_here.text().await.unwrap()).unwrap();
    assert_eq!(problem["code"], "recorded_elsewhere");
    let node = fs::read_to_string(dir.path().join("node")).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains(node.trim()), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_costs_the_sound_and_not_the_conversation() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("audio"), "in the way").unwrap();
    let server = server(dir.path(), 2).await;
    let mut talker = Talker::connect(&server, hello()).await;
    let id = talker.last("ready").unwrap()["conversation"].as_str().unwrap().to_owned();
    talker.speak(true, 800, |_| false).await;
    talker.speak(false, 30_000, |talker| talker.last("reply.done").is_some()).await;
    assert_eq!(talker.last("reply.done").unwrap()["status"], "completed");
    talker.leave().await;
    assert_eq!(ended(&server, &id).await["items"].as_array().unwrap().len(), 2);
    let tracks = get(&server, &format!("/api/v1/conversations/{id}/audio")).await;
    assert_eq!((&tracks["data"][0]["complete"], &tracks["data"][0]["here"]), (&json!(false), &json!(false)));
    let missing = client().get(server.http(tracks["data"][0]["url"].as_str().unwrap())).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    let one = server.http(&format!("/api/v1/conversations/{id}"));
    assert_eq!(client().delete(&one).send().await.unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sound_is_kept_unless_it_was_turned_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.store.dir = dir.path().to_owned();
    let server = Server::start(config, engines(&["hello"], rhythm(1, 1, 2))).await;
    let mut talker = Talker::connect(&server, hello()).await;
    let ready = talker.last("ready").unwrap().clone();
    assert!(ready.get("recorded").is_none());
    let id = ready["conversation"].as_str().unwrap().to_owned();
    talker.speak(true, 800, |_| false).await;
    talker.speak(false, 30_000, |talker| talker.last("reply.done").is_some()).await;
    talker.leave().await;
    ended(&server, &id).await;
    let tracks = get(&server, &format!("/api/v1/conversations/{id}/audio")).await;
    assert_eq!(tracks["data"], json!([]));
    assert!(!dir.path().join("audio").exists());
    let none = client().get(server.http(&format!("/api/v1/conversations/{id}/audio/1-user"))).send().await.unwrap();
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
}
