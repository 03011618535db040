//! Every event becomes the message of its fixture, and callers read it back.

use std::{sync::Arc, time::Duration};

use floe::{
    audio::AudioPos,
    conversation::{CloseReason, Event, Settings, Status, StopReason, Timings, ToolPlace, ToolSpec, TurnMode, Usage},
    ids::{CallId, ItemId, ResponseId, SessionId},
    protocol::{
        Codec, Incoming, Message,
        native::{
            NativeCodec, Offer, Welcome, negotiate,
            wire::{Numbered, ServerMessage, server::TYPES},
        },
    },
};
use serde_json::Value;

use super::{PLAIN_HELLO, codec, golden};

fn encoded(events: &[Event]) -> Vec<Value> {
    let mut codec = codec(PLAIN_HELLO);
    let mut out = Vec::new();
    for event in events {
        codec.encode(event, &mut out);
    }
    out.into_iter().map(json).collect()
}

fn json(message: Message) -> Value {
    match message {
        Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
        Message::Binary(bytes) => panic!("binary: {bytes:?}"),
    }
}

const TURN: ItemId = ItemId(3);
const REPLY: ResponseId = ResponseId(7);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const REPLIED: ItemId = ItemId(4);

fn started() -> Event {
    Event::ResponseStarted { response: REPLY, turn: Some(TURN), tag: 0, settings: Arc::default(), aside: false }
}

fn done(status: Status, usage: Usage) -> Event {
    let timings = Timings {
        endpoint: Some(ms(510)),
        transcript: Some(ms(640)),
        first_text: Some(ms(820)),
        first_audio: Some(ms(905)),
        first_sent: Some(ms(911)),
    };
    Event::ResponseDone { response: REPLY, status, text: Arc::from("It is"), usage, timings }
}

#[test]
fn every_type_has_a_fixture_that_callers_read_and_write_alike() {
    for kind in TYPES {
        let fixture = golden(&format!("server.{kind}"));
        let message = Numbered::parse(&fixture.to_string()).expect(kind).expect("a known type");
        assert_eq!(serde_json::to_value(&message).expect(kind), fixture, "{kind}");
    }
}

#[test]
fn callers_ignore_types_and_fields_they_do_not_know() {
    assert_eq!(Numbered::parse(r#"{"type":"weather","n":9}"#).expect("readable"), None);
    let text = r#"{"type":"reply.done","n":9,"reply":1,"status":"evaporated","text":"","usage":{"input_tokens":0,
        "output_tokens":0,"dreams":4},"latency_ms":{},"mood":"fine"}"#;
    let Some(Numbered { n: Some(9), message: ServerMessage::ReplyDone(done) }) =
        Numbered::parse(text).expect("readable")
    else {
        panic!("reply.done");
    };
    assert_eq!(done.status, floe::protocol::native::wire::ReplyStatus::Unknown);
    assert!(Numbered::parse(r#"{"type":"reply.text"}"#).is_err(), "a known type with its fields missing");
    assert!(Numbered::parse("nonsense").is_err());
}

#[test]
fn ready_is_the_first_message_and_tells_what_was_applied() {
    let hello = golden("client.hello");
    let mut hello = hello;
    hello["resume"] = serde_json::json!({"token": "t", "last_n": 5});
    let offer = Offer::default();
    let negotiated = negotiate(&Message::Text(hello.to_string()), &offer).expect("a good hello");
    let settings = Settings {
        speech_threshold: 0.5,
        tools: Arc::from([tool("light_switch", ToolPlace::Client), tool("clock", ToolPlace::Server)]),
        ..Settings::default()
    };
    let (_, ready) =
        NativeCodec::accept(&negotiated, &offer, Welcome::new(SessionId::new()), &settings, Box::new(|| 0));
    let mut ready = json(ready);
    assert!(ready["session"].as_str().is_some_and(|id| id.starts_with("ses_") && id.len() == 36));
    ready["session"] = golden("server.ready")["session"].clone();
    ready["server"]["version"] = golden("server.ready")["server"]["version"].clone();
    assert_eq!(ready, golden("server.ready"));
}

fn tool(name: &str, place: ToolPlace) -> ToolSpec {
    ToolSpec { name: Arc::from(name), description: Arc::from(""), parameters: Arc::from("{}"), place }
}

#[test]
fn events_become_their_messages() {
    let settings = Settings {
        turn_mode: TurnMode::Manual,
        silence: ms(400),
        preroll: ms(250),
        min_speech: ms(80),
        min_interruption: ms(160),
        speech_threshold: 0.5,
        barge_in: false,
        voice: Arc::from("en-us"),
        speak: false,
        ..Settings::default()
    };
    let table = [
        ("updated", Event::SettingsUpdated(Arc::new(settings))),
        ("speech.started", Event::SpeechStarted { item: TURN, at: AudioPos::from_ms(1200) }),
        (
            "speech.stopped",
            Event::SpeechStopped { item: TURN, at: AudioPos::from_ms(2150), reason: StopReason::Silence },
        ),
        ("turn.committed", Event::TurnCommitted { item: TURN, durable: true }),
        (
            "transcript.partial",
            Event::TranscriptPartial {
                item: TURN,
                revision: 2,
                stable: Arc::from("what time"),
                unstable: Arc::from(" is"),
            },
        ),
        (
            "transcript.final",
            Event::TranscriptFinal {
                item: TURN,
                text: Arc::from("what time is it"),
                language: Arc::from("en"),
                confidence: 0.75,
                start: AudioPos::from_ms(1200),
                end: AudioPos::from_ms(2150),
            },
        ),
        ("warning", Event::TranscriptFailed { item: TURN, reason: "busy" }),
        ("reply.started", started()),
        ("reply.text", Event::ResponseText { response: REPLY, item: REPLIED, delta: Arc::from("It is ") }),
        (
            "reply.interrupted",
            Event::PlaybackFlushed { response: REPLY, heard: ms(900), heard_text: Arc::from("It is twelve") },
        ),
        ("reply.done", done(Status::Failed("unavailable"), Usage { input_tokens: 120, output_tokens: 9 })),
        (
            "tool.call",
            Event::ToolCallRequested {
                response: REPLY,
                item: REPLIED,
                call: CallId(3),
                name: Arc::from("light_switch"),
                arguments: Arc::from(r#"{"on":true}"#),
            },
        ),
        ("going_away", Event::GoingAway { within: ms(29_001) }),
        ("ended", Event::Ended(CloseReason::Goodbye)),
    ];
    for (kind, event) in table {
        assert_eq!(encoded(&[event]), [golden(&format!("server.{kind}"))], "{kind}");
    }
}

#[test]
fn a_wrong_message_is_answered_by_the_error_fixture() {
    let mut codec = codec(PLAIN_HELLO);
    let refused = codec.decode(Message::Text(r#"{"type":"dance"}"#.to_owned())).expect("harmless");
    let [Incoming::Refused(error)] = refused.as_slice() else { panic!("{refused:?}") };
    let mut out = Vec::new();
    codec.encode_error(error, &mut out);
    assert_eq!(out.into_iter().map(json).collect::<Vec<_>>(), [golden("server.error")]);
}

#[test]
fn messages_are_numbered_without_holes_whatever_stands_between() {
    let delta = || Event::ResponseText { response: REPLY, item: REPLIED, delta: Arc::from("a") };
    let mut codec = codec(r#"{"type":"hello"}"#);
    let mut out = Vec::new();
    codec.encode(&delta(), &mut out);
    // Not asked for: not sent, not counted.
    let nothing = Arc::from("");
    codec.encode(
        &Event::TranscriptPartial { item: TURN, revision: 1, stable: Arc::clone(&nothing), unstable: nothing },
        &mut out,
    );
    codec.decode(Message::Text(r#"{"type":"ping"}"#.to_owned())).expect("a pong has no number");
    codec.encode(&delta(), &mut out);
    let numbers: Vec<_> = out.into_iter().map(|message| json(message)["n"].clone()).collect();
    assert_eq!(numbers, [2, 3]);
}

#[test]
fn each_way_to_end_a_reply_has_its_word() {
    for (status, word, reason) in [
        (Status::Completed, "completed", Value::Null),
        (Status::Interrupted, "interrupted", Value::Null),
        (Status::Cancelled, "cancelled", Value::Null),
        (Status::Failed("busy"), "failed", Value::from("busy")),
    ] {
        let message = encoded(&[done(status, Usage::default())]).remove(0);
        assert_eq!((message["status"].as_str(), &message["reason"]), (Some(word), &reason));
    }
}

#[test]
fn ended_tells_what_all_replies_cost() {
    let usage = |input_tokens, output_tokens| Usage { input_tokens, output_tokens };
    let out = encoded(&[
        done(Status::Completed, usage(100, 10)),
        done(Status::Interrupted, usage(50, 5)),
        Event::Ended(CloseReason::Idle),
    ]);
    assert_eq!(out[2]["usage"], serde_json::json!({"input_tokens": 150, "output_tokens": 15}));
    assert_eq!(out[2]["reason"], "idle");
}
