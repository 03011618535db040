//! The same with the real recogniser and the real voice.

use std::fs;

use floe::{app, config::Config};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::{
    http::routes::client,
    support::{bundled_model, fixture, server::Server},
};

async fn server() -> Server {
    let mut config = Config::default();
    config.stt.model = bundled_model();
    let engines = app::engines(&config).unwrap();
    Server::start(config, engines).await
}

async fn words(server: &Server, file: Vec<u8>) -> Value {
    let form = Form::new().part("file", Part::bytes(file).file_name("file")).text("response_format", "verbose_json");
    let answer = client().post(server.http("/v1/audio/transcriptions")).multipart(form).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_kind_give_the_words_that_were_spoken() {
    let server = server().await;
    let mut files = vec![fixture("audio/17-slt.wav")];
    for entry in fs::read_dir(fixture("audio/containers")).unwrap() {
        files.push(entry.unwrap().path());
    }
    files.retain(|path| path.extension().is_none_or(|extension| extension != "md"));
    assert!(files.len() >= 6);
    for path in files {
        let told = words(&server, fs::read(&path).unwrap()).await;
        let text = told["text"].as_str().unwrap().to_lowercase();
        assert!(text.starts_with("what time is it"), "{}: {told}", path.display());
        assert!(told["segments"][0]["end"].as_f64().unwrap() <= told["duration"].as_f64().unwrap() + 0.02, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_out_is_understood() {
    let server = server().await;
    for format in ["wav", "opus"] {
        let body =
            json!({ "model": "tts-1", "voice": "alloy", "input": "What time is it?", "response_format": format });
        let answer = client().post(server.http("/v1/audio/speech")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let told = words(&server, answer.bytes().await.unwrap().to_vec()).await;
        assert!(told["text"].as_str().unwrap().to_lowercase().contains("time is it"), "{format}: {told}");
    }
    let slowly = json!({ "input": "What time is it?", "response_format": "pcm", "speed": 0.5 });
    let quickly = json!({ "input": "What time is it?", "response_format": "pcm", "speed": 2.0 });
    let mut lengths = Vec::new();
    for body in [slowly, quickly] {
        let answer = client().post(server.http("/v1/audio/speech")).json(&body).send().await.unwrap();
        lengths.push(answer.bytes().await.unwrap().len());
    }
    assert!(lengths[0] > lengths[1] * 2, "{lengths:?}");
}
