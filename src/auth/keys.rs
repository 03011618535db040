//! API keys: `floe_PREFIX_SECRET`. The prefix is shown in lists and finds the key; of the whole only a keyed digest is kept.

use super::{
    Credential, Error, Identities, NAME_BYTES_MAX, Principal, Role, Scopes, Unavailable,
    identities::{Used, now_ms, rights},
    secret::{DIGITS, token},
};
use crate::{ids::KeyId, store::KeyRow};

/// What every key begins with.
pub const PREFIX: &str = "floe_";

/// Digits of the part that is shown.
const PREFIX_DIGITS: usize = 12;

/// Keys of one part of a list, at most.
pub(super) const PAGE_MAX: u32 = 100;

/// What a key is to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Of which tenant.
    pub tenant: String,
    /// Whose things it opens; a member's key has one.
    pub user: Option<String>,
    /// What it is for. Two of a name may be active.
    pub name: String,
    /// Admin or member.
    pub role: Role,
    /// No more than the role has.
    pub scopes: Scopes,
    /// When it ends, in milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
}

/// A key as it is shown, once.
#[derive(Debug)]
pub struct Shown {
    /// The whole of it.
    pub key: String,
    /// What is kept of it.
    pub row: KeyRow,
}

impl NewKey {
    fn check(&self) -> Result<(), Error> {
        let is_name =
            |text: &str| !text.trim().is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
        let unfit = |what: &str| Err(Error::Unfit(what.to_owned()));
        if !is_name(&self.name) || !is_name(&self.tenant) || self.user.as_deref().is_some_and(|user| !is_name(user)) {
            return unfit("A name, a tenant and a user have 1 to 255 bytes, and no control characters.");
        }
        match self.role {
            Role::Device => return unfit("A key is an admin's or a member's. For a device make a ticket with a key."),
            Role::Member if self.user.is_none() => return unfit("A member's key says which user it is for."),
            Role::Admin | Role::Member => {}
        }
        if self.scopes == Scopes::NONE {
            return unfit("A key without any scope opens nothing.");
        }
        if !self.role.scopes().has(self.scopes) {
            return unfit("Managing keys is an admin's alone.");
        }
        if self.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms()) {
            return unfit("A key expires in the future.");
        }
        Ok(())
    }
}

impl Identities {
    /// Makes a key. An error says if two of its name are active: one of them has to go first.
    pub async fn make_key(&self, new: NewKey) -> Result<Shown, Error> {
        new.check()?;
        self.check_secret().await?;
        let prefix = token("", PREFIX_DIGITS);
        let key = token(&format!("{PREFIX}{prefix}_"), DIGITS);
        let row = KeyRow {
            id: KeyId::new(),
            tenant: new.tenant,
            user: new.user,
            name: new.name,
            digest: self.inner.secret.digest("key", &key),
            prefix,
            role: new.role.as_str().to_owned(),
            scopes: new.scopes.to_string(),
            created_at_ms: now_ms(),
            expires_at_ms: new.expires_at_ms,
            ended_at_ms: None,
            used_at_ms: None,
        };
        if !self.inner.store.add_key(&row).await? {
            let what = "Two keys of this name are active: one to use and one to change to. Revoke one of them first.";
            return Err(Error::Unfit(what.to_owned()));
        }
        Ok(Shown { key, row })
    }

    /// A tenant's keys, newest first: those after `after`, at most `limit`.
    pub async fn keys(&self, tenant: &str, after: Option<KeyId>, limit: u32) -> Result<Vec<KeyRow>, Error> {
        Ok(self.inner.store.keys(tenant, after, limit).await?)
    }

    /// Revokes a key: here at once, on other servers within seconds, with the sessions that go on with it. False if the
    /// tenant has none of this id, or it has ended.
    pub async fn revoke_key(&self, tenant: &str, id: KeyId) -> Result<bool, Error> {
        let ended = self.inner.store.end_key(tenant, id, now_ms()).await?;
        if ended {
            self.inner.keys.forget();
            self.inner.logins.forget();
            self.inner.live.end(tenant, &id.to_string());
        }
        Ok(ended)
    }

    /// Whose key this is; `None` if it is none, or good no more.
    pub async fn key_holder(&self, key: &str) -> Result<Option<Principal>, Unavailable> {
        let Some((prefix, _)) = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else { return Ok(None) };
        if prefix.len() != PREFIX_DIGITS || key.len() != PREFIX.len() + PREFIX_DIGITS + 1 + DIGITS {
            return Ok(None);
        }
        self.check_secret().await.map_err(|error| {
            tracing::error!(%error, "no key can be checked");
            Unavailable
        })?;
        let digest = self.inner.secret.digest("key", key);
        let asked = self.inner.store.key_of_prefix(prefix);
        // Remembered by the whole key: a wrong one with a right prefix is another.
        let Some(row) = self.inner.keys.find(digest, asked).await? else { return Ok(None) };
        let is_good = self.inner.secret.is_digest("key", key, &row.digest)
            && row.ended_at_ms.is_none()
            && row.expires_at_ms.is_none_or(|at_ms| at_ms > now_ms());
        let Some((role, scopes)) = rights(&row.role, &row.scopes).filter(|_| is_good) else { return Ok(None) };
        self.note_used(Used::Key(row.id));
        Ok(Some(Principal {
            tenant: row.tenant.clone(),
            user: row.user.clone(),
            role,
            scopes,
            credential: Credential {
                id: row.id.to_string(),
                expires_at_ms: row.expires_at_ms,
                ..Credential::default()
            },
        }))
    }
}
