//! Clients that lose their socket and come back.

use std::time::Duration;

use floe::{
    conversation::Settings,
    ids::ResponseId,
    session::{LeftOff, Outgoing},
};
use serde_json::{Value, json};
use tokio::time;

use crate::support::duplex::{Peer, Said, engines, hello, rhythm};

/// A hello that asks for this feature.
fn returning() -> Value {
    let mut hello = hello();
    hello["features"] = json!(["resume"]);
    hello
}

/// A session of such a client, and the token for coming back.
async fn begun(words: u32) -> (Peer, String) {
    let engines = engines(&["what's the weather"], rhythm(50, 20, words));
    let mut peer = Peer::begin(engines, Settings::default(), returning(), 64);
    let ready = event(peer.next().await);
    assert_eq!(ready["features"], json!(["resume"]));
    assert_eq!(ready["resume"]["window_s"], 120);
    let token = ready["resume"]["token"].as_str().unwrap().to_owned();
    (peer, token)
}

fn event(said: Option<Said>) -> Value {
    match said {
        Some(Said::Event(event)) => event,
        other => panic!("not an event: {other:?}"),
    }
}

/// What a client has seen, as it would know it.
#[derive(Default)]
struct Seen {
    numbers: Vec<u64>,
    kinds: Vec<String>,
    text: String,
    /// Sequence numbers of the reply's frames, as they came, without those it had already.
    frames: Vec<u32>,
    end: Duration,
}

impl Seen {
    fn note(&mut self, said: &Said) {
        match said {
            Said::Event(event) => {
                self.numbers.push(event["n"].as_u64().unwrap());
                let kind = event["type"].as_str().unwrap();
                self.kinds.push(kind.to_owned());
                if kind == "reply.text" {
                    self.text.push_str(event["delta"].as_str().unwrap());
                }
            }
            Said::Audio(header, payload) => {
                if self.frames.last().is_none_or(|last| header.sequence > *last) {
                    self.frames.push(header.sequence);
                    let samples = u64::from(header.timestamp) + payload.len() as u64 / 2;
                    self.end = Duration::from_millis(samples * 1_000 / 16_000);
                }
            }
            Said::Close(code) => panic!("closed with {code}"),
        }
    }

    fn left_off(&self) -> LeftOff {
        LeftOff { last_n: *self.numbers.last().unwrap(), reply: Some((ResponseId(1), self.end)) }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_has_missed_nothing() {
    let (mut peer, mut token) = begun(60).await;
    let mut seen = Seen { numbers: vec![1], ..Seen::default() };
    peer.tell(json!({ "type": "text", "text": "tell me more", "reply": true })).await;
    let mut losses = 0;
    loop {
        let said = peer.next().await.unwrap();
        seen.note(&said);
        if said.kind() == "reply.done" {
            break;
        }
        // Again and again, in the middle of words and of speech, for less and for more time than anything takes.
        let moment = if losses < 3 { "reply.text" } else { "audio" };
        if losses < 12 && said.kind() == moment && seen.numbers.len() + seen.frames.len() > 5 + 20 * losses {
            peer.vanish();
            time::sleep(Duration::from_millis([0, 30, 3_000][losses % 3])).await;
            losses += 1;
            assert!(peer.come_back(&token, seen.left_off()), "the session waits");
            let ready = event(peer.next().await);
            assert_eq!((&ready["type"], &ready["resumed"]), (&json!("ready"), &json!(true)), "{ready}");
            assert_eq!(ready["n"].as_u64(), seen.numbers.last().copied());
            assert!(ready.get("items").is_none());
            let fresh = ready["resume"]["token"].as_str().unwrap();
            assert_ne!(fresh, token, "a token is good for one use");
            token = fresh.to_owned();
        }
    }
    assert_eq!(losses, 12);
    let expected: Vec<u64> = (1..=seen.numbers.len() as u64).collect();
    assert_eq!(seen.numbers, expected, "every message once, in order");
    let frames: Vec<u32> = (0..seen.frames.len() as u32).collect();
    assert_eq!(seen.frames, frames, "and every frame");
    assert_eq!(seen.kinds.iter().filter(|kind| *kind == "reply.done").count(), 1);
    assert_eq!(seen.text.split_whitespace().count(), 60);
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_user_was_saying_goes_on() {
    let (mut peer, token) = begun(3).await;
    peer.sound(true, Duration::from_millis(800)).await;
    peer.until("speech.started").await;
    peer.vanish();
    time::sleep(Duration::from_secs(4)).await;
    assert!(peer.come_back(&token, LeftOff { last_n: 2, reply: None }));
    let ready = event(peer.next().await);
    assert_eq!(ready["input_next_seq"], 40, "where the microphone goes on");
    peer.sound(true, Duration::from_millis(400)).await;
    peer.sound(false, Duration::from_millis(1_500)).await;
    let said = peer.until("reply.done").await;
    let stops: Vec<&Said> = said.iter().filter(|said| said.kind() == "speech.stopped").collect();
    let [Said::Event(stopped)] = stops[..] else { panic!("{stops:?}") };
    assert_eq!(
        (&stopped["reason"], stopped["t"].as_u64().unwrap() / 100),
        (&json!("silence"), 12),
        "one utterance of 1.2 s"
    );
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_connection_takes_over() {
    let (mut peer, token) = begun(3).await;
    let (_still_open, mut old) = peer.take_old();
    assert!(peer.come_back(&token, LeftOff { last_n: 1, reply: None }));
    assert_eq!(event(peer.next().await)["resumed"], true);
    let mut last = None;
    while let Some(outgoing) = old.recv().await {
        last = Some(outgoing);
    }
    assert!(matches!(last, Some(Outgoing::Close(4409, _))), "{last:?}");
    assert!(!peer.come_back(&token, LeftOff::default()), "the old token is good no more");
    assert!(!peer.come_back("", LeftOff::default()));
    peer.tell(json!({ "type": "text", "text": "hello", "reply": true })).await;
    peer.until("reply.done").await;
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_longer_than_said_nor_after_a_goodbye() {
    let (mut peer, token) = begun(3).await;
    peer.vanish();
    time::sleep(Duration::from_secs(119)).await;
    assert!(!peer.returns.is_empty());
    time::sleep(Duration::from_secs(2)).await;
    assert!(peer.returns.is_empty() && !peer.come_back(&token, LeftOff::default()));
    peer.hang_up().await;

    let (mut peer, _) = begun(3).await;
    peer.tell(json!({ "type": "bye" })).await;
    peer.until("close").await;
    peer.vanish();
    time::sleep(Duration::from_millis(100)).await;
    assert!(peer.returns.is_empty());
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_missed_too_much_is_told_how_things_stand() {
    let engines = engines(&[], rhythm(1, 1, 4_000));
    let mut hello = returning();
    hello["speak"] = json!(false);
    let mut peer = Peer::begin(engines, Settings::default(), hello, 64);
    let token = event(peer.next().await)["resume"]["token"].as_str().unwrap().to_owned();
    peer.tell(json!({ "type": "text", "text": "tell me everything", "reply": true })).await;
    peer.until("reply.started").await;
    peer.vanish();
    time::sleep(Duration::from_secs(30)).await;
    assert!(peer.come_back(&token, LeftOff { last_n: 3, reply: None }));
    let ready = event(peer.next().await);
    assert_eq!((&ready["resumed"], &ready["reason"]), (&json!(false), &json!("missed")));
    let said: Vec<&Value> = ready["items"].as_array().unwrap().iter().collect();
    assert_eq!((&said[0]["role"], &said[0]["text"]), (&json!("user"), &json!("tell me everything")));
    assert_eq!(said[1]["text"].as_str().unwrap().split_whitespace().count(), 4_000);
    // And it goes on: the next message has the next number.
    peer.tell(json!({ "type": "text", "text": "again", "reply": true })).await;
    let next = event(peer.next().await);
    assert_eq!(next["n"].as_u64(), ready["n"].as_u64().map(|n| n + 1));
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_flushed_is_not_heard_after_all() {
    let (mut peer, token) = begun(200).await;
    peer.tell(json!({ "type": "text", "text": "a long story", "reply": true })).await;
    peer.until("audio").await;
    peer.sound(true, Duration::from_millis(900)).await;
    let said = peer.until("reply.interrupted").await;
    let Some(Said::Event(interrupted)) = said.last() else { panic!() };
    peer.vanish();
    time::sleep(Duration::from_millis(200)).await;
    let left_off =
        LeftOff { last_n: interrupted["n"].as_u64().unwrap() - 2, reply: Some((ResponseId(1), Duration::ZERO)) };
    assert!(peer.come_back(&token, left_off));
    peer.sound(false, Duration::from_millis(600)).await;
    let said = peer.until("transcript.final").await;
    let audio = said.iter().filter(|said| matches!(said, Said::Audio(header, _) if header.stream == 1)).count();
    assert_eq!(audio, 0, "not a frame of the reply that was cut");
    peer.hang_up().await;
}
