//! Rows 43 to 50 and 94 to 96: turns and their words.

use floe::conversation::Input;
use serde_json::{Value, json};

use super::stage::{connect, connect_with};

fn turn_detection(turn: Value) -> Value {
    json!({"audio": {"input": {"turn_detection": turn, "transcription": {"model": "whisper-1"}}}})
}

#[test]
fn row_043_one_id_from_speech_to_item() {
    let mut stage = connect();
    stage.speak(800);
    let events = stage.expect_all(&[
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    ]);
    let id = events[0]["item_id"].clone();
    assert!(events.iter().all(|event| event["item_id"] == id));
    assert_eq!(stage.expect("conversation.item.added")["item"]["id"], id);
    assert_eq!(stage.expect("conversation.item.done")["item"]["id"], id);
}

#[test]
fn row_044_offsets_count_all_audio_and_include_padding() {
    let mut stage = connect();
    stage.audio(2_000, false);
    stage.speak(1_000);
    let start = stage.expect("input_audio_buffer.speech_started")["audio_start_ms"].as_u64().unwrap();
    let end = stage.expect("input_audio_buffer.speech_stopped")["audio_end_ms"].as_u64().unwrap();
    assert!(start.abs_diff(2_000 - 300) <= 20, "{start}");
    assert!(end.abs_diff(3_000 + 500) <= 20, "{end}");
}

#[test]
fn row_045_the_fields_of_server_vad_take_effect() {
    let vad = |field: &str, value: Value| turn_detection(json!({"type": "server_vad", field: value}));
    let measure = |session| {
        let mut stage = connect_with(session);
        stage.audio(2_000, false);
        stage.audio(1_000, true);
        stage.audio(3_000, false);
        let start = stage.find("input_audio_buffer.speech_started")["audio_start_ms"].as_u64().unwrap();
        let end = stage.find("input_audio_buffer.speech_stopped")["audio_end_ms"].as_u64().unwrap();
        (start, end)
    };
    let (start, end) = measure(vad("prefix_padding_ms", json!(900)));
    assert!(start.abs_diff(1_100) <= 20 && end.abs_diff(3_500) <= 20, "{start} {end}");
    let (start, end) = measure(vad("silence_duration_ms", json!(1_500)));
    assert!(start.abs_diff(1_700) <= 20 && end.abs_diff(4_500) <= 20, "{start} {end}");

    for (threshold, heard) in [(0.1, true), (0.5, true), (0.99, false)] {
        let mut stage = connect_with(vad("threshold", json!(threshold)));
        for n in 1..=60 {
            stage.tell(Input::Frame { end: floe::audio::AudioPos(n * 256), speech: 0.7 });
        }
        assert_eq!(!stage.peek().is_empty(), heard, "{threshold}");
    }
}

#[test]
fn row_046_eagerness_is_patience() {
    let mut ends = Vec::new();
    for eagerness in ["high", "medium", "auto", "low"] {
        let mut stage = connect_with(turn_detection(json!({"type": "semantic_vad", "eagerness": eagerness})));
        stage.audio(1_000, true);
        stage.audio(9_000, false);
        let end = stage.find("input_audio_buffer.speech_stopped")["audio_end_ms"].as_u64().unwrap();
        ends.push(end - 1_000);
    }
    assert!(ends[0] < ends[1] && ends[1] == ends[2] && ends[2] < ends[3], "{ends:?}");
    assert!(ends[0] < 2_000 && ends[1] < 4_000 && ends[3] < 8_000, "OpenAI's bounds: {ends:?}");
}

#[test]
fn row_047_no_response_unless_wanted() {
    let mut stage = connect_with(turn_detection(json!({"type": "server_vad", "create_response": false})));
    stage.say("nobody answers");
    stage.find("conversation.item.input_audio_transcription.completed");
    stage.advance(20_000);
    stage.expect_nothing();
    stage.send(json!({"type": "response.create"}));
    stage.expect("response.created");
}

#[test]
fn row_048_manual_turns_have_no_vad_events() {
    let mut stage = connect_with(turn_detection(json!(null)));
    stage.audio(1_000, true);
    stage.audio(3_000, false);
    stage.audio(1_000, true);
    stage.send(json!({"type": "input_audio_buffer.commit"}));
    stage.expect("input_audio_buffer.committed");
    stage.transcript("one turn");
    assert!(!stage.all.iter().any(|event| event["type"].as_str().unwrap().contains("speech_")));
}

#[test]
fn row_049_silence_after_a_reply_times_out() {
    let turn = json!({"type": "server_vad", "idle_timeout_ms": 6_000});
    let mut stage = connect_with(turn_detection(turn));
    stage.say("hello");
    stage.answer("Hello there, how are you?");
    stage.find("response.done");
    stage.audio(12_000, false);
    let events = stage.expect_all(&[
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
    ]);
    let (start, end) = (events[0]["audio_start_ms"].as_u64().unwrap(), events[0]["audio_end_ms"].as_u64().unwrap());
    assert_eq!(end - start, 6_000);
    assert_eq!(events[0]["item_id"], events[2]["item"]["id"]);
    assert_eq!(events[4]["transcript"], "");
}

#[test]
fn row_050_a_commit_while_speaking_makes_one_item() {
    let mut stage = connect_with(turn_detection(json!({"type": "server_vad"})));
    stage.audio(800, true);
    stage.send(json!({"type": "input_audio_buffer.commit", "event_id": "now"}));
    stage.audio(2_000, false);
    let committed = stage.take().iter().filter(|event| event["type"] == "input_audio_buffer.committed").count();
    assert_eq!(committed, 1);
}

#[test]
fn switching_to_manual_ends_what_was_begun() {
    let mut stage = connect();
    stage.audio(800, true);
    stage.expect("input_audio_buffer.speech_started");
    stage.send(json!({"type": "session.update", "session": {"turn_detection": null}}));
    stage.expect("input_audio_buffer.speech_stopped");
    stage.expect("input_audio_buffer.committed");
    stage.find("session.updated");
    stage.send(json!({"type": "input_audio_buffer.commit", "event_id": "none"}));
    stage.expect_error("input_audio_buffer_commit_empty", Some("none"));
}

#[test]
fn row_094_words_only_when_wanted_and_once() {
    let mut stage = connect();
    stage.say("nobody wants to read this");
    assert!(stage.take().iter().all(|event| !event["type"].as_str().unwrap().contains("transcription")));

    let mut stage = connect_with(turn_detection(json!({"type": "server_vad", "create_response": false})));
    stage.say("first");
    stage.speak(800);
    stage.transcript("");
    stage.speak(800);
    let (utterance, _) = stage.finals.pop_front().unwrap();
    stage.tell(Input::RecognitionFailed { utterance, reason: "busy" });
    let kinds: Vec<String> = stage
        .take()
        .iter()
        .filter_map(|event| event["type"].as_str()?.strip_prefix("conversation.item.input_audio_transcription."))
        .map(str::to_owned)
        .collect();
    assert_eq!(kinds, ["delta", "completed", "completed", "failed"]);
}

#[test]
fn row_095_words_only_grow() {
    let mut stage = connect_with(turn_detection(json!({"type": "server_vad", "create_response": false})));
    stage.audio(1_000, true);
    stage.partial("what is", " the whether");
    stage.audio(1_000, false);
    stage.find("conversation.item.done");
    let delta = "conversation.item.input_audio_transcription.delta";
    assert_eq!(stage.expect(delta)["delta"], "what is");
    stage.partial("what is the weather", " in boss");
    assert_eq!(stage.expect(delta)["delta"], " the weather");
    stage.transcript("what is the weather in Boston");
    assert_eq!(stage.expect(delta)["delta"], " in Boston");
    let completed = stage.expect("conversation.item.input_audio_transcription.completed");
    assert_eq!(completed["transcript"], "what is the weather in Boston");

    // A final that differs from what was stable is believed, and nothing is taken back.
    stage.audio(1_000, true);
    stage.partial("two", "");
    stage.audio(1_000, false);
    assert_eq!(stage.find(delta)["delta"], "two");
    stage.transcript("to be");
    let completed = stage.expect("conversation.item.input_audio_transcription.completed");
    assert_eq!(completed["transcript"], "to be");
}

#[test]
fn row_096_usage_is_the_length_of_the_speech() {
    let mut stage = connect_with(turn_detection(json!({"type": "server_vad"})));
    stage.say("hello");
    let usage = stage.find("conversation.item.input_audio_transcription.completed")["usage"].clone();
    assert_eq!(usage["type"], "duration");
    assert!((usage["seconds"].as_f64().unwrap() - 1.0).abs() < 0.05, "{usage}");
}
