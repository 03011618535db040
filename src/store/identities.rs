//! API keys, logins and revocations, as rows: one statement each, on a pooled connection. A caller may drop any of them
//! half-way. What a digest is made of is `auth`'s business.

use std::time::Duration;

use sqlx::{AssertSqlSafe, FromRow, Row as _, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Error, Store,
    db::{Db, either, within},
    reading::ask,
    rows::reads,
};
use crate::ids::{KeyId, LoginId};

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: KeyId,
    /// Of which tenant.
    pub tenant: String,
    /// Whose things it opens; none for everything of the tenant.
    pub user: Option<String>,
    /// What it is for.
    pub name: String,
    /// The part of it that is shown.
    pub prefix: String,
    /// The keyed digest of all of it.
    pub digest: Vec<u8>,
    /// `admin` or `member`.
    pub role: String,
    /// Words with blanks between them.
    pub scopes: String,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// When it was revoked, or made room for another after it had expired.
    pub ended_at_ms: Option<i64>,
    /// When it was last used, to the minute.
    pub used_at_ms: Option<i64>,
}

/// The login of a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// Its id.
    pub id: LoginId,
    /// Of which tenant.
    pub tenant: String,
    /// Who it is.
    pub user: Option<String>,
    /// The keyed digest of what the cookie holds.
    pub digest: Vec<u8>,
    /// `admin` or `member`.
    pub role: String,
    /// Words with blanks between them.
    pub scopes: String,
    /// The credential that was shown to log in, if it was one of ours.
    pub credential: Option<String>,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it was last used, to the minute.
    pub used_at_ms: i64,
    /// Milliseconds since 1970.
    pub expires_at_ms: i64,
    /// When it was ended.
    pub ended_at_ms: Option<i64>,
    /// The provider's refresh token, sealed.
    pub refresh: Option<Vec<u8>>,
    /// When that is to be used.
    pub refresh_at_ms: Option<i64>,
}

reads!(KeyRow, row => Self {
    id: KeyId::of_uuid(row.try_get::<Uuid, _>("id")?),
    tenant: row.try_get("tenant_id")?,
    user: row.try_get("user_id")?,
    name: row.try_get("name")?,
    prefix: row.try_get("prefix")?,
    digest: row.try_get("digest")?,
    role: row.try_get("role")?,
    scopes: row.try_get("scopes")?,
    created_at_ms: row.try_get("created_at_ms")?,
    expires_at_ms: row.try_get("expires_at_ms")?,
    ended_at_ms: row.try_get("ended_at_ms")?,
    used_at_ms: row.try_get("used_at_ms")?,
});

reads!(LoginRow, row => Self {
    id: LoginId::of_uuid(row.try_get::<Uuid, _>("id")?),
    tenant: row.try_get("tenant_id")?,
    user: row.try_get("user_id")?,
    digest: row.try_get("digest")?,
    role: row.try_get("role")?,
    scopes: row.try_get("scopes")?,
    credential: row.try_get("credential")?,
    created_at_ms: row.try_get("created_at_ms")?,
    used_at_ms: row.try_get("used_at_ms")?,
    expires_at_ms: row.try_get("expires_at_ms")?,
    ended_at_ms: row.try_get("ended_at_ms")?,
    refresh: row.try_get("refresh")?,
    refresh_at_ms: row.try_get("refresh_at_ms")?,
});

impl KeyRow {
    /// `active`, `expired` or `revoked`, at this time.
    pub fn state(&self, at_ms: i64) -> &'static str {
        let is_over = |ms: i64| ms <= at_ms;
        match (self.ended_at_ms, self.expires_at_ms) {
            (_, Some(expires_ms))
                if is_over(expires_ms) && self.ended_at_ms.is_none_or(|ended| ended >= expires_ms) =>
            {
                "expired"
            }
            (Some(_), _) => "revoked",
            (None, _) => "active",
        }
    }
}

impl Store {
    /// Keeps a new key. False if two of its name are active. Those of its name that have expired make room.
    pub async fn add_key(&self, key: &KeyRow) -> Result<bool, Error> {
        ask!(self, pool => {
            let expired = sqlx::query(END_EXPIRED).bind(&key.tenant).bind(&key.name).bind(key.created_at_ms);
            expired.execute(pool).await.map(drop)
        });
        let added = ask!(self, pool => {
            sqlx::query(ADD_KEY)
                .bind(key.id.uuid())
                .bind(&key.tenant)
                .bind(&key.user)
                .bind(&key.name)
                .bind(&key.prefix)
                .bind(&key.digest)
                .bind(&key.role)
                .bind(&key.scopes)
                .bind(key.created_at_ms)
                .bind(key.expires_at_ms)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        });
        Ok(added > 0)
    }

    /// The key that shows this.
    pub async fn key_of_prefix(&self, prefix: &str) -> Result<Option<KeyRow>, Error> {
        Ok(ask!(self, pool => sqlx::query_as(KEY_OF_PREFIX).bind(prefix).fetch_optional(pool).await))
    }

    /// A tenant's keys, newest first, those after `after`.
    pub async fn keys(&self, tenant: &str, after: Option<KeyId>, limit: u32) -> Result<Vec<KeyRow>, Error> {
        let below = after.map_or(Uuid::max(), KeyId::uuid);
        Ok(ask!(self, pool => {
            sqlx::query_as(KEYS).bind(tenant).bind(below).bind(i64::from(limit)).fetch_all(pool).await
        }))
    }

    /// Ends a key, and notes it for those who talk with it. False if the tenant has none of this id, or it has ended.
    pub async fn end_key(&self, tenant: &str, id: KeyId, at_ms: i64) -> Result<bool, Error> {
        let ended = ask!(self, pool => {
            let asked = sqlx::query(END_KEY).bind(tenant).bind(id.uuid()).bind(at_ms);
            asked.execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(ended > 0)
    }

    /// Whether anybody has any key that is good at this time.
    pub async fn has_keys(&self, at_ms: i64) -> Result<bool, Error> {
        let found: Option<(String,)> =
            ask!(self, pool => sqlx::query_as(ANY_KEY).bind(at_ms).fetch_optional(pool).await);
        Ok(found.is_some())
    }

    /// Notes that a key was used.
    pub async fn note_key_used(&self, id: KeyId, at_ms: i64) -> Result<(), Error> {
        ask!(self, pool => sqlx::query(KEY_USED).bind(id.uuid()).bind(at_ms).execute(pool).await.map(drop));
        Ok(())
    }

    /// Keeps a new login.
    pub async fn add_login(&self, login: &LoginRow) -> Result<(), Error> {
        ask!(self, pool => {
            sqlx::query(ADD_LOGIN)
                .bind(login.id.uuid())
                .bind(&login.tenant)
                .bind(&login.user)
                .bind(&login.digest)
                .bind(&login.role)
                .bind(&login.scopes)
                .bind(&login.credential)
                .bind(login.created_at_ms)
                .bind(login.used_at_ms)
                .bind(login.expires_at_ms)
                .bind(&login.refresh)
                .bind(login.refresh_at_ms)
                .execute(pool)
                .await
                .map(drop)
        });
        Ok(())
    }

    /// The login whose cookie has this digest.
    pub async fn login_of_digest(&self, digest: &[u8]) -> Result<Option<LoginRow>, Error> {
        Ok(ask!(self, pool => sqlx::query_as(LOGIN_OF_DIGEST).bind(digest).fetch_optional(pool).await))
    }

    /// Ends a login, and notes it for those who talk with it. False if there is none of this id, or it has ended.
    pub async fn end_login(&self, id: LoginId, at_ms: i64) -> Result<bool, Error> {
        let ended = ask!(self, pool => {
            let asked = sqlx::query(END_LOGIN).bind(id.uuid()).bind(at_ms);
            asked.execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(ended > 0)
    }

    /// Notes that a login was used.
    pub async fn note_login_used(&self, id: LoginId, at_ms: i64) -> Result<(), Error> {
        ask!(self, pool => sqlx::query(LOGIN_USED).bind(id.uuid()).bind(at_ms).execute(pool).await.map(drop));
        Ok(())
    }

    /// Takes the right to use a login's refresh token, which was due at `due_ms`; nobody else tries before `again_ms`. False if
    /// another server has taken it.
    pub async fn claim_refresh(&self, id: LoginId, due_ms: i64, again_ms: i64) -> Result<bool, Error> {
        let claimed = ask!(self, pool => {
            let asked = sqlx::query(CLAIM_REFRESH).bind(id.uuid()).bind(due_ms).bind(again_ms);
            asked.execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(claimed > 0)
    }

    /// What the provider said when its refresh token was used: who this is now, and the next token.
    pub async fn renew_login(&self, login: &LoginRow) -> Result<(), Error> {
        ask!(self, pool => {
            sqlx::query(RENEW_LOGIN)
                .bind(login.id.uuid())
                .bind(&login.role)
                .bind(&login.scopes)
                .bind(&login.refresh)
                .bind(login.refresh_at_ms)
                .execute(pool)
                .await
                .map(drop)
        });
        Ok(())
    }

    /// Notes that a credential of a tenant is good no more.
    pub async fn revoke(&self, tenant: &str, credential: &str, at_ms: i64) -> Result<(), Error> {
        ask!(self, pool => {
            sqlx::query(REVOKE).bind(credential).bind(tenant).bind(at_ms).execute(pool).await.map(drop)
        });
        Ok(())
    }

    /// Which of these credentials were revoked, and by which tenant.
    pub async fn revoked(&self, credentials: &[String]) -> Result<Vec<(String, String)>, Error> {
        let mut revoked = Vec::new();
        for some in credentials.chunks(CREDENTIALS_AT_ONCE) {
            let places: Vec<String> = (1..=some.len()).map(|place| format!("${place}")).collect();
            let statement =
                format!("SELECT credential, tenant_id FROM revocations WHERE credential IN ({})", places.join(", "));
            let found: Vec<(String, String)> = ask!(self, pool => {
                // Numbers of places alone: what is asked about is bound.
                let mut asked = sqlx::query_as(AssertSqlSafe(statement.clone()));
                for credential in some {
                    asked = asked.bind(credential);
                }
                asked.fetch_all(pool).await
            });
            revoked.extend(found);
        }
        Ok(revoked)
    }

    /// Forgets revocations and logins that ended before this time: nobody talks that long with one.
    pub async fn forget_ended(&self, before_ms: i64) -> Result<(), Error> {
        ask!(self, pool => {
            sqlx::query("DELETE FROM revocations WHERE revoked_at_ms < $1").bind(before_ms).execute(pool).await.map(drop)
        });
        ask!(self, pool => {
            let ended = sqlx::query("DELETE FROM logins WHERE ended_at_ms < $1 OR expires_at_ms < $1");
            ended.bind(before_ms).execute(pool).await.map(drop)
        });
        Ok(())
    }

    /// Notes a fact about the installation, unless it is noted already. Gives what is noted.
    pub async fn mark(&self, name: &str, value: &[u8]) -> Result<Vec<u8>, Error> {
        let (noted,): (Vec<u8>,) =
            ask!(self, pool => sqlx::query_as(MARK).bind(name).bind(value).fetch_one(pool).await);
        Ok(noted)
    }
}

/// Credentials of one question.
const CREDENTIALS_AT_ONCE: usize = 500;

const END_EXPIRED: &str = "UPDATE api_keys SET ended_at_ms = expires_at_ms \
     WHERE tenant_id = $1 AND name = $2 AND ended_at_ms IS NULL AND expires_at_ms <= $3";

/// Whoever finds the same slot free at the same moment meets the unique index, and gets none.
const ADD_KEY: &str = "INSERT INTO api_keys (id, tenant_id, user_id, name, prefix, digest, role, scopes, created_at_ms, \
         expires_at_ms, slot) \
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, free.slot \
     FROM (SELECT 1 AS slot UNION ALL SELECT 2 AS slot) free \
     WHERE NOT EXISTS (SELECT 1 FROM api_keys taken \
         WHERE taken.tenant_id = $2 AND taken.name = $4 AND taken.slot = free.slot AND taken.ended_at_ms IS NULL) \
     ORDER BY free.slot LIMIT 1 ON CONFLICT DO NOTHING";

const KEY_OF_PREFIX: &str = "SELECT * FROM api_keys WHERE prefix = $1";

const KEYS: &str = "SELECT * FROM api_keys WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";

const END_KEY: &str = "UPDATE api_keys SET ended_at_ms = $3 WHERE tenant_id = $1 AND id = $2 AND ended_at_ms IS NULL";

const ANY_KEY: &str =
    "SELECT prefix FROM api_keys WHERE ended_at_ms IS NULL AND (expires_at_ms IS NULL OR expires_at_ms > $1) LIMIT 1";

const KEY_USED: &str =
    "UPDATE api_keys SET used_at_ms = $2 WHERE id = $1 AND (used_at_ms IS NULL OR used_at_ms <= $2 - 60000)";

const ADD_LOGIN: &str = "INSERT INTO logins (id, tenant_id, user_id, digest, role, scopes, credential, created_at_ms, used_at_ms, \
         expires_at_ms, refresh, refresh_at_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

const LOGIN_OF_DIGEST: &str = "SELECT * FROM logins WHERE digest = $1";

const END_LOGIN: &str =
    "UPDATE logins SET ended_at_ms = $2, refresh = NULL, refresh_at_ms = NULL WHERE id = $1 AND ended_at_ms IS NULL";

const LOGIN_USED: &str = "UPDATE logins SET used_at_ms = $2 WHERE id = $1 AND used_at_ms <= $2 - 60000";

const CLAIM_REFRESH: &str =
    "UPDATE logins SET refresh_at_ms = $3 WHERE id = $1 AND refresh_at_ms = $2 AND ended_at_ms IS NULL";

const RENEW_LOGIN: &str =
    "UPDATE logins SET role = $2, scopes = $3, refresh = $4, refresh_at_ms = $5 WHERE id = $1 AND ended_at_ms IS NULL";

const REVOKE: &str =
    "INSERT INTO revocations (credential, tenant_id, revoked_at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

const MARK: &str = "INSERT INTO marks (name, value) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING value";
