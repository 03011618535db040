//! The audit trail: who read what. Rows are only ever added; both databases refuse to change or delete one.
//!
//! Entries go through a queue of [`ENTRIES_MAX`] and are written by one task, so that nobody waits for them. When the queue is
//! full (the database takes no writes) [`Trail::note`] fails, and what was to be read is not told: nothing is read unseen. Of
//! a server that is killed, the entries of its last moments are lost; one that ends in good order writes them first.

use std::time::Duration;

use sqlx::Row as _;
use tokio::{sync::mpsc, task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Store,
    db::{Db, either, within},
    desk::transact,
    now_ms,
};

/// Somebody did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the list; 0 before it is written.
    pub number: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Of which tenant.
    pub tenant: String,
    /// Who.
    pub principal: String,
    /// What, as a word: `read`, `list`, `search`, `export`, `delete`, …
    pub action: String,
    /// With what.
    pub subject: String,
}

/// Takes entries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trail {
    queue: mpsc::Sender<Entry>,
}

/// The queue is full: the database takes no entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail takes no more entries")]
pub struct Full;

/// The task that writes. Dropping it ends it at once.
#[derive(Debug)]
pub struct Writing {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Trail {
    /// Starts to write.
    pub fn start(store: Store) -> (Self, Writing) {
        let (queue, entries) = mpsc::channel(ENTRIES_MAX);
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(write(store, entries, stop.clone()));
        (Self { queue }, Writing { tasks, stop })
    }

    /// Notes that somebody does something. Never waits.
    pub fn note(&self, tenant: &str, principal: &str, action: &str, subject: &str) -> Result<(), Full> {
        let entry = Entry {
            number: 0,
            at_ms: now_ms(),
            tenant: tenant.to_owned(),
            principal: principal.to_owned(),
            action: action.to_owned(),
            subject: subject.chars().filter(|letter| *letter != '\0').take(SUBJECT_CHARS_MAX).collect(),
        };
        self.queue.try_send(entry).map_err(|_| Full)
    }
}

impl Writing {
    /// Takes no further entries, writes those that came, and ends. Says whether that was done within `grace`.
    pub async fn stop(mut self, grace: Duration) -> bool {
        self.stop.cancel();
        time::timeout(grace, self.tasks.join_next()).await.is_ok()
    }
}

async fn write(store: Store, mut entries: mpsc::Receiver<Entry>, stop: CancellationToken) {
    let (mut batch, mut stopping) = (Vec::new(), false);
    loop {
        if batch.is_empty() {
            tokio::select! {
                biased;
                taken = entries.recv_many(&mut batch, BATCH) => if taken == 0 { return },
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    entries.close();
                    continue;
                }
            }
        }
        match put(&store, &batch).await {
            Ok(()) => batch.clear(),
            Err(error) => {
                tracing::warn!(%error, entries = batch.len(), "the audit trail cannot be written; trying again");
                time::sleep(PAUSE).await;
            }
        }
    }
}

async fn put(store: &Store, batch: &[Entry]) -> Result<(), Error> {
    transact!(store, tx => {
        for entry in batch {
            sqlx::query(ADD)
                .bind(entry.at_ms)
                .bind(&entry.tenant)
                .bind(&entry.principal)
                .bind(&entry.action)
                .bind(&entry.subject)
                .execute(&mut *tx)
                .await?;
        }
    })
}

impl Store {
    /// A tenant's trail, newest first, below a number; one more than asked for if there is more.
    pub async fn audit(&self, tenant: &str, below: Option<i64>, limit: u32) -> Result<Vec<Entry>, Error> {
        let timeout = Duration::from_millis(self.config.statement_timeout_ms);
        let asking = async {
            either!(Db, &self.db, pool => {
                let asked = sqlx::query_as(LIST).bind(tenant).bind(below.unwrap_or(i64::MAX));
                asked.bind(i64::from(limit) + 1).fetch_all(pool).await
            })
        };
        Ok(within(timeout, asking).await??)
    }
}

macro_rules! reads_entry {
    ($row:ty) => {
        impl sqlx::FromRow<'_, $row> for Entry {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                Ok(Self {
                    number: row.try_get("number")?,
                    at_ms: row.try_get("at_ms")?,
                    tenant: row.try_get("tenant_id")?,
                    principal: row.try_get("principal")?,
                    action: row.try_get("action")?,
                    subject: row.try_get("subject")?,
                })
            }
        }
    };
}
reads_entry!(sqlx::postgres::PgRow);
reads_entry!(sqlx::sqlite::SqliteRow);

/// Entries in the queue.
pub const ENTRIES_MAX: usize = 1_000;

/// Entries of one transaction.
const BATCH: usize = 128;

/// Pause before a write is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest subject kept, in characters.
const SUBJECT_CHARS_MAX: usize = 300;

const ADD: &str = "INSERT INTO audit (at_ms, tenant_id, principal, action, subject) VALUES ($1, $2, $3, $4, $5)";

const LIST: &str = "SELECT number, at_ms, tenant_id, principal, action, subject FROM audit \
     WHERE tenant_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3";
