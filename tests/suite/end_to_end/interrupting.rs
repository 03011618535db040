//! Talking over the answer, with everything real, and with a language model upstream.

use std::time::Duration;

use floe::{caller, protocol::native::wire::ReplyStatus};

use super::support::{config, recording, server};
use crate::support::{
    fake_llm::{FakeLlm, Reply, Step, delta},
    fixture,
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn speech_over_the_answer_stops_it_and_is_understood() {
    let (server, _) = server().await;
    // Its answer, with the built-in agent, is long enough to be talked over.
    let clip = recording(&fixture("audio/00-en-us.wav")).await;
    let options =
        caller::Options { barge_in_after: Some(Duration::from_millis(1_500)), ..caller::Options::new(server.stream()) };
    let report = caller::call(&clip, &options).await.unwrap();
    let first = &report.replies[0];
    assert_eq!(first.status, Some(ReplyStatus::Interrupted));
    assert_eq!(first.stale_frames, 0, "audio of the reply came after the stop");
    assert!(report.barge_in.is_some());
    assert_eq!(report.turns.len(), 2, "{:?}", report.turns);
    let second = report.turns[1].text.as_deref().unwrap_or_default().to_lowercase();
    assert_eq!(second, "tell me about family", "the interruption is understood from its first word");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_closes_the_language_models_stream() {
    // It says enough to be heard, and then keeps the stream open for ever.
    let mut steps: Vec<Step> = ["One, two, three, four, five, six, seven, eight. ", "Nine, ten, eleven, twelve."]
        .map(|text| Step::Event(delta(serde_json::json!({ "content": text }))))
        .into();
    steps.push(Step::Stall);
    let upstream = FakeLlm::start([Reply::Stream(steps)]).await;
    let mut config = config();
    // `auto` takes the language model as soon as its address is known.
    config.agent.openai.remote = upstream.remote();
    let engines = floe::app::engines(&config).unwrap();
    let server = Server::start(config, engines).await;
    let clip = recording(&fixture("audio/00-en-us.wav")).await;
    let options =
        caller::Options { barge_in_after: Some(Duration::from_millis(300)), ..caller::Options::new(server.stream()) };
    let report = caller::call(&clip, &options).await.unwrap();
    assert_eq!(report.replies[0].status, Some(ReplyStatus::Interrupted));
    assert!(upstream.abandoned(1).await, "the upstream connection is still open");
}
