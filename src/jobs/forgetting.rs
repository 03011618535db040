//! What a tenant keeps no longer, what a user wants erased, and what nobody needs any more.

use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;

use super::{Config, Failure, Job, Privacy, ms};
use crate::store::{
    Forget, Store,
    jobs::{Claimed, Effect, kind},
    now_ms,
    shared::Shared,
};

/// What these jobs work with.
#[derive(Clone)]
pub struct Means {
    /// The store.
    pub store: Store,
    /// What nodes share.
    pub shared: Shared,
    /// How long things are kept.
    pub privacy: Arc<Privacy>,
    /// How jobs are done.
    pub config: Arc<Config>,
}

/// The jobs of this kind of work.
pub fn jobs(means: &Means) -> super::List {
    vec![Arc::new(Retention(means.clone())), Arc::new(Erase(means.clone())), Arc::new(Clean(means.clone()))]
}

/// Forgets what a tenant has kept long enough.
struct Retention(Means);

impl Job for Retention {
    fn kind(&self) -> &'static str {
        kind::RETENTION
    }

    fn run(&self, job: Claimed) -> BoxFuture<'static, Result<Effect, Failure>> {
        let means = self.0.clone();
        async move {
            let Some(kept) = means.privacy.retention(&job.tenant) else { return Ok(Effect::Nothing) };
            let before_ms = now_ms().saturating_sub(ms(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX)));
            let forgotten = means.forget(&job, Forget::Older(before_ms)).await?;
            if forgotten > 0 {
                tracing::info!(tenant = job.tenant, conversations = forgotten, "forgotten: kept long enough");
                means.store.scrub().await?;
            }
            Ok(Effect::Nothing)
        }
        .boxed()
    }
}

/// Forgets everything of a user.
struct Erase(Means);

#[derive(Debug, Deserialize)]
struct Erased {
    before_ms: i64,
}

impl Job for Erase {
    fn kind(&self) -> &'static str {
        kind::ERASE
    }

    fn run(&self, job: Claimed) -> BoxFuture<'static, Result<Effect, Failure>> {
        let means = self.0.clone();
        async move {
            let payload: Result<Erased, _> = serde_json::from_value(job.payload.clone());
            let Erased { before_ms } = payload.map_err(|_| Failure::Never("its payload is none".into()))?;
            let user = job.subject.clone();
            let conversations = means.forget(&job, Forget::User(&user, before_ms)).await?;
            means.store.scrub().await?;
            tracing::info!(tenant = job.tenant, conversations, "a user was erased");
            Ok(Effect::Erased { user })
        }
        .boxed()
    }
}

impl Means {
    /// Forgets all of it, some at a time. May be begun again anywhere: what is gone is gone.
    async fn forget(&self, job: &Claimed, what: Forget<'_>) -> Result<u64, Failure> {
        let mut forgotten = 0;
        loop {
            let next = self.store.to_forget(&job.tenant, what).await?;
            if next.is_empty() {
                return Ok(forgotten);
            }
            self.store.forget(job, &next, what, ms(self.config.lease_ms)).await??;
            for gone in &next {
                // A live session may put its state there once more before it notices that it has none; that ends with the
                // time to come back. So it does if Redis is away.
                let _ends_by_itself = self.shared.forget(gone.session).await;
            }
            forgotten += next.len() as u64;
        }
    }
}

/// Takes jobs out that were done long ago.
struct Clean(Means);

impl Job for Clean {
    fn kind(&self) -> &'static str {
        kind::CLEAN
    }

    fn run(&self, _: Claimed) -> BoxFuture<'static, Result<Effect, Failure>> {
        let means = self.0.clone();
        async move {
            let keep_ms = i64::from(means.config.keep_days) * 86_400_000;
            let now = now_ms();
            while means.store.clear_jobs(now - keep_ms, now - 2 * keep_ms).await? > 0 {}
            Ok(Effect::Nothing)
        }
        .boxed()
    }
}
