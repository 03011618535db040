//! Rows 98, 99 and 119: what is merely wrong.

use floe::protocol::{Codec, Message, ProtocolError};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{super::any_json, stage::connect};

#[test]
fn row_098_errors_echo_the_clients_event_id() {
    let events = [
        json!({"type": "no.such.event"}),
        json!({"type": 7}),
        json!({}),
        json!({"type": "session.update"}),
        json!({"type": "session.update", "session": 3}),
        json!({"type": "conversation.item.create"}),
        json!({"type": "conversation.item.create", "item": {"type": "message", "role": 5}}),
        json!({"type": "conversation.item.truncate", "item_id": "x"}),
        json!({"type": "conversation.item.delete"}),
        json!({"type": "response.create", "response": 5}),
        json!({"type": "response.cancel"}),
        json!({"type": "input_audio_buffer.append"}),
        json!({"type": "input_audio_buffer.commit"}),
    ];
    let mut stage = connect();
    for mut event in events {
        event["event_id"] = json!("mine");
        stage.send(event.clone());
        assert_eq!(stage.expect("error")["error"]["event_id"], "mine", "{event}");
        event.as_object_mut().unwrap().remove("event_id");
        stage.send(event);
        assert_eq!(stage.expect("error")["error"]["event_id"], Value::Null);
        stage.expect_nothing();
    }
}

#[test]
fn row_098_codes() {
    let mut stage = connect();
    stage.send(json!({"type": "x".repeat(10_000), "event_id": "u"}));
    stage.expect_error("unknown_event_type", Some("u"));
    for text in ["", "{", "[]", "7", "null", "\"session.update\"", "{\"type\":\"session.update\",}"] {
        stage.send_text(text.to_owned());
        stage.expect_error("invalid_event", None);
    }
    stage.send(json!({"type": "conversation.item.create", "event_id": "e",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": 5}]}}));
    assert_eq!(stage.expect_error("invalid_event", Some("e"))["param"], "item.content[0].text");
}

#[test]
fn errors_of_the_ears_are_told_too() {
    let mut stage = connect();
    let mut out = Vec::new();
    stage.codec.encode_error(&ProtocolError::harmless("bad_audio", "It is noise."), &mut out);
    let [Message::Text(text)] = out.as_slice() else { panic!("{out:?}") };
    let event: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&event["type"], &event["error"]["code"]), (&json!("error"), &json!("bad_audio")));
    assert_eq!(event["error"]["event_id"], Value::Null);
}

#[test]
fn row_119_the_output_buffer_is_tolerated() {
    let mut stage = connect();
    stage.send(json!({"type": "output_audio_buffer.clear", "event_id": "o"}));
    stage.expect_nothing();
}

fn kind() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(floe::protocol::openai::wire::client::KINDS.as_slice())
}

/// Names of fields that mean something somewhere.
fn field() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "session",
        "audio",
        "item",
        "item_id",
        "previous_item_id",
        "content_index",
        "audio_end_ms",
        "response",
        "response_id",
        "event_id",
        "type",
    ])
}

proptest! {
    #[test]
    fn row_099_any_text_is_survived(text in ".{0,200}") {
        connect().send_text(text);
    }

    #[test]
    fn row_099_any_field_may_hold_anything(
        kind in kind(),
        fields in proptest::collection::vec((field(), any_json()), 0..4),
    ) {
        let mut event = json!({"type": kind});
        for (field, value) in fields {
            event[field] = value;
        }
        connect().send(event);
    }

    #[test]
    fn row_099_any_session_is_survived(
        at in proptest::sample::select(vec!["session", "audio", "input", "output", "turn_detection", "format", "tools"]),
        field in "[a-z_]{1,20}",
        value in any_json(),
    ) {
        let inner = json!({field: value});
        let session = match at {
            "session" => inner,
            "audio" => json!({"audio": inner}),
            "input" => json!({"audio": {"input": inner}}),
            "output" => json!({"audio": {"output": inner}}),
            "tools" => json!({"tools": [inner]}),
            at => json!({"audio": {"input": {at: inner}}}),
        };
        let mut stage = connect();
        stage.send(json!({"type": "session.update", "session": session}));
        prop_assert_eq!(stage.take().len(), 1);
    }
}

#[test]
fn row_099_depth_and_length() {
    let mut stage = connect();
    let deep = format!(r#"{{"type":"session.update","session":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    stage.send_text(deep);
    stage.expect("error");
    let long = "x".repeat(2 << 20);
    stage.send(json!({"type": "conversation.item.retrieve", "item_id": long}));
    assert!(stage.expect("error").to_string().len() < 2_000, "what a client sent is not all sent back");
}
