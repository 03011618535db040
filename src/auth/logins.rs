//! Logins of browsers: a random cookie, of which a keyed digest is kept.

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Credential, Error, Identities, Principal, Role, Scopes, Unavailable,
    identities::{Used, now_ms, rights},
    secret::{DIGITS, token},
};
use crate::{ids::LoginId, store::LoginRow};

/// Who logs in.
#[derive(Debug)]
pub struct NewLogin {
    /// Of which tenant.
    pub tenant: String,
    /// Who.
    pub user: Option<String>,
    /// Admin or member.
    pub role: Role,
    /// What may be done.
    pub scopes: Scopes,
    /// The key that was shown, if it was a key: the login ends with it.
    pub credential: Option<String>,
    /// When what was shown ends, in milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// The provider's refresh token, and when it is to be used.
    pub refresh: Option<(SecretString, i64)>,
}

impl Identities {
    /// Logs somebody in. Gives what the cookie holds, and for how many seconds at most.
    pub async fn log_in(&self, new: NewLogin) -> Result<(String, i64), Error> {
        self.check_secret().await?;
        let (cookie, id, now) = (token("", DIGITS), LoginId::new(), now_ms());
        let refresh =
            new.refresh.as_ref().map(|(token, _)| self.inner.secret.seal(&id.to_string(), token.expose_secret()));
        let longest = now.saturating_add(self.inner.login_max_ms);
        let expires_at_ms = new.expires_at_ms.map_or(longest, |at_ms| at_ms.min(longest));
        let row = LoginRow {
            id,
            tenant: new.tenant,
            user: new.user,
            digest: self.inner.secret.digest("login", &cookie),
            role: new.role.as_str().to_owned(),
            scopes: new.scopes.to_string(),
            credential: new.credential,
            created_at_ms: now,
            used_at_ms: now,
            expires_at_ms,
            ended_at_ms: None,
            refresh: refresh.transpose()?,
            refresh_at_ms: new.refresh.map(|(_, at_ms)| at_ms),
        };
        self.inner.store.add_login(&row).await?;
        Ok((cookie, (expires_at_ms - now) / 1_000))
    }

    /// Who has this cookie; `None` if it is none, or the login has ended.
    pub async fn login_holder(&self, cookie: &str) -> Result<Option<Principal>, Unavailable> {
        if cookie.len() != DIGITS || self.check_secret().await.is_err() {
            return Ok(None);
        }
        let Some(row) = self.login(cookie).await? else { return Ok(None) };
        let now = now_ms();
        let idle_at_ms = row.used_at_ms.saturating_add(self.inner.login_idle_ms);
        if row.ended_at_ms.is_some() || row.expires_at_ms <= now || idle_at_ms <= now {
            return Ok(None);
        }
        let Some((role, scopes)) = rights(&row.role, &row.scopes) else { return Ok(None) };
        let who = Principal {
            tenant: row.tenant.clone(),
            user: row.user.clone(),
            role,
            scopes,
            credential: Credential {
                id: row.id.to_string(),
                made_with: row.credential.iter().cloned().collect(),
                expires_at_ms: Some(row.expires_at_ms),
                conversation: None,
            },
        };
        if row.credential.is_some() && self.is_revoked(&who).await {
            return Ok(None);
        }
        self.note_used(Used::Login(row.id));
        if row.refresh_at_ms.is_some_and(|at_ms| at_ms <= now) {
            self.note_due(row);
        }
        Ok(Some(who))
    }

    /// Ends the login of this cookie, here at once and on other servers within seconds, with the sessions that go on with it.
    pub async fn log_out(&self, cookie: &str) -> Result<(), Error> {
        if let Ok(Some(row)) = self.login(cookie).await {
            self.end_login(&row).await?;
        }
        Ok(())
    }

    pub(super) async fn end_login(&self, row: &LoginRow) -> Result<(), Error> {
        self.inner.store.end_login(row.id, now_ms()).await?;
        self.inner.logins.forget();
        self.inner.live.end(&row.tenant, &row.id.to_string());
        Ok(())
    }

    async fn login(&self, cookie: &str) -> Result<Option<std::sync::Arc<LoginRow>>, Unavailable> {
        let digest = self.inner.secret.digest("login", cookie);
        let asked = self.inner.store.login_of_digest(&digest);
        self.inner.logins.find(digest.clone(), asked).await
    }

    /// The keeper is to use the login's refresh token. Bounded by the logins that are in memory.
    fn note_due(&self, row: std::sync::Arc<LoginRow>) {
        let mut due = self.inner.due.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        due.insert(row.id, (*row).clone());
    }
}
