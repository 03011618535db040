//! Whatever arrives: no panic, and no closed connection for a message that is merely unknown.

use bytes::Bytes;
use floe::protocol::{
    Codec, Message,
    native::{Offer, negotiate},
};
use proptest::prelude::*;

use super::{PLAIN_HELLO, any_json, codec, golden};

fn known_type() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(floe::protocol::native::wire::client::TYPES.as_slice())
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".{0,200}") {
        prop_assert!(codec(PLAIN_HELLO).decode(Message::Text(text.clone())).is_ok());
        let hello = negotiate(&Message::Text(text), &Offer::default());
        prop_assert_eq!(hello.err().and_then(|error| error.close), Some(4400));
    }

    #[test]
    fn any_type_is_survived(kind in "[a-z.]{1,20}", body in any_json()) {
        let text = serde_json::json!({"type": kind, "body": body}).to_string();
        prop_assert!(codec(PLAIN_HELLO).decode(Message::Text(text)).is_ok());
    }

    #[test]
    fn any_field_of_any_message_may_hold_anything(kind in known_type(), at: prop::sample::Index, value in any_json()) {
        let mut message = golden(&format!("client.{kind}"));
        let fields = message.as_object_mut().expect("an object");
        let field = at.index(fields.len());
        let name = fields.keys().nth(field).expect("in range").clone();
        fields[&name] = value;
        let text = message.to_string();
        prop_assert!(codec(PLAIN_HELLO).decode(Message::Text(text.clone())).is_ok());
        let _ = negotiate(&Message::Text(text), &Offer::default());
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..700), raw: bool) {
        let hello = if raw { r#"{"type":"hello","framing":"raw"}"# } else { PLAIN_HELLO };
        let result = codec(hello).decode(Message::Binary(Bytes::from(bytes)));
        prop_assert!(result.is_ok() || result.is_err_and(|error| error.close == Some(4400)));
    }

    #[test]
    fn callers_survive_any_server(text in ".{0,200}", body in any_json()) {
        let _ = floe::protocol::native::wire::Numbered::parse(&text);
        let _ = floe::protocol::native::wire::Numbered::parse(&body.to_string());
    }
}

#[test]
fn deep_nesting_is_refused_rather_than_followed() {
    let deep =
        format!(r#"{{"type":"tool.result","call":"call_1","output":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    assert!(
        codec(PLAIN_HELLO)
            .decode(Message::Text(deep))
            .is_ok_and(|incoming| { matches!(incoming.as_slice(), [floe::protocol::Incoming::Refused(_)]) })
    );
}
