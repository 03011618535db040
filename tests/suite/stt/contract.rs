//! What holds for every engine.

use std::time::Duration;

use floe::{
    audio::AudioPos,
    engine::ErrorKind,
    stt::{self, Feed, SpeechToText, Update, scripted::Scripted},
};
use tokio::sync::mpsc;

use super::{ask, frames, noise, openai::server_that_says, options};

/// Runs the whole contract; the same for all.
async fn holds(engine: &dyn SpeechToText) {
    one_final_per_question(engine).await;
    no_audio_no_words(engine).await;
    odd_audio_is_survived(engine).await;
    bad_audio_is_refused(engine).await;
    dropping_the_stream_frees_the_feed(engine).await;
}

async fn one_final_per_question(engine: &dyn SpeechToText) {
    let finishes = [AudioPos::from_ms(400), AudioPos::from_ms(900)];
    let updates = ask(engine, frames(&super::clip("17-slt.wav")), &finishes).await;
    let finals: Vec<AudioPos> = updates
        .into_iter()
        .filter_map(|it| match it.unwrap() {
            Update::Final { at, confidence, .. } => {
                assert!((0.0..=1.0).contains(&confidence));
                Some(at)
            }
            Update::Partial { .. } => None,
        })
        .collect();
    assert_eq!(finals, finishes);
}

async fn no_audio_no_words(engine: &dyn SpeechToText) {
    let updates = ask(engine, Vec::new(), &[AudioPos(0)]).await;
    assert!(
        matches!(updates.as_slice(), [Ok(Update::Final { at: AudioPos(0), text, .. })] if text.is_empty()),
        "{updates:?}"
    );
    assert!(ask(engine, frames(&[0.1; 4096]), &[]).await.is_empty(), "nobody asked");
}

async fn odd_audio_is_survived(engine: &dyn SpeechToText) {
    for samples in [vec![0.5; 10], noise(16_000, 0.3), vec![0.0; 16_000], vec![1.0; 16_000], vec![-1e30; 4_000]] {
        let end = AudioPos(samples.len() as u64);
        let updates = ask(engine, frames(&samples), &[end]).await;
        assert!(matches!(updates.as_slice(), [Ok(Update::Final { .. })]), "{updates:?}");
    }
    // A position before the first and after the last sample.
    let updates = ask(engine, frames(&noise(16_000, 0.1)), &[AudioPos(0), AudioPos(u64::MAX)]).await;
    assert_eq!(updates.iter().filter(|it| it.is_ok()).count(), 2, "{updates:?}");
}

async fn bad_audio_is_refused(engine: &dyn SpeechToText) {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut samples = vec![0.1; 4_000];
        samples[1_234] = bad;
        let updates = ask(engine, frames(&samples), &[AudioPos(4_000)]).await;
        let [Err(error)] = updates.as_slice() else { panic!("{updates:?}") };
        assert_eq!(error.kind, ErrorKind::Rejected);
        assert!(!error.kind.is_retryable());
    }
}

async fn dropping_the_stream_frees_the_feed(engine: &dyn SpeechToText) {
    let (sender, feed) = mpsc::channel(64);
    let stream = engine.transcribe(feed, options(true));
    for frame in frames(&noise(8_000, 0.2)) {
        sender.try_send(Feed::Frame(frame)).unwrap();
    }
    drop(stream);
    tokio::time::timeout(Duration::from_secs(20), sender.closed()).await.expect("somebody still holds the feed");
    let idle = async {
        while engine.pressure().is_some_and(|it| it.running + it.finals_waiting + it.partials_waiting > 0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), idle).await.expect("somebody still works");
}

#[tokio::test]
async fn the_scripted_engine_keeps_the_contract() {
    holds(&Scripted::new(["one", "two"])).await;
}

#[tokio::test]
async fn the_openai_engine_keeps_the_contract() {
    let (engine, _server) = server_that_says("hello").await;
    holds(&engine).await;
}

#[cfg(feature = "whisper")]
#[tokio::test]
async fn the_whisper_engine_keeps_the_contract() {
    holds(&super::whisper::engine(2)).await;
}

#[test]
fn an_unknown_engine_is_named_with_those_that_exist() {
    let config = stt::Config { engine: "siri".into(), ..stt::Config::default() };
    let error = stt::engine(&config).map(drop).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
    assert!(error.message.contains("siri") && error.message.contains("whisper") && error.message.contains("openai"));
}

#[cfg(not(feature = "whisper"))]
#[test]
fn whisper_without_its_feature_names_the_fix() {
    let error = stt::engine(&stt::Config::default()).map(drop).unwrap_err();
    assert!(error.message.contains("--features whisper"), "{error}");
}
