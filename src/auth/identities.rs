//! Everything that is looked up in the database about who somebody is, with a short memory in front of it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;
use tokio::time::Instant;

use super::{Config, Error, Live, Principal, Role, ServerSecret, Unavailable};
use crate::{
    ids::{KeyId, LoginId},
    store::{KeyRow, LoginRow, Store},
};

/// Keys and logins of one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Identities {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) secret: ServerSecret,
    pub(super) live: Live,
    /// By digest of what was shown.
    pub(super) keys: Memory<KeyRow>,
    pub(super) logins: Memory<LoginRow>,
    /// Used since the keeper last looked, and when.
    pub(super) used: Mutex<HashMap<Used, i64>>,
    /// Logins whose refresh token is due.
    pub(super) due: Mutex<HashMap<LoginId, LoginRow>>,
    pub(super) login_idle_ms: i64,
    pub(super) login_max_ms: i64,
    /// [`UNKNOWN`], [`RIGHT`] or [`WRONG`].
    secret_is: AtomicU8,
}

/// Something that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Used {
    Key(KeyId),
    Login(LoginId),
}

const UNKNOWN: u8 = 0;
const RIGHT: u8 = 1;
const WRONG: u8 = 2;

impl Identities {
    /// Those of this store. Blocks for a moment: the secret may be in a file.
    pub fn new(store: Store, config: &Config, dir: &std::path::Path, live: Live) -> Result<Self, Error> {
        let ms = |seconds: u64| i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let inner = Inner {
            store,
            secret: ServerSecret::load(&config.secret, dir)?,
            live,
            keys: Memory::new(),
            logins: Memory::new(),
            used: Mutex::default(),
            due: Mutex::default(),
            login_idle_ms: ms(config.login_idle_s),
            login_max_ms: ms(config.login_max_s),
            secret_is: AtomicU8::new(UNKNOWN),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether the database was made with this secret. Known for good once it has answered.
    pub async fn check_secret(&self) -> Result<(), Error> {
        match self.inner.secret_is.load(Ordering::Acquire) {
            RIGHT => return Ok(()),
            WRONG => return Err(Error::OtherSecret),
            _ => {}
        }
        let ours = self.inner.secret.digest("mark", "secret");
        let noted = self.inner.store.mark("secret", &ours).await?;
        let is_right = self.inner.secret.is_digest("mark", "secret", &noted);
        self.inner.secret_is.store(if is_right { RIGHT } else { WRONG }, Ordering::Release);
        if is_right { Ok(()) } else { Err(Error::OtherSecret) }
    }

    /// Whether any of a credential's ids was revoked. While the database is away nobody can say, and nobody can revoke: what is
    /// learned later ends the session then.
    pub async fn is_revoked(&self, who: &Principal) -> bool {
        let ids: Vec<String> = who.credential.ids().filter(|id| !id.is_empty()).map(str::to_owned).collect();
        let revoked = self.inner.store.revoked(&ids).await.unwrap_or_default();
        revoked.iter().any(|(_, tenant)| *tenant == who.tenant)
    }

    /// Revokes any credential of a tenant, here at once and on other servers within seconds.
    pub async fn revoke(&self, tenant: &str, credential: &str) -> Result<(), Error> {
        self.inner.store.revoke(tenant, credential, now_ms()).await?;
        self.inner.live.end(tenant, credential);
        Ok(())
    }

    /// Whether anybody has any key that is good now.
    pub async fn has_keys(&self) -> Result<bool, Error> {
        Ok(self.inner.store.has_keys(now_ms()).await?)
    }

    /// Seals a text with the server's secret.
    pub fn seal(&self, whom: &str, text: &str) -> Result<Vec<u8>, Error> {
        self.inner.secret.seal(whom, text)
    }

    /// Opens what was sealed for `whom`.
    pub fn open(&self, whom: &str, sealed: &[u8]) -> Option<secrecy::SecretString> {
        self.inner.secret.open(whom, sealed)
    }

    /// Who talks with what.
    pub fn live(&self) -> &Live {
        &self.inner.live
    }

    pub(super) fn note_used(&self, used: Used) {
        let mut all = self.inner.used.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < USED_MAX {
            all.insert(used, now_ms());
        }
    }
}

/// The role and scopes of a row; a row that a newer version wrote otherwise opens nothing.
pub(super) fn rights(role: &str, scopes: &str) -> Option<(Role, super::Scopes)> {
    let role: Role = role.parse().ok()?;
    Some((role, scopes.parse::<super::Scopes>().ok()?.and(role.scopes())))
}

/// Rows that were asked for lately: fresh for [`FRESH`], which bounds both what strangers can make the database do and how long a
/// revoked key still opens anything; used longer only while the database does not answer. Holds [`ROWS_MAX`]; then those used least go.
pub(super) struct Memory<T>(Cache<Vec<u8>, (Instant, Option<Arc<T>>)>);

impl<T> std::fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl<T: Send + Sync + 'static> Memory<T> {
    fn new() -> Self {
        Self(Cache::builder().max_capacity(ROWS_MAX).time_to_live(WHILE_AWAY).build())
    }

    /// The row of this digest: remembered, or asked for.
    pub(super) async fn find(
        &self,
        digest: Vec<u8>,
        ask: impl Future<Output = Result<Option<T>, crate::store::Error>>,
    ) -> Result<Option<Arc<T>>, Unavailable> {
        let remembered = self.0.get(&digest);
        if let Some((at, row)) = &remembered
            && now().duration_since(*at) < FRESH
        {
            return Ok(row.clone());
        }
        match ask.await {
            Ok(row) => {
                let row = row.map(Arc::new);
                self.0.insert(digest, (now(), row.clone()));
                Ok(row)
            }
            Err(error) => {
                tracing::warn!(%error, "credentials cannot be looked up");
                remembered.map(|(_, row)| row).ok_or(Unavailable)
            }
        }
    }

    /// What is remembered may be wrong now.
    pub(super) fn forget(&self) {
        self.0.invalidate_all();
    }
}

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "credentials end by the calendar")]
pub(super) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "how old what is remembered is")]
fn now() -> Instant {
    Instant::now()
}

/// How long a row is believed without asking again.
const FRESH: Duration = Duration::from_secs(2);

/// How long it is believed while the database does not answer.
const WHILE_AWAY: Duration = Duration::from_secs(600);

/// Rows in memory, of each kind.
const ROWS_MAX: u64 = 10_000;

/// Notes of what was used, between two looks of the keeper; further ones are dropped, and made at the next use.
const USED_MAX: usize = 10_000;
