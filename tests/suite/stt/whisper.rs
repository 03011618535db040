//! The local engine with the bundled model: words, silence, aborts, and no memory of earlier jobs.

use std::{f32::consts::TAU, sync::Arc, time::Duration};

use floe::{
    audio::AudioPos,
    engine::ErrorKind,
    stt::{
        self, Feed, Options, SpeechToText, Update,
        whisper::{Config, Whisper},
    },
};
use futures_util::{StreamExt as _, future::join_all};
use tokio::sync::mpsc;

use super::{ask, clip, clips, frames, noise, options, words};
use crate::support::bundled_model;

pub(super) fn engine(workers: usize) -> Whisper {
    Whisper::load(&bundled_model(), &Config { workers, ..Config::default() }).unwrap()
}

/// Words that would have to be changed, added or taken away.
fn word_errors(said: &str, heard: &str) -> usize {
    let said: Vec<&str> = said.split_whitespace().collect();
    let heard: Vec<&str> = heard.split_whitespace().collect();
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, a) in said.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in heard.iter().enumerate() {
            let best = (diagonal + usize::from(a != b)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[heard.len()]
}

#[tokio::test]
async fn the_words_of_the_fixtures_are_heard() {
    let engine = engine(1);
    let (mut errors, mut spoken) = (0, 0);
    for (samples, said) in clips() {
        let heard = words(&engine, &samples).await.to_lowercase();
        errors += word_errors(&said, &heard);
        spoken += said.split_whitespace().count();
        if said != heard {
            println!("{said:?} was heard as {heard:?}");
        }
    }
    assert!(errors * 50 <= spoken, "{errors} of {spoken} words are wrong");
}

#[tokio::test]
async fn a_final_is_sure_of_what_was_said_and_names_the_language() {
    let samples = clip("17-slt.wav");
    let updates = ask(&engine(1), frames(&samples), &[AudioPos(samples.len() as u64)]).await;
    let [Ok(Update::Final { text, language, confidence, .. })] = updates.as_slice() else { panic!("{updates:?}") };
    assert_eq!((&**text, &**language), ("what time is it", "en"));
    assert!(*confidence > 0.7, "{confidence}");
}

#[tokio::test]
async fn what_is_no_speech_gives_no_words() {
    let engine = engine(1);
    let seconds = 12 * 16_000;
    let tone = |hz: f32| (0..seconds).map(|n| (n as f32 * hz * TAU / 16_000.0).sin() * 0.3).collect::<Vec<f32>>();
    let mut clicks = vec![0.0; seconds];
    clicks.iter_mut().step_by(8_000).for_each(|it| *it = 0.9);
    let hum: Vec<f32> = tone(50.0).into_iter().zip(noise(seconds, 0.02)).map(|(a, b)| a + b).collect();
    for (name, samples) in [
        ("silence", vec![0.0; seconds]),
        ("hiss", noise(seconds, 0.002)),
        ("noise", noise(seconds, 0.1)),
        ("loud noise", noise(seconds, 0.9)),
        ("440 Hz", tone(440.0)),
        ("1 kHz", tone(1000.0)),
        ("hum", hum),
        ("clicks", clicks),
        ("a short burst", noise(4_000, 0.3)),
    ] {
        assert_eq!(words(&engine, &samples).await, "", "{name}");
    }
}

#[tokio::test]
async fn silence_around_the_words_does_not_change_them() {
    let engine = engine(1);
    let mut samples = vec![0.0; 4_800];
    samples.extend(clip("12-en-us-f2.wav"));
    samples.extend([0.0; 5 * 16_000]);
    assert_eq!(words(&engine, &samples).await, "what is the date today");
}

#[tokio::test]
async fn audio_after_the_position_is_not_transcribed() {
    let engine = engine(1);
    let first = clip("17-slt.wav");
    let end = AudioPos(first.len() as u64);
    let mut samples = first;
    samples.extend(vec![0.0; 8_000]);
    samples.extend(clip("05-kal16.wav"));
    let updates = ask(&engine, frames(&samples), &[end]).await;
    assert!(
        matches!(updates.as_slice(), [Ok(Update::Final { text, .. })] if &**text == "what time is it"),
        "{updates:?}"
    );
}

#[tokio::test]
async fn the_same_clip_has_the_same_words_whatever_ran_before() {
    let engine = engine(1);
    let golden: Vec<(Vec<f32>, String)> = {
        let mut golden = Vec::new();
        for (samples, _) in clips().into_iter().take(5) {
            let fresh = self::engine(1);
            let heard = words(&fresh, &samples).await;
            golden.push((samples, heard));
        }
        golden
    };
    let long: Vec<f32> = clips().into_iter().flat_map(|(samples, _)| samples).take(20 * 16_000).collect();
    for before in [vec![], noise(9 * 16_000, 0.3), long, vec![0.2; 16_000]] {
        if !before.is_empty() {
            ask(&engine, frames(&before), &[AudioPos(before.len() as u64)]).await;
        }
        for at in [4, 0, 3, 1, 2, 0] {
            let (samples, heard) = &golden[at];
            assert_eq!(&words(&engine, samples).await, heard);
        }
    }
}

#[tokio::test]
async fn a_dropped_request_frees_its_worker_which_then_hears_as_well_as_ever() {
    let engine = engine(1);
    for _ in 0..6 {
        // Noise is run twice, the second time at the full context: long enough to be caught in the act.
        let (sender, feed) = mpsc::channel(4_000);
        for frame in frames(&noise(20 * 16_000, 0.3)) {
            sender.try_send(Feed::Frame(frame)).unwrap();
        }
        sender.try_send(Feed::Finish(AudioPos(u64::MAX))).unwrap();
        let mut stream = engine.transcribe(feed, options(false));
        let started = async {
            while engine.pressure().unwrap().running == 0 {
                assert!(tokio::time::timeout(Duration::from_millis(2), stream.next()).await.is_err());
            }
        };
        tokio::time::timeout(Duration::from_secs(20), started).await.expect("the job never began");
        drop(stream);
        assert_eq!(words(&engine, &clip("17-slt.wav")).await, "what time is it");
    }
}

#[tokio::test]
async fn many_at_a_time_on_two_workers_are_all_heard() {
    let engine = engine(2);
    let clips = clips();
    let rounds = (0..3).flat_map(|_| &clips);
    let all = join_all(rounds.map(|(samples, said)| {
        let engine = &engine;
        async move { (words(engine, samples).await.to_lowercase(), said) }
    }))
    .await;
    let wrong = all.iter().map(|(heard, said)| word_errors(said, heard)).sum::<usize>();
    let spoken = all.iter().map(|(_, said)| said.split_whitespace().count()).sum::<usize>();
    assert!(wrong * 50 <= spoken, "{wrong} of {spoken} words are wrong");
}

#[tokio::test]
async fn more_finals_than_the_queue_holds_are_refused_as_busy() {
    let config = Config { workers: 1, queue_finals: 1, ..Config::default() };
    let engine = Whisper::load(&bundled_model(), &config).unwrap();
    let samples = clip("17-slt.wav");
    let end = [AudioPos(samples.len() as u64)];
    let all = join_all((0..8).map(|_| ask(&engine, frames(&samples), &end))).await;
    let (heard, refused): (Vec<_>, Vec<_>) = all.into_iter().flatten().partition(Result::is_ok);
    assert_eq!(heard.len() + refused.len(), 8);
    assert!(!heard.is_empty() && !refused.is_empty());
    assert!(refused.iter().all(|it| matches!(it, Err(error) if error.kind == ErrorKind::Busy)));
}

#[tokio::test]
async fn a_recording_of_more_than_thirty_seconds_loses_nothing() {
    let engine = engine(2);
    let mut samples = Vec::new();
    for file in ["17-slt.wav", "10-en-gb.wav", "05-kal16.wav"] {
        samples.extend(clip(file));
        samples.extend(vec![0.0; 25 * 16_000]);
    }
    assert_eq!(words(&engine, &samples).await, "what time is it yes please hello");
}

#[tokio::test]
async fn a_language_the_model_does_not_know_is_refused() {
    let engine = engine(1);
    for (language, known) in [("en-GB", true), ("EN", true), ("de", false), ("x\0y", false)] {
        let (sender, feed) = mpsc::channel(2);
        sender.try_send(Feed::Finish(AudioPos(0))).unwrap();
        drop(sender);
        let options = Options { language: Arc::from(language), partials: false };
        let updates: Vec<_> = engine.transcribe(feed, options).collect().await;
        match updates.as_slice() {
            [Ok(_)] => assert!(known, "{language:?}"),
            [Err(error)] => assert!(!known && error.kind == ErrorKind::Rejected, "{language:?}: {error}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_missing_or_foreign_model_file_names_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let bundled = std::fs::read(bundled_model()).unwrap();
    for (name, content) in [
        ("page.bin", &b"<!doctype html>"[..]),
        ("empty.bin", b""),
        ("cut.bin", &bundled[..100_000]),
        ("cut late.bin", &bundled[..9_000_000]),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    for name in ["missing.bin", "page.bin", "empty.bin", "cut.bin", "cut late.bin"] {
        let config = stt::Config { model: folder.path().join(name), ..stt::Config::default() };
        let error = stt::engine(&config).map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected, "{name}");
        assert!(error.message.contains("FLOE_STT_MODEL"), "{name}: {error}");
    }
}

#[test]
fn an_unknown_default_language_is_a_configuration_error() {
    let config = Config { language: "klingon".into(), ..Config::default() };
    assert!(Whisper::load(&bundled_model(), &config).unwrap_err().message.contains("klingon"));
}

#[test]
fn the_table_loads_the_bundled_model() {
    let config = stt::Config {
        model: bundled_model(),
        whisper: Config { workers: 1, ..Config::default() },
        ..stt::Config::default()
    };
    let engine = stt::engine(&config).unwrap();
    assert_eq!(engine.pressure().unwrap().workers, 1);
    assert_eq!(engine.predicted_wait_ms(), Some(0));
}
