//! The messages of OpenAI Realtime as types. The only place that knows how they are spelled.

pub mod client;
pub mod item;
pub mod response;
pub mod server;
pub mod session;

use serde::{Deserialize, Deserializer};

/// Reads a field that may be absent (`None`), `null` (`Some(None)`) or there.
pub(super) fn present<'de, T, D>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(from).map(Some)
}
