//! Tests of `caller` and `replay`, on a loopback socket.

mod replay;
mod server;

use std::{sync::Arc, time::Duration};

use floe::{
    audio::{Codec, Format},
    caller::{Error, Failed, Options, Recording, Report, call},
    protocol::native::{Offer, Pace, wire::ReplyStatus},
};
use server::{Script, Server};

/// Half a second of a loud tone.
fn tone() -> Recording {
    Arc::from((0..8_000_u16).map(|i| (f32::from(i) * 0.2).sin() * 0.5).collect::<Vec<_>>())
}

fn fast(server: &Server) -> Options {
    Options { pace: Pace::File, ..Options::new(&server.url) }
}

async fn error(script: Script, change: impl FnOnce(&mut Options)) -> Failed {
    let server = Server::start(script).await;
    let mut options = fast(&server);
    change(&mut options);
    call(&tone(), &options).await.expect_err("a failed call")
}

fn one_reply(report: &Report) -> &floe::caller::Reply {
    assert_eq!(report.replies.len(), 1, "{:?}", report.replies);
    &report.replies[0]
}

#[tokio::test]
async fn a_call_is_heard_answered_and_measured() {
    let server = Server::start(Script::default()).await;
    let options = Options { keep_audio: true, ..fast(&server) };
    let report = call(&tone(), &options).await.expect("a good call");
    assert!(report.connect.is_some());
    let [turn] = report.turns.as_slice() else { panic!("{report:?}") };
    assert_eq!((turn.text.as_deref(), turn.start_ms, turn.end_ms), (Some("hello"), 100, 600));
    assert!(turn.first_partial.is_some() && turn.final_after.is_some());
    let reply = one_reply(&report);
    assert_eq!((reply.status, reply.text.as_str()), (Some(ReplyStatus::Completed), "one two three"));
    assert!(reply.first_text.is_some() && reply.first_audio.is_some());
    assert_eq!(reply.audio, Duration::from_millis(500));
    assert_eq!((report.frames.received, report.frames.missing, reply.stale_frames), (25, 0, 0));
    assert_eq!((report.audio.len(), report.audio_rate_hz), (12_000, 24_000));
    assert!(report.problems.is_empty(), "{report:?}");
}

#[tokio::test]
async fn every_format_can_be_spoken_and_heard() {
    let formats = [
        (Codec::PcmS16le, 8_000),
        (Codec::PcmS16le, 22_050),
        (Codec::PcmS16le, 44_100),
        (Codec::PcmS16le, 48_000),
        (Codec::Opus, 48_000),
        (Codec::Pcmu, 8_000),
        (Codec::Pcma, 8_000),
    ];
    let server = Server::start(Script::default()).await;
    for (codec, rate_hz) in formats {
        let format = Format { codec, rate_hz, frame_ms: 20 };
        let options = Options { input: format, output: format, keep_audio: true, ..fast(&server) };
        let report = call(&tone(), &options).await.unwrap_or_else(|failed| panic!("{format:?}: {failed}"));
        assert_eq!(one_reply(&report).audio, Duration::from_millis(500), "{format:?}");
        assert_eq!(report.audio.len(), format.clock_hz() as usize / 2, "{format:?}");
    }
}

#[tokio::test]
async fn at_real_pace_words_are_spoken_when_they_are_due() {
    let server = Server::start(Script { reply_frames: 5, ..Script::default() }).await;
    let report = call(&tone(), &Options::new(&server.url)).await.expect("a good call");
    // The server answers at the frame that ends at 1000 ms what ended at 600 ms.
    let waited = report.turns[0].final_after.expect("a transcript");
    assert!(waited >= Duration::from_millis(380), "{waited:?}");
    assert_eq!(one_reply(&report).status, Some(ReplyStatus::Completed));
}

#[tokio::test]
async fn speaking_over_a_reply_is_measured_until_it_stops() {
    let server = Server::start(Script { reply_frames: 200, ..Script::default() }).await;
    let after = Some(Duration::from_millis(200));
    let options = Options { barge_in_after: after, tail: Duration::from_millis(1_200), ..Options::new(&server.url) };
    let options = Options { step_timeout: Duration::from_secs(60), ..options };
    let report = call(&tone(), &options).await.expect("a good call");
    assert!(report.barge_in.is_some(), "{report:?}");
    let statuses: Vec<_> = report.replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [Some(ReplyStatus::Interrupted), Some(ReplyStatus::Completed)]);
    assert!(report.replies.iter().all(|reply| reply.stale_frames == 0));
}

#[tokio::test]
async fn a_caller_can_vanish() {
    let server = Server::start(Script::default()).await;
    let options = Options { drop_after: Some(Duration::from_millis(300)), ..fast(&server) };
    let report = call(&tone(), &options).await.expect("it was meant to");
    assert!(report.dropped && report.replies.is_empty(), "{report:?}");
}

#[tokio::test]
async fn lost_frames_are_counted() {
    let server = Server::start(Script { skip_every: Some(10), ..Script::default() }).await;
    let report = call(&tone(), &fast(&server)).await.expect("a call");
    assert_eq!((report.frames.received, report.frames.missing), (23, 2));

    let server = Server::start(Script { mark_last: false, ..Script::default() }).await;
    let report = call(&tone(), &fast(&server)).await.expect("a call");
    assert_eq!((report.frames.received, report.frames.missing), (25, 1), "the last frame is missing");
}

#[tokio::test]
async fn a_reply_that_never_comes_is_an_error_that_says_so() {
    let failed = error(Script { answer: false, ..Script::default() }, |options| {
        options.step_timeout = Duration::from_millis(500)
    })
    .await;
    assert_eq!(failed.error.kind(), "timeout");
    assert!(failed.to_string().contains("the reply to a turn"), "{failed}");
    assert_eq!(failed.report.turns[0].text.as_deref(), Some("hello"), "what was seen is not lost");
}

#[tokio::test]
async fn a_closed_connection_is_an_error_with_its_code() {
    let failed = error(Script { close: Some(1012), ..Script::default() }, |_| {}).await;
    assert!(matches!(&failed.error, Error::Closed { code: Some(1012), reason } if reason == "as scripted"), "{failed}");
}

#[tokio::test]
async fn a_refused_hello_is_an_error_with_its_reason() {
    let offer = Offer { input: vec![Codec::Pcmu], ..Offer::default() };
    let failed = error(Script { offer, ..Script::default() }, |_| {}).await;
    assert!(matches!(&failed.error, Error::Fatal { code, .. } if code == "no_common_input_format"), "{failed}");
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for() {
    let failed = error(Script { deaf: true, ..Script::default() }, |options| {
        options.connect_timeout = Duration::from_millis(300)
    })
    .await;
    assert_eq!(failed.error.kind(), "timeout");
    assert!(failed.report.connect.is_none());
}

#[tokio::test]
async fn wrong_addresses_are_explained() {
    for url in ["", "localhost:8080", "ftp://localhost", "ws://", "ws:///path"] {
        let failed = call(&tone(), &Options::new(url)).await.expect_err(url);
        assert_eq!(failed.error.kind(), "bad_url", "{url}: {failed}");
    }
    // Port 9 of loopback: nobody listens there.
    let failed = call(&tone(), &Options::new("ws://127.0.0.1:9")).await.expect_err("nobody");
    assert_eq!(failed.error.kind(), "connect", "{failed}");
}
