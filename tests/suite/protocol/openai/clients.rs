//! What the client libraries require of every frame (row 27): the last column of the table in section 1.12.

use floe::protocol::openai::Dialect;
use serde_json::Value;

/// Everything that may be sent to a client of today that opted into nothing.
const GA: [&str; 29] = [
    "session.created",
    "session.updated",
    "error",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "input_audio_buffer.cleared",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.retrieved",
    "conversation.item.truncated",
    "conversation.item.deleted",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.failed",
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.delta",
    "response.output_audio_transcript.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.done",
];

/// What is called otherwise in the beta, or is not there.
const GA_ONLY: [&str; 10] = [
    "conversation.item.added",
    "conversation.item.done",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.delta",
    "response.output_audio_transcript.done",
    "response.output_text.delta",
    "response.output_text.done",
    "input_audio_buffer.timeout_triggered",
    "output_audio_buffer.started",
];

/// What one client has asked for.
pub(crate) struct Clients {
    dialect: Dialect,
    set_rate: bool,
    set_timeout: bool,
    set_tool_choice: bool,
    /// Events of the server's own.
    included: Vec<String>,
}

impl Clients {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, set_rate: false, set_timeout: false, set_tool_choice: false, included: Vec::new() }
    }

    pub(crate) fn client_sent(&mut self, event: &Value) {
        let text = event.to_string();
        self.set_rate |= text.contains("\"rate\"");
        self.set_timeout |= text.contains("idle_timeout_ms");
        self.set_tool_choice |= text.contains("tool_choice");
        if let Some(include) = event["session"].get("include") {
            let names = include.as_array().into_iter().flatten().filter_map(Value::as_str);
            self.included = names.map(str::to_owned).collect();
        }
    }

    /// Events of the server's own that were asked for before the connection.
    pub(crate) fn include(&mut self, names: &[&str]) {
        self.included = names.iter().map(|name| (*name).to_owned()).collect();
    }

    #[track_caller]
    pub(crate) fn check(&self, event: &Value) {
        let kind = event["type"].as_str().unwrap_or_else(|| panic!("no type: {event}"));
        assert!(event["event_id"].is_string(), "no event_id: {event}");
        match self.dialect {
            Dialect::Ga => {
                let timeout = self.set_timeout && kind == "input_audio_buffer.timeout_triggered";
                let own = kind.starts_with("x.") && self.included.iter().any(|name| name == kind);
                assert!(GA.contains(&kind) || timeout || own, "clients die of it: {event}");
                self.check_ga(kind, event);
            }
            Dialect::Beta => assert!(!GA_ONLY.contains(&kind), "row 105: {event}"),
        }
        for (key, value) in event.as_object().unwrap() {
            if (key.ends_with("_ms") || key.ends_with("_index")) && !kind.starts_with("x.") {
                assert!(value.is_u64(), "{key} is no whole number: {event}");
            }
        }
        if kind == "error" {
            let error = &event["error"];
            assert!(error["type"].is_string() && error["message"].is_string(), "{event}");
            assert!(["code", "param", "event_id"].iter().all(|key| error.get(key).is_some()), "{event}");
        }
    }

    #[track_caller]
    fn check_ga(&self, kind: &str, event: &Value) {
        match kind {
            "session.created" | "session.updated" => self.check_session(&event["session"]),
            "response.created" | "response.done" => self.check_response(kind, &event["response"]),
            "response.content_part.added" | "response.content_part.done" => {
                let part = &event["part"];
                let key = if part["type"] == "audio" { "transcript" } else { "text" };
                assert!(part["type"] == "audio" || part["type"] == "text", "{event}");
                assert!(part[key].is_string(), "{event}");
            }
            "response.function_call_arguments.done" => assert!(event["name"].is_string(), "{event}"),
            "conversation.item.input_audio_transcription.delta" => {
                assert!(event["content_index"].is_u64() && event["delta"].is_string(), "{event}");
            }
            "conversation.item.input_audio_transcription.completed" => {
                assert_eq!(event["usage"]["type"], "duration", "row 96: {event}");
                assert!(event["usage"]["seconds"].is_number() && event["transcript"].is_string(), "{event}");
            }
            "conversation.item.input_audio_transcription.failed" => {
                let error = event["error"].as_object().unwrap();
                assert!(error["type"].is_string() && error["message"].is_string(), "{event}");
                assert!(error.values().all(|value| !value.is_null()), "{event}");
            }
            _ => {}
        }
        if let Some(item) = event.get("item") {
            check_item(item);
            if kind == "conversation.item.added" && item["type"] == "function_call" && item["status"] == "in_progress" {
                assert_eq!(item["arguments"], "", "{event}");
            }
        }
    }

    #[track_caller]
    fn check_session(&self, session: &Value) {
        let keys = ["id", "object", "type", "audio", "expires_at"];
        assert!(keys.iter().all(|key| !session[key].is_null()), "{session}");
        let input = &session["audio"]["input"];
        self.check_format(&input["format"]);
        for key in ["transcription", "noise_reduction", "turn_detection"] {
            assert!(input.get(key).is_some(), "{key}: {session}");
        }
        if let Some(transcription) = input["transcription"].as_object() {
            assert!(transcription.keys().all(|key| ["model", "language", "prompt"].contains(&key.as_str())));
        }
        if !input["turn_detection"].is_null() {
            let turn = &input["turn_detection"];
            assert!(turn["type"] == "server_vad" || turn["type"] == "semantic_vad", "{turn}");
            assert!(turn["create_response"].is_boolean() && turn["interrupt_response"].is_boolean(), "row 22: {turn}");
        }
        if session["type"] == "transcription" {
            return;
        }
        self.check_format(&session["audio"]["output"]["format"]);
        assert!(session["audio"]["output"]["voice"].is_string(), "{session}");
        let modalities = session["output_modalities"].as_array().unwrap();
        assert_eq!(modalities.len(), 1, "{session}");
        assert!(self.set_tool_choice || session["tool_choice"] == "auto", "{session}");
        assert!(session["model"].is_string() && session["instructions"].is_string() && session["tools"].is_array());
    }

    #[track_caller]
    fn check_format(&self, format: &Value) {
        match format["type"].as_str() {
            Some("audio/pcm") => assert!(self.set_rate || format["rate"] == 24_000, "{format}"),
            Some("audio/pcmu" | "audio/pcma") => assert!(format.get("rate").is_none(), "{format}"),
            _ => panic!("no format: {format}"),
        }
    }

    #[track_caller]
    fn check_response(&self, kind: &str, response: &Value) {
        for key in ["status_details", "output", "usage", "metadata", "conversation_id"] {
            assert!(response.get(key).is_some(), "{key}: {response}");
        }
        assert_eq!(response["object"], "realtime.response");
        assert!(response["audio"]["output"]["voice"].is_string(), "{response}");
        self.check_format(&response["audio"]["output"]["format"]);
        response["output"].as_array().unwrap().iter().for_each(check_item);
        if kind == "response.created" {
            return;
        }
        check_usage(&response["usage"]);
        let details = &response["status_details"];
        match response["status"].as_str().unwrap() {
            "completed" => assert!(details.is_null()),
            "cancelled" => assert!(details["reason"] == "turn_detected" || details["reason"] == "client_cancelled"),
            "incomplete" => assert!(details["reason"] == "max_output_tokens" || details["reason"] == "content_filter"),
            "failed" => {
                let error = &details["error"];
                assert!(["type", "code", "message"].iter().all(|key| error[key].is_string()), "{response}");
            }
            status => panic!("no status: {status}"),
        }
    }
}

/// Row 74.
#[track_caller]
fn check_usage(usage: &Value) {
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no number in {usage}"));
    let (input, output) = (number(&usage["input_tokens"]), number(&usage["output_tokens"]));
    assert_eq!(number(&usage["total_tokens"]), input + output, "{usage}");
    let details = &usage["input_token_details"];
    let sum = ["text_tokens", "audio_tokens", "image_tokens"].iter().map(|key| number(&details[key])).sum::<u64>();
    assert_eq!(sum, input, "{usage}");
    assert_eq!(number(&details["cached_tokens"]), 0, "{usage}");
    assert!(details["cached_tokens_details"].is_object(), "{usage}");
    let details = &usage["output_token_details"];
    assert_eq!(number(&details["text_tokens"]) + number(&details["audio_tokens"]), output, "{usage}");
}

/// Row 58, and the rest of the table about items.
#[track_caller]
fn check_item(item: &Value) {
    let fields = item.as_object().unwrap_or_else(|| panic!("no item: {item}"));
    assert!(fields.values().all(|value| !value.is_null()), "a null: {item}");
    assert!(item["id"].is_string() && item["object"] == "realtime.item" && item["status"].is_string(), "{item}");
    match item["type"].as_str().unwrap() {
        "message" => {
            for part in item["content"].as_array().unwrap() {
                match (item["role"].as_str().unwrap(), part["type"].as_str().unwrap()) {
                    ("user", "input_audio") => assert!(part.get("transcript").is_some(), "{item}"),
                    ("user" | "system", "input_text") | ("assistant", "output_text") => {
                        assert!(part["text"].is_string(), "{item}");
                    }
                    ("assistant", "output_audio") => {
                        assert!(part["transcript"].is_string() && part.get("audio").is_none(), "{item}");
                    }
                    _ => panic!("no content: {item}"),
                }
            }
        }
        "function_call" => {
            assert!(["name", "call_id", "arguments"].iter().all(|key| item[key].is_string()), "{item}");
        }
        "function_call_output" => assert!(item["call_id"].is_string() && item["output"].is_string(), "{item}"),
        other => panic!("no type of item: {other}"),
    }
}

#[test]
fn row_027_the_validator_refuses_what_clients_die_of() {
    let said = |event: Value| std::panic::catch_unwind(move || Clients::new(Dialect::Ga).check(&event)).is_ok();
    let with = |mut event: Value, path: &str, value: Value| {
        *event.pointer_mut(path).expect(path) = value;
        event
    };
    let item = serde_json::json!({"event_id": "e", "type": "conversation.item.added", "previous_item_id": null, "item":
        {"id": "i", "object": "realtime.item", "type": "message", "role": "user", "status": "completed",
         "content": [{"type": "input_audio", "transcript": null}]}});
    assert!(said(item.clone()));
    assert!(!said(with(item.clone(), "/event_id", Value::Null)));
    assert!(!said(with(item.clone(), "/item/role", Value::Null)));
    assert!(!said(with(item.clone(), "/item/content/0", serde_json::json!({"type": "input_audio"}))));
    assert!(!said(with(item.clone(), "/item/content/0", serde_json::json!({"type": "text", "text": "x"}))));
    assert!(!said(with(item.clone(), "/type", "conversation.item.created".into())), "the beta's");
    assert!(!said(with(item, "/type", "x.segment_timings".into())), "a vendor's");
    let usage = serde_json::json!({"total_tokens": 3, "input_tokens": 1, "output_tokens": 2,
        "input_token_details": {"text_tokens": 1, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 0,
            "cached_tokens_details": {}},
        "output_token_details": {"text_tokens": 1, "audio_tokens": 1}});
    let done = serde_json::json!({"event_id": "e", "type": "response.done", "response": {"object": "realtime.response",
        "status": "completed", "status_details": null, "output": [], "conversation_id": null, "metadata": null,
        "audio": {"output": {"voice": "v", "format": {"type": "audio/pcm", "rate": 24_000}}}, "usage": usage}});
    assert!(said(done.clone()));
    assert!(!said(with(done.clone(), "/response/usage", Value::Null)));
    assert!(!said(with(done.clone(), "/response/usage/total_tokens", 4.into())));
    assert!(!said(with(done.clone(), "/response/audio/output/voice", serde_json::json!({"id": "v"}))));
    assert!(!said(with(done.clone(), "/response/audio/output/format/rate", 16_000.into())));
    assert!(!said(with(done, "/response/status", "failed".into())), "without an error");
}
