//! Rows 77 to 83 and 116: tools.

use std::collections::HashSet;

use floe::conversation::{AgentStop, ToolChoice};
use serde_json::{Value, json};

use super::stage::{Stage, connect, connect_with};

fn tool(name: &str) -> Value {
    json!({"type": "function", "name": name, "description": "Does it.", "parameters": {"type": "object"}})
}

fn with_tools() -> Stage {
    connect_with(json!({"tools": [tool("weather"), tool("clock")]}))
}

fn output(call_id: &Value, output: &str) -> Value {
    json!({"type": "conversation.item.create", "event_id": "out",
        "item": {"type": "function_call_output", "call_id": call_id, "output": output}})
}

#[test]
fn row_077_a_round_trip() {
    let mut stage = with_tools();
    stage.say("how is the weather");
    stage.agent_calls("weather", "{\"city\":\"Boston\"}");
    stage.agent_stops(AgentStop::Finished);
    stage.find("response.created");
    let events = stage.expect_all(&[
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]);
    assert_eq!((&events[3]["name"], &events[3]["arguments"]), (&json!("weather"), &json!("{\"city\":\"Boston\"}")));
    let call = events[4]["item"]["call_id"].clone();
    stage.send(output(&call, "{\"sky\":\"clear\"}"));
    stage.expect_all(&["conversation.item.added", "conversation.item.done"]);
    stage.expect_nothing();
    stage.send(json!({"type": "response.create"}));
    let history = format!("{:?}", stage.request().1.history);
    assert!(history.contains("clear"), "{history}");
    stage.answer("It is clear.");
    assert_eq!(stage.find("response.done")["response"]["output"][0]["content"][0]["transcript"], "It is clear.");
}

#[test]
fn row_078_two_calls_answered_in_either_order() {
    let mut stage = with_tools();
    stage.say("weather and time");
    stage.agent_calls("weather", "{}");
    stage.agent_calls("clock", "{}");
    stage.agent_stops(AgentStop::Finished);
    let done = stage.find("response.done")["response"]["output"].clone();
    let calls: Vec<&Value> = done.as_array().unwrap().iter().map(|item| &item["call_id"]).collect();
    assert_eq!(calls.len(), 2);
    for call in calls.iter().rev() {
        stage.send(output(call, "fine"));
        stage.expect_all(&["conversation.item.added", "conversation.item.done"]);
    }
    stage.send(json!({"type": "response.create"}));
    stage.expect("response.created");
    assert_eq!(stage.request().1.history.len(), 5);
}

#[test]
fn words_before_a_call_end_before_it() {
    let mut stage = with_tools();
    stage.voice = false;
    stage.say("how is the weather");
    stage.agent("Let me look.");
    stage.agent_calls("weather", "{}");
    stage.agent_stops(AgentStop::Finished);
    assert!(!stage.peek().iter().any(|kind| kind.contains("function_call")), "the voice is not done");
    stage.voice = true;
    stage.advance(1);
    stage.speak_segment();
    let events = stage.take();
    let index = |kind: &str| events.iter().position(|event| event["type"] == kind).expect(kind);
    assert!(index("response.output_audio.done") < index("response.function_call_arguments.done"));
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!((&output[0]["type"], &output[1]["type"]), (&json!("message"), &json!("function_call")));
}

#[test]
fn a_call_of_an_interrupted_reply_is_not_to_be_run() {
    let mut stage = with_tools();
    stage.voice = false;
    stage.say("how is the weather");
    stage.agent("Let me look.");
    stage.agent_calls("weather", "{}");
    stage.send(json!({"type": "response.cancel"}));
    let events = stage.take();
    assert!(!events.iter().any(|event| event["type"] == "response.function_call_arguments.done"));
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(output[1]["status"], "incomplete");
}

#[test]
fn row_079_tool_choice() {
    for (choice, expected) in [
        (json!("none"), ToolChoice::Forbidden),
        (json!("required"), ToolChoice::Required),
        (json!({"type": "function", "name": "clock"}), ToolChoice::Named("clock".into())),
        (json!({"type": "function", "name": "gone"}), ToolChoice::Auto),
    ] {
        let mut stage = with_tools();
        let updated = stage.update(json!({"tool_choice": choice}));
        assert_eq!(updated["session"]["tool_choice"], choice);
        stage.send(json!({"type": "response.create"}));
        assert_eq!(stage.request().1.tool_choice, expected);
    }
}

#[test]
fn row_080_an_answer_to_no_call() {
    let mut stage = with_tools();
    stage.send(output(&json!("call_nobody_made"), "x"));
    let error = stage.expect_error("invalid_tool_call_id", Some("out"));
    assert_eq!(error["param"], "item.call_id");
    stage.say("weather");
    stage.agent_calls("weather", "{}");
    stage.agent_stops(AgentStop::Finished);
    let call = stage.find("response.done")["response"]["output"][0]["call_id"].clone();
    stage.send(output(&call, "x"));
    stage.take();
    stage.send(output(&call, "twice"));
    stage.expect_error("invalid_tool_call_id", Some("out"));
}

#[test]
fn row_081_a_call_is_in_progress_then_completed() {
    let mut stage = with_tools();
    stage.say("weather");
    stage.agent_calls("weather", "{}");
    assert_eq!(stage.find("response.output_item.added")["item"]["status"], "in_progress");
    let added = stage.expect("conversation.item.added")["item"].clone();
    assert_eq!((&added["status"], &added["arguments"]), (&json!("in_progress"), &json!("")));
    assert_eq!((&added["name"], added["call_id"].is_string()), (&json!("weather"), true));
    assert_eq!(stage.find("response.output_item.done")["item"]["status"], "completed");
}

#[test]
fn row_082_call_ids_are_short_and_unique() {
    let mut ids = HashSet::new();
    for _ in 0..2 {
        let mut stage = with_tools();
        stage.say("weather");
        stage.agent_calls("weather", "{}");
        stage.agent_calls("clock", "{}");
        for event in stage.take().iter().filter(|event| event["type"] == "response.function_call_arguments.done") {
            let id = event["call_id"].as_str().unwrap();
            assert!(id.starts_with("call_") && id.len() <= 32, "{id}");
            assert!(ids.insert(id.to_owned()));
        }
    }
    assert_eq!(ids.len(), 4);
}

#[test]
fn row_083_new_tools_from_the_next_response_on() {
    let mut stage = with_tools();
    stage.say("hello");
    stage.answer("Hi.");
    stage.take();
    stage.update(json!({"tools": [tool("transfer")]}));
    stage.say("to billing");
    let names: Vec<String> = stage.request().1.settings.tools.iter().map(|tool| tool.name.to_string()).collect();
    assert_eq!(names, ["transfer"]);
}

#[test]
fn row_116_mcp_is_refused_by_name() {
    let mut stage = connect();
    stage.send(json!({"type": "session.update", "event_id": "m", "session": {"tools": [
        {"type": "mcp", "server_label": "x", "server_url": "https://example.com"}]}}));
    assert_eq!(stage.expect_error("mcp_not_supported", Some("m"))["param"], "session.tools");
    stage.expect_nothing();
}
