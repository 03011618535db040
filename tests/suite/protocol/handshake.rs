//! hello × offer: what is chosen, and how a client is sent away.

use bytes::Bytes;
use floe::{
    audio::{Codec, Format},
    conversation::TurnMode,
    protocol::{
        Message,
        native::{Framing, Offer, Pace, negotiate, refusal},
    },
};
use serde_json::{Value, json};

use super::golden;

fn close(hello: Value) -> (Option<u16>, &'static str) {
    let error = negotiate(&Message::Text(hello.to_string()), &Offer::default()).expect_err("refused");
    (error.close, error.code)
}

fn input(formats: Value) -> Option<Format> {
    let hello = json!({"type": "hello", "input": {"formats": formats}});
    negotiate(&Message::Text(hello.to_string()), &Offer::default()).ok().map(|chosen| chosen.input)
}

fn output(formats: Value) -> Option<Format> {
    let hello = json!({"type": "hello", "output": {"formats": formats}});
    negotiate(&Message::Text(hello.to_string()), &Offer::default()).ok().map(|chosen| chosen.output)
}

const fn format(codec: Codec, rate_hz: u32, frame_ms: u32) -> Option<Format> {
    Some(Format { codec, rate_hz, frame_ms })
}

#[test]
fn the_least_hello_gets_the_defaults() {
    let chosen = negotiate(&Message::Text(r#"{"type":"hello"}"#.to_owned()), &Offer::default()).expect("fine");
    assert_eq!(Some(chosen.input), format(Codec::PcmS16le, 16_000, 20));
    assert_eq!(Some(chosen.output), format(Codec::PcmS16le, 24_000, 20));
    assert_eq!((chosen.framing, chosen.pace), (Framing::V1, Pace::Realtime));
    assert!(!chosen.features.playback && !chosen.features.partials);
    assert_eq!(chosen.settings.partials, Some(false));
    assert_eq!((chosen.agent.as_str(), chosen.resume), ("default", None));
}

#[test]
fn the_full_hello_gets_what_it_asked_for() {
    let hello = golden("client.hello").to_string();
    let chosen = negotiate(&Message::Text(hello), &Offer::default()).expect("fine");
    assert_eq!(Some(chosen.input), format(Codec::Opus, 48_000, 20));
    assert_eq!(Some(chosen.output), format(Codec::Opus, 24_000, 20));
    assert!(chosen.features.playback && chosen.features.partials);
    assert_eq!(chosen.features.names(), ["playback", "partials", "resume"], "captions are not granted");
    assert_eq!(chosen.settings.turn_mode, Some(TurnMode::Auto));
    assert_eq!(chosen.settings.silence.map(|silence| silence.as_millis()), Some(600));
    assert_eq!(chosen.settings.voice.as_deref(), Some("en-gb"));
    let tools = chosen.settings.client_tools.expect("one tool");
    assert_eq!((tools.len(), &*tools[0].name), (1, "light_switch"));
    assert_eq!(chosen.client.name, "widget");
}

#[test]
fn the_first_format_that_can_be_had_is_taken() {
    let pcm = |rate: u32| json!({"codec": "pcm_s16le", "rate": rate});
    assert_eq!(
        input(json!([{"codec": "aac"}, pcm(12_345), pcm(44_100), pcm(8_000)])),
        format(Codec::PcmS16le, 44_100, 20)
    );
    for rate in [8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] {
        assert_eq!(input(json!([pcm(rate)])), format(Codec::PcmS16le, rate, 20));
        assert_eq!(output(json!([pcm(rate)])), format(Codec::PcmS16le, rate, 20));
    }
    assert_eq!(input(json!([{"codec": "pcmu"}])), format(Codec::Pcmu, 8_000, 20));
    assert_eq!(input(json!([{"codec": "pcma", "rate": 8000}])), format(Codec::Pcma, 8_000, 20));
    assert_eq!(input(json!([{"codec": "webm/opus", "frame_ms": 1000}])), format(Codec::WebmOpus, 0, 20));
    assert_eq!(input(json!([{"codec": "ogg/opus", "rate": 48000}])), format(Codec::OggOpus, 0, 20));
    assert_eq!(input(json!([{"codec": "opus", "frame_ms": 2.5}])), format(Codec::Opus, 48_000, 3));
    assert_eq!(output(json!([{"codec": "opus", "rate": 16000, "frame_ms": 60}])), format(Codec::Opus, 16_000, 60));
}

#[test]
fn formats_out_of_bounds_cannot_be_had() {
    for formats in [
        json!([]),
        json!([{"codec": "pcm_s16le"}]),
        json!([{"codec": "pcm_s16le", "rate": 16000, "frame_ms": 9}]),
        json!([{"codec": "pcm_s16le", "rate": 16000, "frame_ms": 201}]),
        json!([{"codec": "pcmu", "rate": 16000}]),
        json!([{"codec": "opus", "rate": 44100}]),
        json!([{"codec": "opus", "frame_ms": 30}]),
        json!([{"codec": "mp3"}]),
    ] {
        assert_eq!((input(formats.clone()), output(formats)), (None, None));
    }
    assert_eq!(output(json!([{"codec": "webm/opus"}, {"codec": "ogg/opus"}, {"codec": "wav"}])), None);
    assert_eq!(output(json!([{"codec": "opus", "frame_ms": 2.5}])), None);
}

#[test]
fn no_common_format_closes_with_the_list() {
    let hello = json!({"type": "hello", "output": {"formats": [{"codec": "mp3"}]}});
    let offer = Offer { output: vec![Codec::Pcmu, Codec::Opus], ..Offer::default() };
    let error = negotiate(&Message::Text(hello.to_string()), &offer).expect_err("refused");
    assert_eq!((error.close, error.code), (Some(4406), "no_common_output_format"));
    let Message::Text(text) = refusal(&error, &offer) else { panic!("text") };
    let message: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&message["n"], &message["fatal"], &message["ref"]), (&json!(1), &json!(true), &json!("hello")));
    assert_eq!(message["formats"][0], json!({"codec": "pcmu", "rate": 8000}));
    assert_eq!(message["formats"].as_array().map(Vec::len), Some(6));
}

#[test]
fn refusals_have_their_codes() {
    assert_eq!(close(json!({"type": "ping"})), (Some(4400), "hello_expected"));
    assert_eq!(close(json!({"type": "greet"})), (Some(4400), "hello_expected"));
    assert_eq!(close(json!({"type": "hello", "framing": 7})), (Some(4400), "bad_hello"));
    assert_eq!(close(json!({"type": "hello", "framing": "v2"})), (Some(4400), "unknown_framing"));
    assert_eq!(close(json!({"type": "hello", "input": {"formats": [], "pace": "warp"}})), (Some(4400), "unknown_pace"));
    assert_eq!(close(json!({"type": "hello", "tools": [{"name": "!"}]})), (Some(4400), "bad_tool"));
    assert_eq!(close(json!({"type": "hello", "agent": "jeeves"})), (Some(4404), "unknown_agent"));
    assert_eq!(close(json!({"type": "hello", "conversation": "cnv_1"})), (Some(4404), "unknown_conversation"));
    assert_eq!(close(json!({"type": "hello", "input": {"formats": []}})), (Some(4406), "no_common_input_format"));
    assert_eq!(close(json!({"type": "hello", "voice": "x".repeat(300_000)})), (Some(1009), "too_big"));
    let binary = negotiate(&Message::Binary(Bytes::from_static(&[1; 20])), &Offer::default()).expect_err("refused");
    assert_eq!((binary.close, binary.code), (Some(4400), "hello_expected"));
}

#[test]
fn what_policy_does_not_allow_is_not_applied() {
    let hello = json!({"type": "hello", "features": ["playback", "partials", "metrics"],
        "input": {"formats": [{"codec": "pcmu"}], "pace": "file"}});
    let offer = Offer {
        file_pace: false,
        features: floe::protocol::native::Features { playback: false, partials: true, resume: false },
        ..Offer::default()
    };
    let chosen = negotiate(&Message::Text(hello.to_string()), &offer).expect("fine");
    assert_eq!((chosen.pace, chosen.features.names()), (Pace::Realtime, vec!["partials".to_owned()]));
}

#[test]
fn whoever_comes_back_says_where_it_left_off() {
    let hello = json!({"type": "hello", "resume": {"token": "abc", "last_n": 12, "reply": 3, "played_ms": 900}});
    let chosen = negotiate(&Message::Text(hello.to_string()), &Offer::default()).expect("fine");
    let resume = chosen.resume.expect("asked for");
    assert_eq!((resume.token.as_str(), resume.last_n, resume.reply, resume.played_ms), ("abc", 12, Some(3), Some(900)));
    assert!(!chosen.features.resume, "coming back is one thing, waiting for the next loss another");
    let raw = json!({"type": "hello", "features": ["resume"], "framing": "raw"});
    let chosen = negotiate(&Message::Text(raw.to_string()), &Offer::default()).expect("fine");
    assert!(!chosen.features.resume, "without headers nobody knows what was missed");
}

#[test]
fn close_reasons_fit_into_a_close_frame() {
    let reason = floe::protocol::native::close::reason(&"ä".repeat(100)).len();
    assert_eq!(reason, 122, "cut at a character, at most 123 bytes");
}
