//! Work that goes on after the call: titles and summaries, webhooks, forgetting.
//!
//! A [`Job`] does the work of one kind and says what comes of it; the [`runner`] claims, keeps the lease, writes the result with
//! it, tries again later, gives up. The queue itself is [`crate::store::jobs`].

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::store::{
    Error,
    jobs::{Claimed, Effect},
};

pub mod command;
pub mod erased;
pub mod forgetting;
pub mod runner;
pub mod summary;
pub mod tending;
pub mod webhook;

/// Background work.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Jobs at a time on this server, webhooks apart; 0 = none, other servers do them.
    pub workers: usize,
    /// Webhooks' messages on their way at a time; 0 = none.
    pub webhook_workers: usize,
    /// How long a server that says nothing keeps a job, in milliseconds; then another one begins it anew.
    pub lease_ms: u64,
    /// Longest time between two looks for work that another server has put in, in milliseconds.
    pub poll_ms: u64,
    /// Attempts before a job is given up (`dead`).
    pub attempts_max: i64,
    /// Pause after the first attempt that failed, in milliseconds; twice as long after each further one.
    pub pause_ms: u64,
    /// Longest such pause, in milliseconds.
    pub pause_max_ms: u64,
    /// Attempts before a webhook's message is given up.
    pub webhook_attempts_max: i64,
    /// Pause after the first of them, in milliseconds.
    pub webhook_pause_ms: u64,
    /// Longest time for one attempt at any job, in milliseconds.
    pub timeout_ms: u64,
    /// Whether finished conversations get a title and a summary.
    pub summaries: bool,
    /// How long jobs that are done stay in the list, in days; dead ones twice as long.
    pub keep_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 2,
            webhook_workers: 4,
            lease_ms: 30_000,
            poll_ms: 1_000,
            attempts_max: 5,
            pause_ms: 2_000,
            pause_max_ms: 6 * 3_600_000,
            webhook_attempts_max: 16,
            webhook_pause_ms: 5_000,
            timeout_ms: 120_000,
            summaries: true,
            keep_days: 7,
        }
    }
}

/// How long things are kept.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// How long conversations are kept after they have ended, in days; 0 = until somebody deletes them.
    pub retention_days: u32,
    /// The same for single tenants, such as `{acme = 7}`.
    pub retention_days_of: std::collections::BTreeMap<String, u32>,
    /// The file in which this server notes whom it was told to erase, below `store.dir` unless it is absolute. It belongs where a
    /// restore of the database does not reach: what a backup brings back is erased again by it.
    pub erasures: std::path::PathBuf,
}

impl Default for Privacy {
    fn default() -> Self {
        Self { retention_days: 30, retention_days_of: Default::default(), erasures: "erasures.v1".into() }
    }
}

impl Privacy {
    /// How long a tenant keeps things. `None` = until somebody deletes them.
    pub fn retention(&self, tenant: &str) -> Option<Duration> {
        let days = self.retention_days_of.get(tenant).copied().unwrap_or(self.retention_days);
        (days > 0).then(|| Duration::from_secs(u64::from(days) * 86_400))
    }
}

/// An attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It may go well another time. The sentence is shown to operators: nothing that anybody said.
    #[error("{0}")]
    Later(String),
    /// It never will.
    #[error("{0}")]
    Never(String),
    /// The lease is another's by now: what was being done is not ours any more.
    #[error("the lease is lost")]
    Lost,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<crate::store::jobs::Lost> for Failure {
    fn from(_: crate::store::jobs::Lost) -> Self {
        Self::Lost
    }
}

/// The work of one kind. Called on a tokio worker: it must not block.
pub trait Job: Send + Sync {
    /// Which kind.
    fn kind(&self) -> &'static str;

    /// Does it. What is to be in the database comes back as an [`Effect`] and is written with the lease; whatever else it does
    /// (Redis, a message to somebody) may be done twice and must bear that. Dropping the future stops the work.
    fn run(&self, job: Claimed) -> BoxFuture<'static, Result<Effect, Failure>>;
}

/// Jobs by kind.
pub type List = Vec<Arc<dyn Job>>;

/// Milliseconds of a setting.
fn ms(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
