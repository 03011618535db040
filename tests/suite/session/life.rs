//! How sessions end, and what a wrong or slow client does to one.

use std::time::Duration;

use bytes::Bytes;
use floe::{
    protocol::Message,
    session::{Outgoing, Received},
};
use serde_json::json;

use crate::support::duplex::{Peer, Said, engines, hello, kinds, rhythm};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test(start_paused = true)]
async fn goodbye_is_answered_with_ended_and_1000() {
    let mut peer = Peer::plain(engines(&[], rhythm(50, 5, 4)));
    peer.tell(json!({ "type": "bye", "flush": false })).await;
    let said = peer.rest().await;
    assert_eq!(kinds(&said), ["ready", "ended", "close"]);
    assert_eq!(said.last(), Some(&Said::Close(1000)));
}

#[tokio::test(start_paused = true)]
async fn draining_lets_the_reply_finish_and_closes_1012() {
    let mut peer = Peer::plain(engines(&["hello"], rhythm(50, 5, 10)));
    peer.sound(true, ms(600)).await;
    peer.sound(false, ms(900)).await;
    peer.until("reply.started").await;
    peer.draining.cancel();
    let said = peer.rest().await;
    let order = kinds(&said);
    assert!(order.contains(&"going_away"), "{order:?}");
    let done = said.iter().find(|said| said.kind() == "reply.done");
    assert!(matches!(done, Some(Said::Event(done)) if done["status"] == "completed"), "{done:?}");
    assert_eq!(order[order.len() - 2..], ["ended", "close"]);
    assert_eq!(said.last(), Some(&Said::Close(1012)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_let_go() {
    let mut peer = Peer::begin(engines(&[], rhythm(50, 1, 400)), Default::default(), hello(), 1);
    peer.tell(json!({ "type": "text", "text": "talk", "reply": true })).await;
    // Nobody reads: the writer's patience ends, and with it the session.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut said = 0;
    while peer.next().await.is_some() {
        said += 1;
    }
    assert!(said < 40, "{said} messages were piled up for a client that does not read");
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_noticed() {
    let mut peer = Peer::plain(engines(&[], rhythm(50, 5, 4)));
    peer.until("ready").await;
    let mut pings = 0;
    // Pings go unanswered.
    while let Some(outgoing) = peer.raw().await {
        pings += usize::from(outgoing == Outgoing::Ping);
    }
    assert!((2..=3).contains(&pings), "{pings} pings before the end");
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_is_not_read_while_a_long_reply_is_made_is_not_a_silent_peer() {
    let mut hello = hello();
    hello["input"]["pace"] = json!("file");
    // A reply of 81 s, and more audio after the question than waits for its end.
    let mut peer = Peer::begin(engines(&["one", "two"], rhythm(50, 9_000, 10)), Default::default(), hello, 256);
    for (loud, frames) in [(true, 40), (false, 3_400), (true, 40), (false, 40)] {
        for _ in 0..frames {
            peer.frame(loud).await;
        }
    }
    let mut said = peer.until("reply.done").await;
    said.extend(peer.until("transcript.final").await);
    assert!(!kinds(&said).contains(&"close"), "{:?}", kinds(&said));
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn wrong_messages_are_answered_and_the_conversation_goes_on() {
    let mut peer = Peer::plain(engines(&[], rhythm(50, 5, 4)));
    peer.until("ready").await;
    for wrong in ["not json", "[]", "{\"type\":\"no.such.thing\"}", "{\"type\":\"playback\"}"] {
        peer.send(Received::Message(Message::Text(wrong.into()))).await;
        let said = peer.until("error").await;
        assert!(matches!(said.last(), Some(Said::Event(error)) if error["fatal"] == false), "{wrong}: {said:?}");
    }
    peer.tell(json!({ "type": "text", "text": "hello", "reply": true })).await;
    peer.until("reply.done").await;
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn what_breaks_the_protocol_closes_with_its_code() {
    let cases = [
        (Received::Message(Message::Binary(Bytes::from_static(&[1, 2, 3]))), 4400),
        (Received::Violation(1009, "the message is too big"), 1009),
        (Received::Violation(1007, "text must be UTF-8"), 1007),
    ];
    for (wrong, code) in cases {
        let mut peer = Peer::plain(engines(&[], rhythm(50, 5, 4)));
        peer.send(wrong.clone()).await;
        assert_eq!(peer.rest().await.last(), Some(&Said::Close(code)), "{wrong:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn audio_that_outruns_time_is_refused_unless_it_is_a_recording() {
    let mut peer = Peer::plain(engines(&[], rhythm(50, 5, 4)));
    for _ in 0..700 {
        peer.frame(false).await;
    }
    let said = peer.rest().await;
    assert!(matches!(said.last(), Some(Said::Close(4400 | 4429))), "{:?}", said.last());
}

#[tokio::test(start_paused = true)]
async fn idle_sessions_end() {
    let settings = floe::conversation::Settings { idle_timeout: Duration::from_secs(30), ..Default::default() };
    let peer = Peer::begin(engines(&[], rhythm(50, 5, 4)), settings, hello(), 64);
    assert_eq!(peer.rest().await.last(), Some(&Said::Close(4408)));
}
