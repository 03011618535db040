//! Every client message: the fixture is read as what it says, written as it stands, and means the right facts.

use std::{sync::Arc, time::Duration};

use floe::{
    conversation::{Input, PlaybackState, ResponseOptions, SettingsPatch, TurnMode},
    ids::{CallId, ResponseId},
    protocol::{
        Codec, Incoming, Message,
        native::wire::{ClientMessage, client::TYPES},
    },
};
use serde_json::Value;

use super::{PLAIN_HELLO, codec, golden};

/// What a fixture means to a codec that has just said `ready`.
fn meaning(name: &str) -> Vec<Incoming> {
    decode(&golden(name).to_string())
}

fn decode(text: &str) -> Vec<Incoming> {
    codec(PLAIN_HELLO).decode(Message::Text(text.to_owned())).expect("the connection goes on")
}

fn fact(input: Input) -> Vec<Incoming> {
    vec![Incoming::Input(input)]
}

fn refusal(text: &str) -> (&'static str, Option<String>) {
    match decode(text).as_slice() {
        [Incoming::Refused(error)] => {
            assert_eq!(error.close, None);
            (error.code, error.about.clone())
        }
        other => panic!("{other:?}"),
    }
}

/// The same value without members that are null: those mean the same as absent ones.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect())
        }
        other => other,
    }
}

#[test]
fn every_type_has_a_fixture_that_is_read_and_written_alike() {
    for kind in TYPES {
        let fixture = golden(&format!("client.{kind}"));
        assert_eq!(fixture["type"], kind);
        let message = ClientMessage::parse(&fixture.to_string()).expect(kind);
        let written = serde_json::to_value(&message).expect(kind);
        assert_eq!(without_nulls(written), without_nulls(fixture), "{kind}");
    }
}

#[test]
fn unknown_fields_are_ignored() {
    for kind in TYPES {
        let mut message = golden(&format!("client.{kind}"));
        let plain = ClientMessage::parse(&message.to_string());
        message["of_a_later_version"] = serde_json::json!({"a": [1, 2, null]});
        assert_eq!(ClientMessage::parse(&message.to_string()), plain, "{kind}");
    }
}

#[test]
fn an_update_changes_settings() {
    let ms = Duration::from_millis;
    let patch = SettingsPatch {
        turn_mode: Some(TurnMode::Manual),
        reply_automatically: Some(true),
        barge_in: Some(false),
        speech_threshold: Some(0.5),
        silence: Some(ms(400)),
        preroll: Some(ms(250)),
        min_speech: Some(ms(80)),
        min_interruption: Some(ms(160)),
        instructions: Some(Arc::from("Speak slowly.")),
        voice: Some(Arc::from("en-us")),
        language: Some(Arc::from("en")),
        client_tools: Some(Vec::new()),
        speak: Some(false),
        ..SettingsPatch::default()
    };
    assert_eq!(meaning("client.update"), fact(Input::SettingsChanged(Box::new(patch))));
    let empty = Input::SettingsChanged(Box::default());
    assert_eq!(decode(r#"{"type":"update"}"#), fact(empty));
}

#[test]
fn tools_are_checked() {
    let update = |tools: &str| format!(r#"{{"type":"update","tools":{tools}}}"#);
    for bad in [
        r#"[{"name":""}]"#,
        r#"[{"name":"has a blank"}]"#,
        r#"[{"name":"a","parameters":"none"}]"#,
        r#"[{"name":"a"},{"name":"a"}]"#,
        &format!(r#"[{{"name":"{}"}}]"#, "x".repeat(65)),
        &format!("[{}]", (0..65).map(|i| format!(r#"{{"name":"t{i}"}}"#)).collect::<Vec<_>>().join(",")),
    ] {
        assert_eq!(refusal(&update(bad)), ("bad_tool", Some("update".to_owned())), "{bad}");
    }
}

#[test]
fn input_messages_are_facts() {
    assert_eq!(meaning("client.input.commit"), fact(Input::AudioCommitted));
    assert_eq!(meaning("client.input.clear"), fact(Input::AudioCleared));
    assert_eq!(meaning("client.input.mute"), fact(Input::Muted(true)));
}

#[test]
fn text_is_entered_and_asks_for_a_reply_unless_told_otherwise() {
    let entered = |text: &str, system| Incoming::Input(Input::TextEntered { text: Arc::from(text), system });
    let wanted = Incoming::Input(Input::ResponseRequested(Box::default()));
    assert_eq!(meaning("client.text"), [entered("What time is it?", false), wanted.clone()]);
    assert_eq!(decode(r#"{"type":"text","text":"x"}"#), [entered("x", false), wanted]);
    assert_eq!(decode(r#"{"type":"text","text":"x","reply":false,"system":true}"#), [entered("x", true)]);
    assert_eq!(refusal(r#"{"type":"text","text":" \n"}"#), ("empty_text", Some("text".to_owned())));
}

#[test]
fn replies_are_created_and_cancelled() {
    let patch = SettingsPatch { instructions: Some(Arc::from("In one word.")), ..SettingsPatch::default() };
    let options = Box::new(ResponseOptions { patch, ..ResponseOptions::default() });
    assert_eq!(meaning("client.reply.create"), fact(Input::ResponseRequested(options)));
    let say = Box::new(ResponseOptions { say: Some(Arc::from("Hello.")), ..ResponseOptions::default() });
    assert_eq!(decode(r#"{"type":"reply.create","text":"Hello."}"#), fact(Input::ResponseRequested(say)));
    assert_eq!(meaning("client.reply.cancel"), fact(Input::ResponseCancelled(Some(ResponseId(7)))));
    assert_eq!(decode(r#"{"type":"reply.cancel"}"#), fact(Input::ResponseCancelled(None)));
}

#[test]
fn playback_is_reported() {
    let report =
        |state| Input::PlaybackProgress { response: ResponseId(7), played: Duration::from_millis(1840), state };
    assert_eq!(meaning("client.playback"), fact(report(PlaybackState::Playing)));
    for (word, state) in
        [("paused", PlaybackState::Paused), ("drained", PlaybackState::Drained), ("flushed", PlaybackState::Flushed)]
    {
        let text = format!(r#"{{"type":"playback","reply":7,"played_ms":1840,"state":"{word}"}}"#);
        assert_eq!(decode(&text), fact(report(state)));
    }
    assert_eq!(refusal(r#"{"type":"playback","reply":7,"played_ms":-1,"state":"playing"}"#).0, "malformed");
}

#[test]
fn tools_answer() {
    let answer = |output: &str, failed| Input::ToolFinished { call: CallId(3), output: Arc::from(output), failed };
    assert_eq!(meaning("client.tool.result"), fact(answer(r#"{"on":true}"#, false)));
    assert_eq!(decode(r#"{"type":"tool.result","call":"call_3","output":"on"}"#), fact(answer("on", false)));
    assert_eq!(decode(r#"{"type":"tool.result","call":"call_3","error":"no bulb"}"#), fact(answer("no bulb", true)));
    assert_eq!(refusal(r#"{"type":"tool.result","call":"3","output":1}"#).0, "unknown_call");
    assert_eq!(refusal(r#"{"type":"tool.result","call":"call_3"}"#).0, "no_output");
}

#[test]
fn a_ping_is_answered_with_what_it_brought_and_our_time() {
    let answer = meaning("client.ping");
    let [Incoming::Answer(Message::Text(pong))] = answer.as_slice() else { panic!("{answer:?}") };
    assert_eq!(serde_json::from_str::<Value>(pong).expect("JSON"), golden("server.pong"));
}

#[test]
fn goodbye_is_a_fact() {
    assert_eq!(meaning("client.bye"), fact(Input::Goodbye { flush: true }));
    assert_eq!(decode(r#"{"type":"bye"}"#), fact(Input::Goodbye { flush: false }));
}

#[test]
fn wrong_messages_are_refused_by_name_and_harm_nothing() {
    let about = |word: &str| Some(word.to_owned());
    assert_eq!(refusal(r#"{"type":"dance"}"#), ("unknown_type", about("dance")));
    assert_eq!(refusal(r#"{"type":"dance","id":"m-17"}"#), ("unknown_type", about("m-17")));
    assert_eq!(refusal(r#"{"type":"input.mute","muted":"yes","id":9}"#), ("malformed", about("9")));
    assert_eq!(refusal(r#"{"type":"hello"}"#), ("unexpected_hello", about("hello")));
    for text in ["", "null", "[]", "{", r#"{"type":7}"#, r#"{"kind":"text"}"#, "\u{feff}{}"] {
        assert_eq!(refusal(text), ("not_a_message", None), "{text}");
    }
}

#[test]
fn messages_that_are_too_big_close() {
    let close = |text: String| codec(PLAIN_HELLO).decode(Message::Text(text)).err().and_then(|error| error.close);
    let blanks = |n: usize| " ".repeat(n);
    assert_eq!(close(format!(r#"{{"type":"input.commit"}}{}"#, blanks(70_000))), Some(1009));
    assert_eq!(close(format!(r#"{{"type":"update"}}{}"#, blanks(200_000))), None);
    assert_eq!(close(format!(r#"{{"type":"update"}}{}"#, blanks(263_000))), Some(1009));
    assert_eq!(close(blanks(70_000)), Some(1009));
}

#[test]
fn too_many_messages_close() {
    let mut codec = codec(PLAIN_HELLO);
    let ping = || Message::Text(r#"{"type":"ping"}"#.to_owned());
    for _ in 0..120 {
        codec.decode(ping()).expect("a burst is fine");
    }
    assert_eq!(codec.decode(ping()).err().and_then(|error| error.close), Some(4429));
}
