//! Keeping conversations: SQLite (embedded) or Postgres behind one [`Store`], and the [`recorder`] that owns every write a
//! session causes.
//!
//! SQL is the truth; what several nodes share besides, and may lose, is in [`shared`]. Rows are this module's own types: core types are converted in `session`. Reading goes through a pool,
//! one statement at a time, so a reader that is dropped in the middle leaves no transaction behind; writing goes through
//! one connection that nobody else borrows (see [`pen`]).

use std::{path::PathBuf, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

pub mod audit;
mod db;
mod desk;
mod error;
mod forgetting;
mod identities;
pub mod jobs;
pub(crate) mod late;
mod migrations;
mod pen;
mod reading;
pub mod record;
pub mod recorder;
mod rows;
mod scope;
pub mod shared;
mod spool;
pub mod statements;
mod thread;
pub mod webhooks;
pub mod words;

pub use db::{Store, look};
pub use error::Error;
pub use forgetting::{Erasure, Forget, Gone};
pub use identities::{KeyRow, LoginRow};
pub use reading::{Filter, Page, SearchPage};
pub use recorder::{Claim, Progress, Recorder, Refused, Running, Scribe};
pub use rows::{Conversation, Hit, Item, Track, Usage};
pub use scope::{Reach, Scope};

/// Where conversations are kept.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What keeps conversations: `auto` (Postgres if `store.url` is set, else SQLite), `sqlite`, `postgres`, or `none` (nothing
    /// is kept).
    pub engine: Engine,
    /// Postgres' address, such as `postgres://floe:secret@localhost/floe`; `DATABASE_URL` sets it too.
    #[schemars(with = "String", extend("writeOnly" = true))]
    pub url: SecretString,
    /// Directory of this server's own: the SQLite file, the spool and the server's name. One server at a time.
    pub dir: PathBuf,
    /// The SQLite file, below `store.dir` unless it is absolute.
    pub path: PathBuf,
    /// Connections for reading; one more writes.
    pub connections_max: u32,
    /// Longest wait for a connection for reading, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// Longest statement of a reader, in milliseconds.
    pub statement_timeout_ms: u64,
    /// Longest write of one batch, in milliseconds; then it goes to the spool.
    pub write_timeout_ms: u64,
    /// Largest spool, in bytes. When it is full too, turns are told to be not durable.
    pub spool_bytes_max: u64,
    /// Longest wait until a turn is on disk, in milliseconds; then the client is told that it is not durable.
    pub durable_timeout_ms: u64,
    /// Whether what is said is also kept as sound: a file of what the user said and one of what was said to them, for each
    /// session. Ask those who talk.
    pub audio: bool,
    /// Where those files lie, below `store.dir` unless it is absolute.
    pub audio_dir: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            url: SecretString::default(),
            dir: "data".into(),
            path: "floe.db".into(),
            connections_max: 8,
            acquire_timeout_ms: 1_000,
            statement_timeout_ms: 5_000,
            write_timeout_ms: 1_000,
            spool_bytes_max: 64 * 1024 * 1024,
            durable_timeout_ms: 5_000,
            audio: false,
            audio_dir: "audio".into(),
        }
    }
}

/// What keeps conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Postgres if an address is set, else SQLite.
    Auto,
    /// A file in this server's directory.
    Sqlite,
    /// A server.
    Postgres,
    /// Nothing.
    None,
}

impl Config {
    /// The engine in question, `auto` decided.
    pub fn chosen(&self) -> Engine {
        match self.engine {
            Engine::Auto if self.url.expose_secret().is_empty() => Engine::Sqlite,
            Engine::Auto => Engine::Postgres,
            engine => engine,
        }
    }

    /// The SQLite file.
    pub fn file(&self) -> PathBuf {
        self.dir.join(&self.path)
    }

    /// The directory of sound.
    pub fn sound(&self) -> PathBuf {
        self.dir.join(&self.audio_dir)
    }

    fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "when something was kept is a matter of the calendar")]
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
