//! The queue: one table, claimed with leases.
//!
//! A claim gives a *lease* (a token) until a time. Whoever has it says now and then that the work goes on, and finishes it with
//! what comes of it in one transaction, which begins by touching the job's row with the lease: if another claim has been made
//! meanwhile, that touches no row, and nothing is written. So a job may be begun several times, and its result is written once.
//!
//! Time is that of whoever asks. Servers whose clocks differ claim a little early or late; the lease decides.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    Error, Store,
    db::{Db, either, within},
    desk::transact,
    now_ms, webhooks,
};
use crate::ids::{ConversationId, JobId};

/// What kinds there are.
pub mod kind {
    /// Title and summary of a conversation.
    pub const SUMMARISE: &str = "summarise";
    /// One event to one webhook.
    pub const WEBHOOK: &str = "webhook";
    /// Everything of a tenant that is older than it keeps things.
    pub const RETENTION: &str = "retention";
    /// Everything of one user.
    pub const ERASE: &str = "erase";
    /// Jobs that were done long ago.
    pub const CLEAN: &str = "clean";
}

/// A job to be.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Whose.
    pub tenant: String,
    /// One of [`kind`].
    pub kind: &'static str,
    /// About what.
    pub subject: String,
    /// The name of what comes of it, if that may be there once only.
    pub effect: Option<String>,
    /// Jobs of one lane are done one after the other.
    pub lane: Option<String>,
    /// What else its worker needs, as JSON. Nothing that anybody said.
    pub payload: serde_json::Value,
    /// Not before this time.
    pub due_at_ms: i64,
}

impl NewJob {
    /// One that is due now, with one effect per kind and subject.
    pub fn once(tenant: &str, kind: &'static str, subject: String, payload: serde_json::Value) -> Self {
        let effect = Some(format!("{kind}:{subject}"));
        Self { tenant: tenant.to_owned(), kind, subject, effect, lane: None, payload, due_at_ms: now_ms() }
    }

    /// A finished conversation's title and summary. `ending` tells one ending from another: a conversation that goes on and ends
    /// again is summarised again.
    pub(super) fn summarise(tenant: &str, conversation: ConversationId, ending: &str) -> Self {
        Self::once(tenant, kind::SUMMARISE, conversation.to_string(), serde_json::json!({ "ending": ending }))
    }
}

/// Puts a job in, in the caller's transaction. One that is there with the same effect and payload stays as it is; with another
/// payload it becomes due again.
macro_rules! enqueue {
    ($connection:expr, $job:expr) => {{
        let job: &$crate::store::jobs::NewJob = $job;
        sqlx::query($crate::store::jobs::ENQUEUE)
            .bind($crate::ids::JobId::new().uuid())
            .bind(&job.tenant)
            .bind(job.kind)
            .bind(&job.subject)
            .bind(&job.effect)
            .bind(&job.lane)
            .bind(job.payload.to_string())
            .bind(job.due_at_ms)
            .bind($crate::store::now_ms())
            .execute(&mut *$connection)
            .await?
    }};
}
pub(super) use enqueue;

/// A job in somebody's hands.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Which.
    pub id: JobId,
    /// Whose.
    pub tenant: String,
    /// What is to be done.
    pub kind: String,
    /// About what.
    pub subject: String,
    /// What else is needed.
    pub payload: serde_json::Value,
    /// Which attempt this is, from 1.
    pub attempts: i64,
    /// How often it had been asked for.
    wanted: i64,
    /// The right to finish it.
    lease: Uuid,
}

/// The lease is another's by now, or the job was finished or retried by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease is lost")]
pub struct Lost;

/// What a job comes to, written together with its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing, or nothing in the database.
    Nothing,
    /// A conversation's title and summary.
    Summary {
        /// Which.
        conversation: ConversationId,
        /// A few words; empty = it stays without.
        title: String,
        /// A few sentences.
        summary: String,
        /// What made them: a model's name, or a method's.
        by: String,
    },
    /// A webhook whose server wants nothing any more.
    HookGone(Uuid),
    /// No conversation of a user is left; keys and logins go now.
    Erased {
        /// Who.
        user: String,
    },
}

/// A job as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its place in the list.
    #[serde(skip)]
    pub number: i64,
    /// Its id.
    #[serde(skip)]
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// About what.
    pub subject: String,
    /// `queued`, `running`, `done` or `dead`.
    pub state: String,
    /// How often it was begun.
    pub attempts: i64,
    /// Queued: not before; running: how long the lease lasts.
    pub due_at_ms: i64,
    /// Which server works on it.
    pub node: Option<String>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it was put in.
    pub created_at_ms: i64,
    /// When it was done, or given up.
    pub finished_at_ms: Option<i64>,
}

/// Which jobs are listed.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only those in this state.
    pub state: Option<String>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those below this number.
    pub below: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl Store {
    /// Puts a job in, in a transaction of its own.
    pub async fn enqueue(&self, job: &NewJob) -> Result<(), Error> {
        transact!(self, tx => { enqueue!(tx, job); })?;
        self.wake();
        Ok(())
    }

    /// Claims up to `count` jobs of these kinds that are due, for `lease_ms`.
    pub async fn claim_jobs(
        &self,
        kinds: &[&str],
        node: &str,
        count: usize,
        lease_ms: i64,
    ) -> Result<Vec<Claimed>, Error> {
        let (lease, now) = (Uuid::new_v4(), now_ms());
        let kinds = format!(" {} ", kinds.join(" "));
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let statement = match self.db {
            Db::Pg(_) => CLAIM_POSTGRES,
            Db::Lite(_) => CLAIM_SQLITE,
        };
        let mut claimed = transact!(self, tx => {
            let rows = sqlx::query(statement)
                .bind(now)
                .bind(&kinds)
                .bind(count)
                .bind(lease)
                .bind(node)
                .bind(now.saturating_add(lease_ms))
                .fetch_all(&mut *tx)
                .await?;
            let mut claimed = Vec::with_capacity(rows.len());
            for row in rows {
                let payload: String = row.try_get("payload")?;
                let number: i64 = row.try_get("number")?;
                claimed.push((number, Claimed {
                    id: JobId::of_uuid(row.try_get("id")?),
                    tenant: row.try_get("tenant_id")?,
                    kind: row.try_get("kind")?,
                    subject: row.try_get("subject")?,
                    payload: serde_json::from_str(&payload).unwrap_or_default(),
                    attempts: row.try_get("attempts")?,
                    wanted: row.try_get("wanted")?,
                    lease,
                }));
            }
            claimed
        })?;
        claimed.sort_by_key(|(number, _)| *number);
        Ok(claimed.into_iter().map(|(_, job)| job).collect())
    }

    /// Says that the work goes on.
    pub async fn extend_lease(&self, job: &Claimed, lease_ms: i64) -> Result<Result<(), Lost>, Error> {
        let touched = transact!(self, tx => extend!(tx, job, lease_ms))?;
        Ok(if touched { Ok(()) } else { Err(Lost) })
    }

    /// Writes what the job has come to, and that it is done. All of it or nothing.
    pub async fn finish_job(&self, job: &Claimed, effect: &Effect) -> Result<Result<(), Lost>, Error> {
        let now = now_ms();
        let finished = transact!(self, tx => {
            let done = sqlx::query(FINISH).bind(job.id.uuid()).bind(job.lease).bind(job.wanted).bind(now);
            if done.execute(&mut *tx).await?.rows_affected() == 0 {
                false
            } else {
                match effect {
                    Effect::Nothing => {}
                    Effect::Summary { conversation, title, summary, by } => {
                        let title = Some(title).filter(|title| !title.is_empty());
                        let written = sqlx::query(PUT_SUMMARY)
                            .bind(&job.tenant)
                            .bind(conversation.uuid())
                            .bind(title)
                            .bind(summary)
                            .bind(by)
                            .execute(&mut *tx)
                            .await?;
                        if written.rows_affected() > 0 {
                            let event = webhooks::Event::Summarised { by };
                            let of = format!("{}.{}", job.id.uuid().simple(), job.wanted);
                            webhooks::announce!(tx, &job.tenant, *conversation, &event, &of, now);
                        }
                    }
                    Effect::HookGone(hook) => {
                        sqlx::query(webhooks::GONE).bind(&job.tenant).bind(hook).bind(now).execute(&mut *tx).await?;
                    }
                    Effect::Erased { user } => {
                        for theirs in THEIRS {
                            sqlx::query(theirs).bind(&job.tenant).bind(user).execute(&mut *tx).await?;
                        }
                        sqlx::query(ERASED).bind(&job.tenant).bind(user).bind(now).execute(&mut *tx).await?;
                    }
                }
                true
            }
        })?;
        if finished {
            self.wake();
        }
        Ok(if finished { Ok(()) } else { Err(Lost) })
    }

    /// Says why it failed: it is due again at a time, or dead.
    pub async fn fail_job(
        &self,
        job: &Claimed,
        error: &str,
        again_at_ms: Option<i64>,
    ) -> Result<Result<(), Lost>, Error> {
        let error: String = error.chars().filter(|letter| *letter != '\0').take(ERROR_CHARS_MAX).collect();
        let touched = transact!(self, tx => {
            sqlx::query(FAIL)
                .bind(job.id.uuid())
                .bind(job.lease)
                .bind(again_at_ms)
                .bind(&error)
                .bind(now_ms())
                .execute(&mut *tx)
                .await?
                .rows_affected()
        })?;
        self.wake();
        Ok(if touched > 0 { Ok(()) } else { Err(Lost) })
    }

    /// Gives a job back that was claimed and not begun, or interrupted by the server's end: it counts as no attempt.
    pub async fn return_job(&self, job: &Claimed) -> Result<(), Error> {
        transact!(self, tx => {
            sqlx::query(RETURN).bind(job.id.uuid()).bind(job.lease).bind(now_ms()).execute(&mut *tx).await?;
        })
    }

    /// When the next job may be due, if any waits.
    pub async fn next_due(&self) -> Result<Option<i64>, Error> {
        let timeout = std::time::Duration::from_millis(self.config.statement_timeout_ms);
        let asking = async { either!(Db, &self.db, pool => sqlx::query_scalar(NEXT_DUE).fetch_one(pool).await) };
        Ok(within(timeout, asking).await??)
    }

    /// Lists a tenant's jobs, newest first, one more than asked for if there are more.
    pub async fn jobs(&self, tenant: &str, filter: &JobFilter) -> Result<Vec<Job>, Error> {
        let timeout = std::time::Duration::from_millis(self.config.statement_timeout_ms);
        let statement = if filter.state.is_some() { LIST_BY_STATE } else { LIST };
        let asking = async {
            either!(Db, &self.db, pool => {
                let mut asked = sqlx::query_as(statement)
                    .bind(tenant)
                    .bind(filter.below.unwrap_or(i64::MAX))
                    .bind(i64::from(filter.limit) + 1)
                    .bind(&filter.kind);
                if let Some(state) = &filter.state {
                    asked = asked.bind(state);
                }
                asked.fetch_all(pool).await
            })
        };
        Ok(within(timeout, asking).await??)
    }

    /// One job; `None` if the tenant has none of this id.
    pub async fn job(&self, tenant: &str, id: JobId) -> Result<Option<Job>, Error> {
        let timeout = std::time::Duration::from_millis(self.config.statement_timeout_ms);
        let asking = async {
            either!(Db, &self.db, pool => sqlx::query_as(READ).bind(tenant).bind(id.uuid()).fetch_optional(pool).await)
        };
        Ok(within(timeout, asking).await??)
    }

    /// Makes a job due now that is dead, done or waits: its attempts count from the beginning. False if the tenant has none of
    /// this id, or somebody is at it.
    pub async fn retry_job(&self, tenant: &str, id: JobId) -> Result<bool, Error> {
        let touched = transact!(self, tx => {
            sqlx::query(RETRY).bind(tenant).bind(id.uuid()).bind(now_ms()).execute(&mut *tx).await?.rows_affected()
        })?;
        self.wake();
        Ok(touched > 0)
    }

    /// Takes jobs out that were done before a time, at most so many. Dead ones stay as long again.
    pub async fn clear_jobs(&self, before_ms: i64, dead_before_ms: i64) -> Result<u64, Error> {
        let cleared = transact!(self, tx => {
            sqlx::query(CLEAR).bind(before_ms).bind(dead_before_ms).execute(&mut *tx).await?.rows_affected()
        })?;
        Ok(cleared)
    }
}

/// Touches a job with its lease, in the caller's transaction: false if that is lost.
macro_rules! extend {
    ($connection:expr, $job:expr, $lease_ms:expr) => {{
        let job: &$crate::store::jobs::Claimed = $job;
        let until = $crate::store::now_ms().saturating_add($lease_ms);
        let touched = sqlx::query($crate::store::jobs::EXTEND)
            .bind(job.id.uuid())
            .bind(job.lease())
            .bind(until)
            .execute(&mut *$connection)
            .await?;
        touched.rows_affected() > 0
    }};
}
pub(super) use extend;

impl Claimed {
    /// The right to finish it.
    pub(super) const fn lease(&self) -> Uuid {
        self.lease
    }
}

pub(super) const ENQUEUE: &str = "INSERT INTO jobs (id, tenant_id, kind, subject, effect, lane, payload, state, due_at_ms, created_at_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, $9) \
     ON CONFLICT (tenant_id, effect) DO UPDATE SET wanted = jobs.wanted + 1, payload = excluded.payload, \
         state = CASE WHEN jobs.state = 'running' THEN jobs.state ELSE 'queued' END, \
         attempts = CASE WHEN jobs.state = 'running' THEN jobs.attempts ELSE 0 END, \
         due_at_ms = CASE WHEN jobs.state = 'running' THEN jobs.due_at_ms ELSE excluded.due_at_ms END, \
         error = NULL, finished_at_ms = NULL \
     WHERE jobs.payload <> excluded.payload";

/// What is due and has nobody before it in its lane. `$1` now, `$2` the kinds with blanks around them, `$3` how many.
macro_rules! due {
    ($is_kind:literal, $lock:literal) => {
        concat!(
            "SELECT j.id FROM jobs j WHERE j.state IN ('queued', 'running') AND j.due_at_ms <= $1 AND ",
            $is_kind,
            " AND (j.lane IS NULL OR NOT EXISTS (SELECT 1 FROM jobs b WHERE b.lane = j.lane AND b.number < j.number \
             AND b.state IN ('queued', 'running'))) ORDER BY j.due_at_ms, j.number LIMIT $3",
            $lock
        )
    };
}

/// `$4` the lease, `$5` the node, `$6` until when.
macro_rules! claim {
    ($due:expr) => {
        concat!(
            "UPDATE jobs SET state = 'running', attempts = attempts + 1, lease = $4, node = $5, due_at_ms = $6 WHERE id IN (",
            $due,
            ") RETURNING number, id, tenant_id, kind, subject, payload, attempts, wanted"
        )
    };
}

const CLAIM_POSTGRES: &str = claim!(due!("strpos($2, ' ' || j.kind || ' ') > 0", " FOR UPDATE SKIP LOCKED"));

const CLAIM_SQLITE: &str = claim!(due!("instr($2, ' ' || j.kind || ' ') > 0", ""));

pub(super) const EXTEND: &str = "UPDATE jobs SET due_at_ms = $3 WHERE id = $1 AND lease = $2 AND state = 'running'";

const FINISH: &str = "UPDATE jobs SET state = CASE WHEN wanted = $3 THEN 'done' ELSE 'queued' END, \
         attempts = CASE WHEN wanted = $3 THEN attempts ELSE 0 END, \
         finished_at_ms = CASE WHEN wanted = $3 THEN CAST($4 AS BIGINT) END, due_at_ms = $4, lease = NULL, error = NULL \
     WHERE id = $1 AND lease = $2 AND state = 'running'";

const FAIL: &str = "UPDATE jobs SET state = CASE WHEN CAST($3 AS BIGINT) IS NULL THEN 'dead' ELSE 'queued' END, error = $4, lease = NULL, \
         due_at_ms = COALESCE($3, due_at_ms), finished_at_ms = CASE WHEN CAST($3 AS BIGINT) IS NULL THEN CAST($5 AS BIGINT) END \
     WHERE id = $1 AND lease = $2 AND state = 'running'";

const RETURN: &str = "UPDATE jobs SET state = 'queued', attempts = attempts - 1, lease = NULL, due_at_ms = $3 \
     WHERE id = $1 AND lease = $2 AND state = 'running'";

const RETRY: &str = "UPDATE jobs SET state = 'queued', attempts = 0, lease = NULL, error = NULL, finished_at_ms = NULL, due_at_ms = $3 \
     WHERE tenant_id = $1 AND id = $2 AND state <> 'running'";

const NEXT_DUE: &str = "SELECT MIN(due_at_ms) FROM jobs WHERE state IN ('queued', 'running')";

/// The columns of a listed job.
macro_rules! listed {
    ($rest:literal) => {
        concat!(
            "SELECT number, id, kind, subject, state, attempts, due_at_ms, node, error, created_at_ms, finished_at_ms FROM jobs \
             WHERE tenant_id = $1 AND ",
            $rest
        )
    };
}

const LIST: &str = listed!("number < $2 AND (CAST($4 AS TEXT) IS NULL OR kind = $4) ORDER BY number DESC LIMIT $3");

const LIST_BY_STATE: &str =
    listed!("number < $2 AND (CAST($4 AS TEXT) IS NULL OR kind = $4) AND state = $5 ORDER BY number DESC LIMIT $3");

const READ: &str = listed!("id = $2");

const CLEAR: &str = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs \
     WHERE (state = 'done' AND finished_at_ms < $1) OR (state = 'dead' AND finished_at_ms < $2) LIMIT 500)";

const PUT_SUMMARY: &str = "UPDATE conversations SET title = COALESCE($3, title), summary = $4, summary_by = $5 \
     WHERE tenant_id = $1 AND id = $2 AND state <> 'live'";

/// What else is a user's: goes when the conversations have gone.
const THEIRS: [&str; 2] = [
    "DELETE FROM logins WHERE tenant_id = $1 AND user_id = $2",
    "DELETE FROM api_keys WHERE tenant_id = $1 AND user_id = $2",
];

const ERASED: &str = "UPDATE erasures SET finished_at_ms = $3 WHERE tenant_id = $1 AND user_id = $2";

/// Longest reason kept, in characters.
const ERROR_CHARS_MAX: usize = 300;
