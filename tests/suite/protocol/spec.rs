//! The published page shows every message, and every message that it shows is one.

use std::{collections::BTreeSet, path::Path};

use floe::protocol::native::wire::{ClientMessage, Numbered, client, server};
use serde_json::Value;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    std::fs::read_to_string(path).expect("docs/protocol.md")
}

/// The values of all ```json blocks, in order.
fn examples(page: &str) -> Vec<Value> {
    let blocks = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks
        .flat_map(|block| serde_json::Deserializer::from_str(block).into_iter::<Value>())
        .collect::<Result<_, _>>()
        .expect("examples are JSON")
}

#[test]
fn every_example_is_a_message_and_every_message_has_an_example() {
    let mut seen = BTreeSet::new();
    for example in examples(&page()) {
        let kind = example["type"].as_str().expect("a type").to_owned();
        if client::TYPES.contains(&kind.as_str()) {
            ClientMessage::parse(&example.to_string()).unwrap_or_else(|error| panic!("{example}: {error}"));
        } else {
            let message = Numbered::parse(&example.to_string()).unwrap_or_else(|error| panic!("{example}: {error}"));
            // Read and written again, nothing is lost: the page shows no field that does not exist.
            let written = serde_json::to_value(message.expect("a known type")).expect("JSON");
            let told = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<BTreeSet<_>>());
            assert_eq!(told(&written), told(&example), "{example}");
        }
        seen.insert(kind);
    }
    let known: BTreeSet<String> = client::TYPES.iter().chain(&server::TYPES).map(|kind| (*kind).to_owned()).collect();
    assert_eq!(seen, known);
}

#[test]
fn the_header_example_is_what_the_code_writes() {
    use floe::protocol::native::frame::{AUDIO_DOWN, Header};
    let header = Header { kind: AUDIO_DOWN, flags: 0, stream: 7, sequence: 2, timestamp: 960 };
    let bytes: Vec<_> = header.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(page().contains(&bytes.join(" ")), "{bytes:?}");
}
