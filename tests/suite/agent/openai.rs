//! The engine `openai` against a server that speaks the protocol over a real socket.

use std::time::Duration;

use floe::agent::{
    ChatModel as _, Delta, ErrorKind, Message, Stop, ToolSpec,
    openai::{Config, OpenAi},
};
use futures_util::StreamExt as _;
use serde_json::json;

use super::{all, ask, request, text_of};
use crate::support::fake_llm::{FakeLlm, Reply, Step, delta, finish, usage, words};

fn engine(server: &FakeLlm) -> OpenAi {
    engine_with(server, |_| {})
}

fn engine_with(server: &FakeLlm, change: impl FnOnce(&mut Config)) -> OpenAi {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = Config { remote: server.remote(), retry_pause_ms: 20, model: "m-1".into(), ..Config::default() };
    change(&mut config);
    OpenAi::new(&config).unwrap()
}

async fn kind_of(server: &FakeLlm, change: impl FnOnce(&mut Config)) -> (String, ErrorKind, String) {
    let mut deltas = all(&engine_with(server, change), ask("do not repeat this")).await;
    let error = deltas.pop().unwrap().unwrap_err();
    assert!(deltas.iter().all(|delta| matches!(delta, Ok(Delta::Text(_)))), "{deltas:?}");
    (text_of(&deltas), error.kind, error.message)
}

fn refuse(status: u16, retry_after: Option<&'static str>, code: &str) -> Reply {
    let body = json!({"error": {"message": "you said: do not repeat this", "type": code, "param": null, "code": null}});
    Reply::Refuse { status, retry_after, body }
}

#[tokio::test]
async fn words_stream_and_usage_is_counted() {
    let server = FakeLlm::start([words("It is five o'clock.")]).await;
    let deltas = all(&engine(&server), ask("what time is it")).await;
    assert_eq!(text_of(&deltas), "It is five o'clock.");
    assert_eq!(deltas.len(), 5, "one delta for each event: {deltas:?}");
    assert_eq!(
        deltas[4].as_ref().unwrap(),
        &Delta::Finished { input_tokens: 12, output_tokens: 7, stop: Stop::Finished }
    );
    let asked = &server.asked()[0];
    assert_eq!(asked.authorization.as_deref(), Some("Bearer secret-key"));
    assert_eq!(asked.body["model"], "m-1");
    assert_eq!(asked.body["stream"], true);
    assert_eq!(asked.body["stream_options"]["include_usage"], true);
    assert_eq!(asked.body["max_tokens"], 1_024);
    assert_eq!(asked.body["messages"][1], json!({"role": "user", "content": "what time is it"}));
    assert!(asked.body.get("tools").is_none());
}

#[tokio::test]
async fn without_a_key_no_authorization_is_sent() {
    let server = FakeLlm::start([words("Hi.")]).await;
    let engine = engine_with(&server, |config| config.remote.api_key = String::new().into());
    assert_eq!(text_of(&all(&engine, ask("hello")).await), "Hi.");
    assert_eq!(server.asked()[0].authorization, None);
}

#[tokio::test]
async fn a_tool_call_split_over_events_comes_whole() {
    let piece = |piece| Step::Event(delta(json!({"tool_calls": [piece]})));
    let server = FakeLlm::start([Reply::Stream(vec![
        piece(json!({"index": 0, "id": "t1", "type": "function", "function": {"name": "time", "arguments": ""}})),
        piece(json!({"index": 0, "function": {"arguments": "{\"da"}})),
        piece(json!({"index": 0, "function": {"arguments": "ys\":1}"}})),
        // A second one from a server that gives no index.
        piece(json!({"id": "t2", "function": {"name": "recall", "arguments": "{}"}})),
        Step::Event(finish("tool_calls")),
        Step::Done,
    ])])
    .await;
    let tool =
        ToolSpec { name: "time".into(), description: "Tells it.".into(), parameters: r#"{"type":"object"}"#.into() };
    let deltas = all(&engine(&server), request(vec![Message::User("date".into())], vec![tool])).await;
    let deltas: Vec<Delta> = deltas.into_iter().map(Result::unwrap).collect();
    let call = |name: &str, arguments: &str| Delta::ToolCall { name: name.into(), arguments: arguments.into() };
    let end = Delta::Finished { input_tokens: 0, output_tokens: 0, stop: Stop::Finished };
    assert_eq!(deltas, [call("time", r#"{"days":1}"#), call("recall", "{}"), end]);
    let sent = &server.asked()[0].body["tools"][0];
    assert_eq!(sent["function"], json!({"name": "time", "description": "Tells it.", "parameters": {"type": "object"}}));
}

#[tokio::test]
async fn an_unknown_finish_reason_ends_a_reply() {
    let steps = vec![Step::Event(delta(json!({"content": "Done."}))), Step::Event(finish("eos")), Step::Done];
    let server = FakeLlm::start([Reply::Stream(steps)]).await;
    let deltas = all(&engine(&server), ask("hello")).await;
    assert_eq!(text_of(&deltas), "Done.");
    assert_eq!(
        deltas.last().unwrap().as_ref().unwrap(),
        &Delta::Finished { input_tokens: 0, output_tokens: 0, stop: Stop::Finished }
    );
}

#[tokio::test]
async fn a_letter_split_over_two_writes_stays_whole() {
    let event = format!("data: {}\n\n", delta(json!({"content": "Grüße, 東京 👋"}))).into_bytes();
    let mut steps = Vec::new();
    for byte in event {
        steps.push(Step::Bytes(vec![byte]));
        if byte >= 0x80 {
            steps.push(Step::Pause(Duration::from_millis(1)));
        }
    }
    steps.extend([
        Step::Bytes(b": keep-alive\r\n\r\n".to_vec()),
        Step::Event(finish("stop")),
        Step::Event(usage(1, 2)),
        Step::Done,
    ]);
    let server = FakeLlm::start([Reply::Stream(steps)]).await;
    let deltas = all(&engine(&server), ask("hello")).await;
    assert_eq!(text_of(&deltas), "Grüße, 東京 👋");
    assert!(matches!(deltas.last(), Some(Ok(Delta::Finished { input_tokens: 1, output_tokens: 2, .. }))));
}

#[tokio::test]
async fn refusals_have_their_kinds_and_quote_nothing() {
    for (status, code, kind) in [
        (401, "invalid_api_key", ErrorKind::Rejected),
        (404, "model_not_found", ErrorKind::Rejected),
        (429, "rate_limit_exceeded", ErrorKind::Busy),
        (429, "insufficient_quota", ErrorKind::Rejected),
        (500, "server_error", ErrorKind::Unavailable),
        (500, "you said: do not repeat this", ErrorKind::Unavailable),
    ] {
        let server = FakeLlm::start([refuse(status, None, code)]).await;
        let (text, got, message) = kind_of(&server, |_| {}).await;
        assert_eq!((text.as_str(), got), ("", kind), "{status} {code}");
        assert!(message.contains(&status.to_string()), "{message}");
        assert!(!message.contains("repeat") && !message.contains("secret"), "{message}");
        let tries = if kind.is_retryable() { 2 } else { 1 };
        assert_eq!(server.asked().len(), tries, "{status} {code}");
    }
}

#[tokio::test]
async fn a_passing_refusal_is_tried_again_unless_the_server_wants_a_long_pause() {
    let server = FakeLlm::start([refuse(503, Some("0"), "overloaded"), words("Here.")]).await;
    assert_eq!(text_of(&all(&engine(&server), ask("hello")).await), "Here.");
    let server = FakeLlm::start([refuse(503, Some("30"), "overloaded"), words("Here.")]).await;
    assert_eq!(kind_of(&server, |_| {}).await.1, ErrorKind::Unavailable);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn silence_before_and_within_a_reply_is_an_error() {
    let short = |config: &mut Config| config.remote.read_timeout_ms = 300;
    let server = FakeLlm::start([Reply::Stream(vec![Step::Stall])]).await;
    let (text, kind, _) = kind_of(&server, short).await;
    assert_eq!((text.as_str(), kind), ("", ErrorKind::Unavailable));
    let server =
        FakeLlm::start([Reply::Stream(vec![Step::Event(delta(json!({"content": "Well"}))), Step::Stall])]).await;
    let (text, kind, _) = kind_of(&server, short).await;
    assert_eq!((text.as_str(), kind), ("Well", ErrorKind::Unavailable));
    assert!(server.abandoned(1).await, "the connection stayed open after the error");
}

#[tokio::test]
async fn breaking_off_is_an_error_after_the_words() {
    let word = Step::Event(delta(json!({"content": "Half"})));
    // Cut by the network, ended without a finish reason, ended by an error event.
    for end in [
        vec![Step::Pause(Duration::from_millis(50)), Step::BreakOff],
        vec![Step::Done],
        vec![Step::Event(json!({"error": {"message": "out of memory"}})), Step::Done],
    ] {
        let steps = std::iter::once(word.clone()).chain(end).collect();
        let server = FakeLlm::start([Reply::Stream(steps)]).await;
        let (text, kind, _) = kind_of(&server, |_| {}).await;
        assert_eq!((text.as_str(), kind), ("Half", ErrorKind::Unavailable));
    }
}

#[tokio::test]
async fn no_server_is_unavailable() {
    let server = FakeLlm::start([words("")]).await;
    let engine = engine(&server);
    drop(server);
    let error = all(&engine, ask("hello")).await.pop().unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(!error.message.contains("127.0.0.1"), "{}", error.message);
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    // In the middle of the words, and before the first.
    for steps in [vec![Step::Event(delta(json!({"content": "Once "}))), Step::Stall], vec![Step::Stall]] {
        let waits_for_word = steps.len() > 1;
        let server = FakeLlm::start([Reply::Stream(steps)]).await;
        let mut stream = engine(&server).generate(ask("tell me a story"));
        if waits_for_word {
            assert_eq!(stream.next().await.unwrap().unwrap(), Delta::Text("Once ".into()));
        } else {
            // Long enough for the request to get there, or not: both must end well.
            let silent = tokio::time::timeout(Duration::from_millis(200), stream.next()).await;
            assert!(silent.is_err());
        }
        let has_arrived = !server.asked().is_empty();
        drop(stream);
        assert!(!has_arrived || server.abandoned(1).await, "the connection stayed open");
    }
}

#[tokio::test]
async fn an_endless_reply_is_cut_and_its_connection_closed() {
    let word = || Step::Event(delta(json!({"content": "again "})));
    let steps = std::iter::repeat_with(word).take(100).chain([Step::Stall]).collect();
    let server = FakeLlm::start([Reply::Stream(steps)]).await;
    let deltas = all(&engine_with(&server, |config| config.reply_bytes_max = 60), ask("hello")).await;
    assert_eq!(text_of(&deltas), "again ".repeat(10));
    assert!(matches!(deltas.last(), Some(Ok(Delta::Finished { .. }))));
    assert!(server.abandoned(1).await);
}
