//! Tests of `protocol`.

mod client_messages;
mod frames;
mod handshake;
mod hostile;
mod openai;
mod server_messages;
mod spec;

use floe::{
    conversation::Settings,
    ids::SessionId,
    protocol::{
        Message,
        native::{NativeCodec, Offer, negotiate},
    },
};

use crate::support::fixture;

/// The JSON of `tests/fixtures/protocol/NAME.json`.
fn golden(name: &str) -> serde_json::Value {
    let path = fixture(&format!("protocol/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("fixtures are JSON")
}

/// A codec after a hello, at a standing clock.
fn codec(hello: &str) -> NativeCodec {
    codec_at(hello, Box::new(|| 98_765))
}

fn codec_at(hello: &str, now_ms: Box<dyn Fn() -> u64 + Send>) -> NativeCodec {
    let offer = Offer::default();
    let negotiated = negotiate(&Message::Text(hello.to_owned()), &offer).expect("a good hello");
    NativeCodec::accept(&negotiated, &offer, SessionId::new(), None, &Settings::default(), now_ms).0
}

const PLAIN_HELLO: &str = r#"{"type":"hello","features":["partials"]}"#;
