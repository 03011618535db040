//! Forgetting: one conversation on demand, what is older than a tenant keeps things, everything of one user.
//!
//! Every deletion of a conversation goes through here. It takes items, receipts and the right to write with it (triggers and
//! foreign keys), tells the webhooks, and gives back what was deleted, so that whoever asked can clear what lies elsewhere: the
//! session's state in Redis, and files below `store.dir`.

use sqlx::Row as _;
use uuid::Uuid;

use super::{
    Error, Reach, Scope, Store,
    db::{Connection, Db, either, within},
    desk::transact,
    jobs::{self, Claimed, Lost, NewJob, kind},
    now_ms, reading,
    rows::Conversation,
    statements::{self, DELETE},
    webhooks,
};
use crate::ids::{ConversationId, SessionId};

/// A conversation that is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Which.
    pub conversation: ConversationId,
    /// The session that held it.
    pub session: SessionId,
}

/// A user who was erased.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Erasure {
    /// Of which tenant.
    pub tenant: String,
    /// Who.
    pub user: String,
    /// Everything of theirs begun before this time, in milliseconds since 1970.
    pub before_ms: i64,
}

/// What a job forgets.
#[derive(Debug, Clone, Copy)]
pub enum Forget<'a> {
    /// Everything that was over before this time.
    Older(i64),
    /// Everything of a user that began before this time.
    User(&'a str, i64),
}

/// Deletes what `$ids` are, in the caller's transaction, and tells of it.
macro_rules! forget {
    ($tx:expr, $tenant:expr, $rows:expr, $why:expr) => {{
        let mut gone = Vec::new();
        for row in $rows {
            let (id, session): (Uuid, Uuid) = (row.try_get("id")?, row.try_get("session_id")?);
            let deleted = sqlx::query(DELETE).bind($tenant).bind(id).execute(&mut *$tx).await?.rows_affected();
            if deleted > 0 {
                let conversation = ConversationId::of_uuid(id);
                let event = webhooks::Event::Deleted { why: $why };
                webhooks::announce!($tx, $tenant, conversation, &event, "", now_ms());
                gone.push(Gone { conversation, session: SessionId::of_uuid(session) });
            }
        }
        gone
    }};
}

impl Store {
    /// Deletes a conversation with everything in it, for good; also what its session still writes. `None` if there is none of this
    /// id within the scope. All or nothing, also if the caller is dropped.
    pub async fn delete(&self, scope: Scope<'_>, id: ConversationId) -> Result<Option<Gone>, Error> {
        let user = match scope.reach {
            Reach::Tenant => None,
            Reach::User(user) => Some(user),
            // Seeing is not owning.
            Reach::One(_) | Reach::Nothing => return Ok(None),
        };
        let gone = transact!(self, tx => {
            let rows = sqlx::query(OWNED).bind(scope.tenant).bind(id.uuid()).bind(user).fetch_all(&mut *tx).await?;
            forget!(tx, scope.tenant, rows, "deleted")
        })?;
        self.wake();
        Ok(gone.first().copied())
    }

    /// What a job would forget next, at most [`BATCH`].
    pub async fn to_forget(&self, tenant: &str, what: Forget<'_>) -> Result<Vec<Gone>, Error> {
        let timeout = std::time::Duration::from_millis(self.config.statement_timeout_ms);
        let rows: Vec<(Uuid, Uuid)> = within(timeout, async {
            either!(Db, &self.db, pool => match what {
                Forget::Older(before_ms) => {
                    sqlx::query_as(OLDER).bind(tenant).bind(reading::first_at(before_ms)).bind(before_ms).bind(BATCH).fetch_all(pool).await
                }
                Forget::User(user, before_ms) => {
                    sqlx::query_as(OF_USER).bind(tenant).bind(user).bind(before_ms).bind(BATCH).fetch_all(pool).await
                }
            })
        })
        .await??;
        let gone =
            |(id, session)| Gone { conversation: ConversationId::of_uuid(id), session: SessionId::of_uuid(session) };
        Ok(rows.into_iter().map(gone).collect())
    }

    /// Forgets these, as long as the job's lease holds.
    pub async fn forget(
        &self,
        job: &Claimed,
        these: &[Gone],
        what: Forget<'_>,
        lease_ms: i64,
    ) -> Result<Result<(), Lost>, Error> {
        let why = match what {
            Forget::Older(_) => "retention",
            Forget::User(..) => "erasure",
        };
        let done = transact!(self, tx => {
            let is_ours = jobs::extend!(tx, job, lease_ms);
            if is_ours {
                for one in these {
                    let rows = sqlx::query(ONE).bind(&job.tenant).bind(one.conversation.uuid()).fetch_all(&mut *tx).await?;
                    let _known: Vec<Gone> = forget!(tx, &job.tenant, rows, why);
                }
            }
            is_ours
        })?;
        self.wake();
        Ok(if done { Ok(()) } else { Err(Lost) })
    }

    /// Notes that a user is to be erased, and puts in the job that does it.
    pub async fn note_erasure(&self, erasure: &Erasure) -> Result<(), Error> {
        let payload = serde_json::json!({ "before_ms": erasure.before_ms });
        let job = NewJob::once(&erasure.tenant, kind::ERASE, erasure.user.clone(), payload);
        transact!(self, tx => {
            sqlx::query(NOTE).bind(&erasure.tenant).bind(&erasure.user).bind(erasure.before_ms).execute(&mut *tx).await?;
            jobs::enqueue!(tx, &job);
        })?;
        self.wake();
        Ok(())
    }

    /// Every user who was erased.
    pub async fn erasures(&self) -> Result<Vec<Erasure>, Error> {
        let timeout = std::time::Duration::from_millis(self.config.statement_timeout_ms);
        let rows: Vec<(String, String, i64)> =
            within(timeout, async { either!(Db, &self.db, pool => sqlx::query_as(ERASURES).fetch_all(pool).await) })
                .await??;
        Ok(rows.into_iter().map(|(tenant, user, before_ms)| Erasure { tenant, user, before_ms }).collect())
    }

    /// Tenants of whom something is kept.
    pub async fn tenants(&self) -> Result<Vec<String>, Error> {
        let timeout = std::time::Duration::from_millis(self.config.statement_timeout_ms);
        let asking = async { either!(Db, &self.db, pool => sqlx::query_scalar(TENANTS).fetch_all(pool).await) };
        Ok(within(timeout, asking).await??)
    }

    /// A user's conversations, oldest first, a part at a time: those after one.
    pub async fn conversations_of(
        &self,
        tenant: &str,
        user: &str,
        after: Option<ConversationId>,
    ) -> Result<Vec<Conversation>, Error> {
        let timeout = std::time::Duration::from_millis(self.config.statement_timeout_ms);
        let after = after.map_or(Uuid::nil(), ConversationId::uuid);
        let asking = async {
            either!(Db, &self.db, pool => {
                sqlx::query_as(statements::OF_USER).bind(tenant).bind(user).bind(after).bind(BATCH).fetch_all(pool).await
            })
        };
        Ok(within(timeout, asking).await??)
    }

    /// Which of these conversations are there, whoever's they are.
    pub async fn known(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
        let timeout = std::time::Duration::from_millis(self.config.statement_timeout_ms);
        let mut known = Vec::new();
        for id in ids {
            let asking = async {
                either!(Db, &self.db, pool => sqlx::query_scalar::<_, i64>(KNOWN).bind(id).fetch_one(pool).await)
            };
            if within(timeout, asking).await?? > 0 {
                known.push(*id);
            }
        }
        Ok(known)
    }

    /// Sees to it that what was deleted is not in the file either. SQLite: merges the index of words, in which deleted entries
    /// stay until then, a little at a time, and empties the write-ahead log. (Deleted rows are overwritten when they are deleted.)
    /// Postgres: nothing; VACUUM reuses the space, as its settings say.
    pub async fn scrub(&self) -> Result<(), Error> {
        if matches!(self.db, Db::Pg(_)) {
            return Ok(());
        }
        let mut pages = -MERGE_PAGES;
        for _ in 0..MERGES_MAX {
            let Connection::Lite(mut connection) = self.seat().await? else { return Ok(()) };
            let timeout = self.config.write_timeout().max(std::time::Duration::from_secs(5));
            let changed: (i64, i64) = within(timeout, async {
                let before: i64 = sqlx::query_scalar(CHANGES).fetch_one(&mut *connection).await?;
                sqlx::query(MERGE).bind(pages).execute(&mut *connection).await?;
                let after: i64 = sqlx::query_scalar(CHANGES).fetch_one(&mut *connection).await?;
                Ok::<_, sqlx::Error>((before, after))
            })
            .await??;
            self.leave(Connection::Lite(connection));
            // "If the difference is less than 2, the merge was a no-op": SQLite's documentation of FTS5.
            if changed.1 - changed.0 < 2 {
                break;
            }
            pages = MERGE_PAGES;
        }
        let Connection::Lite(mut connection) = self.seat().await? else { return Ok(()) };
        for _ in 0..CHECKPOINTS_MAX {
            let (busy, ..): (i64, i64, i64) = sqlx::query_as(CHECKPOINT).fetch_one(&mut *connection).await?;
            if busy == 0 {
                self.leave(Connection::Lite(connection));
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Err(Error::Busy)
    }
}

/// Conversations deleted in one transaction.
pub(super) const BATCH: i64 = 50;

/// A conversation, `$2` its id, `$3` its user or nothing.
const OWNED: &str = "SELECT id, session_id FROM conversations WHERE tenant_id = $1 AND id = $2 \
     AND (CAST($3 AS TEXT) IS NULL OR user_id = $3)";

const ONE: &str = "SELECT id, session_id FROM conversations WHERE tenant_id = $1 AND id = $2";

/// `$2` the first id that can have begun then: an index serves it.
const OLDER: &str = "SELECT id, session_id FROM conversations WHERE tenant_id = $1 AND id < $2 AND state <> 'live' \
     AND COALESCE(ended_at_ms, started_at_ms) < $3 ORDER BY id LIMIT $4";

const OF_USER: &str = "SELECT id, session_id FROM conversations WHERE tenant_id = $1 AND user_id = $2 AND started_at_ms < $3 \
     ORDER BY id LIMIT $4";

const NOTE: &str = "INSERT INTO erasures (tenant_id, user_id, before_ms) VALUES ($1, $2, $3) \
     ON CONFLICT (tenant_id, user_id) DO UPDATE SET before_ms = excluded.before_ms, finished_at_ms = NULL \
     WHERE erasures.before_ms < excluded.before_ms";

const ERASURES: &str = "SELECT tenant_id, user_id, before_ms FROM erasures ORDER BY tenant_id, user_id";

/// One look into the index per tenant, however many conversations there are.
const TENANTS: &str = "WITH RECURSIVE t (tenant) AS (SELECT MIN(tenant_id) FROM conversations UNION ALL \
     SELECT (SELECT MIN(c.tenant_id) FROM conversations c WHERE c.tenant_id > t.tenant) FROM t WHERE t.tenant IS NOT NULL) \
     SELECT tenant FROM t WHERE tenant IS NOT NULL";

const KNOWN: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM conversations WHERE id = $1";

const CHANGES: &str = "SELECT total_changes()";

const MERGE: &str = "INSERT INTO items_by_words (items_by_words, rank) VALUES ('merge', $1)";

const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// Pages of the index of words that one step writes.
const MERGE_PAGES: i64 = 500;
const MERGES_MAX: usize = 10_000;
const CHECKPOINTS_MAX: usize = 50;
