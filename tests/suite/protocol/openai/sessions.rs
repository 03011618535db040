//! Rows 15 to 29: the session.

use std::{sync::Arc, time::Duration};

use floe::{
    conversation::{ClientCalls, CloseReason, Delivery, Settings, TurnMode},
    ids::SessionId,
    protocol::{
        Codec, Message,
        openai::{Dialect, Kind, Opening, RealtimeCodec, SessionConfig, Voices, error_body},
    },
};
use serde_json::json;

use super::stage::{Stage, base, connect, connect_with, opening};

#[test]
fn row_015_session_created_is_first_and_full() {
    let mut stage = Stage::new(opening());
    let session = stage.expect("session.created")["session"].clone();
    assert!(session["id"].as_str().unwrap().starts_with("sess_"));
    assert_eq!((session["object"].as_str(), session["type"].as_str()), (Some("realtime.session"), Some("realtime")));
    assert_eq!(session["model"], "gpt-realtime");
    assert_eq!(session["instructions"], "You are a test.");
    assert_eq!(session["output_modalities"], json!(["audio"]));
    assert_eq!((&session["tools"], &session["tool_choice"]), (&json!([]), &json!("auto")));
    assert_eq!(session["max_output_tokens"], "inf");
    let pcm = json!({"type": "audio/pcm", "rate": 24_000});
    assert_eq!((&session["audio"]["input"]["format"], &session["audio"]["output"]["format"]), (&pcm, &pcm));
    let turn = json!({"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
        "create_response": true, "interrupt_response": true, "idle_timeout_ms": null});
    assert_eq!(session["audio"]["input"]["turn_detection"], turn);
    assert_eq!(session["audio"]["output"]["speed"], 1.0);
    stage.expect_nothing();
}

#[test]
fn row_016_an_update_before_anything_is_read() {
    let (mut codec, settings, _) = RealtimeCodec::accept(opening(), &base(), SessionId::new()).unwrap();
    assert_eq!((settings.delivery, settings.client_calls), (Delivery::AtOnce, ClientCalls::EndReply));
    assert!(settings.greeting.is_empty() && settings.apology.is_empty() && settings.tools.is_empty());
    let update = json!({"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}});
    let incoming = codec.decode(Message::Text(update.to_string())).unwrap();
    assert_eq!(incoming.len(), 1, "{incoming:?}");
}

#[test]
fn row_017_each_update_is_answered_once_and_in_full() {
    let mut stage = connect();
    for n in 0..3 {
        let updated = stage.update(json!({"type": "realtime", "instructions": format!("Number {n}.")}));
        assert_eq!(updated["session"]["instructions"], format!("Number {n}."));
        assert_eq!(updated["session"]["audio"]["input"]["turn_detection"]["type"], "server_vad");
        stage.expect_nothing();
    }
    assert_eq!(*stage.core.settings().instructions, *"Number 2.");
}

#[test]
fn row_018_what_is_absent_stays_and_what_is_nested_merges() {
    let mut stage = connect_with(json!({"audio": {"input": {
        "transcription": {"model": "whisper-1", "language": "de"},
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 700}}}}));
    let session =
        stage.update(json!({"audio": {"input": {"turn_detection": {"prefix_padding_ms": 100}}}}))["session"].clone();
    let input = &session["audio"]["input"];
    assert_eq!(input["turn_detection"]["silence_duration_ms"], 700);
    assert_eq!(input["turn_detection"]["prefix_padding_ms"], 100);
    assert_eq!(input["transcription"], json!({"model": "whisper-1", "language": "de"}));
    assert_eq!(session["instructions"], "You are a test.");
    let settings = stage.core.settings();
    assert_eq!((settings.silence.as_millis(), settings.preroll.as_millis()), (700, 100));
    assert_eq!(&*settings.language, "de");
}

#[test]
fn row_019_null_and_empty_clear() {
    let tool = json!({"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}});
    let mut stage = connect_with(json!({"tools": [tool], "tracing": "auto", "audio": {"input": {
        "transcription": {"model": "whisper-1"}, "noise_reduction": {"type": "near_field"}}}}));
    assert_eq!(stage.core.settings().tools.len(), 1);
    let session = stage.update(json!({"tools": [], "instructions": "", "tracing": null, "audio": {"input": {
        "transcription": null, "noise_reduction": null, "turn_detection": null}}}))["session"]
        .clone();
    let input = &session["audio"]["input"];
    assert!(
        input["transcription"].is_null() && input["noise_reduction"].is_null() && input["turn_detection"].is_null()
    );
    assert_eq!((&session["instructions"], &session["tools"]), (&json!(""), &json!([])));
    assert!(session["tracing"].is_null());
    let settings = stage.core.settings();
    assert!(settings.tools.is_empty() && settings.instructions.is_empty());
    assert_eq!(settings.turn_mode, TurnMode::Manual);
}

#[test]
fn row_020_tracing_alone() {
    let mut stage = connect();
    let tracing = json!({"workflow_name": "Agent workflow", "group_id": null, "metadata": {"a": "b"}});
    assert_eq!(stage.update(json!({"type": "realtime", "tracing": tracing}))["session"]["tracing"], tracing);
    stage.expect_nothing();
}

#[test]
fn row_021_unknown_names_are_accepted_and_mapped() {
    let aliases = [("alloy".to_owned(), "en-gb".to_owned())].into();
    let voices = Arc::new(Voices { aliases, any: false });
    let base = Settings { voice: Arc::from("en-us"), ..base() };
    let mut stage = Stage::with_base(Opening { model: "my-own".to_owned(), voices, ..opening() }, &base);
    let created = stage.expect("session.created");
    assert_eq!(
        (&created["session"]["model"], created["session"]["audio"]["output"]["voice"].as_str()),
        (&json!("my-own"), Some("en-us"))
    );
    for (asked, spoken) in [("alloy", "en-gb"), ("nobody", "en-us")] {
        let updated = stage.update(json!({"model": "another", "audio": {
            "input": {"transcription": {"model": "gpt-9-transcribe"}}, "output": {"voice": asked}}}));
        assert_eq!(updated["session"]["model"], "my-own", "the model never changes");
        assert_eq!(updated["session"]["audio"]["output"]["voice"], asked);
        assert_eq!(&*stage.core.settings().voice, spoken);
    }
    let custom = stage.update(json!({"audio": {"output": {"voice": {"id": "voice_1"}}}}));
    assert_eq!(custom["session"]["audio"]["output"]["voice"], "voice_1", "always a string");
    let passed = Arc::new(Voices { any: true, ..Voices::default() });
    let mut stage = Stage::with_base(Opening { voices: passed, ..opening() }, &base);
    stage.find("session.created");
    stage.update(json!({"voice": "shimmer"}));
    assert_eq!(&*stage.core.settings().voice, "shimmer");
}

#[test]
fn row_022_both_flags_are_always_told() {
    let mut stage = connect();
    for kind in ["semantic_vad", "server_vad"] {
        for flag in ["create_response", "interrupt_response"] {
            let turn = json!({"type": kind, flag: false});
            let updated = stage.update(json!({"audio": {"input": {"turn_detection": turn}}}));
            assert_eq!(updated["session"]["audio"]["input"]["turn_detection"][flag], false);
        }
        let settings = stage.core.settings();
        assert!(!settings.reply_automatically && !settings.barge_in);
    }
}

#[test]
fn row_023_the_voice_stays_once_it_has_spoken() {
    let mut stage = connect();
    stage.update(json!({"audio": {"output": {"voice": "alloy"}}}));
    stage.say("hello");
    stage.answer("Hello there.");
    stage.take();
    stage.send(json!({"type": "session.update", "event_id": "v1", "session": {"instructions": "No.",
        "audio": {"output": {"voice": "coral"}}}}));
    let error = stage.expect_error("cannot_update_voice", Some("v1"));
    assert_eq!(error["param"], "session.audio.output.voice");
    let updated = stage.update(json!({"audio": {"output": {"voice": "alloy"}}}));
    assert_eq!(updated["session"]["instructions"], "You are a test.", "nothing of it was applied");
}

#[test]
fn row_024_the_type_is_inferred_and_does_not_change() {
    let mut stage = connect();
    stage.update(json!({"instructions": "No type."}));
    for (kind, id) in [("transcription", "t1"), ("translation", "t2")] {
        stage.send(json!({"type": "session.update", "event_id": id, "session": {"type": kind}}));
        assert_eq!(stage.expect_error("invalid_value", Some(id))["param"], "session.type");
    }
}

#[test]
fn row_025_unknown_fields_are_ignored_and_not_told() {
    let mut stage = connect();
    let updated = stage.update(json!({"wishes": 3, "audio": {"input": {"echo": true, "transcription":
        {"model": "whisper-1", "delay": "low", "keywords": ["floe"]}}}}));
    assert!(!updated.to_string().contains("wishes") && !updated.to_string().contains("echo"));
    assert_eq!(updated["session"]["audio"]["input"]["transcription"], json!({"model": "whisper-1"}));
}

#[test]
fn row_026_a_wrong_value_is_named_and_nothing_changes() {
    let input = |field: &str, value| json!({"audio": {"input": {field: value}}});
    let turn = |field: &str, value: serde_json::Value| json!({"audio": {"input": {"turn_detection": {field: value}}}});
    let cases = [
        (turn("threshold", json!(1.5)), "session.audio.input.turn_detection.threshold"),
        (turn("threshold", json!("loud")), "session.audio.input.turn_detection.threshold"),
        (turn("silence_duration_ms", json!(-1)), "session.audio.input.turn_detection.silence_duration_ms"),
        (turn("idle_timeout_ms", json!(1)), "session.audio.input.turn_detection.idle_timeout_ms"),
        (turn("type", json!("telepathy")), "session.audio.input.turn_detection.type"),
        (
            json!({"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "wild"}}}}),
            "session.audio.input.turn_detection.eagerness",
        ),
        (input("format", json!({"type": "audio/mp3"})), "session.audio.input.format.type"),
        (input("format", json!({"type": "audio/pcm", "rate": 11_025})), "session.audio.input.format.rate"),
        (input("noise_reduction", json!({"type": "magic"})), "session.audio.input.noise_reduction.type"),
        (json!({"audio": {"output": {"speed": 9}}}), "session.audio.output.speed"),
        (json!({"output_modalities": ["video"]}), "session.output_modalities"),
        (json!({"tool_choice": "perhaps"}), "session.tool_choice"),
        (json!({"max_output_tokens": 0}), "session.max_output_tokens"),
        (json!({"tools": [{"type": "function", "name": "two words"}]}), "session.tools[0].name"),
        (json!({"prompt": {"id": "pmpt_1"}}), "session.prompt"),
        (json!({"input_audio_format": "mp3"}), "session.input_audio_format"),
        (json!({"instructions": 7}), "session.instructions"),
    ];
    let mut stage = connect();
    let before = stage.core.settings().clone();
    for (index, (mut session, param)) in cases.into_iter().enumerate() {
        session["speed"] = json!(1.25);
        let id = format!("c{index}");
        stage.send(json!({"type": "session.update", "event_id": id, "session": session}));
        let error = stage.expect("error")["error"].clone();
        assert_eq!((error["param"].as_str(), error["event_id"].as_str()), (Some(param), Some(id.as_str())), "{error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    assert_eq!(*stage.core.settings(), before);
    assert_eq!(stage.update(json!({}))["session"]["audio"]["output"]["speed"], 1.0);
}

#[test]
fn row_028_a_transcription_session_only_listens() {
    let mut stage = Stage::new(Opening { kind: Kind::Transcription, model: "whisper-1".to_owned(), ..opening() });
    let session = stage.expect("session.created")["session"].clone();
    assert_eq!(
        (session["type"].as_str(), session["object"].as_str()),
        (Some("transcription"), Some("realtime.transcription_session"))
    );
    stage.update(json!({"type": "transcription", "audio": {"input": {
        "transcription": {"model": "whisper-1", "language": "en"}, "turn_detection": {"type": "server_vad"}}}}));
    stage.say("just write this down");
    stage.expect_all(&[
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
    ]);
    let completed = stage.expect("conversation.item.input_audio_transcription.completed");
    assert_eq!(completed["transcript"], "just write this down");
    stage.advance(30_000);
    stage.expect_nothing();
    stage.send(json!({"type": "response.create", "event_id": "r"}));
    stage.expect_error("transcription_only", Some("r"));
}

#[test]
fn row_029_expiry_is_told_and_ends_the_session() {
    let base = Settings { session_max: Duration::from_secs(60), ..base() };
    let mut stage = Stage::with_base(opening(), &base);
    assert_eq!(stage.expect("session.created")["session"]["expires_at"], 1_800_000_000);
    stage.advance(60_000);
    stage.expect_error("session_expired", None);
    let (code, reason) = stage.closed.clone().expect("closed");
    assert_eq!(code, 1001);
    assert!(reason.contains("maximum duration"), "{reason}");
}

#[test]
fn row_102_a_restart_is_told_by_the_close_frame() {
    let mut stage = connect();
    stage.end(CloseReason::Restart);
    assert_eq!(stage.closed.clone().map(|(code, _)| code), Some(1012));
    let mut stage = connect();
    stage.end(CloseReason::Goodbye);
    assert_eq!(stage.closed.clone().map(|(code, _)| code), Some(1000));
    assert_eq!(stage.codec.farewell(CloseReason::Idle).0, 1001);
}

/// Row 9, its half without HTTP: what a client secret binds is in force from the first event.
#[test]
fn row_009_a_bound_session_is_in_force_from_the_start() {
    let bound = json!({"type": "realtime", "model": "gpt-realtime-mini", "instructions": "Be a pirate.",
        "audio": {"output": {"voice": "marin"}}});
    let parsed = SessionConfig::parse(Some(&bound), Kind::Realtime, "other", &base(), Arc::default()).unwrap();
    let echo = serde_json::to_value(parsed.echo("sess_1", Dialect::Ga, None)).unwrap();
    assert_eq!((&echo["model"], &echo["id"]), (&json!("gpt-realtime-mini"), &json!("sess_1")));
    let mut stage = Stage::new(Opening { session: Some(bound), ..opening() });
    let session = stage.expect("session.created")["session"].clone();
    assert_eq!(session["instructions"], "Be a pirate.");
    assert_eq!(session["audio"]["output"]["voice"], "marin");
    assert_eq!(&*stage.core.settings().instructions, "Be a pirate.");

    let wrong = json!({"audio": {"input": {"format": {"type": "audio/mp3"}}}});
    let error = SessionConfig::parse(Some(&wrong), Kind::Realtime, "m", &base(), Arc::default()).unwrap_err();
    let body = serde_json::to_value(error_body(error)).unwrap();
    assert_eq!(body["error"]["param"], "session.audio.input.format.type");
    assert_eq!(body["error"]["type"], "invalid_request_error");
    let refused = RealtimeCodec::accept(Opening { session: Some(wrong), ..opening() }, &base(), SessionId::new());
    assert!(refused.is_err_and(|error| error.close.is_some()));
}
