//! Talking, and talking over.

use std::time::Duration;

use serde_json::json;

use crate::support::duplex::{Peer, Said, engines, hello, kinds, rhythm};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test(start_paused = true)]
async fn a_spoken_question_gets_a_spoken_answer() {
    let mut peer = Peer::plain(engines(&["what time is it"], rhythm(100, 10, 6)));
    peer.sound(false, ms(300)).await;
    peer.sound(true, ms(1_000)).await;
    peer.sound(false, ms(700)).await;
    let said = peer.until("reply.done").await;
    let mut order = kinds(&said);
    order.retain(|kind| *kind != "transcript.partial" && *kind != "reply.text");
    order.dedup();
    let expected = [
        "ready",
        "speech.started",
        "speech.stopped",
        "transcript.final",
        "turn.committed",
        "reply.started",
        "audio",
        "reply.done",
    ];
    assert_eq!(order, expected);
    let text = |kind: &str| {
        let event = said.iter().find(|said| said.kind() == kind).unwrap();
        let Said::Event(event) = event else { panic!("{kind} is an event") };
        event.clone()
    };
    assert_eq!(text("transcript.final")["text"], "what time is it");
    let done = text("reply.done");
    assert_eq!(done["status"], "completed");
    assert_eq!(done["text"], "Sure, here is what I can");
    for stage in ["eot", "asr", "llm_first", "tts_first", "first_audio"] {
        assert!(done["latency_ms"][stage].is_number(), "{stage} is missing in {done}");
    }
    let frames: Vec<_> =
        said.iter().filter_map(|said| if let Said::Audio(header, _) = said { Some(*header) } else { None }).collect();
    let sequences: Vec<u32> = frames.iter().map(|header| header.sequence).collect();
    assert_eq!(
        sequences,
        (0..u32::try_from(frames.len()).unwrap()).collect::<Vec<_>>(),
        "no frame is missing or doubled"
    );
    assert!(frames.iter().rev().skip(1).all(|header| header.flags & 0x02 == 0));
    assert!(frames.last().is_some_and(|header| header.flags & 0x02 != 0), "the last frame says so");
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn partials_grow_while_the_user_speaks() {
    let mut peer = Peer::plain(engines(&["one two three four five six"], rhythm(100, 10, 3)));
    peer.sound(true, ms(2_500)).await;
    peer.sound(false, ms(700)).await;
    let said = peer.until("transcript.final").await;
    let partials: Vec<&str> = said
        .iter()
        .filter_map(|said| if let Said::Event(event) = said { event["stable"].as_str() } else { None })
        .collect();
    assert!(partials.len() >= 2, "only {} partials", partials.len());
    assert!(partials.windows(2).all(|pair| pair[1].starts_with(pair[0])), "stable words changed: {partials:?}");
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn speech_over_the_answer_stops_it_at_once() {
    let mut peer = Peer::plain(engines(&["tell me a story"], rhythm(50, 5, 60)));
    peer.sound(true, ms(600)).await;
    peer.sound(false, ms(2_000)).await;
    peer.sound(true, ms(500)).await;
    peer.sound(false, ms(800)).await;
    let before = peer.until("reply.interrupted").await;
    assert!(before.iter().any(|said| said.kind() == "audio"), "the reply was audible");
    let Some(Said::Event(stop)) = before.last() else { panic!() };
    let (reply, heard) = (stop["reply"].as_u64().unwrap(), stop["heard_text"].as_str().unwrap());
    let script = "Sure, here is what I can tell you. This answer was written before you asked";
    assert!(!heard.is_empty() && script.starts_with(heard.trim_end()), "heard {heard:?}");
    let after = peer.until("reply.done").await;
    assert!(
        matches!(after.last(), Some(Said::Event(done)) if done["status"] == "interrupted" && done["reply"] == reply)
    );
    let later = peer.until("reply.done").await;
    let stream = u16::try_from(reply).unwrap();
    let stale =
        after.iter().chain(&later).filter(|said| matches!(said, Said::Audio(header, _) if header.stream == stream));
    assert_eq!(stale.count(), 0, "audio of the stopped reply came after the stop");
    assert!(later.iter().any(|said| said.kind() == "transcript.final"), "the interruption itself is understood");
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_cough_does_not_stop_the_answer() {
    let mut peer = Peer::plain(engines(&["tell me a story"], rhythm(50, 5, 12)));
    peer.sound(true, ms(600)).await;
    peer.sound(false, ms(1_500)).await;
    peer.sound(true, ms(100)).await;
    peer.sound(false, ms(400)).await;
    let said = peer.until("reply.done").await;
    assert!(!kinds(&said).contains(&"reply.interrupted"));
    assert!(matches!(said.last(), Some(Said::Event(done)) if done["status"] == "completed"));
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn typed_words_are_answered_too() {
    let mut peer = Peer::plain(engines(&[], rhythm(50, 5, 4)));
    peer.tell(json!({ "type": "text", "text": "hello", "reply": true })).await;
    let said = peer.until("reply.done").await;
    assert!(kinds(&said).contains(&"audio"));
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn push_to_talk_ends_the_turn_when_the_button_is_released() {
    let mut hello = hello();
    hello["turn"] = json!({ "mode": "manual" });
    let mut peer = Peer::begin(engines(&["turn it off"], rhythm(50, 5, 4)), Default::default(), hello, 64);
    peer.sound(true, ms(800)).await;
    peer.tell(json!({ "type": "input.commit" })).await;
    let said = peer.until("reply.done").await;
    assert!(kinds(&said).contains(&"transcript.final"));
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_recording_may_come_as_fast_as_it_is_read() {
    let mut hello = hello();
    hello["input"]["pace"] = json!("file");
    let mut peer = Peer::begin(engines(&["one", "two"], rhythm(50, 5, 4)), Default::default(), hello, 64);
    for loud in [true, false, true, false] {
        for _ in 0..40 {
            peer.frame(loud).await;
        }
    }
    let mut said = peer.until("reply.done").await;
    said.extend(peer.until("reply.done").await);
    let words: Vec<&str> = said
        .iter()
        .filter(|said| said.kind() == "transcript.final")
        .filter_map(|said| if let Said::Event(event) = said { event["text"].as_str() } else { None })
        .collect();
    assert_eq!(words, ["one", "two"], "the second utterance waits until the first is answered");
    assert!(!kinds(&said).contains(&"reply.interrupted"));
    peer.hang_up().await;
}
