//! The same with the real recogniser, the real voice and the agent that needs no network.

use std::fs;

use floe::{
    app,
    audio::container::{Limits, decode_file},
    config::Config,
};
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use super::{client, form, process, sent};
use crate::support::{bundled_model, fixture, server::Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_a_file_is_answered_aloud() {
    let mut config = Config::default();
    config.stt.model = bundled_model();
    let engines = app::engines(&config).unwrap();
    let server = Server::start(config, engines).await;
    let question = fs::read(fixture("audio/17-slt.wav")).unwrap();
    let (status, _, told) = sent(process(&server, "?audio=wav").multipart(form(question.clone(), &[]))).await;
    assert_eq!(status, 200, "{told}");
    assert!(told["text"].as_str().unwrap().to_lowercase().starts_with("what time is it"), "{told}");
    let reply = &told["turns"][0]["reply"];
    assert_eq!(reply["tool_calls"].as_array().unwrap().len(), 1, "{reply}");
    let stages =
        ["eot", "asr", "llm_first", "tts_first", "first_audio"].map(|stage| reply["latency_ms"][stage].as_u64());
    assert!(stages.iter().all(Option::is_some) && stages.is_sorted(), "{reply}");

    // What was spoken is speech: the recogniser finds words in it again.
    let spoken = process(&server, "").header("accept", "audio/ogg").multipart(form(question, &[]));
    let file = spoken.send().await.unwrap().bytes().await.unwrap();
    assert!(decode_file(file.clone(), Limits::default()).unwrap().data.len() > 8_000);
    let part = Part::bytes(file.to_vec()).file_name("reply.ogg");
    let heard = client().post(server.http("/v1/audio/transcriptions")).multipart(Form::new().part("file", part));
    let heard: Value = serde_json::from_str(&heard.send().await.unwrap().text().await.unwrap()).unwrap();
    assert!(heard["text"].as_str().is_some_and(|words| !words.is_empty()), "{heard}");
}
