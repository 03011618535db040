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
        native::{NativeCodec, Offer, Welcome, negotiate},
    },
};

use proptest::prelude::*;

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
    NativeCodec::accept(&negotiated, &offer, Welcome::new(SessionId::new()), &Settings::default(), now_ms).0
}

const PLAIN_HELLO: &str = r#"{"type":"hello","features":["partials"]}"#;

/// JSON of any shape, a few levels deep.
pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::btree_map("[a-z_]{1,8}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
