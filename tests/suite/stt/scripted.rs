//! The engine for tests says what it is told, when it is told.

use std::time::Duration;

use floe::{
    audio::AudioPos,
    engine::{Error, ErrorKind},
    stt::{Feed, SpeechToText as _, Update, scripted::Scripted},
};
use futures_util::StreamExt as _;
use tokio::{sync::mpsc, time::Instant};

use super::{ask, frames, options, words};

#[tokio::test]
async fn transcripts_come_in_turn_and_start_again() {
    let engine = Scripted::new(["one", "two"]);
    for said in ["one", "two", "one"] {
        assert_eq!(words(&engine, &[0.1; 512]).await, said);
    }
    assert_eq!(engine.utterances(), 3);
}

#[tokio::test]
async fn a_closure_may_fail() {
    let engine = Scripted::with(|number| match number {
        0 => Err(Error::new(ErrorKind::Busy, "as told")),
        _ => Ok("fine".into()),
    });
    let updates = ask(&engine, frames(&[0.1; 512]), &[AudioPos(512), AudioPos(512)]).await;
    assert!(matches!(updates.as_slice(), [Err(error)] if error.kind == ErrorKind::Busy), "{updates:?}");
    assert_eq!(words(&engine, &[0.1; 512]).await, "fine");
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the paused clock is what is measured")]
async fn a_delay_is_kept() {
    let engine = Scripted::new(["late"]).delayed(Duration::from_millis(250));
    let before = Instant::now();
    assert_eq!(words(&engine, &[0.1; 512]).await, "late");
    assert_eq!(before.elapsed(), Duration::from_millis(250));
}

#[tokio::test]
async fn partials_grow_with_the_audio() {
    let (sender, feed) = mpsc::channel(256);
    for frame in frames(&[0.1; 16_000]) {
        sender.try_send(Feed::Frame(frame)).unwrap();
    }
    drop(sender);
    let updates: Vec<_> = Scripted::new(["turn on the light"]).transcribe(feed, options(true)).collect().await;
    let shown: Vec<(String, String)> = updates
        .into_iter()
        .map(|it| match it.unwrap() {
            Update::Partial { stable, tail } => (stable.to_string(), tail.to_string()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [("", "turn"), ("turn", "on"), ("turn on", "the")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(shown, expected);
}
