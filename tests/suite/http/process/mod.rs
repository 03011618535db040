//! `POST /api/voice/process`, with scripted engines: what is heard, answered, told and kept.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use floe::{
    agent::{self, tools},
    audio::container::{Limits, decode_file},
    config::Config,
    session::Engines,
};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::time;

use super::openai::recording;
use crate::support::{
    duplex::{engines, rhythm},
    server::Server,
};

mod large;
#[cfg(feature = "whisper")]
mod real;
mod refused;

/// Two utterances: 0.5 to 1.3 s, and 2.5 to 3.1 s, of 3.6 s.
fn two() -> Vec<u8> {
    recording(&[(false, 500), (true, 800), (false, 1_200), (true, 600), (false, 500)])
}

/// Recogniser and agent of most tests.
fn talkers() -> Engines {
    engines(&["what time is it", "thank you"], rhythm(1, 1, 6))
}

async fn server() -> Server {
    Server::start(Config::default(), talkers()).await
}

/// One that keeps what is said in this directory.
async fn keeping(dir: &tempfile::TempDir, mut config: Config, engines: Engines) -> Server {
    config.store.dir = dir.path().to_owned();
    Server::start(config, engines).await
}

fn client() -> reqwest::Client {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(120)).build().unwrap()
}

fn process(server: &Server, query: &str) -> reqwest::RequestBuilder {
    client().post(server.http(&format!("/api/voice/process{query}")))
}

fn form(file: Vec<u8>, fields: &[(&'static str, &'static str)]) -> Form {
    let part = Part::bytes(file).file_name("call.bin");
    fields.iter().fold(Form::new().part("file", part), |form, (name, value)| form.text(*name, *value))
}

/// The status, the content type and the JSON of an answer.
async fn sent(request: reqwest::RequestBuilder) -> (u16, String, Value) {
    let response = request.send().await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, kind, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn get(server: &Server, path: &str) -> Value {
    sent(client().get(server.http(path))).await.2
}

/// Waits until the newest conversation has been written to its end.
async fn ended(server: &Server) -> Value {
    let waiting = async {
        loop {
            let newest = get(server, "/api/v1/conversations").await["data"][0].clone();
            if newest.is_object() && newest["state"] != "live" {
                return newest;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(Duration::from_secs(30), waiting).await.expect("its end is written")
}

/// Events: names and data.
fn events(body: &Value) -> Vec<(String, Value)> {
    let blocks = body.as_str().expect("events").split("\n\n").filter(|block| block.starts_with("event: "));
    let event = |block: &str| {
        let (name, data) = block.strip_prefix("event: ")?.split_once("\ndata: ")?;
        Some((name.to_owned(), serde_json::from_str(data).ok()?))
    };
    blocks.map(|block| event(block).expect(block)).collect()
}

fn near(value: &Value, ms: i64) -> bool {
    (value.as_i64().unwrap() - ms).abs() < 120
}

#[tokio::test]
async fn every_turn_gets_its_reply_as_in_a_call() {
    let server = server().await;
    for request in [
        process(&server, "").multipart(form(two(), &[])),
        process(&server, "").header("content-type", "audio/mpeg").body(two()),
        process(&server, "?mode=turns").header("content-type", "application/octet-stream").body(two()),
    ] {
        let (status, kind, told) = sent(request).await;
        assert_eq!((status, kind.as_str()), (200, "application/json"), "{told}");
        assert_eq!((&told["text"], &told["object"]), (&json!("what time is it thank you"), &json!("voice.process")));
        assert_eq!(
            (&told["audio_ms"], &told["conversation"], &told["stored"]),
            (&json!(3_600), &Value::Null, &json!(false))
        );
        let turns = told["turns"].as_array().unwrap();
        assert_eq!(turns.len(), 2, "{told}");
        for (turn, (words, start, end)) in
            turns.iter().zip([("what time is it", 500, 1_300), ("thank you", 2_500, 3_100)])
        {
            let heard = turn["utterances"].as_array().unwrap();
            assert_eq!((heard.len(), &heard[0]["text"]), (1, &json!(words)), "{turn}");
            assert!(near(&heard[0]["start_ms"], start) && near(&heard[0]["end_ms"], end), "{turn}");
            assert!(heard[0]["confidence"].as_f64().is_some() && heard[0]["language"].is_string());
            let reply = &turn["reply"];
            assert_eq!((&reply["status"], &reply["text"]), (&json!("completed"), &json!("Sure, here is what I can")));
            assert_eq!(reply["usage"]["output_tokens"], 6);
            assert!(reply["latency_ms"]["asr"].is_u64() && reply["latency_ms"]["llm_first"].is_u64(), "{reply}");
            // Nobody asked for speech: none is made.
            assert!(reply["audio"].is_null() && reply["latency_ms"]["tts_first"].is_null(), "{reply}");
        }
        assert_eq!(told["usage"]["output_tokens"], 12);
        // The second question was asked with the first answer in mind: prompt, question, answer, question.
        assert!(
            turns[1]["reply"]["usage"]["input_tokens"].as_u64() > turns[0]["reply"]["usage"]["input_tokens"].as_u64()
        );
    }
}

#[tokio::test]
async fn the_whole_recording_gets_one_reply_if_that_is_wanted() {
    let server = server().await;
    let (status, _, told) = sent(process(&server, "").multipart(form(two(), &[("mode", "whole")]))).await;
    assert_eq!(status, 200, "{told}");
    let turns = told["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 1, "{told}");
    assert_eq!(turns[0]["utterances"].as_array().unwrap().len(), 2);
    assert_eq!(turns[0]["reply"]["status"], "completed");
}

#[tokio::test]
async fn nobody_spoke_and_nobody_answers() {
    let server = server().await;
    for mode in ["turns", "whole"] {
        let silence = recording(&[(false, 3_000)]);
        let request = process(&server, &format!("?mode={mode}")).header("content-type", "audio/wav").body(silence);
        let (status, _, told) = sent(request).await;
        assert_eq!((status, &told["text"], &told["turns"]), (200, &json!(""), &json!([])), "{told}");
    }
    // Somebody speaks up to the last sample.
    let (_, _, told) = sent(process(&server, "").multipart(form(recording(&[(false, 300), (true, 900)]), &[]))).await;
    assert_eq!((&told["text"], &told["turns"][0]["reply"]["status"]), (&json!("what time is it"), &json!("completed")));
}

#[tokio::test]
async fn replies_are_spoken_on_request() {
    let server = server().await;
    for (name, kind) in [("wav", "audio/wav"), ("opus", "audio/ogg")] {
        let (_, _, told) = sent(process(&server, &format!("?audio={name}")).multipart(form(two(), &[]))).await;
        for turn in told["turns"].as_array().unwrap() {
            let audio = &turn["reply"]["audio"];
            assert_eq!(audio["content_type"], kind, "{told}");
            let file = STANDARD.decode(audio["data"].as_str().unwrap()).unwrap();
            let samples = decode_file(file.into(), Limits::default()).unwrap();
            let length_ms = i64::try_from(samples.data.len() / 16).unwrap();
            assert!(near(&audio["duration_ms"], length_ms) && length_ms > 100, "{length_ms} {}", audio["duration_ms"]);
            assert!(turn["reply"]["latency_ms"]["tts_first"].is_u64() && turn["reply"]["audio_missing"].is_null());
        }
        let response = process(&server, "").header("accept", kind).multipart(form(two(), &[])).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()), (200, kind));
        let both = decode_file(response.bytes().await.unwrap(), Limits::default()).unwrap();
        let one = told["turns"][0]["reply"]["audio"]["duration_ms"].as_u64().unwrap();
        assert!(both.data.len() as u64 / 16 > one + one / 2, "the speech of both replies, one after the other");
    }
}

#[tokio::test]
async fn progress_is_told_while_it_goes_on() {
    let server = server().await;
    let long = recording(&[(false, 500), (true, 800), (false, 25_000)]);
    let request = process(&server, "?audio=opus").header("accept", "text/event-stream").multipart(form(long, &[]));
    let (status, kind, body) = sent(request).await;
    assert_eq!((status, kind.as_str()), (200, "text/event-stream"));
    let events = events(&body);
    let mut names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.iter().filter(|name| **name == "progress").count() >= 2, "{names:?}");
    names.retain(|name| *name != "progress");
    names.dedup();
    assert_eq!(names, ["begun", "transcript", "reply.text", "turn", "done"]);
    let words: String = events
        .iter()
        .filter(|(name, _)| name == "reply.text")
        .map(|(_, data)| data["delta"].as_str().unwrap().to_owned())
        .collect();
    let (_, done) = events.last().unwrap();
    assert_eq!(done["turns"][0]["reply"]["text"], json!(words));
    let (_, turn) = events.iter().find(|(name, _)| name == "turn").unwrap();
    assert_eq!(&done["turns"][0], turn);
    assert_eq!(events[0].1["audio_ms"], 26_300);
}

#[tokio::test]
async fn tools_are_called_and_told() {
    let config = agent::Config { engine: agent::EngineName::Offline, ..agent::Config::default() };
    let mut engines = engines(&["what is twelve times twelve"], rhythm(1, 1, 1));
    engines.agent = agent::engine(&config).unwrap();
    engines.tools = Arc::new(tools::Registry::new(tools::server_tools(&config).unwrap()));
    let server = Server::start(Config::default(), engines).await;
    let file = || recording(&[(false, 300), (true, 900), (false, 900)]);
    let (_, _, told) = sent(process(&server, "").multipart(form(file(), &[]))).await;
    let reply = &told["turns"][0]["reply"];
    assert!(reply["text"].as_str().unwrap().contains("144"), "{told}");
    let calls = reply["tool_calls"].as_array().unwrap();
    assert_eq!((calls.len(), &calls[0]["failed"]), (1, &json!(false)), "{reply}");
    assert!(calls[0]["output"].as_str().unwrap().contains("144") && calls[0]["arguments"].is_string(), "{reply}");
}

#[tokio::test]
async fn it_is_kept_like_a_call_unless_nobody_wants_that() {
    let dir = tempfile::tempdir().unwrap();
    let server = keeping(&dir, Config::default(), talkers()).await;
    let (_, _, told) = sent(process(&server, "?store=false").multipart(form(two(), &[]))).await;
    assert_eq!((&told["conversation"], &told["stored"]), (&Value::Null, &json!(false)), "{told}");
    let request = process(&server, "").header("accept", "audio/wav").multipart(form(two(), &[("store", "false")]));
    assert!(request.send().await.unwrap().headers().get("x-floe-conversation").is_none());
    assert_eq!(get(&server, "/api/v1/conversations").await["data"], json!([]));

    let (_, _, told) = sent(process(&server, "").multipart(form(two(), &[]))).await;
    assert_eq!(told["stored"], true, "{told}");
    let id = told["conversation"].as_str().unwrap();
    assert_eq!(ended(&server).await["id"], *id);
    let whole = get(&server, &format!("/api/v1/conversations/{id}")).await;
    assert_eq!((&whole["state"], &whole["end_reason"]), (&json!("ended"), &json!("goodbye")), "{whole}");
    let said: Vec<&str> =
        whole["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap()).collect();
    let reply = "Sure, here is what I can";
    assert_eq!(said, ["what time is it", reply, "thank you", reply]);
    assert_eq!(whole["items"][2]["start_ms"], told["turns"][1]["utterances"][0]["start_ms"]);
    assert!(near(&whole["audio_in_ms"], 3_600), "{whole}");
}
