//! Rows 105 to 107: the beta dialect.

use floe::protocol::openai::{Dialect, Kind, Opening};
use serde_json::{Value, json};

use super::stage::{Stage, connect, opening};

fn beta() -> Stage {
    Stage::new(Opening { dialect: Dialect::Beta, ..opening() })
}

#[test]
fn row_105_a_flat_session() {
    let mut stage = beta();
    let session = stage.expect("session.created")["session"].clone();
    assert_eq!(session["modalities"], json!(["audio", "text"]));
    assert_eq!((&session["input_audio_format"], &session["output_audio_format"]), (&json!("pcm16"), &json!("pcm16")));
    assert!(session.get("audio").is_none() && session["voice"].is_string());
    stage.expect("conversation.created");
    stage.send(json!({"type": "session.update", "session": {"modalities": ["text"], "voice": "echo",
        "input_audio_format": "g711_ulaw", "output_audio_format": "g711_alaw", "temperature": 0.7, "speed": 1.1,
        "input_audio_transcription": {"model": "whisper-1"}, "input_audio_noise_reduction": null,
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 300}, "max_response_output_tokens": 99}}));
    let session = stage.expect("session.updated")["session"].clone();
    assert_eq!((&session["modalities"], &session["voice"]), (&json!(["text"]), &json!("echo")));
    assert_eq!(session["input_audio_format"], "g711_ulaw");
    assert_eq!(session["output_audio_format"], "g711_alaw");
    assert_eq!((&session["max_response_output_tokens"], &session["speed"]), (&json!(99), &json!(1.1)));
    assert_eq!(session["turn_detection"]["silence_duration_ms"], 300);
    assert_eq!(session["input_audio_transcription"]["model"], "whisper-1");
}

#[test]
fn row_105_old_names_of_a_reply() {
    let mut stage = beta();
    stage.take();
    stage.say("hello");
    stage.answer("Hello.");
    let kinds = stage.peek();
    let expected = [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.audio_transcript.delta",
        "response.audio.delta",
        "response.audio.delta",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ];
    assert_eq!(kinds, expected);
    let done = stage.take().pop().unwrap()["response"].clone();
    assert_eq!(done["output"][0]["content"], json!([{"type": "audio", "transcript": "Hello."}]));
    assert_eq!((&done["modalities"], &done["output_audio_format"]), (&json!(["audio", "text"]), &json!("pcm16")));
    stage.send(json!({"type": "response.create", "response": {"modalities": ["text"]}}));
    stage.answer("Words.");
    let kinds = stage.peek();
    assert!(kinds.contains(&"response.text.delta".to_owned()) && kinds.contains(&"response.text.done".to_owned()));
    let id = stage.take().pop().unwrap()["response"]["output"][0]["id"].clone();
    stage.send(json!({"type": "conversation.item.retrieve", "item_id": id}));
    assert_eq!(stage.expect("conversation.item.retrieved")["item"]["content"][0]["type"], "text");
}

#[test]
fn row_105_a_transcription_session_of_old() {
    let mut stage = Stage::new(Opening { kind: Kind::Transcription, dialect: Dialect::Beta, ..opening() });
    let session = stage.expect("transcription_session.created")["session"].clone();
    assert_eq!(session["input_audio_format"], "pcm16");
    stage.send(json!({"type": "transcription_session.update", "session": {
        "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "fr"},
        "turn_detection": {"type": "server_vad", "prefix_padding_ms": 200}}}));
    let session = stage.expect("transcription_session.updated")["session"].clone();
    assert_eq!(session["input_audio_transcription"]["language"], "fr");
    stage.say("bonjour");
    let kinds = stage.peek();
    assert_eq!(kinds.last().map(String::as_str), Some("conversation.item.input_audio_transcription.completed"));
}

#[test]
fn row_106_clients_of_today_see_no_old_name() {
    // The validator of every test allows today's names only; here is a session that uses all that have two.
    let mut stage = connect();
    stage.update(json!({"modalities": ["text"]}));
    stage.say("hello");
    stage.answer("Hello.");
    stage.take();
    stage.update(json!({"modalities": ["audio", "text"]}));
    stage.say("hello");
    stage.answer("Hello.");
    let text: String = stage.all.iter().map(Value::to_string).collect();
    for old in ["response.audio.", "response.text.", "response.audio_transcript.", "item.created", "\"modalities\""] {
        assert!(!text.contains(old), "{old}");
    }
}

#[test]
fn row_107_old_fields_in_an_update_of_today() {
    let mut stage = connect();
    let session = stage.update(json!({"modalities": ["text"], "voice": "sage", "input_audio_format": "g711_alaw",
        "turn_detection": null, "input_audio_transcription": {"model": "whisper-1"},
        "max_response_output_tokens": "inf"}))["session"]
        .clone();
    assert_eq!(session["output_modalities"], json!(["text"]));
    assert_eq!(session["audio"]["output"]["voice"], "sage");
    assert_eq!(session["audio"]["input"]["format"], json!({"type": "audio/pcma"}));
    assert!(session["audio"]["input"]["turn_detection"].is_null());
    assert_eq!(session["audio"]["input"]["transcription"]["model"], "whisper-1");
}
