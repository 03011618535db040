//! Where events are sent, and the events: one job per event and webhook, put in with what it tells of, in one transaction.
//!
//! A message names things by their ids and holds nothing that anybody said: whoever is told asks the API for the rest, with
//! a key, and is told nothing more once it is deleted.

use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    Error, Store,
    db::{Db, either, within},
    desk::transact,
    jobs::{NewJob, kind},
    now_ms,
};
use crate::ids::{ConversationId, HookId};

/// The events there are.
pub const EVENTS: &[&str] = &["conversation.ended", "conversation.summarised", "conversation.deleted"];

/// The event that only a test sends.
pub const TEST: &str = "webhook.test";

/// Something that happened to a conversation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event<'a> {
    /// It is over.
    Ended {
        /// `ended` or `lost`.
        state: &'a str,
        /// Why, as a word.
        reason: &'a str,
    },
    /// Title and summary are there.
    Summarised {
        /// What made them.
        by: &'a str,
    },
    /// It is gone.
    Deleted {
        /// `deleted`, `retention` or `erasure`.
        why: &'a str,
    },
}

impl Event<'_> {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ended { .. } => EVENTS[0],
            Self::Summarised { .. } => EVENTS[1],
            Self::Deleted { .. } => EVENTS[2],
        }
    }

    fn data(&self, conversation: ConversationId) -> Value {
        let conversation = conversation.to_string();
        match self {
            Self::Ended { state, reason } => json!({"conversation": conversation, "state": state, "reason": reason}),
            Self::Summarised { by } => json!({"conversation": conversation, "summary_by": by}),
            Self::Deleted { why } => json!({"conversation": conversation, "reason": why}),
        }
    }
}

/// The job that brings one event to one webhook. `of` tells one such event from another.
pub(super) fn delivery(
    tenant: &str,
    hook: Uuid,
    conversation: ConversationId,
    event: &Event<'_>,
    of: &str,
    at_ms: i64,
) -> NewJob {
    let (hook, name) = (HookId::of_uuid(hook), event.name());
    let subject = conversation.to_string();
    NewJob {
        tenant: tenant.to_owned(),
        kind: kind::WEBHOOK,
        effect: Some(format!("{hook}:{name}:{subject}:{of}")),
        lane: Some(format!("{hook}:{subject}")),
        payload: json!({"hook": hook.to_string(), "event": name, "body": body(name, at_ms, &event.data(conversation))}),
        subject,
        due_at_ms: at_ms,
    }
}

/// The body as it is sent, the same in every attempt.
fn body(name: &str, at_ms: i64, data: &Value) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).map(|at| format!("{at:.3}")).unwrap_or_default();
    json!({"type": name, "timestamp": at, "data": data}).to_string()
}

/// Tells every webhook of a tenant that wants such events, in the caller's transaction.
macro_rules! announce {
    ($connection:expr, $tenant:expr, $conversation:expr, $event:expr, $of:expr, $at_ms:expr) => {{
        let (tenant, event): (&str, &$crate::store::webhooks::Event<'_>) = ($tenant, $event);
        let hooks = sqlx::query($crate::store::webhooks::WANTED).bind(tenant).fetch_all(&mut *$connection).await?;
        for hook in hooks {
            let events: String = hook.try_get("events")?;
            if events.split_whitespace().any(|wanted| wanted == event.name()) {
                let id: uuid::Uuid = hook.try_get("id")?;
                let job = $crate::store::webhooks::delivery(tenant, id, $conversation, event, $of, $at_ms);
                $crate::store::jobs::enqueue!($connection, &job);
            }
        }
    }};
}
pub(super) use announce;

/// Where events are sent.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its id.
    pub id: HookId,
    /// Its address.
    pub url: String,
    /// What it is told.
    pub events: Vec<String>,
    /// What its messages are signed with, as the receiver has it.
    pub secret: secrecy::SecretString,
    /// When it was made.
    pub created_at_ms: i64,
    /// Since when its server wants nothing any more.
    pub gone_at_ms: Option<i64>,
}

impl Store {
    /// Adds one. False if the tenant has [`HOOKS_MAX`] already.
    pub async fn add_webhook(&self, tenant: &str, hook: &Webhook) -> Result<bool, Error> {
        use secrecy::ExposeSecret as _;
        let added = transact!(self, tx => {
            sqlx::query(ADD)
                .bind(hook.id.uuid())
                .bind(tenant)
                .bind(&hook.url)
                .bind(hook.events.join(" "))
                .bind(hook.secret.expose_secret())
                .bind(hook.created_at_ms)
                .bind(HOOKS_MAX)
                .execute(&mut *tx)
                .await?
                .rows_affected()
        })?;
        Ok(added > 0)
    }

    /// A tenant's webhooks, oldest first.
    pub async fn webhooks(&self, tenant: &str) -> Result<Vec<Webhook>, Error> {
        let timeout = std::time::Duration::from_millis(self.config.statement_timeout_ms);
        let asking = async { either!(Db, &self.db, pool => sqlx::query_as(LIST).bind(tenant).fetch_all(pool).await) };
        Ok(within(timeout, asking).await??)
    }

    /// One; `None` if the tenant has none of this id.
    pub async fn webhook(&self, tenant: &str, id: HookId) -> Result<Option<Webhook>, Error> {
        let timeout = std::time::Duration::from_millis(self.config.statement_timeout_ms);
        let asking = async {
            either!(Db, &self.db, pool => sqlx::query_as(ONE).bind(tenant).bind(id.uuid()).fetch_optional(pool).await)
        };
        Ok(within(timeout, asking).await??)
    }

    /// Takes one out; what was on its way to it finds nobody and ends. False if the tenant has none of this id.
    pub async fn remove_webhook(&self, tenant: &str, id: HookId) -> Result<bool, Error> {
        let removed = transact!(self, tx => {
            sqlx::query(REMOVE).bind(tenant).bind(id.uuid()).execute(&mut *tx).await?.rows_affected()
        })?;
        Ok(removed > 0)
    }

    /// Sends a message that tells of nothing. Gives the job that brings it.
    pub async fn test_webhook(&self, tenant: &str, id: HookId) -> Result<String, Error> {
        let (now, name) = (now_ms(), Uuid::now_v7().simple().to_string());
        let body = body(TEST, now, &json!({"webhook": id.to_string()}));
        let job = NewJob {
            tenant: tenant.to_owned(),
            kind: kind::WEBHOOK,
            subject: name.clone(),
            effect: None,
            lane: None,
            payload: json!({"hook": id.to_string(), "event": TEST, "body": body}),
            due_at_ms: now,
        };
        self.enqueue(&job).await?;
        Ok(name)
    }
}

macro_rules! reads_webhook {
    ($row:ty) => {
        impl sqlx::FromRow<'_, $row> for Webhook {
            fn from_row(row: &$row) -> Result<Self, sqlx::Error> {
                let (events, secret): (String, String) = (row.try_get("events")?, row.try_get("secret")?);
                Ok(Self {
                    id: HookId::of_uuid(row.try_get("id")?),
                    url: row.try_get("url")?,
                    events: events.split_whitespace().map(str::to_owned).collect(),
                    secret: secret.into(),
                    created_at_ms: row.try_get("created_at_ms")?,
                    gone_at_ms: row.try_get("gone_at_ms")?,
                })
            }
        }
    };
}
reads_webhook!(sqlx::postgres::PgRow);
reads_webhook!(sqlx::sqlite::SqliteRow);

/// Webhooks of one tenant.
pub const HOOKS_MAX: i64 = 20;

pub(super) const WANTED: &str =
    "SELECT id, events FROM webhooks WHERE tenant_id = $1 AND gone_at_ms IS NULL ORDER BY id";

pub(super) const GONE: &str =
    "UPDATE webhooks SET gone_at_ms = $3 WHERE tenant_id = $1 AND id = $2 AND gone_at_ms IS NULL";

const ADD: &str = "INSERT INTO webhooks (id, tenant_id, url, events, secret, created_at_ms) SELECT $1, $2, $3, $4, $5, $6 \
     WHERE (SELECT COUNT(*) FROM webhooks WHERE tenant_id = $2) < $7";

const LIST: &str =
    "SELECT id, url, events, secret, created_at_ms, gone_at_ms FROM webhooks WHERE tenant_id = $1 ORDER BY id";

const ONE: &str =
    "SELECT id, url, events, secret, created_at_ms, gone_at_ms FROM webhooks WHERE tenant_id = $1 AND id = $2";

const REMOVE: &str = "DELETE FROM webhooks WHERE tenant_id = $1 AND id = $2";
