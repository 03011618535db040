//! A server with the engines of the default configuration, and what is needed to judge what it says.

use std::{fs, path::Path, sync::Arc};

use floe::{
    app,
    audio::{AudioPos, FRAME_SAMPLES, Frame},
    caller::{self, Recording, Report},
    config::Config,
    protocol::native::Pace,
    replay,
    session::Engines,
    stt::{self, Feed, SpeechToText, Update},
};
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::support::{bundled_model, fixture, server::Server};

/// A recording and its words.
#[derive(Deserialize)]
pub(super) struct Clip {
    pub(super) file: String,
    pub(super) text: String,
}

/// The recordings among the fixtures.
pub(super) fn clips() -> Vec<Clip> {
    let index = fs::read_to_string(fixture("audio/index.json")).unwrap();
    serde_json::from_str(&index).unwrap()
}

/// The default configuration, with the bundled model wherever the tests run.
pub(super) fn config() -> Config {
    let mut config = Config::default();
    config.stt.model = bundled_model();
    config
}

/// A server with real engines.
pub(super) async fn server() -> (Server, Engines) {
    let config = config();
    let engines = app::engines(&config).unwrap();
    (Server::start(config, engines.clone()).await, engines)
}

/// Reads a recording as `floe replay` does.
pub(super) async fn recording(path: &Path) -> Recording {
    replay::read(path).await.unwrap()
}

/// One call with a recording, as fast as the server reads.
pub(super) async fn call(server: &Server, recording: &Recording) -> Report {
    let options = caller::Options { pace: Pace::File, keep_audio: true, ..caller::Options::new(server.stream()) };
    caller::call(recording, &options).await.unwrap()
}

/// The words of all turns.
pub(super) fn transcript(report: &Report) -> String {
    let words: Vec<&str> = report.turns.iter().filter_map(|turn| turn.text.as_deref()).collect();
    words.join(" ")
}

/// What the recogniser makes of any audio at 16 kHz, without server, socket or endpointing.
pub(super) async fn recognise(stt: &Arc<dyn SpeechToText>, samples: &[f32]) -> String {
    let (feed, frames) = mpsc::channel(samples.len() / FRAME_SAMPLES + 8);
    let mut updates = stt.transcribe(frames, stt::Options { language: "en".into(), partials: false });
    let mut end = AudioPos(0);
    for window in samples.chunks(FRAME_SAMPLES) {
        let mut window = window.to_vec();
        window.resize(FRAME_SAMPLES, 0.0);
        end = AudioPos(end.0 + FRAME_SAMPLES as u64);
        feed.send(Feed::Frame(Frame { end, samples: window.into() })).await.unwrap();
    }
    feed.send(Feed::Finish(end)).await.unwrap();
    while let Some(update) = updates.next().await {
        if let Update::Final { text, .. } = update.unwrap() {
            return text.to_string();
        }
    }
    panic!("no final");
}

/// Word errors between two texts (the least number of changed, missing and added words), whatever their case.
pub(super) fn word_errors(expected: &str, heard: &str) -> usize {
    let words = |text: &str| text.to_lowercase().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (expected, heard) = (words(expected), words(heard));
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (line, word) in expected.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in heard.iter().enumerate() {
            let cost = (row[column + 1] + 1).min(row[column] + 1).min(diagonal + usize::from(word != other));
            diagonal = std::mem::replace(&mut row[column + 1], cost);
        }
    }
    row[heard.len()]
}

/// Root mean square.
pub(super) fn energy(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}
