//! Partials of the local engine: what is stable stays, and the final ends them.

use std::time::Duration;

use floe::{
    audio::{AudioPos, Frame},
    stt::{Feed, SpeechToText, Update},
};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::{clip, clips, frames, options, whisper};

/// Feeds frames in portions of about 300 ms while the engine keeps up, then silence until a partial has come, then asks for
/// the final. Returns the partials and the final's words.
async fn spoken(engine: &dyn SpeechToText, samples: &[f32]) -> (Vec<(String, String)>, String) {
    let (sender, feed) = mpsc::channel(64);
    let mut stream = engine.transcribe(feed, options(true));
    let mut partials = Vec::new();
    let mut said = frames(samples);
    said.reverse();
    let mut end = AudioPos(0);
    let mut silences = 0;
    while !said.is_empty() || partials.is_empty() {
        for _ in 0..20 {
            let frame = said.pop().unwrap_or_else(|| {
                silences += 1;
                Frame { end: AudioPos(end.0 + 256), samples: [0.0; 256].into() }
            });
            end = frame.end;
            sender.try_send(Feed::Frame(frame)).unwrap();
        }
        assert!(silences < 4_000, "no partial ever came");
        // Lets the engine read, and finish the pass if it began one.
        loop {
            if let Ok(Some(update)) = tokio::time::timeout(Duration::from_millis(10), stream.next()).await {
                match update.unwrap() {
                    Update::Partial { stable, tail } => partials.push((stable.to_string(), tail.to_string())),
                    other => panic!("nobody asked: {other:?}"),
                }
            }
            let pressure = engine.pressure().unwrap();
            if pressure.running + pressure.partials_waiting == 0 {
                break;
            }
        }
    }
    sender.try_send(Feed::Finish(end)).unwrap();
    drop(sender);
    let rest: Vec<Update> = stream.map(Result::unwrap).collect().await;
    match rest.as_slice() {
        [.., Update::Final { text, .. }] => {
            let finals = rest.iter().filter(|it| matches!(it, Update::Final { .. })).count();
            assert_eq!(finals, 1);
            (partials, text.to_string())
        }
        other => panic!("{other:?}"),
    }
}

fn starts_with(words: &str, start: &str) -> bool {
    words.split_whitespace().zip(start.split_whitespace()).all(|(a, b)| a == b)
        && words.split_whitespace().count() >= start.split_whitespace().count()
}

#[tokio::test]
async fn stable_words_only_grow_and_the_final_follows() {
    let engine = whisper::engine(1);
    let mut committed = 0;
    for file in ["36-en-us-f2.wav", "31-awb.wav", "12-en-us-f2.wav"] {
        let (partials, last) = spoken(&engine, &clip(file)).await;
        for pair in partials.windows(2) {
            assert!(starts_with(&pair[1].0, &pair[0].0), "{:?} became {:?}", pair[0], pair[1]);
            assert_ne!(pair[0], pair[1], "said twice");
        }
        committed += partials.last().map_or(0, |it| it.0.split_whitespace().count());
        assert!(!last.is_empty());
    }
    assert!(committed > 0, "nothing was ever committed");
}

#[tokio::test]
async fn beyond_fifteen_seconds_what_was_committed_stays() {
    let engine = whisper::engine(1);
    let samples: Vec<f32> =
        clips().into_iter().flat_map(|(clip, _)| [clip, vec![0.0; 6_400]].concat()).take(17 * 16_000).collect();
    assert_eq!(samples.len(), 17 * 16_000);
    let (partials, _) = spoken(&engine, &samples).await;
    for pair in partials.windows(2) {
        assert!(starts_with(&pair[1].0, &pair[0].0), "{:?} became {:?}", pair[0], pair[1]);
    }
    let early = partials.iter().position(|it| it.0.split_whitespace().count() > 3).unwrap();
    assert!(early + 1 < partials.len(), "words went on being committed");
}

#[tokio::test]
async fn no_partials_unless_wanted() {
    let engine = whisper::engine(1);
    let updates = super::ask(&engine, frames(&clip("36-en-us-f2.wav")), &[AudioPos(u64::MAX)]).await;
    assert!(matches!(updates.as_slice(), [Ok(Update::Final { .. })]), "{updates:?}");
}

#[tokio::test]
async fn speech_may_go_on_after_a_final() {
    let engine = whisper::engine(1);
    let all = clip("36-en-us-f2.wav");
    let (sender, feed) = mpsc::channel(1_000);
    let mut stream = engine.transcribe(feed, options(false));
    let mut texts = Vec::new();
    let mut sent = 0;
    for end in [all.len() / 2, all.len()] {
        for frame in frames(&all).into_iter().skip(sent).take(end.div_ceil(256) - sent) {
            sender.try_send(Feed::Frame(frame)).unwrap();
            sent += 1;
        }
        sender.try_send(Feed::Finish(AudioPos(end as u64))).unwrap();
        match stream.next().await {
            Some(Ok(Update::Final { at, text, .. })) => {
                assert_eq!(at, AudioPos(end as u64));
                texts.push(text.to_string());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(texts[1].to_lowercase(), "what is the weather in boston sunday");
    assert_ne!(texts[0], texts[1]);
}
