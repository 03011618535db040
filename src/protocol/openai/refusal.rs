//! The one event of a connection that is refused after its upgrade, because a browser cannot read a refused upgrade.

use super::{
    Dialect, ErrorObject,
    outlet::Outlet,
    wire::server::{Body, EventError},
};
use crate::{ids::SessionId, protocol::Message};

/// The `error` event that tells of it.
pub fn refusal(error: ErrorObject, dialect: Dialect) -> Message {
    let mut out = Vec::with_capacity(1);
    Outlet::new(dialect, SessionId::new()).write(Body::Error { error: EventError { error, event_id: None } }, &mut out);
    out.pop().unwrap_or_else(|| Message::Text(String::new()))
}
