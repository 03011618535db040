//! Retention, erasure, what comes back, and the trail.

use std::{sync::Arc, time::Duration};

use floe::{
    ids::{ConversationId, SessionId},
    jobs::{
        self, Privacy,
        erased::Log,
        forgetting::{self, Means},
        runner, tending,
    },
    store::{
        Claim, Config, Erasure, Filter, Recorder, Running, Scope, Store,
        audit::{self, Trail},
        record::{Change, Closing, ItemRow, Opening},
        shared::{self, Shared},
        words::Query,
    },
};
use sqlx::Executor as _;
use tokio::time;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);

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

promises!(
    each_tenant_keeps_things_as_long_as_it_says,
    a_user_is_erased_with_everything_and_nobody_else,
    whoever_comes_back_with_a_restore_is_erased_again,
    the_trail_only_grows,
);

struct Kept {
    store: Store,
    recorder: Recorder,
    running: Running,
    means: Means,
    log: Log,
    working: Option<runner::Running>,
}

impl Kept {
    async fn open(config: &Config, privacy: Privacy) -> Self {
        let store = Store::open(config).await.unwrap().unwrap();
        let (recorder, running) = Recorder::start(store.clone()).await.unwrap();
        let settings = jobs::Config { poll_ms: 50, ..jobs::Config::default() };
        let log = Log::at(config.dir.join(&privacy.erasures));
        let means = Means {
            store: store.clone(),
            shared: Shared::alone(&shared::Config::default()),
            privacy: Arc::new(privacy),
            config: Arc::new(settings.clone()),
        };
        let working = runner::start(&store, "node", &settings, forgetting::jobs(&means));
        Self { store, recorder, running, means, log, working: Some(working) }
    }

    async fn tend(&self) {
        tending::tend(&self.means, &self.log, &self.recorder).await.unwrap();
    }

    async fn stop(mut self) {
        assert!(self.working.take().unwrap().stop(PATIENCE).await);
        assert!(self.running.stop(PATIENCE).await);
        self.store.close().await;
    }

    /// Says something as somebody, and ends.
    async fn talked(&self, tenant: &str, user: &str, words: &str) -> ConversationId {
        self.talked_in(ConversationId::new(), tenant, user, words).await
    }

    async fn talked_in(&self, conversation: ConversationId, tenant: &str, user: &str, words: &str) -> ConversationId {
        let opening = Opening {
            tenant: tenant.into(),
            user: Some(user.into()),
            agent: "default".into(),
            consent: Some(true),
            ..Opening::default()
        };
        let mut scribe = self.recorder.go_on(Claim { session: SessionId::new(), epoch: 1, conversation, opening });
        let row =
            ItemRow { item: 1, role: "user".into(), kind: "text".into(), text: words.into(), ..ItemRow::default() };
        scribe.put(Change::Item(Box::new(row))).unwrap();
        let last = scribe.put(Change::Closed(Closing { reason: "goodbye".into(), ..Closing::default() })).unwrap();
        let mut progress = scribe.progress();
        let durable = progress.wait_for(|progress| progress.durable_to >= last);
        time::timeout(PATIENCE, durable).await.unwrap().unwrap();
        scribe.conversation()
    }

    async fn left(&self, tenant: &str) -> usize {
        let filter = Filter { limit: 100, ..Filter::default() };
        self.store.conversations(Scope::tenant(tenant), &filter).await.unwrap().conversations.len()
    }

    async fn until_left(&self, tenant: &str, count: usize) {
        let waiting = async {
            while self.left(tenant).await != count {
                time::sleep(Duration::from_millis(20)).await;
            }
        };
        time::timeout(PATIENCE, waiting).await.expect("it is forgotten");
    }
}

/// SQL that no Floe would say, on either database.
async fn by_hand(config: &Config, sql: &'static str) -> Result<u64, sqlx::Error> {
    use secrecy::ExposeSecret as _;
    use sqlx::Connection as _;
    let url = config.url.expose_secret();
    if url.is_empty() {
        let mut connection = sqlx::SqliteConnection::connect(config.file().to_str().unwrap()).await?;
        Ok(connection.execute(sql).await?.rows_affected())
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await?;
        Ok(connection.execute(sql).await?.rows_affected())
    }
}

const DAY_MS: i64 = 86_400_000;

async fn each_tenant_keeps_things_as_long_as_it_says(config: Config) {
    let privacy =
        Privacy { retention_days_of: [("brief".to_owned(), 1), ("long".to_owned(), 0)].into(), ..Privacy::default() };
    let kept = Kept::open(&config, privacy).await;
    for tenant in ["default", "brief", "long"] {
        // Two days ago: ids hold the time, too.
        let old = Uuid::from_u128(u128::try_from(now_ms() - 2 * DAY_MS).unwrap() << 80 | 7 << 76 | 2 << 62 | 1);
        let old = ConversationId::of_uuid(Uuid::from_u128(old.as_u128() + tenant.len() as u128));
        kept.talked_in(old, tenant, "one", "old words").await;
        kept.talked(tenant, "one", "new words").await;
        // It went on until now, so it is as young.
        let long = ConversationId::of_uuid(Uuid::from_u128(old.uuid().as_u128() + 100));
        kept.talked_in(long, tenant, "one", "young words").await;
    }
    let age = "UPDATE conversations SET ended_at_ms = ended_at_ms - 172800000 WHERE id IN \
               (SELECT conversation_id FROM items WHERE text = 'old words')";
    assert_eq!(by_hand(&config, age).await.unwrap(), 3);
    assert_eq!(kept.means.privacy.retention("default"), Some(Duration::from_secs(30 * 86_400)));
    kept.tend().await;
    kept.until_left("brief", 2).await;
    let query = Query::parse("old words").unwrap();
    assert!(kept.store.search(Scope::tenant("brief"), &query, None, 10).await.unwrap().hits.is_empty());
    assert_eq!((kept.left("default").await, kept.left("long").await), (3, 3));
    kept.stop().await;
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

async fn a_user_is_erased_with_everything_and_nobody_else(config: Config) {
    let kept = Kept::open(&config, Privacy::default()).await;
    for number in 0..120 {
        kept.talked("default", if number % 2 == 0 { "anna" } else { "bert" }, "a zebra crossing").await;
    }
    kept.talked("other", "anna", "a zebra elsewhere").await;
    let exported = kept.store.conversations_of("default", "anna", None).await.unwrap();
    assert_eq!((exported.len(), exported[0].consent), (50, Some(true)));
    let rest = kept.store.conversations_of("default", "anna", Some(exported[49].id)).await.unwrap();
    assert_eq!(rest.len(), 10);
    let erasure = Erasure { tenant: "default".into(), user: "anna".into(), before_ms: now_ms() + 1 };
    kept.log.append(&erasure).await.unwrap();
    kept.store.note_erasure(&erasure).await.unwrap();
    kept.until_left("default", 60).await;
    assert!(kept.store.conversations_of("default", "anna", None).await.unwrap().is_empty());
    assert_eq!(kept.left("other").await, 1, "somebody of another tenant with the same name");
    let query = Query::parse("zebra").unwrap();
    assert_eq!(kept.store.search(Scope::tenant("default"), &query, None, 100).await.unwrap().hits.len(), 60);
    time::sleep(Duration::from_millis(5)).await;
    let again = kept.talked("default", "anna", "she is back").await;
    kept.tend().await;
    time::sleep(Duration::from_millis(300)).await;
    assert!(
        kept.store.conversation(Scope::tenant("default"), again).await.unwrap().is_some(),
        "what came later is not meant"
    );
    kept.stop().await;
}

async fn whoever_comes_back_with_a_restore_is_erased_again(config: Config) {
    let kept = Kept::open(&config, Privacy::default()).await;
    let erasure = Erasure { tenant: "default".into(), user: "anna".into(), before_ms: now_ms() + 60_000 };
    kept.log.append(&erasure).await.unwrap();
    // The database is one that knows nothing of it.
    kept.talked("default", "anna", "from a backup").await;
    kept.talked("default", "bert", "from a backup").await;
    assert!(kept.store.erasures().await.unwrap().is_empty());
    kept.tend().await;
    kept.until_left("default", 1).await;
    assert_eq!(kept.store.erasures().await.unwrap(), std::slice::from_ref(&erasure), "the table has learned it");
    // Late words, from a spool perhaps, of somebody who was erased already.
    let late = kept.talked("default", "anna", "from a spool").await;
    by_hand(&config, "UPDATE jobs SET payload = '{}' WHERE kind = 'erase'").await.unwrap();
    kept.tend().await;
    kept.until_left("default", 1).await;
    assert!(kept.store.conversation(Scope::tenant("default"), late).await.unwrap().is_none());
    // And a server with another file learns it from the table.
    let other = Log::at(config.dir.join("other"));
    tending::tend(&kept.means, &other, &kept.recorder).await.unwrap();
    assert_eq!(other.read().await.unwrap(), [erasure]);
    kept.stop().await;
}

async fn the_trail_only_grows(config: Config) {
    let store = Store::open(&config).await.unwrap().unwrap();
    let (trail, writing) = Trail::start(store.clone());
    for number in 0..300 {
        trail.note("default", "key", "read", &number.to_string()).unwrap();
    }
    trail.note("other", "key", "read", "theirs").unwrap();
    assert!(writing.stop(PATIENCE).await);
    assert!(trail.note("default", "key", "read", "too late").is_err(), "nobody reads what cannot be noted");
    let all = store.audit("default", None, 1_000).await.unwrap();
    assert_eq!(all.len(), 300);
    let subjects: Vec<&str> = all.iter().rev().map(|entry| entry.subject.as_str()).collect();
    assert_eq!(subjects, (0..300).map(|number| number.to_string()).collect::<Vec<_>>());
    let page = store.audit("default", Some(all[9].number), 2).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.subject.as_str()).collect::<Vec<_>>(), ["289", "288", "287"]);
    for sql in ["UPDATE audit SET subject = ''", "DELETE FROM audit", "DELETE FROM audit WHERE number = 1"] {
        let refused = by_hand(&config, sql).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
    assert_eq!(store.audit("default", None, 1_000).await.unwrap().len(), 300);
    store.close().await;
}

#[tokio::test]
async fn a_full_queue_refuses_rather_than_to_forget() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&Config { dir: dir.path().to_owned(), ..Config::default() }).await.unwrap().unwrap();
    let (trail, writing) = Trail::start(store.clone());
    // Nobody writes while this task does not wait.
    let noted = (0..audit::ENTRIES_MAX + 10).filter(|_| trail.note("default", "key", "read", "it").is_ok()).count();
    assert_eq!(noted, audit::ENTRIES_MAX);
    assert!(writing.stop(PATIENCE).await);
    assert_eq!(store.audit("default", None, 2_000).await.unwrap().len(), audit::ENTRIES_MAX);
}
