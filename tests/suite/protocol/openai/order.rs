//! The order of section 1.7 as a state machine (row 60): any frame out of its place fails the test that caused it.

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// What was announced so far.
#[derive(Debug, Default)]
pub(crate) struct Order {
    begun: bool,
    event_ids: HashSet<String>,
    /// Items of the conversation, in its order.
    order: Vec<String>,
    items: HashMap<String, Item>,
    /// Speech that began: whether it has stopped.
    speech: HashMap<String, bool>,
    committed: HashSet<String>,
    responses: HashMap<String, Response>,
    done_responses: HashSet<String>,
}

#[derive(Debug, Default)]
struct Item {
    done: bool,
    transcript: Option<String>,
    transcribed: bool,
}

#[derive(Debug)]
struct Response {
    aside: bool,
    output: Vec<Output>,
}

#[derive(Debug, Default)]
struct Output {
    id: String,
    part: bool,
    text: String,
    arguments: String,
    audio_bytes: usize,
    audio_done: bool,
    text_done: bool,
    part_done: bool,
    arguments_done: bool,
    done: Option<Value>,
}

impl Order {
    #[track_caller]
    pub(crate) fn check(&mut self, event: &Value) {
        let kind = text(event, "type");
        assert!(self.event_ids.insert(text(event, "event_id")), "an event_id twice: {event}");
        assert_eq!(self.begun, kind != "session.created", "session.created comes first and once: {event}");
        self.begun = true;
        match kind.split('.').next().unwrap_or_default() {
            "input_audio_buffer" => self.input(&kind, event),
            "conversation" => self.conversation(&kind, event),
            "response" => self.response(&kind, event),
            _ => {}
        }
    }

    #[track_caller]
    fn input(&mut self, kind: &str, event: &Value) {
        let item = event["item_id"].as_str().unwrap_or_default().to_owned();
        match kind.rsplit('.').next().unwrap_or_default() {
            "speech_started" => {
                assert!(!self.items.contains_key(&item), "speech of an item that stands: {event}");
                assert!(self.speech.insert(item, false).is_none(), "speech began twice: {event}");
                assert!(self.speech.values().filter(|stopped| !**stopped).count() == 1, "two speak at once: {event}");
            }
            "speech_stopped" => {
                assert_eq!(self.speech.insert(item, true), Some(false), "speech did not begin: {event}");
            }
            "committed" => {
                assert_ne!(self.speech.get(&item), Some(&false), "committed before it stopped: {event}");
                self.previous(event);
                assert!(self.committed.insert(item), "committed twice: {event}");
            }
            _ => {}
        }
    }

    #[track_caller]
    fn conversation(&mut self, kind: &str, event: &Value) {
        match kind {
            "conversation.item.added" => {
                let id = text(&event["item"], "id");
                assert!(!self.items.contains_key(&id), "added twice: {event}");
                let previous = self.previous(event);
                let place = previous.map_or(0, |id| self.order.iter().position(|other| *other == id).unwrap() + 1);
                self.order.insert(place, id.clone());
                self.items.insert(id, Item::default());
            }
            "conversation.item.done" => {
                let item = self.item(&text(&event["item"], "id"), event);
                assert!(!item.done, "done twice: {event}");
                item.done = true;
                self.previous(event);
            }
            "conversation.item.deleted" => {
                let id = text(event, "item_id");
                self.item(&id, event);
                self.items.remove(&id);
                self.order.retain(|other| *other != id);
            }
            "conversation.item.truncated" => {
                let id = text(event, "item_id");
                assert!(self.item(&id, event).done, "truncated before it is done: {event}");
            }
            "conversation.item.retrieved" => {
                self.item(&text(&event["item"], "id"), event);
            }
            _ => self.transcription(kind, event),
        }
    }

    #[track_caller]
    fn transcription(&mut self, kind: &str, event: &Value) {
        let item = self.item(&text(event, "item_id"), event);
        assert!(!item.transcribed, "words after the last: {event}");
        if kind.ends_with(".delta") {
            item.transcript.get_or_insert_default().push_str(&text(event, "delta"));
        } else {
            item.transcribed = true;
        }
    }

    #[track_caller]
    fn response(&mut self, kind: &str, event: &Value) {
        if kind == "response.created" {
            let response = &event["response"];
            let aside = response["conversation_id"].is_null();
            let active = self.responses.values().filter(|response| !response.aside).count();
            assert!(aside || active == 0, "two responses write to the conversation: {event}");
            assert!(response["status"] == "in_progress" && response["output"] == serde_json::json!([]));
            let id = text(response, "id");
            assert!(!self.done_responses.contains(&id));
            assert!(self.responses.insert(id, Response { aside, output: Vec::new() }).is_none());
            return;
        }
        if kind == "response.done" {
            return self.response_done(event);
        }
        let id = text(event, "response_id");
        let response = self.responses.get_mut(&id).unwrap_or_else(|| panic!("no such response: {event}"));
        let index = event["output_index"].as_u64().unwrap() as usize;
        if kind == "response.output_item.added" {
            let item = &event["item"];
            assert_eq!(index, response.output.len(), "{event}");
            assert_eq!(item["status"], "in_progress", "{event}");
            assert!(!self.items.contains_key(&text(item, "id")), "output_item.added comes first: {event}");
            response.output.push(Output { id: text(item, "id"), ..Output::default() });
            return;
        }
        let aside = response.aside;
        let output = response.output.get_mut(index).unwrap_or_else(|| panic!("no such item: {event}"));
        let item = event["item_id"].as_str().unwrap_or_else(|| event["item"]["id"].as_str().unwrap());
        assert_eq!(output.id, item, "{event}");
        assert!(aside || self.items.contains_key(item), "not in the conversation yet: {event}");
        assert!(output.done.is_none(), "after its end: {event}");
        output.check(kind, event);
    }

    #[track_caller]
    fn response_done(&mut self, event: &Value) {
        let id = text(&event["response"], "id");
        let response = self.responses.remove(&id).unwrap_or_else(|| panic!("not in progress: {event}"));
        assert!(self.done_responses.insert(id));
        let done: Vec<Value> = response
            .output
            .iter()
            .map(|output| output.done.clone().unwrap_or_else(|| panic!("{} is not done: {event}", output.id)))
            .collect();
        assert_eq!(event["response"]["output"], Value::Array(done), "row 62: {event}");
        for output in &response.output {
            assert!(response.aside || self.items.get(&output.id).is_none_or(|item| item.done), "{event}");
        }
    }

    #[track_caller]
    fn item(&mut self, id: &str, event: &Value) -> &mut Item {
        self.items.get_mut(id).unwrap_or_else(|| panic!("{id} was not announced: {event}"))
    }

    /// Row 59.
    #[track_caller]
    fn previous(&self, event: &Value) -> Option<String> {
        let id = event.get("previous_item_id").expect("the key is there").as_str()?.to_owned();
        assert!(self.items.contains_key(&id), "the item before was not announced: {event}");
        Some(id)
    }

    /// Responses that have not ended.
    pub(crate) fn in_progress(&self) -> usize {
        self.responses.len()
    }
}

impl Output {
    #[track_caller]
    fn check(&mut self, kind: &str, event: &Value) {
        match kind {
            "response.content_part.added" => {
                assert!(!self.part, "{event}");
                self.part = true;
            }
            "response.output_text.delta" | "response.output_audio_transcript.delta" => {
                assert!(self.part && !self.text_done, "{event}");
                self.text.push_str(&text(event, "delta"));
            }
            "response.output_audio.delta" => {
                assert!(self.part && !self.audio_done, "{event}");
                let bytes = STANDARD.decode(text(event, "delta")).expect("base64").len();
                assert!((1..=48_000 * 2 / 5).contains(&bytes), "at most 200 ms: {bytes} bytes");
                self.audio_bytes += bytes;
            }
            "response.output_audio.done" => {
                assert!(!self.text_done, "speech ends before its words: {event}");
                self.audio_done = true;
            }
            "response.output_text.done" | "response.output_audio_transcript.done" => {
                assert!(self.audio_done == kind.contains("transcript") && !self.text_done, "{event}");
                let field = if self.audio_done { "transcript" } else { "text" };
                assert_eq!(text(event, field), self.text, "row 63: {event}");
                self.text_done = true;
            }
            "response.content_part.done" => {
                assert!(self.text_done && !self.part_done, "{event}");
                self.part_done = true;
            }
            "response.function_call_arguments.delta" => {
                assert!(!self.part && !self.arguments_done, "{event}");
                self.arguments.push_str(&text(event, "delta"));
            }
            "response.function_call_arguments.done" => {
                assert_eq!(text(event, "arguments"), self.arguments, "row 63: {event}");
                assert!(!self.arguments_done, "{event}");
                self.arguments_done = true;
            }
            "response.output_item.done" => {
                let item = &event["item"];
                if item["type"] == "function_call" {
                    assert_eq!(self.arguments_done, item["status"] == "completed", "row 81: {event}");
                } else {
                    assert!(self.part_done, "{event}");
                    let part = &item["content"][0];
                    let said = part["transcript"].as_str().or(part["text"].as_str());
                    assert_eq!(said, Some(self.text.as_str()), "{event}");
                }
                self.done = Some(item.clone());
            }
            _ => panic!("a response has no such event: {event}"),
        }
    }
}

#[track_caller]
fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

#[test]
fn row_060_the_state_machine_refuses_what_is_out_of_place() {
    let said = |events: &[Value]| {
        let mut order = Order::default();
        let events = events.iter().enumerate().map(|(index, event)| {
            let mut event = event.clone();
            event["event_id"] = format!("event_{index}").into();
            event
        });
        let events: Vec<Value> = events.collect();
        std::panic::catch_unwind(move || events.iter().for_each(|event| order.check(event))).is_ok()
    };
    let session = serde_json::json!({"type": "session.created"});
    let created = |id: &str| {
        serde_json::json!({"type": "response.created", "response":
            {"id": id, "status": "in_progress", "output": [], "conversation_id": "conv_1"}})
    };
    let done = serde_json::json!({"type": "response.done", "response": {"id": "r", "output": []}});
    let added =
        serde_json::json!({"type": "conversation.item.added", "previous_item_id": "nobody", "item": {"id": "i"}});
    let orphan = serde_json::json!({"type": "response.output_audio.delta", "response_id": "r", "item_id": "i",
        "output_index": 0, "content_index": 0, "delta": "AAAA"});
    assert!(said(&[session.clone(), created("r"), done.clone(), created("s")]));
    assert!(!said(&[created("r")]), "no session");
    assert!(!said(&[session.clone(), created("r"), created("s")]), "two at once");
    assert!(!said(&[session.clone(), created("r"), done.clone(), done.clone()]), "done twice");
    assert!(!said(&[session.clone(), done]), "done before created");
    assert!(!said(&[session.clone(), created("r"), orphan]), "a delta of no item");
    assert!(!said(&[session, added]), "after an item that nobody knows");
}
