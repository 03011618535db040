//! A conversation that is kept as sound, with everything real: the words lie where the transcript says.

use std::time::Duration;

use floe::{
    app,
    audio::container::{Limits, decode_file},
    caller::{self, Recording},
};
use serde_json::Value;

use super::support::{config, energy, recognise, recording, word_errors};
use crate::support::{fixture, server::Server};

async fn get(server: &Server, path: &str) -> Value {
    serde_json::from_slice(&reqwest::get(server.http(path)).await.unwrap().bytes().await.unwrap()).unwrap()
}

/// A piece of a track, with a little around it.
fn piece(samples: &[f32], item: &Value, around_ms: i64) -> Vec<f32> {
    let at = |ms: i64| (usize::try_from(ms.max(0)).unwrap() * 16).min(samples.len());
    let (start, end) = (item["start_ms"].as_i64().unwrap(), item["end_ms"].as_i64().unwrap());
    samples[at(start - around_ms)..at(end + around_ms)].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_items_words_can_be_heard_at_its_times() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.store.dir = dir.path().to_owned();
    config.store.audio = true;
    let engines = app::engines(&config).unwrap();
    let server = Server::start(config, engines.clone()).await;
    // As a phone would: Opus both ways, and the answer is talked over.
    let clip: Recording = recording(&fixture("audio/00-en-us.wav")).await;
    let options =
        caller::Options { barge_in_after: Some(Duration::from_millis(1_500)), ..caller::Options::new(server.stream()) };
    caller::call(&clip, &options).await.unwrap();

    let id = get(&server, "/api/v1/conversations").await["data"][0]["id"].as_str().unwrap().to_owned();
    let ended = async {
        loop {
            let whole = get(&server, &format!("/api/v1/conversations/{id}")).await;
            if whole["state"] != "live" {
                return whole;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let whole = tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
    let mut tracks = Vec::new();
    for track in ["1-user", "1-assistant"] {
        let path = server.http(&format!("/api/v1/conversations/{id}/audio/{track}"));
        let file = reqwest::get(path).await.unwrap().bytes().await.unwrap();
        tracks.push(decode_file(file, Limits::default()).unwrap().data);
    }
    let items = whole["items"].as_array().unwrap();
    let by = |role: &'static str| items.iter().filter(move |item| item["role"] == role);
    assert_eq!(by("user").count(), 2, "{items:?}");
    for item in by("user") {
        let heard = recognise(&engines.stt, &piece(&tracks[0], item, 200)).await;
        let said = item["text"].as_str().unwrap();
        assert_eq!(word_errors(said, &heard), 0, "{said:?}, and its sound says {heard:?}");
    }
    let cut = by("assistant").next().unwrap();
    assert_eq!(cut["interrupted"], true);
    for item in by("assistant") {
        assert!(energy(&piece(&tracks[1], item, 0)) > 0.02, "{item}");
    }
    // What it would have said after it was cut is not there: silence until the next answer.
    let (end, next) = (cut["end_ms"].as_i64().unwrap(), by("assistant").nth(1).unwrap()["start_ms"].as_i64().unwrap());
    let between = &tracks[1][usize::try_from(end + 80).unwrap() * 16..usize::try_from(next - 20).unwrap() * 16];
    assert!(energy(between) < 0.005, "{} from {end} to {next} ms", energy(between));
}
