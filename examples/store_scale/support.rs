//! What the tests use: a Postgres of our own, and a Floe whose engines are scripted.

#[path = "../../tests/suite/support/duplex.rs"]
#[allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, reason = "shared with the tests")]
pub(crate) mod duplex;
#[path = "../../tests/suite/support/postgres.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "shared with the tests")]
pub(crate) mod postgres;
#[path = "../../tests/suite/support/server.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "shared with the tests")]
pub(crate) mod server;
