//! Everything reached by HTTP: the router, and what it lets in.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use serde::{Deserialize, Serialize};

use crate::{
    conversation::Settings,
    protocol::native::Offer,
    session::{Engines, registry::Registry},
    store::{Recorder, Store},
};

pub mod server;

mod api;
mod health;
mod page;
mod stream;

/// The listener.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port. There is no login yet, so anything but loopback also needs `server.open`.
    pub listen: String,
    /// Allows an address that others can reach, although everybody who reaches it may talk.
    pub open: bool,
    /// Origins of pages that may connect, separated by blanks, such as `https://example.org`; `*` = any. The server's own
    /// page always may.
    pub origins: String,
    /// Conversations at a time; further ones get 503 with `Retry-After`.
    pub sessions_max: usize,
    /// Wait for a transcript, as the speech model's queue predicts it, above which nobody new is let in; 0 = no limit.
    pub wait_max_ms: u64,
    /// Longest wait for a request's headers.
    pub header_timeout_ms: u64,
    /// Longest wait for a client's first message.
    pub hello_timeout_ms: u64,
    /// Time that replies in progress get when the server stops.
    pub drain_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            open: false,
            origins: String::new(),
            sessions_max: 64,
            wait_max_ms: 1_500,
            header_timeout_ms: 5_000,
            hello_timeout_ms: 5_000,
            drain_ms: 30_000,
        }
    }
}

/// What every route can reach.
#[derive(Clone)]
pub struct App {
    /// The live sessions.
    pub registry: Registry,
    /// The engines.
    pub engines: Engines,
    /// What a session begins with, before the client says what it wants.
    pub settings: Arc<Settings>,
    /// What we offer a client.
    pub offer: Arc<Offer>,
    /// Origins that may connect besides our own.
    pub origins: Arc<[String]>,
    /// Predicted wait for a transcript above which nobody new is let in.
    pub wait_max: Option<Duration>,
    /// Longest wait for a client's first message.
    pub hello_timeout: Duration,
    /// Time that replies in progress get when the server stops.
    pub drain_grace: Duration,
    /// Where conversations are kept, if they are.
    pub kept: Option<Kept>,
}

/// The store, and who writes into it.
#[derive(Clone)]
pub struct Kept {
    /// For reading.
    pub store: Store,
    /// For writing.
    pub recorder: Recorder,
}

/// Whose conversations these are, until there is a login.
const TENANT: &str = "default";

/// Every route.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/v1/stream", get(stream::upgrade))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::numbers))
        .nest("/api/v1", api::router(app.clone()))
        .route("/", get(page::index))
        .route("/{*path}", get(page::asset))
        .with_state(app)
}
