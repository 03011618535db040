//! Rows 60 to 76: responses.

use floe::conversation::{AgentStop, Content, Input};
use serde_json::{Value, json};

use super::stage::{connect, connect_with, speech};

const VAD_TURN: [&str; 5] = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
];

fn create(response: Value) -> Value {
    json!({"type": "response.create", "event_id": "c", "response": response})
}

#[test]
fn row_060_the_order_of_a_reply() {
    let mut stage = connect_with(json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}}));
    stage.say("hello");
    stage.expect_all(&VAD_TURN);
    stage.expect("conversation.item.input_audio_transcription.delta");
    stage.expect("conversation.item.input_audio_transcription.completed");
    stage.answer("Hello.");
    stage.expect_all(&[
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]);
    stage.expect_nothing();
}

#[test]
fn row_061_one_done_for_each_created() {
    let mut stage = connect();
    for end in 0..5 {
        stage.say("hello");
        let response = stage.request().0;
        match end {
            0 => stage.answer("Hello."),
            1 => stage.tell(Input::ReplyFailed { response, reason: "unavailable" }),
            2 => stage.agent_stops(AgentStop::Filtered),
            3 => stage.send(json!({"type": "response.cancel"})),
            _ => stage.audio(500, true),
        }
        stage.tell(Input::ReplyFailed { response, reason: "late" });
        let events = stage.take();
        let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        assert_eq!((count("response.created"), count("response.done")), (1, 1), "{end}: {events:?}");
    }
}

#[test]
fn row_062_the_output_is_what_was_announced() {
    let mut stage = connect_with(json!({"tools": [{"type": "function", "name": "look"}]}));
    stage.say("hello");
    stage.agent("Let me see. ");
    stage.agent_calls("look", "{}");
    stage.agent_stops(AgentStop::Finished);
    let events = stage.take();
    let done: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"])
        .collect();
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(done, output.as_array().unwrap().iter().collect::<Vec<_>>());
    assert_eq!(done.len(), 2);
    assert!(!output.to_string().contains("\"audio\""));
}

#[test]
fn row_063_deltas_add_up() {
    let mut stage = connect();
    stage.say("count");
    for words in ["One, ", "two, ", "three. ", "Four!"] {
        stage.agent(words);
    }
    stage.agent_stops(AgentStop::Finished);
    let events = stage.take();
    let deltas = events.iter().filter(|event| event["type"] == "response.output_audio_transcript.delta");
    let sum: String = deltas.map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(sum, "One, two, three. Four!");
    let done = events.iter().find(|event| event["type"] == "response.output_audio_transcript.done").unwrap();
    assert_eq!(done["transcript"], sum);
}

#[test]
fn row_064_and_065_speech_comes_in_whole_samples_and_small_pieces() {
    let mut stage = connect();
    stage.say("tell me everything");
    stage.answer(&"All of it, word by word. ".repeat(20));
    let events = stage.take();
    let bytes = speech(&events).len();
    assert_eq!(bytes % 2_880, 0, "60 ms at 24 kHz each");
    // The order's own validator allows no delta above 200 ms, the stage no message above 900 KiB.
    let reply = events.last().unwrap();
    let tokens = reply["response"]["usage"]["output_token_details"]["audio_tokens"].as_u64().unwrap();
    assert_eq!(tokens, (bytes as u64 / 48).div_ceil(50), "50 ms of 24 kHz speech are a token");
    // What was sent is what a truncation may go up to, and no more.
    let item = reply["response"]["output"][0]["id"].clone();
    stage.send(json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0,
        "audio_end_ms": 10_000_000}));
    assert_eq!(stage.expect("conversation.item.truncated")["audio_end_ms"], bytes as u64 / 48);
}

#[test]
fn row_066_words_only() {
    let expected = [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ];
    let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]});
    for session_wide in [true, false] {
        let mut stage = connect();
        if session_wide {
            stage.update(json!({"output_modalities": ["text"]}));
        }
        stage.send(json!({"type": "conversation.item.create", "item": item}));
        stage.expect_all(&["conversation.item.added", "conversation.item.done"]);
        stage.send(create(if session_wide { json!({}) } else { json!({"output_modalities": ["text"]}) }));
        stage.agent("Good ");
        stage.answer("day.");
        let events = stage.expect_all(&expected);
        assert_eq!(events.last().unwrap()["response"]["output_modalities"], json!(["text"]));
        assert_eq!(events[8]["item"]["content"], json!([{"type": "output_text", "text": "Good day."}]));
        assert!(stage.spoken.is_empty());
    }
}

#[test]
fn row_067_overrides_hold_once() {
    let mut stage = connect();
    stage.send(create(json!({"instructions": "Speak like a pirate.", "max_output_tokens": 50,
        "tools": [{"type": "function", "name": "sail"}], "tool_choice": "required",
        "audio": {"output": {"voice": "marin"}}})));
    let settings = stage.request().1.settings;
    assert_eq!((&*settings.instructions, settings.output_tokens_max), ("Speak like a pirate.", Some(50)));
    assert_eq!(settings.tools.len(), 1);
    assert_eq!(settings.tool_choice, floe::conversation::ToolChoice::Required);
    stage.answer("Arr.");
    let done = stage.find("response.done")["response"].clone();
    assert_eq!((&done["max_output_tokens"], &done["audio"]["output"]["voice"]), (&json!(50), &json!("marin")));
    stage.send(json!({"type": "response.create"}));
    let settings = stage.request().1.settings;
    assert_eq!((&*settings.instructions, settings.output_tokens_max), ("You are a test.", None));
    assert!(settings.tools.is_empty());
    let created = stage.expect("response.created")["response"].clone();
    assert_eq!((&created["max_output_tokens"], &created["metadata"]), (&json!("inf"), &json!(null)));
}

#[test]
fn row_068_metadata_comes_back() {
    let mut stage = connect();
    let metadata = json!({"client_event_id": "r_1", "purpose": "greeting"});
    stage.send(create(json!({"metadata": metadata})));
    assert_eq!(stage.expect("response.created")["response"]["metadata"], metadata);
    stage.answer("Hello.");
    assert_eq!(stage.find("response.done")["response"]["metadata"], metadata);
    for metadata in [json!({"a": 1}), json!({"a": "x".repeat(513)}), json!({"k".repeat(65): "x"})] {
        stage.send(create(json!({"metadata": metadata})));
        assert_eq!(stage.expect_error("invalid_value", Some("c"))["param"], "response.metadata");
    }
}

#[test]
fn row_069_beside_the_conversation() {
    let mut stage = connect();
    stage.say("hello");
    stage.agent("Well, ");
    stage.take();
    let main = stage.request().0;
    stage.send(create(json!({"conversation": "none", "output_modalities": ["text"], "metadata": {"topic": "mood"}})));
    let created = stage.expect("response.created")["response"].clone();
    assert!(created["conversation_id"].is_null());
    stage.answer("friendly");
    let events = stage.take();
    assert_eq!(events.last().unwrap()["response"]["metadata"]["topic"], "mood");
    assert!(events.iter().all(|event| !event["type"].as_str().unwrap().starts_with("conversation.")), "{events:?}");
    stage.tell(Input::ReplyText { response: main, delta: "hello.".into() });
    stage.tell(Input::ReplyFinished {
        response: main,
        usage: floe::conversation::Usage::default(),
        stop: AgentStop::Finished,
    });
    assert!(stage.find("response.done")["response"]["conversation_id"].is_string());
    let said = |item: &&floe::conversation::Item| format!("{item:?}").contains("friendly");
    assert_eq!(stage.core.history().items().iter().filter(said).count(), 0);
}

#[test]
fn row_070_input_and_references() {
    let mut stage = connect();
    for id in ["a", "b"] {
        let item =
            json!({"id": id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": id}]});
        stage.send(json!({"type": "conversation.item.create", "item": item}));
    }
    stage.take();
    let new = json!({"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Classify."}]});
    stage.send(create(json!({"conversation": "none", "input": [{"type": "item_reference", "id": "b"}, new]})));
    stage.expect("response.created");
    let history = stage.request().1.history;
    assert!(matches!(&history[0].content, Content::UserText(text) if &**text == "b"), "{history:?}");
    assert!(matches!(&history[1].content, Content::SystemText(_)) && history.len() == 2, "{history:?}");
    stage.send(create(json!({"conversation": "none", "input": []})));
    assert!(stage.request().1.history.is_empty());
    stage.take();
    stage.send(create(json!({"input": [{"type": "item_reference", "id": "z"}]})));
    assert_eq!(stage.expect_error("invalid_item_reference", Some("c"))["param"], "response.input[0].id");
    stage.send(create(json!({"conversation": "both"})));
    assert_eq!(stage.expect_error("invalid_value", Some("c"))["param"], "response.conversation");
}

#[test]
fn row_071_a_second_create_is_refused_and_the_first_goes_on() {
    let mut stage = connect();
    stage.say("hello");
    stage.agent("Hello ");
    stage.take();
    stage.send(create(json!({})));
    let error = stage.expect_error("conversation_already_has_active_response", Some("c"));
    assert!(error["message"].as_str().unwrap().contains("active response"));
    stage.answer("there.");
    let done = stage.find("response.done")["response"].clone();
    assert_eq!(
        (&done["status"], &done["output"][0]["content"][0]["transcript"]),
        (&json!("completed"), &json!("Hello there."))
    );
}

#[test]
fn row_072_no_more_tokens() {
    for (stop, reason) in [(AgentStop::TokensMax, "max_output_tokens"), (AgentStop::Filtered, "content_filter")] {
        let mut stage = connect();
        stage.say("hello");
        stage.agent("Once upon a");
        stage.agent_stops(stop);
        let done = stage.find("response.done")["response"].clone();
        assert_eq!(done["status"], "incomplete");
        assert_eq!(done["status_details"], json!({"type": "incomplete", "reason": reason}));
        assert_eq!(done["output"][0]["status"], "incomplete");
    }
}

#[test]
fn row_073_a_failure_is_told_and_the_session_goes_on() {
    let mut stage = connect();
    stage.say("hello");
    let response = stage.request().0;
    stage.tell(Input::ReplyFailed { response, reason: "unavailable" });
    let done = stage.find("response.done")["response"].clone();
    assert_eq!(done["status"], "failed");
    let error = &done["status_details"]["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("unavailable")));
    assert!(stage.spoken.is_empty(), "nothing is said that the agent did not say");
    stage.take();
    stage.say("again");
    stage.answer("Hello.");
    assert_eq!(stage.find("response.done")["response"]["status"], "completed");
}

#[test]
fn row_074_usage_adds_up() {
    let mut stage = connect();
    stage.say("hello");
    stage.answer("Hello.");
    let usage = stage.find("response.done")["response"]["usage"].clone();
    assert_eq!(usage["input_token_details"]["text_tokens"], 12);
    assert_eq!(usage["output_token_details"], json!({"text_tokens": 7, "audio_tokens": 3}));
    let heard = usage["input_token_details"]["audio_tokens"].as_u64().unwrap();
    assert!((10..=11).contains(&heard), "1 s of speech: {heard}");
    stage.send(json!({"type": "response.create"}));
    stage.answer("Again.");
    let usage = stage.find("response.done")["response"]["usage"].clone();
    assert_eq!(usage["input_token_details"]["audio_tokens"], 0, "speech is counted once");
}

#[test]
fn row_075_the_format_of_one_response() {
    let mut stage = connect();
    stage.send(create(json!({"audio": {"output": {"format": {"type": "audio/pcmu"}, "voice": "ash"}}})));
    stage.answer("Hello.");
    let delta = stage.find("response.output_audio.delta");
    assert_eq!(delta["delta"].as_str().map(str::len), Some(640), "480 bytes of µ-law");
    let output = stage.find("response.done")["response"]["audio"]["output"].clone();
    assert_eq!(output, json!({"format": {"type": "audio/pcmu"}, "voice": "ash"}));
    stage.send(json!({"type": "response.create"}));
    stage.answer("Hello.");
    assert_eq!(stage.find("response.output_audio.delta")["delta"].as_str().map(str::len), Some(3_840));
}

#[test]
fn row_076_speed_from_the_next_response_on() {
    let mut stage = connect();
    stage.say("hello");
    stage.voice = false;
    stage.agent("First. ");
    stage.update_after(json!({"audio": {"output": {"speed": 1.25}}}));
    stage.answer("Second.");
    while !stage.segments.is_empty() {
        stage.speak_segment();
    }
    assert!(stage.spoken.iter().all(|(_, speed, _)| (speed - 1.0).abs() < 1e-6), "{:?}", stage.spoken);
    stage.voice = true;
    stage.send(json!({"type": "response.create"}));
    stage.answer("Third.");
    assert!((stage.spoken.last().unwrap().1 - 1.25).abs() < 1e-6);
}
