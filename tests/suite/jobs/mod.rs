//! Work that goes on after the call: the queue and its workers on both databases, whoever is killed.

mod queue;
#[cfg(feature = "whisper")]
mod thousand;
mod webhooks;

use std::{sync::Arc, time::Duration};

use floe::{
    ids::{ConversationId, SessionId},
    jobs::{self, Failure, Job, runner},
    store::{
        Config, Recorder, Running, Scope, Scribe, Store,
        jobs::{Claimed, Effect, JobFilter, NewJob},
        record::{Change, Closing, ItemRow, Opening},
    },
};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::time;

/// Longest wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What keeps the tests' conversations and jobs.
struct Kept {
    store: Store,
    recorder: Recorder,
    running: Running,
}

impl Kept {
    async fn open(config: &Config) -> Self {
        let store = Store::open(config).await.unwrap().expect("a store is configured");
        let (recorder, running) = Recorder::start(store.clone()).await.unwrap();
        Self { store, recorder, running }
    }

    async fn stop(self) {
        assert!(self.running.stop(PATIENCE).await, "the recorder ends");
        self.store.close().await;
    }

    /// A conversation of a user in which this was said, over and written.
    async fn talked(&self, tenant: &str, user: Option<&str>, said: &[&str]) -> ConversationId {
        let scribe = self.talking(tenant, user, said);
        ended(scribe).await
    }

    fn talking(&self, tenant: &str, user: Option<&str>, said: &[&str]) -> Scribe {
        let opening = Opening {
            tenant: tenant.into(),
            user: user.map(str::to_owned),
            agent: "default".into(),
            ..Opening::default()
        };
        let mut scribe = self.recorder.begin(SessionId::new(), opening);
        for (item, text) in (1..).zip(said) {
            let role = if item % 2 == 1 { "user" } else { "assistant" };
            let row = ItemRow {
                item,
                position: item as f64,
                role: role.into(),
                kind: if item % 2 == 1 { "speech" } else { "reply" }.into(),
                text: (*text).into(),
                ..ItemRow::default()
            };
            scribe.put(Change::Item(Box::new(row))).unwrap();
        }
        scribe
    }
}

async fn ended(mut scribe: Scribe) -> ConversationId {
    let closing = Closing { lost: false, reason: "goodbye".into(), audio_in_ms: 1_000, audio_out_ms: 500 };
    let last = scribe.put(Change::Closed(closing)).unwrap();
    let mut progress = scribe.progress();
    let durable = progress.wait_for(|progress| progress.durable_to >= last);
    time::timeout(PATIENCE, durable).await.expect("it is written").unwrap();
    scribe.conversation()
}

fn any() -> JobFilter {
    JobFilter { limit: 10_000, ..JobFilter::default() }
}

/// Settings that let time pass quickly.
fn quick() -> jobs::Config {
    jobs::Config {
        lease_ms: 600,
        poll_ms: 50,
        pause_ms: 20,
        pause_max_ms: 200,
        webhook_pause_ms: 20,
        ..jobs::Config::default()
    }
}

/// A job that does what a test says.
struct Doing<F>(&'static str, F);

impl<F, T> Job for Doing<F>
where
    F: Fn(Claimed) -> T + Send + Sync,
    T: Future<Output = Result<Effect, Failure>> + Send + 'static,
{
    fn kind(&self) -> &'static str {
        self.0
    }

    fn run(&self, job: Claimed) -> BoxFuture<'static, Result<Effect, Failure>> {
        (self.1)(job).boxed()
    }
}

fn doing<F, T>(kind: &'static str, work: F) -> jobs::List
where
    F: Fn(Claimed) -> T + Send + Sync + 'static,
    T: Future<Output = Result<Effect, Failure>> + Send + 'static,
{
    vec![Arc::new(Doing(kind, work))]
}

/// Waits until a question has this answer.
async fn until<F: Future<Output = bool>>(what: &str, ask: impl Fn() -> F) {
    let asking = async {
        while !ask().await {
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

async fn states(store: &Store, tenant: &str) -> Vec<String> {
    store.jobs(tenant, &any()).await.unwrap().into_iter().map(|job| job.state).collect()
}

async fn all_done(store: &Store, tenant: &str) {
    until("all jobs are done", async || {
        let states = states(store, tenant).await;
        !states.is_empty() && states.iter().all(|state| state == "done")
    })
    .await;
}

/// Every promise, once on each database.
macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $promise() {
                let dir = tempfile::tempdir().unwrap();
                super::$promise(floe::store::Config { dir: dir.path().to_owned(), ..Default::default() }).await;
            })*
        }

        #[tokio::test]
        async fn postgres_keeps_every_promise() {
            let cluster = crate::support::postgres::Cluster::start().await;
            $({
                let dir = tempfile::tempdir().unwrap();
                let config = cluster.database(stringify!($promise), dir.path()).await;
                $promise(config).await;
            })*
        }
    };
}
use promises;
