//! Rows 51 to 59: items.

use std::collections::HashSet;

use floe::protocol::Codec as _;
use serde_json::{Value, json};

use super::stage::{Stage, base64, connect, connect_with, sound};

fn text_item(id: &str, text: &str) -> Value {
    json!({"id": id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
}

/// Puts an item in; gives back `conversation.item.added`.
fn add(stage: &mut Stage, item: Value) -> Value {
    stage.send(json!({"type": "conversation.item.create", "item": item}));
    let added = stage.expect("conversation.item.added");
    let done = stage.expect("conversation.item.done");
    assert_eq!((&added["item"], &added["previous_item_id"]), (&done["item"], &done["previous_item_id"]));
    added
}

#[test]
fn row_051_a_clients_own_id_is_kept() {
    let mut stage = connect();
    let id = "0123456789abcdef0123456789abcdef";
    let added = add(&mut stage, text_item(id, "hello"));
    assert_eq!((&added["item"]["id"], &added["previous_item_id"]), (&json!(id), &json!(null)));
    assert_eq!(added["item"]["status"], "completed");
}

#[test]
fn row_052_ids_of_ours_are_unique_and_short() {
    let mut ids = HashSet::new();
    for _ in 0..2 {
        let mut stage = connect();
        for _ in 0..3 {
            let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]});
            let id = add(&mut stage, item)["item"]["id"].as_str().unwrap().to_owned();
            assert!(id.starts_with("item_") && id.len() <= 32, "{id}");
            assert!(ids.insert(id), "unique across sessions, too");
        }
    }
}

#[test]
fn row_053_previous_item_id() {
    let mut stage = connect();
    let create = |stage: &mut Stage, id: &str, previous: Value| {
        let item = text_item(id, id);
        stage.send(json!({"type": "conversation.item.create", "event_id": id, "previous_item_id": previous,
            "item": item}));
    };
    for (id, previous, told) in [
        ("a", json!(null), json!(null)),
        ("b", json!(null), json!("a")),
        ("front", json!("root"), json!(null)),
        ("between", json!("a"), json!("a")),
    ] {
        create(&mut stage, id, previous);
        assert_eq!(stage.expect("conversation.item.added")["previous_item_id"], told, "{id}");
        stage.expect("conversation.item.done");
    }
    create(&mut stage, "lost", json!("nobody"));
    let error = stage.expect_error("item_create_invalid_previous_item_id", Some("lost"));
    assert_eq!(error["param"], "previous_item_id");
    stage.send(json!({"type": "response.create"}));
    let history = format!("{:?}", stage.request().1.history);
    let places: Vec<usize> = ["front", "\"a\"", "between", "\"b\""].map(|word| history.find(word).expect(word)).into();
    assert!(places.is_sorted(), "{history}");
    assert!(!history.contains("lost"));
}

#[test]
fn row_054_an_id_twice_changes_nothing() {
    let mut stage = connect();
    add(&mut stage, text_item("same", "first"));
    stage.send(json!({"type": "conversation.item.create", "event_id": "again", "item": text_item("same", "second")}));
    stage.expect_error("item_create_duplicate_item_id", Some("again"));
    stage.send(json!({"type": "conversation.item.retrieve", "item_id": "same"}));
    assert_eq!(stage.expect("conversation.item.retrieved")["item"]["content"][0]["text"], "first");
}

#[test]
fn row_055_every_kind_of_item() {
    let mut stage = connect_with(json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}}));
    let message = |role: &str, part: Value| json!({"type": "message", "role": role, "content": [part]});
    let items = [
        message("system", json!({"type": "input_text", "text": "Be kind."})),
        message("user", json!({"type": "input_text", "text": "typed"})),
        message("user", json!({"type": "input_audio", "audio": "AAAA", "transcript": "spoken"})),
        message("assistant", json!({"type": "output_text", "text": "written"})),
        message("assistant", json!({"type": "text", "text": "in the beta's words"})),
        message("assistant", json!({"type": "output_audio", "transcript": "said"})),
        json!({"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{\"a\":1}"}),
        json!({"type": "function_call_output", "call_id": "call_1", "output": "4"}),
    ];
    for item in items {
        add(&mut stage, item);
    }
    stage.send(json!({"type": "response.create"}));
    assert_eq!(stage.request().1.history.len(), 8);
    let history = format!("{:?}", stage.request().1.history);
    for word in ["Be kind.", "typed", "spoken", "written", "beta", "said", "add", "\"4\""] {
        assert!(history.contains(word), "{word}: {history}");
    }

    for (item, param) in [
        (message("user", json!({"type": "input_image", "image_url": "data:"})), "item.content[0]"),
        (message("assistant", json!({"type": "output_audio", "audio": "AAAA"})), "item.content[0]"),
        (message("robot", json!({"type": "input_text", "text": "beep"})), "item.role"),
        (json!({"type": "mcp_call"}), "item.type"),
        (json!({"role": "user"}), "item.type"),
        (json!({"type": "function_call", "name": "add"}), "item.call_id"),
        (json!({"type": "message", "role": "user", "content": []}), "item.content"),
        (json!({"type": "message", "role": "user", "content": [{"type": "input_text"}]}), "item.content[0].text"),
    ] {
        stage.send(json!({"type": "conversation.item.create", "event_id": "bad", "item": item}));
        let error = stage.find("error")["error"].clone();
        assert_eq!((error["param"].as_str(), error["event_id"].as_str()), (Some(param), Some("bad")), "{error}");
    }
}

#[test]
fn row_055_recorded_speech_is_listened_to() {
    let mut stage = connect_with(json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}}));
    let audio = base64(&sound(stage.codec.input_format(), 900, true));
    let part = json!({"type": "input_audio", "audio": audio});
    let added = add(&mut stage, json!({"type": "message", "role": "user", "id": "rec", "content": [part]}));
    assert_eq!(added["item"]["content"], json!([{"type": "input_audio", "transcript": null}]));
    stage.transcript("from a file");
    stage.expect("conversation.item.input_audio_transcription.delta");
    let completed = stage.expect("conversation.item.input_audio_transcription.completed");
    assert_eq!((&completed["item_id"], &completed["transcript"]), (&json!("rec"), &json!("from a file")));
    stage.expect_nothing();
    stage.send(json!({"type": "response.create"}));
    assert!(format!("{:?}", stage.request().1.history).contains("from a file"));

    for audio in ["AAAA", "", "@"] {
        let part = json!({"type": "input_audio", "audio": audio});
        let item = json!({"type": "message", "role": "user", "id": "odd", "content": [part]});
        stage.send(json!({"type": "conversation.item.create", "event_id": "odd", "item": item}));
        assert_eq!(stage.find("error")["error"]["param"], "item.content[0].audio");
    }
}

#[test]
fn row_056_delete() {
    let mut stage = connect();
    add(&mut stage, text_item("a", "first"));
    add(&mut stage, text_item("b", "second"));
    stage.send(json!({"type": "conversation.item.delete", "item_id": "a"}));
    assert_eq!(stage.expect("conversation.item.deleted")["item_id"], "a");
    stage.send(json!({"type": "conversation.item.delete", "event_id": "again", "item_id": "a"}));
    stage.expect_error("item_delete_invalid_item_id", Some("again"));
    assert_eq!(add(&mut stage, text_item("a", "a second life"))["previous_item_id"], "b");
    stage.send(json!({"type": "response.create"}));
    assert!(!format!("{:?}", stage.request().1.history).contains("first"));
}

#[test]
fn row_056_speech_without_words_can_be_deleted() {
    let mut stage = connect();
    stage.speak(800);
    stage.transcript("");
    let id = stage.find("conversation.item.done")["item"]["id"].clone();
    // An item after it is one after nothing, for the conversation.
    stage.send(json!({"type": "conversation.item.create", "previous_item_id": id, "item": text_item("x", "x")}));
    assert_eq!(stage.expect("conversation.item.added")["previous_item_id"], id);
    stage.expect("conversation.item.done");
    stage.send(json!({"type": "conversation.item.delete", "item_id": id}));
    assert_eq!(stage.expect("conversation.item.deleted")["item_id"], id);
}

#[test]
fn row_057_retrieve() {
    let mut stage = connect_with(json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}}));
    stage.say("how late is it");
    let id = stage.find("conversation.item.done")["item"]["id"].clone();
    stage.answer("Noon.");
    let reply = stage.find("conversation.item.done")["item"]["id"].clone();
    stage.take();
    stage.send(json!({"type": "conversation.item.retrieve", "item_id": id}));
    let user = stage.expect("conversation.item.retrieved")["item"].clone();
    assert_eq!(user["content"], json!([{"type": "input_audio", "transcript": "how late is it"}]));
    stage.send(json!({"type": "conversation.item.retrieve", "item_id": reply}));
    let said = stage.expect("conversation.item.retrieved")["item"].clone();
    assert_eq!(said["content"], json!([{"type": "output_audio", "transcript": "Noon."}]));
    stage.send(json!({"type": "conversation.item.retrieve", "event_id": "rci_x", "item_id": "x"}));
    stage.expect_error("item_retrieve_invalid_item_id", Some("rci_x"));
}

#[test]
fn row_058_items_hold_no_nulls() {
    // The validator of every test checks it; here is one of each kind to be checked.
    let mut stage = connect();
    stage.say("add");
    stage.agent_calls("add", "{}");
    let bare = json!({"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}],
        "name": null, "status": null, "object": "realtime.item"});
    stage.send(json!({"type": "conversation.item.create", "item": bare}));
    let added = stage.take().pop().unwrap();
    let keys: Vec<&String> = added["item"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["content", "id", "object", "role", "status", "type"]);
}

#[test]
fn row_059_previous_items_are_announced_ones() {
    let mut stage = connect();
    // An item that comes while the user speaks stands after the speech, which is announced later.
    add(&mut stage, text_item("before", "x"));
    stage.audio(800, true);
    stage.expect("input_audio_buffer.speech_started");
    assert_eq!(add(&mut stage, text_item("meanwhile", "y"))["previous_item_id"], "before");
    stage.audio(1_000, false);
    stage.expect("input_audio_buffer.speech_stopped");
    assert_eq!(stage.expect("input_audio_buffer.committed")["previous_item_id"], "before");
    stage.transcript("hello");
    let history = format!("{:?}", stage.request().1.history);
    assert!(history.find("hello") < history.find("\"y\""), "{history}");
}
