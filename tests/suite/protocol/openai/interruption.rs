//! Rows 84 to 93: interruptions.

use floe::protocol::openai::Opening;
use serde_json::{Value, json};

use super::stage::{Stage, connect, connect_with, opening};

/// A reply of three segments, of which the first was spoken.
fn speaking() -> Stage {
    let mut stage = connect();
    stage.voice = false;
    stage.say("tell me a story");
    stage.agent("Once upon a time there was a king. He had a horse. The horse was ");
    stage.speak_segment();
    stage
}

/// A reply that is over; and its item's id.
fn spoken(words: &str) -> (Stage, Value) {
    let mut stage = connect();
    stage.say("tell me a story");
    stage.answer(words);
    let item = stage.find("response.done")["response"]["output"][0]["id"].clone();
    (stage, item)
}

fn truncate(item: &Value, ms: i64) -> Value {
    json!({"type": "conversation.item.truncate", "event_id": "t", "item_id": item, "content_index": 0,
        "audio_end_ms": ms})
}

#[test]
fn row_084_speech_over_a_reply() {
    let mut stage = speaking();
    stage.take();
    stage.audio(600, true);
    let events = stage.expect_all(&[
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]);
    let done = &events[6]["response"];
    assert_eq!(done["status_details"], json!({"type": "cancelled", "reason": "turn_detected"}));
    assert_eq!(done["output"][0]["status"], "incomplete");
    while !stage.segments.is_empty() {
        stage.speak_segment();
    }
    stage.agent("late words");
    stage.expect_nothing();
}

#[test]
fn row_086_speech_after_a_reply_that_is_still_playing() {
    let (mut stage, item) = spoken("It was a dark and stormy night, and nobody was out.");
    stage.audio(600, true);
    stage.expect("input_audio_buffer.speech_started");
    stage.expect_nothing();
    stage.send(truncate(&item, 300));
    let truncated = stage.expect("conversation.item.truncated");
    assert_eq!((&truncated["item_id"], &truncated["audio_end_ms"]), (&item, &json!(300)));
    assert_eq!(truncated["content_index"], 0);
}

#[test]
fn row_087_heard_words_stay_and_the_others_go() {
    let (mut stage, item) = spoken("It was a dark night. And nobody was out. So the dog slept.");
    stage.send(truncate(&item, 300));
    stage.take();
    stage.send(json!({"type": "conversation.item.retrieve", "item_id": item}));
    let kept = stage.expect("conversation.item.retrieved")["item"].clone();
    assert_eq!(kept["status"], "incomplete");
    let heard = kept["content"][0]["transcript"].as_str().unwrap().to_owned();
    assert!(!heard.is_empty() && "It was a dark night. And nobody".starts_with(&heard), "{heard}");
    stage.say("go on");
    let history = format!("{:?}", stage.request().1.history);
    assert!(history.contains(&heard) && !history.contains("slept"), "{history}");
}

#[test]
fn row_088_beyond_the_end() {
    let (mut stage, item) = spoken("Short.");
    stage.send(truncate(&item, 60_000));
    assert_eq!(stage.expect("conversation.item.truncated")["audio_end_ms"], 120, "two chunks of 60 ms");
    stage.send(truncate(&item, -5));
    assert_eq!(stage.expect("conversation.item.truncated")["audio_end_ms"], 0);

    let mut strict = Stage::new(Opening { strict: true, ..opening() });
    strict.say("hello");
    strict.answer("Short.");
    let item = strict.find("response.done")["response"]["output"][0]["id"].clone();
    strict.send(truncate(&item, 60_000));
    let error = strict.expect_error("invalid_value", Some("t"));
    assert_eq!(error["param"], "audio_end_ms");
    assert!(error["message"].as_str().unwrap().contains("already shorter than"), "{error}");
    strict.send(truncate(&item, 60));
    strict.expect("conversation.item.truncated");
}

#[test]
fn row_088_before_any_audio() {
    let mut stage = connect();
    stage.voice = false;
    stage.say("hello");
    stage.agent("Hello there, my friend.");
    let item = stage.find("conversation.item.added")["item"]["id"].clone();
    let item = if stage.peek().contains(&"response.created".to_owned()) {
        stage.find("response.output_item.added")["item"]["id"].clone()
    } else {
        item
    };
    stage.take();
    stage.send(truncate(&item, 500));
    let events = stage.take();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["audio_end_ms"]),
        (&json!("conversation.item.truncated"), &json!(0)),
        "{events:?}"
    );
}

#[test]
fn row_089_only_speech_of_the_assistant() {
    let mut stage = connect_with(json!({"output_modalities": ["text"]}));
    stage.say("hello");
    let user = stage.find("conversation.item.added")["item"]["id"].clone();
    stage.answer("Only words.");
    let words = stage.find("response.done")["response"]["output"][0]["id"].clone();
    for item in [user, words] {
        stage.send(truncate(&item, 0));
        let error = stage.expect_error("item_truncate_invalid_item", Some("t"));
        assert!(error["message"].as_str().unwrap().contains("Only model output audio messages can be truncated"));
    }
    stage.send(truncate(&json!("nobody"), 0));
    stage.expect_error("item_truncate_invalid_item_id", Some("t"));
}

#[test]
fn row_090_cancel() {
    let mut stage = speaking();
    let name = stage.find("response.created")["response"]["id"].clone();
    stage.send(json!({"type": "response.cancel", "event_id": "x", "response_id": "resp_nobody"}));
    stage.find("error");
    stage.send(json!({"type": "response.cancel", "response_id": name}));
    let done = stage.find("response.done")["response"].clone();
    assert_eq!(done["status_details"], json!({"type": "cancelled", "reason": "client_cancelled"}));
    stage.send(json!({"type": "response.cancel", "event_id": "y"}));
    let error = stage.expect_error("response_cancel_not_active", Some("y"));
    assert!(error["message"].as_str().unwrap().starts_with("Cancellation failed"));
    stage.say("go on");
    stage.send(json!({"type": "response.cancel"}));
    assert_eq!(stage.find("response.done")["response"]["status"], "cancelled");
}

#[test]
fn row_091_cancel_as_it_ends() {
    let (mut stage, _) = spoken("Done.");
    stage.send(json!({"type": "response.cancel", "event_id": "late"}));
    stage.expect_error("response_cancel_not_active", Some("late"));
    stage.expect_nothing();
}

#[test]
fn row_092_a_polite_user() {
    let turn = json!({"type": "server_vad", "interrupt_response": false});
    let mut stage = connect_with(json!({"audio": {"input": {"turn_detection": turn,
        "transcription": {"model": "whisper-1"}}}}));
    stage.voice = false;
    stage.say("tell me a story");
    stage.agent("Once upon a time there was a king. He had ");
    stage.speak_segment();
    stage.take();
    stage.speak(800);
    stage.transcript("i know that one");
    let kinds = stage.peek();
    assert!(kinds.contains(&"conversation.item.input_audio_transcription.completed".to_owned()), "{kinds:?}");
    assert!(!kinds.iter().any(|kind| kind == "response.done"), "{kinds:?}");
    stage.answer("a horse.");
    while !stage.segments.is_empty() {
        stage.speak_segment();
    }
    assert_eq!(stage.find("response.done")["response"]["status"], "completed");
}

#[test]
fn row_093_delete_instead_of_truncate() {
    let mut stage = speaking();
    let item = stage.find("response.output_item.added")["item"]["id"].clone();
    stage.take();
    stage.audio(600, true);
    stage.find("response.done");
    stage.send(json!({"type": "conversation.item.delete", "item_id": item}));
    assert_eq!(stage.expect("conversation.item.deleted")["item_id"], item);
    stage.audio(1_000, false);
    stage.transcript("never mind");
    let history = format!("{:?}", stage.request().1.history);
    assert!(!history.contains("Once upon"), "{history}");
}

#[test]
fn row_093_delete_while_it_is_spoken() {
    let mut stage = speaking();
    let item = stage.find("response.output_item.added")["item"]["id"].clone();
    stage.take();
    stage.send(json!({"type": "conversation.item.delete", "item_id": item}));
    let kinds: Vec<Value> = stage.take().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds.last(), Some(&json!("conversation.item.deleted")), "{kinds:?}");
    assert!(kinds.contains(&json!("response.done")));
}
