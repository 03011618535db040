//! Engines that fail, stall or panic: the user hears of it, and the session lives.

use std::{sync::Arc, time::Duration};

use floe::{
    agent::{ChatModel, Delta, Request},
    audio::FRAME_SAMPLES,
    engine::{Error, ErrorKind},
    stt::scripted::Scripted,
    vad::VoiceActivity,
};
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use serde_json::json;

use crate::support::duplex::{Peer, Said, engines, kinds, rhythm};

/// How an agent fails.
type Failure = fn() -> BoxStream<'static, Result<Delta, Error>>;

/// An agent that does what a test says.
struct Bad(Failure);

impl ChatModel for Bad {
    fn generate(&self, _: Request) -> BoxStream<'static, Result<Delta, Error>> {
        (self.0)()
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_agent_becomes_a_spoken_apology() {
    let failing: [Failure; 4] = [
        || stream::iter([Err(Error::new(ErrorKind::Unavailable, "down"))]).boxed(),
        || stream::pending().boxed(),
        || stream::empty().boxed(),
        || stream::poll_fn(|_| panic!("a bug in an engine")).boxed(),
    ];
    for agent in failing {
        let mut engines = engines(&[], rhythm(50, 5, 4));
        engines.agent = Arc::new(Bad(agent));
        let mut peer = Peer::plain(engines);
        peer.tell(json!({ "type": "text", "text": "hello", "reply": true })).await;
        let said = peer.until("reply.done").await;
        assert!(kinds(&said).contains(&"audio"), "silence instead of an apology: {:?}", kinds(&said));
        assert!(matches!(said.last(), Some(Said::Event(done)) if done["status"] == "failed"), "{:?}", said.last());
        let told = kinds(&said).iter().any(|kind| *kind == "warning" || *kind == "error");
        assert!(told, "the failure is an event as well: {:?}", kinds(&said));
        peer.hang_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bug_ends_its_own_session_with_1011() {
    struct Buggy;
    impl VoiceActivity for Buggy {
        fn probability(&mut self, _: &[f32; FRAME_SAMPLES]) -> f32 {
            panic!("a bug in the loop")
        }

        fn reset(&mut self) {}
    }
    let mut engines = engines(&[], rhythm(50, 5, 4));
    engines.vad = Arc::new(|| Box::new(Buggy));
    let mut peer = Peer::plain(engines);
    peer.frame(false).await;
    let said = peer.rest().await;
    assert_eq!(said.last(), Some(&Said::Close(1011)), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn failed_recognition_is_told_and_the_next_turn_works() {
    let mut engines = engines(&[], rhythm(50, 5, 4));
    engines.stt = Arc::new(Scripted::with(|number| match number {
        0 => Err(Error::new(ErrorKind::Broken, "no")),
        _ => Ok("hello again".into()),
    }));
    let mut peer = Peer::plain(engines);
    for _ in 0..2 {
        peer.sound(true, Duration::from_millis(600)).await;
        peer.sound(false, Duration::from_millis(800)).await;
    }
    let said = peer.until("reply.done").await;
    assert!(kinds(&said).iter().any(|kind| *kind == "warning" || *kind == "error"), "{:?}", kinds(&said));
    let words = said.iter().find(|said| said.kind() == "transcript.final");
    assert!(matches!(words, Some(Said::Event(words)) if words["text"] == "hello again"));
    peer.hang_up().await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_of_the_client_is_called_and_awaited() {
    struct Caller;
    impl ChatModel for Caller {
        fn generate(&self, request: Request) -> BoxStream<'static, Result<Delta, Error>> {
            let finished = Delta::Finished { input_tokens: 1, output_tokens: 1, stop: floe::agent::Stop::Finished };
            let answered = request.messages.iter().find_map(|message| match message {
                floe::agent::Message::ToolOutput { output, .. } => Some(Arc::clone(output)),
                _ => None,
            });
            let first = match answered {
                Some(output) => Delta::Text(format!("The lamp is {output}.").into()),
                None => Delta::ToolCall { name: "lamp".into(), arguments: "{\"on\":true}".into() },
            };
            stream::iter([Ok(first), Ok(finished)]).boxed()
        }
    }
    let mut engines = engines(&[], rhythm(50, 5, 4));
    engines.agent = Arc::new(Caller);
    let mut hello = crate::support::duplex::hello();
    hello["tools"] =
        json!([{ "name": "lamp", "description": "Switches the lamp.", "parameters": { "type": "object" } }]);
    let mut peer = Peer::begin(engines, Default::default(), hello, 64);
    peer.tell(json!({ "type": "text", "text": "lamp on", "reply": true })).await;
    let said = peer.until("tool.call").await;
    let Some(Said::Event(call)) = said.last() else { panic!() };
    assert_eq!(call["name"], "lamp");
    assert_eq!(call["arguments"], json!("{\"on\":true}"));
    peer.tell(json!({ "type": "tool.result", "call": call["call"], "output": "on" })).await;
    let said = peer.until("reply.done").await;
    assert!(matches!(said.last(), Some(Said::Event(done)) if done["text"] == "The lamp is on."), "{:?}", said.last());
    peer.hang_up().await;
}
