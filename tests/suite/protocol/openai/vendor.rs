//! Row 120: events of Floe's own, for those who asked for them by name in `session.include`.

use floe::protocol::openai::{LATENCY, Opening, SEGMENT_TIMINGS};
use serde_json::{Value, json};

use super::stage::{Stage, connect, connect_with, opening};

/// One spoken turn with its answer; the events that are Floe's own.
fn own(stage: &mut Stage) -> Vec<Value> {
    stage.audio(1_000, false);
    stage.speak(1_000);
    stage.advance(40);
    stage.transcript("what time is it");
    stage.answer("It is ten.");
    stage.advance(5_000);
    stage.take().into_iter().filter(|event| event["type"].as_str().unwrap().starts_with("x.")).collect()
}

fn including(names: &Value) -> Value {
    json!({"include": names, "audio": {"input": {"transcription": {"model": "whisper-1"}}}})
}

#[test]
fn row_120_nobody_sees_what_nobody_asked_for() {
    for include in
        [json!(null), json!([]), json!(["item.input_audio_transcription.logprobs", "x.nothing_of_ours", "x"])]
    {
        let mut stage = connect_with(including(&include));
        assert_eq!(own(&mut stage), [] as [Value; 0], "{include}");
    }
    assert_eq!(own(&mut connect()), [] as [Value; 0]);
}

#[test]
fn row_120_segment_timings_follow_the_words() {
    let mut stage = connect();
    let session = stage.update(including(&json!([SEGMENT_TIMINGS])));
    assert_eq!(session["session"]["include"], json!([SEGMENT_TIMINGS]), "told back to who asked");
    stage.audio(1_000, false);
    stage.speak(1_000);
    let item = stage.find("input_audio_buffer.committed")["item_id"].clone();
    stage.transcript("what time is it");
    stage.find("conversation.item.input_audio_transcription.completed");
    let told = stage.expect("x.segment_timings");
    assert_eq!((&told["item_id"], &told["content_index"]), (&item, &json!(0)));
    let [segment] = told["segments"].as_array().unwrap().as_slice() else { panic!("one segment: {told}") };
    assert_eq!(segment["text"], "what time is it");
    let (start, end) = (segment["start_ms"].as_u64().unwrap(), segment["end_ms"].as_u64().unwrap());
    assert!(start.abs_diff(1_000) <= 20 && end.abs_diff(2_000) <= 20, "where the voice was: {told}");
    assert!((0.89..0.91).contains(&segment["confidence"].as_f64().unwrap()), "{told}");

    stage.answer("It is ten.");
    stage.advance(5_000);
    assert_eq!(own(&mut stage).len(), 1, "latency was not asked for");
    stage.update(json!({"include": null}));
    assert_eq!(own(&mut stage), [] as [Value; 0], "and taken back");
}

#[test]
fn row_120_segment_timings_of_turns_of_the_clients() {
    let mut stage = connect_with(including(&json!([SEGMENT_TIMINGS])));
    stage.update(json!({"audio": {"input": {"turn_detection": null}}}));
    stage.audio(700, false);
    stage.send(json!({"type": "input_audio_buffer.clear"}));
    stage.audio(900, true);
    stage.send(json!({"type": "input_audio_buffer.commit"}));
    stage.transcript("one");
    let told = stage.find("x.segment_timings");
    let segment = &told["segments"][0];
    let (start, end) = (segment["start_ms"].as_u64().unwrap(), segment["end_ms"].as_u64().unwrap());
    assert!(start.abs_diff(700) <= 1 && end.abs_diff(1_600) <= 1, "from the clear to the commit: {told}");

    stage.audio(500, true);
    stage.send(json!({"type": "input_audio_buffer.commit"}));
    stage.transcript("");
    stage.find("conversation.item.input_audio_transcription.completed");
    stage.expect_nothing();
}

#[test]
fn row_120_a_latency_receipt_comes_just_before_response_done() {
    let mut stage = connect_with(including(&json!([LATENCY])));
    stage.speak(1_000);
    stage.advance(40);
    stage.transcript("what time is it");
    let response = stage.find("response.created")["response"]["id"].clone();
    stage.advance(200);
    stage.answer("It is ten.");
    let told = stage.find("x.latency");
    assert_eq!(told["response_id"], response);
    let of = |stage: &str| told["latency_ms"][stage].as_u64().unwrap_or_else(|| panic!("no {stage}: {told}"));
    let stages = ["eot", "asr", "llm_first", "tts_first", "first_audio"].map(of);
    assert!(stages.is_sorted(), "{told}");
    assert!((500..=600).contains(&stages[0]), "the pause that ends a turn: {told}");
    assert!(stages[2] >= stages[1] + 200, "the agent took its time: {told}");
    stage.expect("response.done");

    stage.send(json!({"type": "response.create"}));
    stage.answer("Nobody spoke before this one.");
    stage.find("response.done");
    assert!(
        !stage
            .all
            .iter()
            .skip_while(|event| event["response_id"] != response)
            .any(|event| { event["type"] == "x.latency" && event["response_id"] != response })
    );
}

#[test]
fn row_120_a_client_secret_may_bind_it() {
    let session = json!({"type": "realtime", "include": [SEGMENT_TIMINGS, LATENCY],
        "audio": {"input": {"transcription": {"model": "whisper-1"}}}});
    let mut stage = Stage::new(Opening { session: Some(session.clone()), ..opening() });
    stage.included(&[SEGMENT_TIMINGS, LATENCY]);
    let created = stage.expect("session.created");
    assert_eq!(created["session"]["include"], session["include"]);
    let kinds: Vec<Value> = own(&mut stage).into_iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, [SEGMENT_TIMINGS, LATENCY]);
}
