//! What keeps credentials in order: ends sessions whose credential has ended, notes what was used, uses refresh
//! tokens, forgets what is long over.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use secrecy::ExposeSecret as _;
use tokio::{
    task::JoinSet,
    time::{self, Interval, MissedTickBehavior},
};

use super::{
    Error, Identities, Live,
    identities::{Used, now_ms},
    oidc::{Provider, Refreshed},
};
use crate::store::LoginRow;

/// What the tasks need.
pub struct Keeper {
    /// Who talks.
    pub live: Live,
    /// Keys and logins, if there is a database.
    pub identities: Option<Identities>,
    /// The identity provider, if there is one.
    pub provider: Option<Provider>,
}

/// The tasks; they end when this is dropped.
#[derive(Debug)]
pub struct Running {
    _tasks: JoinSet<()>,
}

impl Keeper {
    /// Begins: one task asks about revocations and waits for nothing else, the other does what nobody waits for.
    pub fn start(self) -> Running {
        let (mut tasks, keeper) = (JoinSet::new(), Arc::new(self));
        tasks.spawn(Arc::clone(&keeper).watch());
        tasks.spawn(keeper.tidy());
        Running { _tasks: tasks }
    }

    async fn watch(self: Arc<Self>) {
        let mut ticks = ticks();
        loop {
            ticks.tick().await;
            self.live.expire(now_ms());
            if let Some(identities) = &self.identities {
                self.end_revoked(identities).await;
            }
        }
    }

    async fn tidy(self: Arc<Self>) {
        let Some(identities) = &self.identities else { return };
        let mut ticks = ticks();
        let mut forgets_at = ticks.tick().await;
        // When what was last noted, as long as that is news: at most as many as are used within a minute.
        let mut noted = HashMap::new();
        loop {
            let now = ticks.tick().await;
            self.note_used(identities, &mut noted).await;
            self.refresh(identities).await;
            if now >= forgets_at {
                forgets_at = now + FORGETS_EVERY;
                if let Err(error) = identities.inner.store.forget_ended(now_ms() - KEPT_MS).await {
                    tracing::warn!(%error, "ended logins could not be forgotten");
                }
            }
        }
    }

    /// Ends sessions whose credential was revoked on any server.
    async fn end_revoked(&self, identities: &Identities) {
        let credentials = self.live.credentials();
        if credentials.is_empty() {
            return;
        }
        match identities.inner.store.revoked(&credentials).await {
            Ok(revoked) => {
                for (credential, tenant) in revoked {
                    let sessions = self.live.end(&tenant, &credential);
                    if sessions > 0 {
                        tracing::info!(credential, sessions, "sessions end with their credential");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "revocations cannot be read"),
        }
    }

    /// Notes what was used, at most once a minute each.
    async fn note_used(&self, identities: &Identities, noted: &mut HashMap<Used, i64>) {
        let used = std::mem::take(&mut *identities.inner.used.lock().unwrap_or_else(PoisonError::into_inner));
        let now = now_ms();
        noted.retain(|_, at_ms| now - *at_ms < NOTED_MS);
        for (used, at_ms) in used {
            if noted.contains_key(&used) {
                continue;
            }
            let done = match used {
                Used::Key(id) => identities.inner.store.note_key_used(id, at_ms).await,
                Used::Login(id) => identities.inner.store.note_login_used(id, at_ms).await,
            };
            if done.is_err() {
                return;
            }
            noted.insert(used, at_ms);
        }
    }

    /// Uses the refresh tokens that are due: a user whom the provider knows no more is logged out.
    async fn refresh(&self, identities: &Identities) {
        let Some(provider) = &self.provider else { return };
        let due = std::mem::take(&mut *identities.inner.due.lock().unwrap_or_else(PoisonError::into_inner));
        for login in due.into_values() {
            if let Err(error) = refresh(identities, provider, login).await {
                tracing::warn!(%error, "a login could not be refreshed");
            }
        }
    }
}

fn ticks() -> Interval {
    let mut ticks = time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn refresh(identities: &Identities, provider: &Provider, login: LoginRow) -> Result<(), Error> {
    let store = &identities.inner.store;
    let (Some(due_ms), Some(sealed)) = (login.refresh_at_ms, &login.refresh) else { return Ok(()) };
    // A token is good once: another server may be using it.
    if !store.claim_refresh(login.id, due_ms, now_ms() + AGAIN_MS).await? {
        return Ok(());
    }
    identities.inner.logins.forget();
    let Some(token) = identities.inner.secret.open(&login.id.to_string(), sealed) else {
        return identities.end_login(&login).await;
    };
    match provider.refresh(token, login.user.as_deref()).await {
        Refreshed::Same { who, token, at_ms } => {
            let mut renewed = login;
            if let Some(who) = who {
                (renewed.role, renewed.scopes) = (who.role.as_str().to_owned(), who.role.scopes().to_string());
            }
            if let Some(token) = token {
                let sealed = identities.inner.secret.seal(&renewed.id.to_string(), token.expose_secret())?;
                renewed.refresh = Some(sealed);
            }
            renewed.refresh_at_ms = Some(at_ms);
            store.renew_login(&renewed).await?;
            identities.inner.logins.forget();
            tracing::debug!(login = %renewed.id, "a login was refreshed");
            Ok(())
        }
        Refreshed::Gone => {
            tracing::info!(login = %login.id, "the identity provider has ended a login");
            identities.end_login(&login).await
        }
        // Tried again in a minute.
        Refreshed::Unknown => Ok(()),
    }
}

/// How often revocations are asked about: with the question's own time well within the five seconds that are promised.
const TICK: Duration = Duration::from_millis(1_000);

/// How long a note of a use is good enough.
const NOTED_MS: i64 = 60_000;

/// How long a refresh token that was tried is left alone.
const AGAIN_MS: i64 = 60_000;

/// How often what is long over is forgotten.
const FORGETS_EVERY: Duration = Duration::from_secs(3_600);

/// How long it is kept: longer than any session.
const KEPT_MS: i64 = 30 * 86_400_000;
